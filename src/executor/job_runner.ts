/**
 * The inside of a thread or process: runs the attempts it is given and reports about them. What a handler tells is kept
 * within bounds here, so that its worker does not drown in it.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock, Timer } from "../core/clock.ts";
import { InvalidData } from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import { LOG_BURST, LOG_LINES_PER_SECOND, PROGRESS_CROSSES_MS } from "../core/limits.ts";
import type { LogLevel } from "../core/log.ts";
import { toStoredError } from "../core/stored_error.ts";
import type { Claims } from "./claims.ts";
import type { JobHooks, Outcome } from "./executor.ts";
import {
  boundFields,
  type Command,
  compact,
  cutText,
  packWrites,
  type Report,
  type RunCommand,
  unpackReason,
} from "./protocol.ts";
import { runHandler } from "./run_handler.ts";

/** How long attempts are begun in a row before messages are looked at again. */
const TURN_MS = 1;

interface Running {
  readonly n: number;
  readonly controller: AbortController;
  readonly lines: LineBudget;
  /** When progress was last sent. */
  progressMs: number;
  progress: { fraction: number; message: string } | null;
  progressTimer: Timer | null;
}

/** What a {@linkcode JobRunner} needs. */
export interface JobRunnerOptions {
  readonly clock: Clock;
  /** Sends reports. Throws if one of them holds what cannot be sent. */
  readonly post: (reports: readonly Report[]) => void;
  /** The shared memory of a thread; a process has none. */
  readonly claims: Claims | null;
}

/** Runs attempts of one handler. */
export class JobRunner {
  readonly #handler: TaskHandler;
  readonly #options: JobRunnerOptions;
  readonly #current = new AsyncLocalStorage<number>();
  readonly #running = new Map<number, Running>();
  #waiting: RunCommand[] = [];
  #turnIsDue = false;
  #outbox: Report[] = [];

  constructor(handler: TaskHandler, options: JobRunnerOptions) {
    this.#handler = handler;
    this.#options = options;
  }

  /** Does what it is told. */
  accept(commands: readonly Command[]): void {
    for (const command of commands) {
      switch (command.kind) {
        case "run":
          this.#waiting.push(command);
          break;
        case "abort":
          this.#abort(command);
          break;
        case "ping":
          this.#options.post([{ kind: "pong" }]);
          break;
      }
    }
    if (!this.#turnIsDue) this.#begin();
  }

  /** The attempt whose code is running; 0 if it has ended; null if that is not known. */
  attemptToBlame(): number | null {
    const n = this.#current.getStore();
    if (n === undefined) return null;
    return this.#running.has(n) ? n : 0;
  }

  /** An abort meets its attempt here or in the line, or is too late. */
  #abort({ n, reason }: Command & { kind: "abort" }): void {
    this.#running.get(n)?.controller.abort(unpackReason(reason));
    this.#waiting = this.#waiting.map((job) => job.n === n ? { ...job, aborted: reason } : job);
  }

  /** Begins what waits; between attempts that compute, messages get their turn. */
  #begin(): void {
    const { clock } = this.#options;
    const jobs = this.#waiting;
    if (jobs.length === 0) return;
    const begunMs = clock.monotonic();
    let begun = 0;
    while (begun < jobs.length) {
      const job = jobs[begun++];
      if (job !== undefined) this.#run(job);
      if (clock.monotonic() - begunMs > TURN_MS) break;
    }
    this.#waiting = jobs.slice(begun);
    if (this.#waiting.length === 0) return;
    this.#turnIsDue = true;
    clock.soon(() => {
      this.#turnIsDue = false;
      this.#begin();
    });
  }

  #run({ n, claim, isTimed, task, aborted }: RunCommand): void {
    const { claims, clock } = this.#options;
    if (claims !== null && !claims.begin(claim, n)) return;
    // At once: a handler that computes would hold up what is only put into the outbox.
    if (isTimed) this.#options.post([{ kind: "began", n }]);
    const controller = new AbortController();
    const running: Running = {
      n,
      controller,
      lines: new LineBudget(clock),
      progressMs: -Infinity,
      progress: null,
      progressTimer: null,
    };
    this.#running.set(n, running);
    if (aborted !== null) controller.abort(unpackReason(aborted));
    const hooks: JobHooks = {
      signal: controller.signal,
      onProgress: (fraction, message) => this.#tellProgress(running, fraction, message),
      onLog: (level, message, fields) => this.#tellLog(running, level, message, fields),
    };
    claims?.hold(n);
    const outcome = this.#current.run(n, () => runHandler(this.#handler, { task }, hooks));
    claims?.hold(0);
    outcome.then((ended) => this.#end(running, ended));
  }

