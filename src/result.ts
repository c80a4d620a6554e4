/**
 * Waiting for the outcome of a task.
 *
 * @module
 */

import { type Duration, toMilliseconds } from "./core/duration.ts";
import {
  KitClosed,
  KvUnavailable,
  ResultGetPrevented,
  ResultGetTimedOut,
  TaskCancelled,
  TaskDiscarded,
  TaskFailed,
  TaskNotFound,
} from "./core/errors.ts";
import type { TaskHandler } from "./core/handler.ts";
import { RESULT_POLL_FIRST_MS, RESULT_POLL_MS_MAX } from "./core/limits.ts";
import { isTerminal, type Payload, type TaskRecord, toInit, toTask } from "./core/task.ts";
import { checkFields } from "./core/validate.ts";
import { isInsideHandler } from "./executor/run_handler.ts";
import { readTask } from "./store/operate.ts";
import { readPayload } from "./store/records.ts";
import type { Store } from "./store/store.ts";
import { Waker } from "./core/waker.ts";

/** What {@linkcode Result.get} takes. */
export interface GetOptions {
  /** How long to wait. Default: as long as it takes. */
  readonly timeout?: Duration;
  /** Ends the wait; `get` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Waits inside a handler too. Only where the awaited task cannot need the slot of the waiting one. Default: false. */
  readonly allowInHandler?: boolean;
}

/** What a result needs of its Kit. */
export interface ResultHost {
  readonly store: Store;
  readonly handler: TaskHandler;
  /** Aborts when the Kit closes. */
  readonly closed: AbortSignal;
}

/**
 * A handle on the outcome of a task. Never thenable: awaiting it by mistake does not wait for the task.
 *
 * @example
 * ```ts
 * import { defineTask, Kit, tasks } from "@taskkit/taskkit";
 *
 * const shout = defineTask({ group: "text", name: "shout", run: (s: string) => s.toUpperCase() });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([shout]) });
 * await using worker = await kit.startWorker();
 *
 * const result = await kit.initiateTask(shout, "hello");
 * console.log(await result.get({ timeout: "10s" })); // "HELLO"
 * ```
 */
export class Result<T = unknown> {
  /** The task's id. `kit.getResult(id)` makes a handle on it anywhere. */
  readonly id: string;
  readonly #host: ResultHost;

  /** Made by a `Kit`. */
  constructor(host: ResultHost, id: string) {
    this.#host = host;
    this.id = id;
  }

  /**
   * The task's result, as soon as there is one.
   *
   * @throws {TaskFailed} If it failed for good; `error` is what its last attempt left.
   * @throws {TaskDiscarded} If its handler discarded it.
   * @throws {TaskCancelled} If it was cancelled.
   * @throws {TaskNotFound} If there is no such task, or its ttl has passed.
   * @throws {ResultGetTimedOut} If it had not ended when `timeout` was over.
   * @throws {ResultGetPrevented} If it is called inside a handler, without `allowInHandler`.
   * @throws {InvalidData} If the result cannot be decoded.
   * @throws {KitClosed} If the Kit is closed meanwhile.
   * @throws {KvUnavailable} If the database cannot be read.
   * @throws The reason of `signal`, when it aborts.
   */
  async get(options: GetOptions = {}): Promise<T> {
    checkFields(options, "the options of get", ["timeout", "signal", "allowInHandler"]);
    const { store, closed } = this.#host;
    const { signal, allowInHandler = false } = options;
    if (!allowInHandler && isInsideHandler()) throw new ResultGetPrevented(this.id);
    const timeoutMs = options.timeout === undefined
      ? null
      : toMilliseconds(options.timeout, "timeout");
    const startedAt = store.clock.monotonic();

    const waker = new Waker(store.clock);
    const wake = () => waker.ring();
    const listener = store.bells.listenForTask(store.keys.task(this.id), wake);
    signal?.addEventListener("abort", wake);
    closed.addEventListener("abort", wake);
    try {
      for (
        let pollMs = RESULT_POLL_FIRST_MS;;
        pollMs = Math.min(1.5 * pollMs, RESULT_POLL_MS_MAX)
      ) {
        signal?.throwIfAborted();
        if (closed.aborted) throw new KitClosed("get a result");
        const { record } = await readTask(store, this.id);
        if (isTerminal(record.state)) return await this.#outcome(record);
        const leftMs = timeoutMs === null
          ? Infinity
          : startedAt + timeoutMs - store.clock.monotonic();
        if (leftMs <= 0) throw new ResultGetTimedOut(this.id, timeoutMs ?? 0);
        await waker.wait(Math.min(pollMs, leftMs));
      }
    } catch (error) {
      // A read that is under way when the Kit closes fails with the connection.
      if (closed.aborted && error instanceof KvUnavailable) throw new KitClosed("get a result");
      throw error;
    } finally {
      listener.stop();
      signal?.removeEventListener("abort", wake);
      closed.removeEventListener("abort", wake);
    }
  }

  async #outcome(record: TaskRecord): Promise<T> {
    const unknown = { name: "Error", message: "no reason was stored" };
    switch (record.state) {
      case "failed":
        throw new TaskFailed(this.id, record.error ?? unknown);
      case "discarded":
        throw new TaskDiscarded(this.id, record.error ?? unknown);
      case "cancelled":
        throw new TaskCancelled(this.id);
      default:
        if (record.result === null) throw new TaskNotFound(this.id);
        return await decodeResult(this.#host, record, record.result) as T;
    }
  }
}

async function decodeResult(
  { store, handler }: ResultHost,
  record: TaskRecord,
  result: Payload,
): Promise<unknown> {
  const data = record.data.kind === "inline" ? record.data.bytes : new Uint8Array(0);
  const bytes = await readPayload(store, record.id, result);
  return handler.decodeResult(toTask(toInit(record, data)), bytes);
}
