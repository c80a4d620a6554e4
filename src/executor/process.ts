/**
 * The process executor: handlers run in child processes that are reused, one attempt at a time in each. So it is always
 * known which attempt ended its process, and ending one by force, which always works, harms no other.
 *
 * @module
 */

import type { Clock, Timer } from "../core/clock.ts";
import { HandlerInvalid } from "../core/errors.ts";
import type { StoredError } from "../core/errors.ts";
import { EXECUTOR_START_MS, PROCESS_END_MS } from "../core/limits.ts";
import type { Log, LogLevel } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { Backoff } from "./backoff.ts";
import { JOB_NUMBER_MAX } from "./claims.ts";
import type { Executor, Job, JobHooks, Outcome, Run } from "./executor.ts";
import type { Permissions } from "./permissions.ts";
import { Child } from "./process_handle.ts";
import { packReason } from "./protocol.ts";
import { Relay } from "./relay.ts";
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

/** A place for a process. It outlives the processes that fill it. */
interface Slot {
  readonly backoff: Backoff;
  seat: Seat | null;
  refill: Timer | null;
}

/** A process in its slot, and what it runs. */
interface Seat {
  readonly slot: Slot;
  readonly child: Child;
  attempt: Submitted | null;
  isReady: boolean;
  lastWords: { readonly n: number | null; readonly error: StoredError } | null;
}

/** Runs the handlers of one group in processes. */
export class ProcessExecutor implements Executor {
  readonly kind = "process";
  readonly #options: ProcessExecutorOptions;
  readonly #slots: Slot[];
  readonly #ending = new Set<Child>();
  readonly #keeper: Keeper = {
    onAbort: (attempt) => this.#abort(attempt),
    onAbandon: (attempt) => this.#abandon(attempt),
  };
  #queue: Submitted[] = [];
  #lastNumber = 0;
  #isStarted = false;
  #isStopped = false;

  constructor(options: ProcessExecutorOptions) {
    this.#options = options;
    this.#slots = Array.from(
      { length: options.size },
      () => ({ backoff: new Backoff(options.random), seat: null, refill: null }),
    );
  }

  async start(): Promise<void> {
    try {
      await Promise.all(this.#slots.map((slot) => this.#open(slot).child.ready));
      this.#isStarted = true;
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
    for (const slot of this.#slots) {
      slot.refill?.cancel();
      if (slot.seat === null) continue;
      const { attempt, child } = slot.seat;
      attempt?.lose(lost("The worker stopped while the attempt ran"), false);
      child.setInvalid("Cannot load the handler module: the worker stops");
      this.#end(slot.seat, attempt === null);
    }
    await Promise.all([...this.#ending].map((child) => child.gone));
  }

  // ── Attempts ──

  #seats(): Seat[] {
    return this.#slots.flatMap(({ seat }) => seat === null ? [] : [seat]);
  }

  /** Gives what waits to the processes that are free. */
  #feed(): void {
    for (const seat of this.#seats()) {
      if (!seat.isReady || seat.attempt !== null) continue;
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

  #onOutcome(seat: Seat, attempt: Submitted, outcome: Outcome): void {
    seat.attempt = null;
    seat.slot.backoff.reset();
    attempt.end(outcome);
    this.#feed();
  }

  /** An attempt that has not begun is given back; one that has hears of it. */
  #abort(attempt: Submitted): void {
    if (this.#queue.includes(attempt)) return this.#takeBack(attempt, "it was aborted before");
    const seat = this.#seats().find((each) => each.attempt === attempt);
    const reason = packReason(attempt.hooks.signal.reason);
    seat?.child.post([{ kind: "abort", n: attempt.n, reason }]);
  }

  #abandon(attempt: Submitted): void {
    if (this.#queue.includes(attempt)) return this.#takeBack(attempt, "it was abandoned");
    const seat = this.#seats().find((each) => each.attempt === attempt);
    if (seat !== undefined) {
      this.#retire(seat, lost("The attempt did not end after its signal was aborted"));
    }
  }

  #takeBack(attempt: Submitted, why: string): void {
    this.#queue = this.#queue.filter((waiting) => waiting !== attempt);
    attempt.giveBack(why);
  }

  // ── Processes ──

  #open(slot: Slot): Seat {
    const { clock, handlerUrl, permissions, memoryMb } = this.#options;
    const deadline = clock.timer(EXECUTOR_START_MS, () => {
      child.setInvalid(
        `Cannot load the handler module "${handlerUrl}": it did not end loading within ${EXECUTOR_START_MS} ms`,
      );
    });
    const child = new Child({
      handlerUrl,
      permissions,
      memoryMb,
      clock,
      events: {
        onMessage: (message) => relay.hear(message),
        onUnreadable: () => this.#retire(seat, lost("The messages of the process make no sense")),
        onGone: (how) => this.#onGone(seat, how),
      },
    });
    const seat: Seat = { slot, child, attempt: null, isReady: false, lastWords: null };
    const relay = new Relay(clock, {
      find: (n) => seat.attempt?.n === n ? seat.attempt : undefined,
      onReady: () => child.setReady(),
      onInvalid: (error) => child.setInvalid(error.message),
      onOutcome: (attempt, outcome) => this.#onOutcome(seat, attempt, outcome),
      onDying: (n, error) => {
        seat.lastWords ??= { n, error };
        child.setInvalid(
          `Cannot load the handler module "${handlerUrl}": its process ended while it loaded: ${error.message}`,
        );
      },
      onPong: () => {},
      onBroken: (why) => this.#retire(seat, lost(`The process was ended: ${why}`)),
    });
    slot.seat = seat;
    child.ready.then(
      () => {
        deadline.cancel();
        seat.isReady = true;
        if (slot.seat === seat) this.#feed();
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
    this.#tell("error", "process.load_failed", message);
    this.#end(seat, false);
    this.#refillLater(seat.slot);
  }

  /** The process ended by itself, or was ended from outside. */
  #onGone(seat: Seat, how: string): void {
    const { slot, attempt } = seat;
    if (slot.seat !== seat || !seat.isReady || this.#isStopped) return;
    const error = seat.lastWords?.error ?? lost(`The process of the attempt ended: ${how}`);
    this.#tell("warn", "process.lost", error.message);
    slot.seat = null;
    // What an attempt that has ended left behind is no fault of the one that runs now.
    attempt?.lose(error, seat.lastWords?.n !== 0);
    this.#refillLater(slot);
  }

  /** Ends a process by force and fills its slot at once. */
  #retire(seat: Seat, error: StoredError): void {
    if (seat.slot.seat !== seat || this.#isStopped) return;
    this.#tell("warn", "process.retired", error.message);
    const { attempt } = seat;
    this.#end(seat, false);
    if (this.#isStarted) this.#open(seat.slot);
    else seat.child.setInvalid(error.message);
    attempt?.lose(error, true);
  }

  /** Ends a process: gently first if nothing runs in it. */
  #end(seat: Seat, isGentle: boolean): void {
    const { slot, child } = seat;
    slot.seat = null;
    if (child.isGone) return;
    this.#ending.add(child);
    const timer = this.#options.clock.timer(PROCESS_END_MS, () => child.kill());
    child.gone.then(() => {
      timer.cancel();
      this.#ending.delete(child);
    });
    if (isGentle) child.close();
    else child.kill();
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
