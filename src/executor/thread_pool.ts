/**
 * A pool of reused threads, shared by groups. Attempts go to the least busy thread; several that wait for I/O run at once
 * in one. An attempt that sits behind one that computes is taken back and given to a thread that is idle, or that answers.
 *
 * What ends a thread ends no more than it must: attempts that had not begun go to another thread, those that had are lost,
 * and only those to blame use up an attempt.
 *
 * @module
 */

import { type Clock, sleep, type Timer } from "../core/clock.ts";
import { HandlerInvalid } from "../core/errors.ts";
import type { StoredError } from "../core/errors.ts";
import {
  EXECUTOR_START_MS,
  STUCK_MS,
  THREAD_END_MS,
  THREAD_JOBS_MAX,
  UNRESPONSIVE_MS,
} from "../core/limits.ts";
import type { Log, LogLevel } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { Backoff } from "./backoff.ts";
import { toBlame } from "./blame.ts";
import { JOB_NUMBER_MAX } from "./claims.ts";
import type { Job, JobHooks, Outcome, Run } from "./executor.ts";
import type { Permissions } from "./permissions.ts";
import { type Command, compact, packReason } from "./protocol.ts";
import { Relay } from "./relay.ts";
import { type Keeper, lost, Submitted } from "./submitted.ts";
import { Thread } from "./thread_handle.ts";

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

/** A place for a thread. It outlives the threads that fill it. */
interface Slot {
  readonly backoff: Backoff;
  seat: Seat | null;
  refill: Timer | null;
}

/** A thread in its slot, and what it was given. */
interface Seat {
  readonly slot: Slot;
  readonly thread: Thread;
  readonly relay: Relay;
  readonly attempts: Map<number, Given>;
  outbox: Command[];
  isReady: boolean;
  /** When it was asked for a sign of life; null while it owes none. */
  askedMs: number | null;
  lastWords: { readonly n: number | null; readonly error: StoredError } | null;
}

/** An attempt that was offered to a thread. */
interface Given {
  readonly attempt: Submitted;
  readonly claim: number;
  readonly offeredMs: number;
}

