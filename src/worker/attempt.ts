/**
 * One attempt, told as one pipeline: `load → run → (time out, abort, abandon) → judge → store the result → ending`.
 * It writes no outcome: the ending is a value that the settler commits under the lease.
 *
 * @module
 */

import type { Timer } from "../core/clock.ts";
import {
  ExecutorLost,
  type LeaseLost,
  type TaskCancelled,
  TaskTimedOut,
  UnreadableRecord,
  type WorkerStopping,
} from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import {
  ABORT_GRACE_MS,
  INLINE_BYTES_MAX,
  PROGRESS_KEPT_MS,
  PROGRESS_PAUSE_MS,
} from "../core/limits.ts";
import type { LogLevel } from "../core/log.ts";
import { toStoredError } from "../core/stored_error.ts";
import { type Payload, type TaskInit, type TaskRecord, toInit, toTask } from "../core/task.ts";
import { unreachable } from "../core/unreachable.ts";
import type { Executor, JobHooks, Outcome } from "../executor/executor.ts";
import { resolveFailure } from "../executor/run_handler.ts";
import type { HeldLease } from "../store/claim.ts";
import { Changes, commit } from "../store/commit.ts";
import { writeAhead } from "../store/enqueue.ts";
import { encodeJson } from "../store/record_codec.ts";
import { addPayload, readPayload } from "../store/records.ts";
import type { Ending } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { toUserChanges } from "../store/user_writes.ts";

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
      const limitMs = this.record.timeoutMs ?? timeoutMs;
      if (limitMs !== null) {
        this.#timers.push(
          store.clock.timer(limitMs, () => this.abort(new TaskTimedOut(init.id, limitMs))),
        );
      }
      return await this.#judge(init, await this.#execute(init));
    } catch (error) {
      return this.#unloadable(error);
    } finally {
      for (const timer of this.#timers) timer.cancel();
      this.#progressTimer?.cancel();
    }
  }

  /** The executor's outcome; null if it was aborted and did not end in time. */
  async #execute(init: TaskInit): Promise<Outcome | null> {
    const hooks: JobHooks = {
      signal: this.#controller.signal,
      onProgress: (fraction, message) => this.#tellProgress(fraction, message),
      onLog: (level, message, fields) =>
        this.#host.log(level, "task.log", message, this.record, { fields }),
    };
    const running = this.#host.executor.run({ task: init }, hooks);
    const outcome = await Promise.race([running, this.#overdue.promise]);
    if (outcome === null) this.#host.executor.abandon(init.id);
    return outcome;
  }

  /** What the outcome means, given why the attempt was aborted, if it was. */
  async #judge(init: TaskInit, outcome: Outcome | null): Promise<Ending> {
    const { store, handler } = this.#host;
    const reason = this.#aborted;
    if (outcome?.kind === "succeeded") return await this.#succeed(outcome);
    if (reason instanceof TaskTimedOut) {
      return toEnding(await resolveFailure(handler, toTask(init), reason), store.clock.now());
    }
    // Given back without blame: the settle makes it a cancel if that is why.
    if (reason !== null) return { kind: "release", dueMs: this.record.dueMs };
    if (outcome === null) return { kind: "release", dueMs: this.record.dueMs };
    if (outcome.kind !== "lost") return toEnding(outcome, store.clock.now());
    if (!outcome.blame) return { kind: "release", dueMs: store.clock.now(), error: outcome.error };
    const lost = new ExecutorLost(outcome.error.message);
    return toEnding(await resolveFailure(handler, toTask(init), lost), store.clock.now());
  }

  async #succeed(outcome: Outcome & { kind: "succeeded" }): Promise<Ending> {
    const { store } = this.#host;
    try {
      const writes = outcome.writes.length === 0 ? null : toUserChanges(store, outcome.writes);
      return { kind: "succeed", result: await this.#storeResult(outcome.result), writes };
    } catch (error) {
      return { kind: "fail", error: toStoredError(error) };
    }
  }

  /** Large results are written ahead, below this attempt's number, so that no other attempt can overwrite them. */
  async #storeResult(bytes: Uint8Array): Promise<Payload> {
    if (bytes.length <= INLINE_BYTES_MAX) return { kind: "inline", bytes };
    const { store } = this.#host;
    const chunks = new Changes();
    const payload = addPayload(store, chunks, this.record.id, this.record.attempt, bytes);
    await writeAhead(store, this.record.id, chunks);
    return payload;
  }

  /** The data could not be loaded: damaged data fails the task, a database that is away does not. */
  #unloadable(error: unknown): Ending {
    const stored = toStoredError(error);
    if (error instanceof UnreadableRecord) return { kind: "fail", error: stored };
    return { kind: "release", dueMs: this.#host.store.clock.now() + ABORT_GRACE_MS, error: stored };
  }

  /** Kept at most once a second, and only as a hint: nothing waits for it. */
  #tellProgress(fraction: number, message: string): void {
    this.#progress = { fraction, message };
    if (this.#progressTimer !== null) return;
    const { store } = this.#host;
    this.#progressTimer = store.clock.timer(PROGRESS_PAUSE_MS, () => {
      this.#progressTimer = null;
    });
    const changes = new Changes();
    const value = encodeJson({ ...this.#progress, attempt: this.record.attempt });
    changes.set(store.keys.progress(this.record.id), value, PROGRESS_KEPT_MS);
    commit(store, changes).catch(() => {});
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
