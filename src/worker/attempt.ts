/**
 * One attempt, told as one pipeline: `load → run → (time out, abort, abandon) → judge → store the result → ending`.
 * It writes no outcome: the ending is a value that the settler commits under the lease.
 *
 * @module
 */

import type { Timer } from "../core/clock.ts";
import { checkTimeout } from "../core/define.ts";
import {
  ExecutorLost,
  type LeaseLost,
  type TaskCancelled,
  TaskTimedOut,
  UnreadableRecord,
  type WorkerStopping,
} from "../core/errors.ts";
import { defaultRetryInterval, type TaskHandler } from "../core/handler.ts";
import {
  ABORT_GRACE_MS,
  INLINE_BYTES_MAX,
  LOG_MESSAGE_CHARS_MAX,
  PARK_JITTER,
  PARK_MS_MAX,
  PROGRESS_KEPT_MS,
  PROGRESS_PAUSE_MS,
  RETRY_RULE_MS_MAX,
} from "../core/limits.ts";
import type { LogLevel } from "../core/log.ts";
import { toStoredError } from "../core/stored_error.ts";
import {
  type Payload,
  type Task,
  type TaskInit,
  type TaskRecord,
  toInit,
  toTask,
} from "../core/task.ts";
import { unreachable } from "../core/unreachable.ts";
import type { Executor, JobHooks, Outcome } from "../executor/executor.ts";
import { resolveFailure } from "../executor/run_handler.ts";
import type { HeldLease } from "../store/claim.ts";
import { Changes, commit } from "../store/commit.ts";
import { writeChunksAhead } from "../store/enqueue.ts";
import { encodeJson } from "../store/record_codec.ts";
import { readPayload } from "../store/records.ts";
import type { Ending } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { pause } from "../store/tries.ts";
import { toUserChanges } from "../store/user_writes.ts";

/** How often a large result is offered to a database that does not take it, beside the tries of each offer. */
const RESULT_TRIES_MAX = 5;

/** What an attempt needs of its worker. */
export interface AttemptHost {
  readonly store: Store;
  readonly handler: TaskHandler;
  readonly executor: Executor;
  /** The timeout of the group, for tasks that have none of their own. */
  readonly timeoutMs: number | null;
  log(
    level: LogLevel,
    event: string,
    message: string,
    record: TaskRecord,
    more?: { ms?: number; fields?: Record<string, unknown> },
  ): void;
}

/** Why an attempt is to end early. */
export type AbortReason = TaskCancelled | TaskTimedOut | LeaseLost | WorkerStopping;

/** One attempt of one task. */
export class Attempt {
  readonly lease: HeldLease;
  readonly record: TaskRecord;
  readonly #host: AttemptHost;
  readonly #controller = new AbortController();
  readonly #overdue = Promise.withResolvers<null>();
  #aborted: AbortReason | null = null;
  #timers: Timer[] = [];
  #progress: { fraction: number; message: string } | null = null;
  #progressTimer: Timer | null = null;
  #hasEnded = false;

  constructor(host: AttemptHost, lease: HeldLease, record: TaskRecord) {
    this.#host = host;
    this.lease = lease;
    this.record = record;
  }

  /** Asks the handler to end; if it has not after a short grace, the attempt goes on without it. The first reason counts. */
  abort(reason: AbortReason): void {
    if (this.#aborted !== null) return;
    this.#aborted = reason;
    this.#timers.push(
      this.#host.store.clock.timer(ABORT_GRACE_MS, () => this.#overdue.resolve(null)),
    );
    this.#controller.abort(reason);
  }

