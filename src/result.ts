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
import {
  DOUBT_MS_MAX,
  RESULT_LOOK_MS_MIN,
  RESULT_POLL_FIRST_MS,
  RESULT_POLL_MS_MAX,
} from "./core/limits.ts";
import { isTerminal, type Payload, type TaskRecord, toInit, toTask } from "./core/task.ts";
import { checkFields } from "./core/validate.ts";
import { isInsideHandler } from "./executor/run_handler.ts";
import { isClosed } from "./store/commit.ts";
import { readTask } from "./store/operate.ts";
import { readPayload } from "./store/records.ts";
import type { Store } from "./store/store.ts";
import { Waker } from "./core/waker.ts";

/** What {@linkcode Result.get} takes. */
export interface GetOptions {
  /**
   * How long to wait. 0 looks once. Default: as long as it takes, but for a database that cannot be read for a minute on
   * end.
   */
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

/** What one look at a task told. */
type Seen<T> =
  | { readonly kind: "running" }
  | { readonly kind: "ended"; readonly result: T }
  | { readonly kind: "away"; readonly error: KvUnavailable };

/** A database that cannot be read at the moment. */
interface Away {
  readonly sinceMs: number;
  readonly error: KvUnavailable;
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
   * The task's result, as soon as there is one. A database that is away for a while is waited for too.
   *
   * @throws {TaskFailed} If it failed for good; `error` is what its last attempt left.
   * @throws {TaskDiscarded} If its handler discarded it.
   * @throws {TaskCancelled} If it was cancelled.
   * @throws {TaskNotFound} If there is no such task, or its ttl has passed.
   * @throws {ResultGetTimedOut} If it had not ended when `timeout` was over. With a {@linkcode KvUnavailable} as its
   * `cause` if the database could not be read then: it may have ended.
   * @throws {ResultGetPrevented} If it is called inside a handler, without `allowInHandler`.
   * @throws {InvalidData} If the result cannot be decoded.
   * @throws {UnreadableRecord} If the task's record cannot be read.
   * @throws {KitClosed} If the Kit is closed meanwhile.
   * @throws {KvUnavailable} If there is no `timeout`, and the database could not be read for a minute on end; or if the
   * KV that was passed open is closed.
   * @throws The reason of `signal`, when it aborts.
   */
  async get(options: GetOptions = {}): Promise<T> {
    checkFields(options, "the options of get", ["timeout", "signal", "allowInHandler"]);
    const { store, closed } = this.#host;
    const { clock } = store;
    const { signal, allowInHandler = false } = options;
    if (!allowInHandler && isInsideHandler()) throw new ResultGetPrevented(this.id);
    const timeoutMs = options.timeout === undefined
      ? Infinity
      : toMilliseconds(options.timeout, "timeout");
    const endMs = clock.monotonic() + timeoutMs;

    const waker = new Waker(clock);
    const wake = () => waker.ring();
    // A look that is under way is not waited for when nobody wants to know any more.
    let leave = wake;
    const stop = () => {
      leave();
      wake();
    };
    const listener = store.bells.listenForTask(store.keys.task(this.id), wake);
    signal?.addEventListener("abort", stop);
    closed.addEventListener("abort", stop);
    const timer = timeoutMs === Infinity
      ? null
      : clock.timer(Math.max(timeoutMs, RESULT_LOOK_MS_MIN), stop);
    let away = null as Away | null;
    try {
      for (
        let pollMs = RESULT_POLL_FIRST_MS;;
        pollMs = Math.min(1.5 * pollMs, RESULT_POLL_MS_MAX)
      ) {
        signal?.throwIfAborted();
        if (closed.aborted) throw new KitClosed("get a result");
        const lookedMs = clock.monotonic();
        const left = Promise.withResolvers<"left">();
        leave = () => left.resolve("left");
        const seen = await Promise.race([this.#look(), left.promise]);
        if (seen !== "left") {
          if (seen.kind === "ended") return seen.result;
          away = seen.kind === "running"
            ? null
            : { sinceMs: away?.sinceMs ?? lookedMs, error: seen.error };
        }
        const nowMs = clock.monotonic();
        if (nowMs >= endMs) {
          throw new ResultGetTimedOut(
            this.id,
            timeoutMs,
            away === null ? {} : { cause: away.error },
          );
        }
        if (away !== null && timeoutMs === Infinity && nowMs - away.sinceMs >= DOUBT_MS_MAX) {
          throw away.error;
        }
        // Those who wait for a database that is away are not to come back together.
        const pauseMs = away === null ? pollMs : pollMs * (0.5 + store.random.next());
        await waker.wait(Math.min(pauseMs, endMs - nowMs));
      }
    } finally {
      timer?.cancel();
      listener.stop();
      signal?.removeEventListener("abort", stop);
      closed.removeEventListener("abort", stop);
    }
  }

  /** One look at the task. Rejects with its ending if it did not succeed, and if looking again would not help. */
  async #look(): Promise<Seen<T>> {
    const { store, closed } = this.#host;
    try {
      const { record } = await readTask(store, this.id);
      if (!isTerminal(record.state)) return { kind: "running" };
      return { kind: "ended", result: await this.#outcome(record) };
    } catch (error) {
      if (!(error instanceof KvUnavailable)) throw error;
      // A read that is under way when the Kit closes fails with the connection.
      if (closed.aborted) throw new KitClosed("get a result");
      if (isClosed(error.cause)) throw error;
      return { kind: "away", error };
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
