/**
 * Where a handler runs. An executor knows no database: it is given a job of plain data and answers with an
 * {@linkcode Outcome}, which is a value.
 *
 * @module
 */

import type { StoredError } from "../core/errors.ts";
import type { UserWrite } from "../core/handler.ts";
import type { LogLevel } from "../core/log.ts";
import type { TaskInit } from "../core/task.ts";

/** The kinds of executors. */
export type ExecutorKind = "inline" | "thread" | "process";

/** One attempt to run. */
export interface Job {
  readonly task: TaskInit;
}

/** How an attempt ended. */
export type Outcome =
  | {
    readonly kind: "succeeded";
    readonly result: Uint8Array;
    readonly writes: readonly UserWrite[];
  }
  | { readonly kind: "retried"; readonly delayMs: number; readonly error: StoredError }
  | { readonly kind: "failed"; readonly error: StoredError }
  | { readonly kind: "discarded"; readonly error: StoredError }
  /** Put back for later without using an attempt: the running code does not know the task. */
  | { readonly kind: "parked"; readonly delayMs: number; readonly error: StoredError }
  /** The attempt ended because the place where it ran went away; the retry rule has not been asked yet. */
  | { readonly kind: "lost"; readonly error: StoredError; readonly blame: boolean };

/** What a running attempt tells. */
export interface JobHooks {
  /** Aborts with a reason: cancelled, timed out, lease lost, or the worker stops. Passed on to `context.signal`. */
  readonly signal: AbortSignal;
  /** Called when the handler begins, which may be long after `run` where attempts share a thread. Left out where nobody asks. */
  readonly onBegin?: () => void;
  onProgress(fraction: number, message: string): void;
  onLog(level: LogLevel, message: string, fields: Record<string, unknown>): void;
}

/** One attempt under way. Another attempt of the same task, even at the same time, is another run. */
export interface Run {
  /** How it ended. Never rejects. */
  readonly outcome: Promise<Outcome>;
  /**
   * The caller no longer waits for it: it did not end in time after its signal was aborted. Whatever still runs it is
   * stopped by force where that is possible, and replaced. Does nothing once it has ended.
   */
  abandon(): void;
}

/** A place where handlers run. */
export interface Executor {
  readonly kind: ExecutorKind;
  /** Warms up. Rejects with a `HandlerInvalid` if the handler module cannot be loaded. Called once, before `run`. */
  start(): Promise<void>;
  /** Runs one attempt. The caller keeps the number of them under way within its concurrency. */
  run(job: Job, hooks: JobHooks): Run;
  /** Ends everything; resolves when nothing of it runs any more. Called once. */
  stop(): Promise<void>;
}
