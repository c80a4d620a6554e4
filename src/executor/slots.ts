/**
 * The slots of a pool, each kept filled with a thread or process that has loaded the handler module. One that was ended by
 * force is replaced at once; one that ended by itself, or could not load, after a pause that grows with each death in a row.
 *
 * @module
 */

import type { Clock, Timer } from "../core/clock.ts";
import {
  HandlerInvalid,
  type StoredError,
  type TaskkitError,
  Unsupported,
} from "../core/errors.ts";
import { EXECUTOR_START_MS } from "../core/limits.ts";
import type { Log, LogLevel } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { Backoff } from "./backoff.ts";
import type { Outcome } from "./executor.ts";
import { Relay } from "./relay.ts";
import { lost, type Submitted } from "./submitted.ts";

/** Told what a thread or process does. */
export interface PlaceEvents {
  /** A message of the protocol, as it arrived. */
  onMessage(message: unknown): void;
  /** A message that cannot be read. */
  onUnreadable(): void;
  /** Something arrived beside the protocol: the handler's own `postMessage`, which only threads have. */
  onStray(): void;
  /** The runtime does not start it. That it is gone is told too. */
  onRefused(message: string): void;
  /** It has ended, and all it said was delivered; `how` says how, for people. */
  onGone(how: string): void;
}

/** What slots are filled with, and who is told of it. A seat is a thread or process with the attempts it was given. */
export interface SlotsOptions<Seat> {
  readonly kind: "thread" | "process";
  readonly size: number;
  readonly handlerUrl: URL;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Makes what fills a slot. It tells of itself, but not before this returns. */
  open(events: PlaceEvents): Seat;
  /** Ends it by force, if it has not ended yet. */
  end(seat: Seat): void;
  /** The attempt of this number, if it was given to this seat and has not ended. */
  find(seat: Seat, n: number): Submitted | undefined;
  /** It can be given attempts. */
  onReady(seat: Seat): void;
  /** One of its attempts ended. */
  onOutcome(seat: Seat, attempt: Submitted, outcome: Outcome): void;
  /** It gave the sign of life it was asked for. */
  onPong(seat: Seat): void;
  /** It is no more. `named` is the attempt that ended it: 0 for one that had ended before, null if that is not known. */
  onLost(seat: Seat, named: number | null, error: StoredError): void;
}

/** A place for a thread or process. It outlives those that fill it. */
interface Slot<Seat> {
  readonly backoff: Backoff;
  /** Until it was ready for the first time: what waits for that. */
  start: PromiseWithResolvers<void> | null;
  seat: Seat | null;
  /** While the seat loads, its deadline; while there is none, the pause. */
  timer: Timer | null;
}

/** What a seat said before it ended. */
interface LastWords {
  readonly n: number | null;
  readonly error: StoredError;
}

/** The slots of a pool. */
export class Slots<Seat> {
  readonly #options: SlotsOptions<Seat>;
  readonly #slots: Slot<Seat>[];
  readonly #ready: Seat[] = [];