  /** Runs the attempt to its ending. Never rejects. */
  async run(): Promise<Ending> {
    const { store, timeoutMs } = this.#host;
    try {
      // The payload is inline for most tasks; then nothing is waited for.
      const { data } = this.record;
      const bytes = data.kind === "inline"
        ? data.bytes
        : await readPayload(store, this.record.id, data);
      const init = toInit(this.record, bytes);
      const limitMs = this.record.timeoutMs ?? this.#handlersTimeout(init) ?? timeoutMs;
      return await this.#judge(init, await this.#execute(init, limitMs));
    } catch (error) {
      return this.#unloadable(error);
    } finally {
      this.#hasEnded = true;
      for (const timer of this.#timers) timer.cancel();
      this.#progressTimer?.cancel();
    }
  }

  #startTimeout(id: string, limitMs: number): void {
    const timer = this.#host.store.clock.timer(
      limitMs,
      () => this.abort(new TaskTimedOut(id, limitMs)),
    );
    this.#timers.push(timer);
  }

  /** What the handler says; a rule that is broken is none. */
  #handlersTimeout(init: TaskInit): number | null {
    try {
      const timeout = this.#host.handler.getTimeout(toTask(init));
      return timeout === null ? null : checkTimeout(timeout);
    } catch {
      return null;
    }
  }

  /** The executor's outcome; null if it was aborted and did not end in time. */
  async #execute(init: TaskInit, limitMs: number | null): Promise<Outcome | null> {
    const hooks: JobHooks = {
      signal: this.#controller.signal,
      // The time runs from when the handler begins; waiting for a thread is not its fault.
      ...(limitMs === null ? {} : { onBegin: () => this.#startTimeout(init.id, limitMs) }),
      onProgress: (fraction, message) => this.#tellProgress(fraction, message),
      onLog: (level, message, fields) =>
        this.#host.log(level, "task.log", message, this.record, { fields }),
    };
    const running = this.#host.executor.run({ task: init }, hooks);
    const outcome = await Promise.race([running.outcome, this.#overdue.promise]);
    if (outcome === null) running.abandon();
    return outcome;
  }

  /** What the outcome means, given why the attempt was aborted, if it was. */
  async #judge(init: TaskInit, outcome: Outcome | null): Promise<Ending> {
    const { store } = this.#host;
    if (outcome?.kind === "succeeded") {
      const ending = await this.#succeed(outcome);
      if (ending !== null) return ending;
    }
    const reason = this.#aborted;
    if (reason instanceof TaskTimedOut) return await this.#askRule(init, reason);
    // Given back without blame: the settle makes it a cancel if that is why.
    if (reason !== null || outcome === null || outcome.kind === "succeeded") {
      return { kind: "release", dueMs: this.record.dueMs };
    }
    if (outcome.kind === "parked") return this.#park(outcome);
    if (outcome.kind !== "lost") return toEnding(outcome, store.clock.now());
    if (!outcome.blame) return { kind: "release", dueMs: store.clock.now(), error: outcome.error };
    return await this.#askRule(init, new ExecutorLost(outcome.error.message));
  }

  /**
   * The running code does not know the task: it is left to others, for longer each time that it comes back, with a jitter,
   * so that those of one deploy do not come back together.
   */
  #park({ delayMs, error }: Outcome & { kind: "parked" }): Ending {
    const { log, store } = this.#host;
    // Only what was parked before tells how often it was; others were given back by workers that knew it.
    const times = this.record.error?.code === "UNKNOWN_TASK" ? this.record.released : 0;
    const pauseMs = Math.min(delayMs * 2 ** Math.min(times, 10), PARK_MS_MAX);
    const dueMs = Math.round(
      store.clock.now() + pauseMs * (1 - PARK_JITTER + 2 * PARK_JITTER * store.random.next()),
    );
    log(
      "warn",
      "task.parked",
      `left to others until ${new Date(dueMs).toISOString()}: ${error.message}; ` +
        "start a worker whose handler knows it, or cancel it",
      this.record,
    );
    return { kind: "release", dueMs, error };
  }

  async #askRule(init: TaskInit, error: unknown): Promise<Ending> {
    const { store, handler } = this.#host;
    return toEnding(await askRule(store, handler, toTask(init), error), store.clock.now());
  }

  /** The ending of an attempt that succeeded; null if its result could not be stored. */
  async #succeed(outcome: Outcome & { kind: "succeeded" }): Promise<Ending | null> {
    let writes: Changes | null;
    try {
      writes = outcome.writes.length === 0 ? null : toUserChanges(this.#host.store, outcome.writes);
    } catch (error) {
      return { kind: "fail", error: toStoredError(error) };
    }
    const result = await this.#storeResult(outcome.result);
    return result === null ? null : { kind: "succeed", result, writes };
  }

  /**
   * Large results are written ahead, below this attempt's number, so that no other attempt can overwrite them. A database
   * that is away is waited for, as a settle does: the work is done. Null if it stays away, or the attempt is aborted.
   */
  async #storeResult(bytes: Uint8Array): Promise<Payload | null> {
    if (bytes.length <= INLINE_BYTES_MAX) return { kind: "inline", bytes };
    const { store } = this.#host;
    const { id, attempt } = this.record;
    for (let n = 0; n < RESULT_TRIES_MAX; n++) {
      try {
        return (await writeChunksAhead(store, id, attempt, bytes)).payload;
      } catch (error) {
        const { signal } = this.#controller;
        this.#host.log("warn", "task.trouble", "its result is not stored yet", this.record, {
          fields: { error: toStoredError(error).message },
        });
        await pause(store, n + RESULT_TRIES_MAX, signal);
        if (signal.aborted) return null;
      }
    }
    return null;
  }

  /** The data could not be loaded: damaged data fails the task, a database that is away does not. */
  #unloadable(error: unknown): Ending {
    const stored = toStoredError(error);
    if (error instanceof UnreadableRecord) return { kind: "fail", error: stored };
    return { kind: "release", dueMs: this.#host.store.clock.now() + ABORT_GRACE_MS, error: stored };
  }

  /** Kept at most once a second, the last one too, and only as a hint: nothing waits for it. */
  #tellProgress(fraction: number, message: string): void {
    this.#progress = { fraction, message: message.slice(0, LOG_MESSAGE_CHARS_MAX).toWellFormed() };
    if (this.#progressTimer === null) this.#keepProgress();
  }

  #keepProgress(): void {
    const progress = this.#progress;
    this.#progress = null;
    this.#progressTimer = null;
    if (progress === null || this.#hasEnded) return;
    const { store } = this.#host;
    this.#progressTimer = store.clock.timer(PROGRESS_PAUSE_MS, () => this.#keepProgress());
    const changes = new Changes();
    const value = encodeJson({ ...progress, attempt: this.record.attempt });
    changes.set(store.keys.progress(this.record.id), value, PROGRESS_KEPT_MS);
    commit(store, changes).catch(() => {});
  }
}

