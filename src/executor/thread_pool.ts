/**
 * A pool of reused threads, shared by groups. Attempts go to the least busy thread; several that wait for I/O run at once
 * in one. An attempt that sits behind one that computes is taken back and given to a thread that is idle, or that answers.
 *
 * What ends a thread ends no more than it must: attempts that had not begun go to another thread, those that had are lost,
 * and only those to blame use up an attempt.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import type { StoredError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { toBlame } from "./blame.ts";
import { JOB_NUMBER_MAX } from "./claims.ts";
import type { Job, JobHooks, Outcome, Run } from "./executor.ts";
import type { Permissions } from "./permissions.ts";
import { Slots } from "./slots.ts";
import { StuckWatch } from "./stuck_watch.ts";
import { type Keeper, lost, Submitted } from "./submitted.ts";
import { Terminations } from "./terminations.ts";
import { Thread } from "./thread_handle.ts";
import { ThreadSeat } from "./thread_seat.ts";

/** What a pool is made of. */
export interface ThreadPoolOptions {
  readonly handlerUrl: URL;
  readonly size: number;
  readonly permissions?: Permissions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told how many threads that were terminated still run. */
  readonly onLeak: (leaked: number) => void;
}

/** A pool of threads. */
export class ThreadPool {
  readonly #slots: Slots<ThreadSeat>;
  readonly #terminations: Terminations;
  readonly #stuckWatch: StuckWatch;
  readonly #keeper: Keeper = {
    onAbort: (attempt) => this.#abort(attempt),
    onAbandon: (attempt) => this.#abandon(attempt),
  };
  /** Attempts that no thread has room for: those of all threads are down. Its callers' concurrency bounds it. */
  #queue: Submitted[] = [];
  #lastNumber = 0;
  #isStopped = false;

  constructor(options: ThreadPoolOptions) {
    const { handlerUrl, permissions, clock } = options;
    this.#terminations = new Terminations(options);
    this.#slots = new Slots<ThreadSeat>({
      ...options,
      kind: "thread",
      open: (events) => new ThreadSeat(new Thread({ handlerUrl, permissions, events }), clock),
      end: ({ thread }) => this.#terminations.begin(thread),
      find: (seat, n) => seat.find(n),
      onReady: (seat) => this.#feed(seat),
      onOutcome: (seat, attempt, outcome) => this.#onOutcome(seat, attempt, outcome),
      onPong: (seat) => this.#stuckWatch.onPong(seat),
      onLost: (seat, named, error) => this.#onLost(seat, named, error),
    });
    this.#stuckWatch = new StuckWatch({
      clock,
      seats: () => this.#slots.ready,
      move: (attempt, from, to) => this.#move(attempt, from, to),
      onUnresponsive: (seat) => this.#slots.retire(seat, 0, lost("The thread did not answer")),
    });
  }

  /** Threads that were terminated and still run. */
  get leaked(): number {
    return this.#terminations.leaked;
  }

  /**
   * Fills all slots and loads the handler module in each.
   *
   * @throws {HandlerInvalid} If the module cannot be loaded; nothing runs then.
   */
  async start(): Promise<void> {
    try {
      await this.#slots.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Runs one attempt. */
  run(job: Job, hooks: JobHooks): Run {
    this.#lastNumber = this.#lastNumber % JOB_NUMBER_MAX + 1;
    const attempt = new Submitted(this.#keeper, { n: this.#lastNumber, job, hooks });
    if (this.#isStopped) attempt.giveBack("the worker stops");
    else this.#dispatch(attempt);
    return attempt;
  }

  /** Ends all threads; resolves when they have ended, or have shown that they cannot be. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#stuckWatch.stop();
    for (const attempt of this.#queue) attempt.giveBack("the worker stops");
    this.#queue = [];
    for (const { attempts, thread } of this.#slots.stop()) {
      for (const attempt of attempts) {
        attempt.lose(lost("The worker stopped while the attempt ran"), false);
      }
      this.#terminations.begin(thread);
    }
    await this.#terminations.finish();
  }

  // ── Giving attempts to threads ──

  /** To the thread that is least busy; if all are down or full, it waits. */
  #dispatch(attempt: Submitted): void {
    let best: ThreadSeat | null = null;
    let bestLoad = Infinity;
    for (const seat of this.#slots.ready) {
      const { load } = seat;
      if (load < bestLoad) [best, bestLoad] = [seat, load];
    }
    if (best === null) this.#queue.push(attempt);
    else this.#offer(attempt, best);
  }

  #offer(attempt: Submitted, to: ThreadSeat): void {
    if (to.offer(attempt)) this.#stuckWatch.begin();
    else this.#queue.push(attempt);
  }

  /** A thread has room. */
  #feed(seat: ThreadSeat): void {
    const waiting = this.#queue;
    this.#queue = [];
    for (const attempt of waiting) this.#dispatch(attempt);
    if (seat.size === 0) this.#steal(seat);
  }

  /** Gives an idle thread the oldest attempt that has not begun elsewhere. */
  #steal(thief: ThreadSeat): void {
    let oldest: { attempt: Submitted; seat: ThreadSeat } | null = null;
    for (const seat of this.#slots.ready) {
      // A lone attempt is as good as begun.
      if (seat === thief || seat.size < 2) continue;
      const attempt = seat.firstWaiting()?.attempt;
      if (attempt !== undefined && attempt.n < (oldest?.attempt.n ?? Infinity)) {
        oldest = { attempt, seat };
      }
    }
    if (oldest !== null) this.#move(oldest.attempt, oldest.seat, thief);
  }

  #move(attempt: Submitted, from: ThreadSeat, to: ThreadSeat): void {
    if (from.withdraw(attempt)) this.#offer(attempt, to);
  }

  // ── Ends of attempts ──

  #onOutcome(seat: ThreadSeat, attempt: Submitted, outcome: Outcome): void {
    seat.release(attempt);
    attempt.end(outcome);
    this.#feed(seat);
  }

  /** An attempt that has not begun is given back; one that has hears of it. */
  #abort(attempt: Submitted): void {
    if (!this.#takeBack(attempt, "it was aborted before")) this.#seatOf(attempt)?.abort(attempt);
  }

  /** Nobody waits for it any more: what runs it is ended by force and replaced. */
  #abandon(attempt: Submitted): void {
    if (this.#takeBack(attempt, "it was abandoned")) return;
    const seat = this.#seatOf(attempt);
    if (seat === undefined) return;
    // If another attempt is known to hold the thread, this one could not even hear of its abort.
    const culprit = seat.find(seat.holder) ?? attempt;
    const error = lost("An attempt did not end after its signal was aborted");
    this.#slots.retire(seat, culprit.n, error);
  }

  /** Ends an attempt that has not begun. Says whether that was possible. */
  #takeBack(attempt: Submitted, why: string): boolean {
    const place = this.#queue.indexOf(attempt);
    if (place >= 0) this.#queue.splice(place, 1);
    else if (!this.#seatOf(attempt)?.withdraw(attempt)) return false;
    attempt.giveBack(why);
    return true;
  }

  #seatOf({ n }: Submitted): ThreadSeat | undefined {
    return this.#slots.ready.find((seat) => seat.find(n) !== undefined);
  }

  /** A thread is no more: those that it had not begun go to another; those that it had are lost, some with blame. */
  #onLost(seat: ThreadSeat, named: number | null, error: StoredError): void {
    const waiting = seat.attempts.filter((attempt) => seat.withdraw(attempt));
    const begun = seat.attempts;
    const blamed = toBlame({ named, holder: seat.holder, begun: begun.map(({ n }) => n) });
    const doubt = blamed.length > 1
      ? `; which of ${blamed.length} attempts did it is not known`
      : "";
    const blame = { ...error, message: `${error.message}${doubt}` };
    const others = lost(`The thread ended because of another attempt: ${error.message}`);
    for (const attempt of begun) {
      const isBlamed = blamed.includes(attempt.n);
      attempt.lose(isBlamed ? blame : others, isBlamed);
    }
    for (const attempt of waiting) this.#dispatch(attempt);
  }
}
