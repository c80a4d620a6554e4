/**
 * One attempt by itself, without a database.
 *
 * @module
 */

import { checkTimeout, type TaskDefinition } from "../core/define.ts";
import { type Duration, toMilliseconds } from "../core/duration.ts";
import type { StoredError } from "../core/errors.ts";
import type { TaskHandler, UserWrite } from "../core/handler.ts";
import type { LogLevel } from "../core/log.ts";
import { PRIORITY_DEFAULT, TTL_MS_DEFAULT } from "../core/limits.ts";
import { type TaskInit, toTask } from "../core/task.ts";
import { checkFields, checkInteger } from "../core/validate.ts";
import { runHandler } from "../executor/run_handler.ts";
import type { TaskName } from "./test_kit.ts";
import type { VirtualClock } from "./virtual_clock.ts";

/** What {@linkcode TestKit.perform} takes. */
export interface PerformOptions {
  /** Which attempt it is, counted from 1. @default {1} */
  readonly attempt?: number;
  /** Attempts before this one that count as tries. @default {attempt − 1} */
  readonly retryCount?: number;
  /** Becomes `context.signal`. @default {one that never aborts} */
  readonly signal?: AbortSignal;
  /** The schedule point that made the task. @default {none} */
  readonly scheduled?: Date;
  /** How long ago it was initiated. @default {0} */
  readonly age?: Duration;
}

/** What a handler told while it ran. */
export interface Told {
  /** The lines of `context.log`. */
  readonly log: readonly { level: LogLevel; message: string; fields: Record<string, unknown> }[];
  /** What it told by `context.progress`. */
  readonly progress: readonly { fraction: number; message: string }[];
}

/** How an attempt ended. */
export type Performed<R = unknown> =
  & Told
  & (
    | {
      readonly outcome: "succeeded";
      /** The result, after encoding and decoding. */
      readonly value: R;
      /** What `context.complete` would write in the same commit. */
      readonly writes: readonly UserWrite[];
    }
    | {
      /** It threw, and is to be tried again. */
      readonly outcome: "retried";
      readonly error: StoredError;
      /** How long until then, in milliseconds. */
      readonly delayMs: number;
    }
    | {
      /** Put back for a worker that knows the task; no attempt is used. */
      readonly outcome: "parked";
      readonly error: StoredError;
      readonly delayMs: number;
    }
    | { readonly outcome: "failed" | "discarded"; readonly error: StoredError }
  );

const ID = "00000000-0000-7000-8000-000000000001";
const ATTEMPT_MAX = 1_000_000;
const FIELDS = ["attempt", "retryCount", "signal", "scheduled", "age"];

/** Runs one attempt. */
export async function performOnce(
  handler: TaskHandler,
  clock: VirtualClock,
  task: TaskDefinition | TaskName,
  data: unknown,
  options: PerformOptions,
): Promise<Performed> {
  checkFields(options, "the options of perform", FIELDS);
  const attempt = checkInteger(options.attempt ?? 1, "attempt", 1, ATTEMPT_MAX);
  const retryCount = checkInteger(options.retryCount ?? attempt - 1, "retryCount", 0, attempt - 1);
  const ageMs = options.age === undefined ? 0 : toMilliseconds(options.age, "age");
  const { group, name } = task;
  if ("validate" in task) await task.validate(data);
  if ("timeoutMs" in task && task.timeoutMs !== null) checkTimeout(task.timeoutMs);
  const init: TaskInit = {
    id: ID,
    group,
    name,
    data: handler.encodeData(group, name, data),
    dueMs: clock.now() - ageMs,
    createdMs: clock.now() - ageMs,
    scheduledMs: options.scheduled?.getTime() ?? null,
    attempt,
    retryCount,
    ttlMs: TTL_MS_DEFAULT,
    priority: PRIORITY_DEFAULT,
  };
  const log: { level: LogLevel; message: string; fields: Record<string, unknown> }[] = [];
  const progress: { fraction: number; message: string }[] = [];
  const outcome = await runHandler(handler, { task: init }, {
    signal: options.signal ?? new AbortController().signal,
    onLog: (level, message, fields) => log.push({ level, message, fields }),
    onProgress: (fraction, message) => progress.push({ fraction, message }),
  });
  const told = { log, progress };
  switch (outcome.kind) {
    case "succeeded": {
      const value = handler.decodeResult(toTask(init), outcome.result);
      return { outcome: "succeeded", value, writes: outcome.writes, ...told };
    }
    case "retried":
    case "parked":
      return { outcome: outcome.kind, error: outcome.error, delayMs: outcome.delayMs, ...told };
    case "discarded":
      return { outcome: "discarded", error: outcome.error, ...told };
    case "failed":
    case "lost":
      return { outcome: "failed", error: outcome.error, ...told };
  }
}