/**
 * What follows on a failure, by the handler's rule. A rule that does not answer must not hold the slot for ever: then the
 * default rule stands in.
 */
export async function askRule(
  store: Store,
  handler: TaskHandler,
  task: Task,
  error: unknown,
): Promise<Outcome> {
  const late = Promise.withResolvers<Outcome>();
  const timer = store.clock.timer(RETRY_RULE_MS_MAX, () => {
    const delayMs = defaultRetryInterval(task);
    const stored = toStoredError(error);
    late.resolve(
      delayMs === null
        ? { kind: "failed", error: stored }
        : { kind: "retried", delayMs, error: stored },
    );
  });
  try {
    return await Promise.race([resolveFailure(handler, task, error), late.promise]);
  } finally {
    timer.cancel();
  }
}

/** The ending of an attempt that did not succeed. */
export function toEnding(outcome: Outcome, nowMs: number): Ending {
  switch (outcome.kind) {
    case "retried":
      return { kind: "retry", dueMs: nowMs + outcome.delayMs, error: outcome.error };
    case "failed":
      return { kind: "fail", error: outcome.error };
    case "discarded":
      return { kind: "discard", error: outcome.error };
    case "parked":
      return { kind: "release", dueMs: nowMs + outcome.delayMs, error: outcome.error };
    case "lost":
    case "succeeded":
      throw new Error(`Cannot end here: ${outcome.kind}`);
    default:
      return unreachable(outcome);
  }
}