/** A pool of threads. */
export class ThreadPool {
  readonly #options: ThreadPoolOptions;
  readonly #slots: Slot[];
  /** Attempts that no thread has room for: those of all threads are down. Its callers' concurrency bounds it. */
  #queue: Submitted[] = [];
  readonly #keeper: Keeper = {
    onAbort: (attempt) => this.#abort(attempt),
    onAbandon: (attempt) => this.#abandon(attempt),
  };
  /** Threads that were terminated, and may yet end in time. */
  readonly #ending = new Set<Thread>();
  /** Those that did not. */
  readonly #leaks = new Set<Thread>();
  #lastNumber = 0;
  #stuckTimer: Timer | null = null;
  #isStarted = false;
  #isStopped = false;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#slots = Array.from(
      { length: options.size },
      () => ({ backoff: new Backoff(options.random), seat: null, refill: null }),
    );
  }

  /** Threads that were terminated and still run. */
  get leaked(): number {
    return this.#leaks.size;
  }

  /**
   * Fills all slots and loads the handler module in each.
   *
   * @throws {HandlerInvalid} If the module cannot be loaded; nothing runs then.
   */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#slots.map((slot) => this.#open(slot).thread.ready));
      this.#isStarted = true;
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
    this.#stuckTimer?.cancel();
    for (const attempt of this.#queue) attempt.giveBack("the worker stops");
    this.#queue = [];
    for (const slot of this.#slots) {
      slot.refill?.cancel();
      if (slot.seat === null) continue;
      for (const { attempt } of slot.seat.attempts.values()) {
        attempt.lose(lost("The worker stopped while the attempt ran"), false);
      }
      slot.seat.attempts.clear();
      slot.seat.thread.setInvalid("Cannot load the handler module: the worker stops");
      this.#terminate(slot.seat);
    }
    const allGone = new AbortController();
    await Promise.race([
      Promise.all([...this.#ending].map((thread) => thread.gone)),
      sleep(this.#options.clock, THREAD_END_MS, allGone.signal),
    ]);
    allGone.abort();
    for (const thread of [...this.#ending, ...this.#leaks]) thread.forget();
  }

  // ── Giving attempts to threads ──

  #dispatch(attempt: Submitted): void {
    const seat = this.#leastBusy();
    if (seat === null || !this.#offer(seat, attempt)) this.#queue.push(attempt);
  }

  /** The ready thread with the fewest attempts; one that is held by one, or does not answer, comes later. */
  #leastBusy(): Seat | null {
    let best: Seat | null = null;
    let bestLoad = Infinity;
    for (const { seat } of this.#slots) {
      if (seat === null || !seat.isReady) continue;
      const isHeld = seat.thread.claims.holder() !== 0;
      const load = seat.attempts.size + (isHeld ? 0.5 : 0) +
        (seat.askedMs === null ? 0 : THREAD_JOBS_MAX);
      if (load < bestLoad) [best, bestLoad] = [seat, load];
    }
    return best;
  }

  #offer(seat: Seat, attempt: Submitted): boolean {
    const { n, job: { task }, hooks: { signal, onBegin } } = attempt;
    const claim = seat.thread.claims.offer(n);
    if (claim === null) return false;
    const { clock } = this.#options;
    seat.attempts.set(n, { attempt, claim, offeredMs: clock.monotonic() });
    const aborted = signal.aborted ? packReason(signal.reason) : null;
    this.#send(seat, {
      kind: "run",
      n,
      claim,
      isTimed: onBegin !== undefined,
      aborted,
      task: { ...task, data: compact(task.data) },
    });
    this.#watchForStuck();
    return true;
  }

  /** Commands of one turn go as one message: that is twice as fast for small attempts. */
  #send(seat: Seat, command: Command): void {
    if (seat.outbox.length === 0) {
      queueMicrotask(() => {
        seat.thread.post(seat.outbox);
        seat.outbox = [];
      });
    }
    seat.outbox.push(command);
  }

  /** A thread has room. */
  #feed(seat: Seat): void {
    const waiting = this.#queue;
    this.#queue = [];
    for (const attempt of waiting) this.#dispatch(attempt);
    if (seat.attempts.size === 0) this.#steal(seat);
  }

  /** Gives an idle thread the oldest attempt that has not begun elsewhere. */
  #steal(thief: Seat): void {
    let oldest: { seat: Seat; given: Given } | null = null;
    for (const { seat } of this.#slots) {
      // A lone attempt is as good as begun.
      if (seat === null || seat === thief || seat.attempts.size < 2) continue;
      const given = this.#oldestWaiting(seat);
      if (given === null) continue;
      if (oldest === null || given.attempt.n < oldest.given.attempt.n) oldest = { seat, given };
    }
    if (oldest !== null) this.#move(oldest.seat, oldest.given, thief);
  }

  #move(from: Seat, given: Given, to: Seat): void {
    if (!this.#withdraw(from, given)) return;
    if (!this.#offer(to, given.attempt)) this.#queue.push(given.attempt);
  }

  #hasBegun(seat: Seat, { attempt, claim }: Given): boolean {
    return seat.thread.claims.hasBegun(claim, attempt.n);
  }

  /** Takes an attempt away from a thread that has not begun it. Says whether that worked. */
  #withdraw(seat: Seat, { attempt, claim }: Given): boolean {
    if (!seat.thread.claims.withdraw(claim, attempt.n)) return false;
    seat.attempts.delete(attempt.n);
    seat.thread.claims.release(claim);
    return true;
  }

  // ── Threads that do not answer ──

  #watchForStuck(): void {
    if (this.#stuckTimer !== null || this.#isStopped) return;
    this.#stuckTimer = this.#options.clock.timer(STUCK_MS, () => {
      this.#stuckTimer = null;
      this.#lookForStuck();
    });
  }

  /** Asks all threads for a sign of life while an attempt has waited too long; who answers gets some that wait. */
  #lookForStuck(): void {
    const nowMs = this.#options.clock.monotonic();
    const seats = this.#slots.flatMap(({ seat }) => seat !== null && seat.isReady ? [seat] : []);
    const waiting = seats.filter((seat) => this.#oldestWaiting(seat) !== null);
    if (waiting.length === 0) return;
    const isStuck = waiting.some((seat) =>
      nowMs - (this.#oldestWaiting(seat)?.offeredMs ?? nowMs) >= STUCK_MS
    );
    for (const seat of seats) {
      if (isStuck && seat.askedMs === null) {
        seat.askedMs = nowMs;
        this.#send(seat, { kind: "ping" });
      }
    }
    for (const seat of waiting) {
      // One that computes for an attempt may take its time; one that does so for none is of no use to anyone.
      if (seat.askedMs === null || nowMs - seat.askedMs < UNRESPONSIVE_MS) continue;
      if ([...seat.attempts.values()].some((given) => this.#hasBegun(seat, given))) continue;
      this.#retire(seat, 0, lost("The thread did not answer"));
    }
    this.#watchForStuck();
  }

  #oldestWaiting(seat: Seat): Given | null {
    for (const given of seat.attempts.values()) if (!this.#hasBegun(seat, given)) return given;
    return null;
  }

  /** A thread that answers takes its share of what waits at those that do not. */
  #onPong(seat: Seat): void {
    seat.askedMs = null;
    if (seat.slot.seat !== seat || !seat.isReady || this.#oldestWaiting(seat) !== null) return;
    const silent = this.#slots.flatMap(({ seat: other }) =>
      other !== null && other.askedMs !== null ? [other] : []
    );
    const stuck = silent.flatMap((from) =>
      [...from.attempts.values()].filter((given) => !this.#hasBegun(from, given))
        .map((given) => ({ from, given }))
    );
    const yetToAnswer = silent.filter((other) => this.#oldestWaiting(other) === null).length;
    const share = Math.ceil(stuck.length / (yetToAnswer + 1));
    for (const { from, given } of stuck.slice(0, share)) this.#move(from, given, seat);
  }

  // ── Ends of attempts ──

  #onOutcome(seat: Seat, attempt: Submitted, outcome: Outcome): void {
    const given = seat.attempts.get(attempt.n);
    if (given === undefined) return;
    seat.attempts.delete(attempt.n);
    seat.thread.claims.release(given.claim);
    seat.slot.backoff.reset();
    attempt.end(outcome);
    this.#feed(seat);
  }

  /** An attempt that has not begun is given back; one that has hears of it. */
  #abort(attempt: Submitted): void {
    const { reason } = attempt.hooks.signal;
    if (this.#takeBack(attempt, "it was aborted before")) return;
    const seat = this.#seatOf(attempt);
    if (seat === null) return;
    this.#send(seat, { kind: "abort", n: attempt.n, reason: packReason(reason) });
  }

  /** Nobody waits for it any more: what runs it is ended by force and replaced. */
  #abandon(attempt: Submitted): void {
    if (this.#takeBack(attempt, "it was abandoned")) return;
    const seat = this.#seatOf(attempt);
    if (seat === null) return;
    // If another attempt is known to hold the thread, this one could not even hear of its abort.
    const holder = seat.thread.claims.holder();
    const culprit = seat.attempts.has(holder) ? holder : attempt.n;
    this.#retire(seat, culprit, lost("An attempt did not end after its signal was aborted"));
  }

  /** Ends an attempt that has not begun. Says whether that was possible. */
  #takeBack(attempt: Submitted, why: string): boolean {
    const seat = this.#seatOf(attempt);
    if (seat !== null) {
      const given = seat.attempts.get(attempt.n);
      if (given === undefined || !this.#withdraw(seat, given)) return false;
    } else {
      const place = this.#queue.indexOf(attempt);
      if (place < 0) return false;
      this.#queue.splice(place, 1);
    }
    attempt.giveBack(why);
    return true;
  }

  #seatOf(attempt: Submitted): Seat | null {
    return this.#slots.find(({ seat }) => seat?.attempts.has(attempt.n))?.seat ?? null;
  }

  // ── Ends of threads ──

  #open(slot: Slot): Seat {
    const { clock, handlerUrl, permissions } = this.#options;
    const deadline = clock.timer(EXECUTOR_START_MS, () => {
      thread.setInvalid(
        `Cannot load the handler module "${handlerUrl}": it did not end loading within ${EXECUTOR_START_MS} ms`,
      );
    });
    const thread = new Thread({
      handlerUrl,
      permissions,
      events: {
        onMessage: (message) => seat.relay.hear(message),
        onUnreadable: () =>
          this.#retire(seat, null, lost("A message of the thread cannot be read")),
        onStray: () => seat.relay.hearStray(),
        onGone: () => this.#onGone(seat),
      },
    });
    const seat: Seat = {
      slot,
      thread,
      relay: new Relay(clock, {
        find: (n) => seat.attempts.get(n)?.attempt,
        onReady: () => thread.setReady(),
        onInvalid: (error) => thread.setInvalid(error.message),
        onOutcome: (attempt, outcome) => this.#onOutcome(seat, attempt, outcome),
        onDying: (n, error) => {
          seat.lastWords ??= { n, error };
          thread.setInvalid(
            `Cannot load the handler module "${handlerUrl}": its thread ended while it loaded: ${error.message}`,
          );
        },
        onPong: () => this.#onPong(seat),
        onBroken: (why) => this.#retire(seat, null, lost(`The thread was ended: ${why}`)),
      }),
      attempts: new Map(),
      outbox: [],
      isReady: false,
      askedMs: null,
      lastWords: null,
    };
    slot.seat = seat;
    thread.ready.then(
      () => {
        deadline.cancel();
        seat.isReady = true;
        if (slot.seat === seat) this.#feed(seat);
      },
      (error) => {
        deadline.cancel();
        this.#onLoadFailed(seat, error);
      },
    );
    return seat;
  }

  /** Before the start it is the start that fails; later the slot tries again, ever more slowly. */
  #onLoadFailed(seat: Seat, error: unknown): void {
    if (seat.slot.seat !== seat || !this.#isStarted || this.#isStopped) return;
    const message = error instanceof HandlerInvalid ? error.message : String(error);
    this.#tell("error", "thread.load_failed", message);
    this.#terminate(seat);
    this.#refillLater(seat.slot);
  }

  /** The thread ended by itself. */
  #onGone(seat: Seat): void {
    const { slot, thread } = seat;
    if (slot.seat !== seat || !seat.isReady || this.#isStopped) return;
    const { uncaught } = thread;
    const error = seat.lastWords?.error ??
      lost(`The thread ended while the attempt ran${uncaught === "" ? "" : `: ${uncaught}`}`);
    this.#tell("warn", "thread.lost", error.message);
    slot.seat = null;
    this.#loseAttempts(seat, seat.lastWords?.n ?? null, error);
    this.#refillLater(slot);
  }

  /** Ends a thread by force, and fills its slot at once. `culprit` is as in {@linkcode toBlame}. */
  #retire(seat: Seat, culprit: number | null, error: StoredError): void {
    if (seat.slot.seat !== seat || this.#isStopped) return;
    this.#tell("warn", "thread.retired", error.message);
    this.#terminate(seat);
    const replacement = this.#isStarted ? this.#open(seat.slot) : null;
    this.#loseAttempts(seat, culprit, error);
    if (replacement === null) seat.thread.setInvalid(error.message);
  }

  /** Those that had not begun go to another thread; those that had are lost, some of them with blame. */
  #loseAttempts(seat: Seat, named: number | null, error: StoredError): void {
    const begun: Submitted[] = [];
    const waiting: Submitted[] = [];
    for (const given of [...seat.attempts.values()]) {
      if (this.#withdraw(seat, given)) waiting.push(given.attempt);
      else begun.push(given.attempt);
    }
    seat.attempts.clear();
    const blamed = toBlame({
      named,
      holder: seat.thread.claims.holder(),
      begun: begun.map(({ n }) => n),
    });
    const shared = blamed.length > 1
      ? {
        ...error,
        message: `${error.message}; which of ${blamed.length} attempts did it is not known`,
      }
      : error;
    const others = lost(`The thread ended because of another attempt: ${error.message}`);
    for (const attempt of begun) {
      const blame = blamed.includes(attempt.n);
      attempt.lose(blame ? shared : others, blame);
    }
    for (const attempt of waiting) this.#dispatch(attempt);
  }

  /** Ends a thread, and counts it as leaked while it does not end. */
  #terminate(seat: Seat): void {
    const { slot, thread } = seat;
    if (slot.seat === seat) slot.seat = null;
    if (thread.isGone) return;
    const { clock, onLeak } = this.#options;
    const timer = clock.timer(THREAD_END_MS, () => {
      this.#ending.delete(thread);
      this.#leaks.add(thread);
      this.#tell(
        "error",
        "thread.leaked",
        `A thread was terminated and still computes; ${this.leaked} of them keep a core busy until this process ends`,
      );
      onLeak(this.leaked);
    });
    this.#ending.add(thread);
    thread.gone.then(() => {
      timer.cancel();
      this.#ending.delete(thread);
      if (!this.#leaks.delete(thread)) return;
      this.#tell("info", "thread.unleaked", "A thread that was terminated has ended after all");
    });
    thread.terminate();
  }

  #refillLater(slot: Slot): void {
    slot.refill = this.#options.clock.timer(slot.backoff.nextMs(), () => {
      slot.refill = null;
      this.#open(slot);
    });
  }

  #tell(level: LogLevel, event: string, message: string): void {
    const { clock, log } = this.#options;
    log({ level, event, message, at: clock.now() });
  }
}
