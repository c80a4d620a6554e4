/**
 * Watches for attempts that wait behind one that computes. Once one has waited too long, all threads of the pool are asked
 * for a sign of life; each that gives it takes its share of what waits at those that do not.
 *
 * @module
 */

import type { Clock, Timer } from "../core/clock.ts";
import { STUCK_MS, UNRESPONSIVE_MS } from "../core/limits.ts";
import type { Submitted } from "./submitted.ts";
import type { ThreadSeat } from "./thread_seat.ts";

/** The pool, as far as the watch is concerned. */
export interface StuckWatchOptions {
  readonly clock: Clock;
  /** The threads that can be given attempts. */
  seats(): readonly ThreadSeat[];
  /** Gives an attempt to another thread, if it has not begun. */
  move(attempt: Submitted, from: ThreadSeat, to: ThreadSeat): void;
  /** A thread computes for no attempt that it has, and does not answer: it is of no use to anyone. */
  onUnresponsive(seat: ThreadSeat): void;
}

/** The watch over the threads of a pool. */
export class StuckWatch {
  readonly #options: StuckWatchOptions;
  #timer: Timer | null = null;

  constructor(options: StuckWatchOptions) {
    this.#options = options;
  }

  /** Watches for as long as attempts wait. */
  begin(): void {
    this.#timer ??= this.#options.clock.timer(STUCK_MS, () => {
      this.#timer = null;
      this.#look();
    });
  }

  /** Ends the watch. */
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { clock, seats, onUnresponsive } = this.#options;
    const nowMs = clock.monotonic();
    const stuck = seats().flatMap((seat) => {
      const first = seat.firstWaiting();
      return first === null ? [] : [{ seat, waitedMs: nowMs - first.sinceMs }];
    });
    if (stuck.length === 0) return;
    if (stuck.some(({ waitedMs }) => waitedMs >= STUCK_MS)) {
      for (const seat of seats()) seat.ask();
    }
    for (const { seat } of stuck) {
      if (seat.askedMs === null || nowMs - seat.askedMs < UNRESPONSIVE_MS) continue;
      // One that computes for an attempt may take its time.
      if (seat.waiting().length === seat.size) onUnresponsive(seat);
    }
    this.begin();
  }

  /** A thread gave its sign of life. */
  onPong(seat: ThreadSeat): void {
    seat.answered();
    if (seat.firstWaiting() !== null) return;
    const silent = this.#options.seats().filter(({ askedMs }) => askedMs !== null);
    const stuck = silent.flatMap((from) =>
      from.waiting().map(({ attempt }) => ({ attempt, from }))
    );
    const yetToAnswer = silent.filter((other) => other.firstWaiting() === null).length;
    const share = Math.ceil(stuck.length / (yetToAnswer + 1));
    for (const { attempt, from } of stuck.slice(0, share)) this.#options.move(attempt, from, seat);
  }
}
