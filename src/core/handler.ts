/**
 * The first layer of the API: one handler for all tasks, told apart by their name.
 *
 * @module
 */

import type { Duration } from "./duration.ts";
import type { LogLevel } from "./log.ts";
import { RETRIES_DEFAULT } from "./limits.ts";
import type { Task } from "./task.ts";
import { decodeValue, encodeValue } from "./value_codec.ts";

/** A key of Deno KV outside Taskkit's own prefix. */
export type UserKey = readonly (string | number | bigint | boolean | Uint8Array)[];

/** One of the user's own writes that commit with an outcome or an initiation. Values are what Deno KV can store. */
export type UserWrite =
  | {
    readonly kind: "set";
    readonly key: UserKey;
    readonly value: unknown;
    readonly expireIn?: number;
  }
  | { readonly kind: "delete"; readonly key: UserKey }
  | { readonly kind: "check"; readonly key: UserKey; readonly versionstamp: string | null };

/** The user's own writes that commit together with an outcome, or not at all; at most 200. */
export interface AtomicWrites {
  /** Writes a value that Deno KV can store; `expireIn` in milliseconds. */
  set(key: UserKey, value: unknown, options?: { expireIn?: number }): this;
  /** Deletes a key. */
  delete(key: UserKey): this;
  /** Refuses the whole commit unless the key is still at this version (null: absent). */
  check(key: UserKey, versionstamp: string | null): this;
}

/** Writes a line to the worker's log from within a handler. Values of `fields` must be plain data. */
export type TaskLog = {
  readonly [level in LogLevel]: (message: string, fields?: Record<string, unknown>) => void;
};

/** What an attempt is given beside its task. */
export interface TaskContext {
  /** Aborts when the task is cancelled, times out, loses its lease, or the worker's grace is over; its `reason` says which. */
  readonly signal: AbortSignal;
  /** Which run this is, counted from 1; the fencing token for effects outside the database. */
  readonly attempt: number;
  /** Tells how far the task is, for whoever looks: a number from 0 to 1, and a short text. Kept at most once a second. */
  progress(fraction: number, message?: string): void;
  /** The worker's log. */
  readonly log: TaskLog;
  /**
   * Makes `value` the attempt's result, whatever `handle` then returns, and commits the user's own writes **in the same
   * atomic operation** as the outcome, so that the writes of a stale attempt never exist. If one of their checks fails,
   * the attempt fails with a `Conflict`, and the rule for retries says what follows; a write to a key below Taskkit's own
   * prefix fails the task.
   *
   * @throws {InvalidArgument} If it is called twice in one attempt.
   *
   * @example A balance that moves exactly once, however often the attempt runs
   * ```ts
   * import { openKv } from "@deno/kv";
   * import { deserialize, serialize } from "node:v8";
   * import { defineTask, Kit, tasks } from "@taskkit/taskkit";
   *
   * const kv = await openKv(":memory:", { encodeV8: serialize, decodeV8: deserialize });
   * const deposit = defineTask({
   *   group: "bank",
   *   name: "deposit",
   *   run: async (amount: number, context) => {
   *     const balance = await kv.get<number>(["balance"]);
   *     const sum = (balance.value ?? 0) + amount;
   *     return context.complete(sum, (atomic) => {
   *       atomic.check(["balance"], balance.versionstamp).set(["balance"], sum);
   *     });
   *   },
   * });
   * {
   *   await using kit = await Kit.open({ kv, handler: tasks([deposit]) });
   *   await kit.initiateTask(deposit, 5, { eager: true });
   *   console.log(await (await kit.initiateTask(deposit, 7, { eager: true })).get()); // 12
   * }
   * kv.close();
   * ```
   */
  complete<T>(value: T, writes?: (atomic: AtomicWrites) => void): T;
}

/** What {@linkcode TaskHandler.getRetryInterval} may return: how long to wait, or null to fail for good. */
export type RetryInterval = Duration | null;

/**
 * Handles tasks and turns data and results into bytes. Extend it and implement `handle`; the rest has defaults.
 *
 * @example
 * ```ts
 * import { DiscardTask, Kit, type Task, TaskHandler } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): number {
 *     if (task.name !== "double") throw new DiscardTask(`unknown task "${task.name}"`);
 *     return 2 * this.decodeData<number>(task);
 *   }
 * }
 *
 * await using kit = await Kit.open({ kv: ":memory:", handler: new Handler() });
 * const result = await kit.initiateTask("math", "double", 21, { eager: true });
 * console.log(await result.get()); // 42
 * ```
 */
export abstract class TaskHandler {
  /**
   * Does the work and returns (or resolves to) the result. Throw {@linkcode DiscardTask} to end the task without retry.
   * Honour `context.signal`: nothing else can stop a handler that runs inline.
   */
  abstract handle(task: Task, context: TaskContext): unknown;

  /**
   * How long to wait before the next attempt, or null to fail for good. May throw {@linkcode DiscardTask}; if it throws
   * anything else, or returns what is no duration, the default rule stands in. Default: 1 s, doubled for each retry up to
   * 1 h, with ±20 % jitter; 10 retries.
   */
  getRetryInterval(task: Task, _error: unknown): RetryInterval | Promise<RetryInterval> {
    return defaultRetryInterval(task);
  }

  /** How long an attempt of a task that has no timeout of its own may take; null for what its group says, which is the default. */
  getTimeout(_task: Task): Duration | null {
    return null;
  }

  /** Bytes of the data. Default: a codec that keeps Date, bigint, Map, Set, Uint8Array and undefined. */
  encodeData(_group: string, name: string, data: unknown): Uint8Array {
    return encodeValue(data, `the data of a task "${name}"`);
  }

  /**
   * The data of a task. `T` is what the caller says it is; it is not checked here: see `defineTask` for that.
   *
   * @throws {InvalidData} If it cannot be decoded.
   */
  decodeData<T>(task: Task): T {
    return decodeValue(task.data, `the data of task "${task.id}"`) as T;
  }

  /** Bytes of the result. Default: the same codec as for data. */
  encodeResult(task: Task, result: unknown): Uint8Array {
    return encodeValue(result, `the result of task "${task.id}"`);
  }

  /** The result that {@linkcode TaskHandler.encodeResult} encoded. */
  decodeResult(task: Task, encoded: Uint8Array): unknown {
    return decodeValue(encoded, `the result of task "${task.id}"`);
  }
}

const RETRY_FIRST_MS = 1_000;
const RETRY_MS_MAX = 3_600_000;
const RETRY_JITTER = 0.2;

/**
 * The default rule: exponential, with a jitter drawn from the task's id and attempt, so that tasks that failed together
 * do not come back together and the same attempt always waits the same time.
 */
export function defaultRetryInterval(task: Task): number | null {
  if (task.retryCount >= RETRIES_DEFAULT) return null;
  const base = Math.min(RETRY_FIRST_MS * 2 ** task.retryCount, RETRY_MS_MAX);
  return Math.round(
    base * (1 - RETRY_JITTER + 2 * RETRY_JITTER * unit(`${task.id} ${task.attempt}`)),
  );
}

/** A number in [0, 1) from text (FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/). */
function unit(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}