  #end(running: Running, outcome: Outcome): void {
    running.progressTimer?.cancel();
    this.#postProgress(running);
    this.#tellDropped(running);
    this.#running.delete(running.n);
    if (this.#outbox.length === 0) queueMicrotask(() => this.flush());
    this.#outbox.push(toReport(running, outcome));
  }

  /** Sends the outcomes that came together, as one message. One that cannot be sent fails its own task. */
  flush(): void {
    const reports = this.#outbox;
    this.#outbox = [];
    if (reports.length === 0) return;
    try {
      this.#options.post(reports);
    } catch {
      for (const report of reports) this.#postOne(report);
    }
  }

  #postOne(report: Report): void {
    try {
      this.#options.post([report]);
    } catch (error) {
      if (report.kind !== "outcome") return;
      // The work is done; doing it again would not make it any more fit to be sent.
      this.#options.post([{ ...report, outcome: { kind: "failed", error: unsendable(error) } }]);
    }
  }

  /** The first at once, then the newest after each pause: also a handler that computes is seen to move. */
  #tellProgress(running: Running, fraction: number, message: string): void {
    if (this.#running.get(running.n) !== running) return;
    running.progress = { fraction, message: cutText(message) };
    const { clock } = this.#options;
    const nowMs = clock.monotonic();
    const waitMs = running.progressMs + PROGRESS_CROSSES_MS - nowMs;
    if (waitMs <= 0) return this.#postProgress(running);
    running.progressTimer ??= clock.timer(waitMs, () => {
      running.progressTimer = null;
      this.#postProgress(running);
    });
  }

  #postProgress(running: Running): void {
    if (running.progress === null) return;
    running.progressMs = this.#options.clock.monotonic();
    this.#options.post([{ kind: "progress", n: running.n, ...running.progress }]);
    running.progress = null;
  }

  #tellLog(
    running: Running,
    level: LogLevel,
    message: string,
    fields: Record<string, unknown>,
  ): void {
    if (this.#running.get(running.n) !== running || !running.lines.take()) return;
    this.#tellDropped(running);
    this.#options.post([{
      kind: "log",
      n: running.n,
      level,
      message: cutText(message),
      fields: boundFields(fields),
    }]);
  }

  #tellDropped({ n, lines }: Running): void {
    const dropped = lines.takeDropped();
    if (dropped === 0) return;
    const message = `${dropped} lines of the log were dropped: there were too many`;
    this.#options.post([{ kind: "log", n, level: "warn", message, fields: { dropped } }]);
  }
}

function toReport({ n }: Running, outcome: Outcome): Report {
  if (outcome.kind !== "succeeded") return { kind: "outcome", n, outcome };
  try {
    const writes = packWrites(outcome.writes);
    return { kind: "outcome", n, outcome: { ...outcome, result: compact(outcome.result), writes } };
  } catch (error) {
    const failed: Outcome = { kind: "failed", error: toStoredError(error) };
    return { kind: "outcome", n, outcome: failed };
  }
}

function unsendable(error: unknown) {
  const { message } = toStoredError(error);
  return toStoredError(
    new InvalidData(
      `Cannot send the outcome of the attempt to its worker: ${message}`,
      { cause: error },
    ),
  );
}

/** How many lines of the log an attempt may send: a burst, and then some a second. */
class LineBudget {
  readonly #clock: Clock;
  #left = LOG_BURST;
  #filledMs: number;
  #dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledMs = clock.monotonic();
  }

  take(): boolean {
    const nowMs = this.#clock.monotonic();
    const more = (nowMs - this.#filledMs) / 1_000 * LOG_LINES_PER_SECOND;
    if (more >= 1) {
      this.#left = Math.min(LOG_BURST, this.#left + Math.floor(more));
      this.#filledMs = nowMs;
    }
    if (this.#left === 0) {
      this.#dropped++;
      return false;
    }
    this.#left--;
    return true;
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}
