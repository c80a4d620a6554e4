/**
 * One attempt as its handler sees it: decode, handle, encode, and ask the retry rule if it threw. The same code runs
 * inline, in a thread and in a process.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { toMilliseconds } from "../core/duration.ts";
import { DiscardTask, InvalidArgument, InvalidData, UnknownTask } from "../core/errors.ts";
import {
  type AtomicWrites,
  defaultRetryInterval,
  type TaskContext,
  type TaskHandler,
  type UserKey,
  type UserWrite,
} from "../core/handler.ts";
import { DATA_BYTES_MAX, PARK_MS } from "../core/limits.ts";
import { toStoredError } from "../core/stored_error.ts";
import { type Task, toTask } from "../core/task.ts";
import type { Job, JobHooks, Outcome } from "./executor.ts";

const insideHandler = new AsyncLocalStorage<true>();

/** Whether the caller is, however indirectly, code of a handler. */
export function isInsideHandler(): boolean {
  return insideHandler.getStore() === true;
}

/** Runs one attempt to its outcome. Never rejects. */
export async function runHandler(
  handler: TaskHandler,
  job: Job,
  hooks: JobHooks,
): Promise<Outcome> {
  const task = toTask(job.task);
  const context = new Context(task, hooks);
  try {
    const returned = await insideHandler.run(true, () => handler.handle(task, context));
    const completion = context.completion;
    return succeeded(
      handler,
      task,
      completion === null ? returned : completion.value,
      completion?.writes ?? [],
    );
  } catch (error) {
    return await resolveFailure(handler, task, error);
  }
}

/** The outcome of an attempt that threw `error`, by the handler's rule. Never rejects. */
export async function resolveFailure(
  handler: TaskHandler,
  task: Task,
  error: unknown,
): Promise<Outcome> {
  const stored = toStoredError(error);
  if (error instanceof DiscardTask) return { kind: "discarded", error: stored };
  if (error instanceof UnknownTask) return { kind: "parked", delayMs: PARK_MS, error: stored };
  try {
    const interval = await handler.getRetryInterval(task, error);
    if (interval === null) return { kind: "failed", error: stored };
    return {
      kind: "retried",
      delayMs: toMilliseconds(interval, "the retry interval"),
      error: stored,
    };
  } catch (thrown) {
    if (thrown instanceof DiscardTask) return { kind: "discarded", error: toStoredError(thrown) };
    // A rule that is broken must not lose the task: the default rule stands in, and ends too.
    const delayMs = defaultRetryInterval(task);
    return delayMs === null
      ? { kind: "failed", error: stored }
      : { kind: "retried", delayMs, error: stored };
  }
}

function succeeded(
  handler: TaskHandler,
  task: Task,
  value: unknown,
  writes: readonly UserWrite[],
): Outcome {
  try {
    const result = handler.encodeResult(task, value);
    if (!(result instanceof Uint8Array)) {
      throw new InvalidData(
        `Cannot store the result of task "${task.id}": encodeResult returned no Uint8Array`,
      );
    }
    if (result.length > DATA_BYTES_MAX) {
      throw new InvalidData(
        `Cannot store the result of task "${task.id}": it has ${result.length} bytes; the bound is ${DATA_BYTES_MAX}`,
        { code: "DATA_TOO_LARGE" },
      );
    }
    return { kind: "succeeded", result, writes };
  } catch (error) {
    // The work is done; doing it again would not make its result any more storable.
    return { kind: "failed", error: toStoredError(error) };
  }
}

class Context implements TaskContext {
  readonly signal: AbortSignal;
  readonly attempt: number;
  readonly log: TaskContext["log"];
  completion: { value: unknown; writes: readonly UserWrite[] } | null = null;
  readonly #hooks: JobHooks;

  constructor(task: Task, hooks: JobHooks) {
    this.signal = hooks.signal;
    this.attempt = task.attempt;
    this.#hooks = hooks;
    const at =
      (level: "debug" | "info" | "warn" | "error") =>
      (message: string, fields: Record<string, unknown> = {}) =>
        hooks.onLog(level, String(message), fields);
    this.log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  progress(fraction: number, message = ""): void {
    if (!(fraction >= 0 && fraction <= 1)) {
      throw new InvalidArgument(`Cannot tell progress: ${fraction} is not a number from 0 to 1`);
    }
    this.#hooks.onProgress(fraction, String(message));
  }

  complete<T>(value: T, writes?: (atomic: AtomicWrites) => void): T {
    if (this.completion !== null) {
      throw new InvalidArgument("Cannot complete: the attempt was completed before");
    }
    const recorder = new WriteRecorder();
    writes?.(recorder);
    this.completion = { value, writes: recorder.writes };
    return value;
  }
}

/** Notes the user's writes; they are checked and committed by the store. */
export class WriteRecorder implements AtomicWrites {
  readonly writes: UserWrite[] = [];

  set(key: UserKey, value: unknown, options?: { expireIn?: number }): this {
    const expireIn = options?.expireIn;
    this.writes.push({ kind: "set", key, value, ...(expireIn === undefined ? {} : { expireIn }) });
    return this;
  }

  delete(key: UserKey): this {
    this.writes.push({ kind: "delete", key });
    return this;
  }

  check(key: UserKey, versionstamp: string | null): this {
    this.writes.push({ kind: "check", key, versionstamp });
    return this;
  }
}
