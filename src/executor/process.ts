/**
 * The process executor: handlers run in child processes that are reused, one attempt at a time in each. So it is always
 * known which attempt ended its process, and ending one by force, which always works, harms no other.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { PROCESS_END_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { JOB_NUMBER_MAX } from "./claims.ts";
import type { Executor, Job, JobHooks, Outcome, Run } from "./executor.ts";
import type { Permissions } from "./permissions.ts";
import { Child } from "./process_handle.ts";
import { packReason } from "./protocol.ts";
import { Slots } from "./slots.ts";
import { type Keeper, lost, Submitted } from "./submitted.ts";

/** What a process executor is made of. */
export interface ProcessExecutorOptions {
  readonly handlerUrl: URL;
  /** How many processes: as many as attempts may run at once. */
  readonly size: number;
  readonly permissions: Permissions;
  /** The most memory one process may take, in MiB; null for no bound. */
  readonly memoryMb: number | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A process, and what it runs. */
interface ProcessSeat {
  readonly child: Child;
  attempt: Submitted | null;
}

/** Runs the handlers of one group in processes. */
export class ProcessExecutor implements Executor {
  readonly kind = "process";
  readonly #clock: Clock;
  readonly #slots: Slots<ProcessSeat>;
  readonly #ending = new Set<Child>();
  readonly #keeper: Keeper = {
    onAbort: (attempt) => this.#abort(attempt),
    onAbandon: (attempt) => this.#abandon(attempt),
  };
  #queue: Submitted[] = [];
  #lastNumber = 0;
  #isStopped = false;

  constructor(options: ProcessExecutorOptions) {
    const { handlerUrl, permissions, memoryMb, clock } = options;
    this.#clock = clock;
    this.#slots = new Slots<ProcessSeat>({
      ...options,
      kind: "process",
      open: (events) => ({
        child: new Child({ handlerUrl, permissions, memoryMb, clock, events }),
        attempt: null,
      }),
      end: ({ child }) => this.#end(child, "at once"),
      find: ({ attempt }, n) => attempt?.n === n ? attempt : undefined,
      onReady: () => this.#feed(),
      onOutcome: (seat, attempt, outcome) => this.#onOutcome(seat, attempt, outcome),
      onPong: () => {},
      // What an attempt that has ended left behind is no fault of the one that runs now.
      onLost: ({ attempt }, named, error) => attempt?.lose(error, named !== 0),
    });
  }

  async start(): Promise<void> {
    try {
      await this.#slots.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  run(job: Job, hooks: JobHooks): Run {
    this.#lastNumber = this.#lastNumber % JOB_NUMBER_MAX + 1;
    const attempt = new Submitted(this.#keeper, { n: this.#lastNumber, job, hooks });
    if (this.#isStopped) attempt.giveBack("the worker stops");
    else {
      this.#queue.push(attempt);
      this.#feed();
    }
    return attempt;
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const attempt of this.#queue) attempt.giveBack("the worker stops");
    this.#queue = [];
    for (const { child, attempt } of this.#slots.stop()) {
      attempt?.lose(lost("The worker stopped while the attempt ran"), false);
      this.#end(child, attempt === null ? "gently" : "at once");
    }
    await Promise.all([...this.#ending].map((child) => child.gone));
  }

  // ── Attempts ──

  /** Gives what waits to the processes that are free. */
  #feed(): void {
    for (const seat of this.#slots.ready) {
      if (seat.attempt !== null) continue;
      const attempt = this.#queue.shift();
      if (attempt === undefined) return;
      const { n, job: { task }, hooks: { signal, onBegin } } = attempt;
      seat.attempt = attempt;
      // It has the process for itself.
      onBegin?.();
      const aborted = signal.aborted ? packReason(signal.reason) : null;
      seat.child.post([{ kind: "run", n, claim: 0, isTimed: false, aborted, task: { ...task } }]);
    }
  }

  #onOutcome(seat: ProcessSeat, attempt: Submitted, outcome: Outcome): void {
    seat.attempt = null;
    attempt.end(outcome);
    this.#feed();
  }

  /** An attempt that has not begun is given back; one that has hears of it. */
  #abort(attempt: Submitted): void {
    if (this.#takeBack(attempt, "it was aborted before")) return;
    const reason = packReason(attempt.hooks.signal.reason);
    this.#seatOf(attempt)?.child.post([{ kind: "abort", n: attempt.n, reason }]);
  }

  /** Nobody waits for it any more: its process is ended by force and replaced. */
  #abandon(attempt: Submitted): void {
    if (this.#takeBack(attempt, "it was abandoned")) return;
    const seat = this.#seatOf(attempt);
    const error = lost("The attempt did not end after its signal was aborted");
    if (seat !== undefined) this.#slots.retire(seat, attempt.n, error);
  }

  /** Ends an attempt that has not begun. Says whether that was possible. */
  #takeBack(attempt: Submitted, why: string): boolean {
    const place = this.#queue.indexOf(attempt);
    if (place < 0) return false;
    this.#queue.splice(place, 1);
    attempt.giveBack(why);
    return true;
  }

  #seatOf(attempt: Submitted): ProcessSeat | undefined {
    return this.#slots.ready.find((seat) => seat.attempt === attempt);
  }

  /** Ends a process; gently means that it is killed only if it does not end by itself in time. */
  #end(child: Child, how: "gently" | "at once"): void {
    if (child.isGone) return;
    this.#ending.add(child);
    const timer = this.#clock.timer(PROCESS_END_MS, () => child.kill());
    child.gone.then(() => {
      timer.cancel();
      this.#ending.delete(child);
    });
    if (how === "gently") child.close();
    else child.kill();
  }
}