  constructor(options: SlotsOptions<Seat>) {
    const { size, random } = options;
    this.#options = options;
    this.#slots = Array.from(
      { length: size },
      () => ({ backoff: new Backoff(random), start: null, seat: null, timer: null }),
    );
  }

  /** The seats that can be given attempts. */
  get ready(): readonly Seat[] {
    return this.#ready;
  }

  /**
   * Fills all slots. If it rejects, the caller stops them.
   *
   * @throws {HandlerInvalid} If the handler module cannot be loaded.
   * @throws {Unsupported} If the runtime does not start a thread or process.
   */
  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => {
      const start = slot.start = Promise.withResolvers<void>();
      this.#fill(slot);
      return start.promise;
    }));
  }

  /** Ends a seat by force and fills its slot at once. `named` is the attempt to blame, null if that is not known. */
  retire(seat: Seat, named: number | null, error: StoredError): void {
    const slot = this.#slots.find((each) => each.seat === seat);
    if (slot === undefined) return;
    // At once it would only do it again.
    if (!this.#isReady(seat)) return this.#onLoadFailed(slot, seat, this.#invalid(error.message));
    this.#tell("warn", "retired", error.message);
    this.#vacate(slot);
    this.#options.end(seat);
    this.#fill(slot);
    this.#options.onLost(seat, named, error);
  }

  /** Empties all slots for good. What was in them is the caller's to end. */
  stop(): Seat[] {
    return this.#slots.flatMap((slot) => {
      slot.start?.reject(this.#invalid("the worker stops"));
      const { seat } = slot;
      this.#vacate(slot);
      return seat === null ? [] : [seat];
    });
  }

  #fill(slot: Slot<Seat>): void {
    const { kind, clock, open, find, onOutcome, onPong } = this.#options;
    let lastWords: LastWords | null = null;
    const relay = new Relay(clock, {
      // One that was retired is not heard any more, not even what came with the last straw.
      find: (n) => slot.seat === seat ? find(seat, n) : undefined,
      onReady: () => this.#onReady(slot, seat),
      onInvalid: ({ message }) => this.#onLoadFailed(slot, seat, new HandlerInvalid(message)),
      onOutcome: (attempt, outcome) => {
        slot.backoff.reset();
        onOutcome(seat, attempt, outcome);
      },
      onDying: (n, error) => {
        lastWords ??= { n, error };
        this.#onEndWhileLoading(slot, seat, error.message);
      },
      onPong: () => {
        if (this.#isReady(seat)) onPong(seat);
      },
      onBroken: (why) => this.retire(seat, null, lost(`The ${kind} was ended: ${why}`)),
    });
    const seat: Seat = open({
      onMessage: (message) => relay.hear(message),
      onUnreadable: () =>
        this.retire(seat, null, lost(`The messages of the ${kind} make no sense`)),
      onStray: () => relay.hearStray(),
      onRefused: (message) => this.#onLoadFailed(slot, seat, new Unsupported(message)),
      onGone: (how) => this.#onGone(slot, seat, lastWords, how),
    });
    slot.seat = seat;
    slot.timer = clock.timer(EXECUTOR_START_MS, () => {
      const why = `it did not end loading within ${EXECUTOR_START_MS} ms`;
      this.#onLoadFailed(slot, seat, this.#invalid(why));
    });
  }

  #onReady(slot: Slot<Seat>, seat: Seat): void {
    if (!this.#isLoading(slot, seat)) return;
    slot.timer?.cancel();
    slot.start?.resolve();
    slot.start = null;
    this.#ready.push(seat);
    this.#options.onReady(seat);
  }

  /** The first time it is the start that fails; later the slot tries again, ever more slowly. */
  #onLoadFailed(slot: Slot<Seat>, seat: Seat, error: TaskkitError): void {
    if (!this.#isLoading(slot, seat)) return;
    if (slot.start !== null) return slot.start.reject(error);
    this.#tell("error", "load_failed", error.message);
    this.#vacate(slot);
    this.#options.end(seat);
    this.#fillLater(slot);
  }

  #onEndWhileLoading(slot: Slot<Seat>, seat: Seat, how: string): void {
    const why = `its ${this.#options.kind} ended while it loaded: ${how}`;
    this.#onLoadFailed(slot, seat, this.#invalid(why));
  }

  /** It ended by itself, or was ended from outside. */
  #onGone(slot: Slot<Seat>, seat: Seat, lastWords: LastWords | null, how: string): void {
    this.#onEndWhileLoading(slot, seat, how);
    if (!this.#isReady(seat)) return;
    const { kind, onLost } = this.#options;
    const error = lastWords?.error ?? lost(`The ${kind} of the attempt ended: ${how}`);
    this.#tell("warn", "lost", error.message);
    this.#vacate(slot);
    onLost(seat, lastWords?.n ?? null, error);
    this.#fillLater(slot);
  }

  #isLoading(slot: Slot<Seat>, seat: Seat): boolean {
    return slot.seat === seat && !this.#isReady(seat);
  }

  #isReady(seat: Seat): boolean {
    return this.#ready.includes(seat);
  }

  #vacate(slot: Slot<Seat>): void {
    slot.timer?.cancel();
    const place = this.#ready.findIndex((seat) => seat === slot.seat);
    if (place >= 0) this.#ready.splice(place, 1);
    slot.seat = null;
  }

  #fillLater(slot: Slot<Seat>): void {
    slot.timer = this.#options.clock.timer(slot.backoff.nextMs(), () => this.#fill(slot));
  }

  #invalid(why: string): HandlerInvalid {
    return new HandlerInvalid(
      `Cannot load the handler module "${this.#options.handlerUrl}": ${why}`,
    );
  }

  #tell(level: LogLevel, event: string, message: string): void {
    const { kind, clock, log } = this.#options;
    log({ level, event: `${kind}.${event}`, message, at: clock.now() });
  }
}
