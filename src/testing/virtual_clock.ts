/**
 * Virtual time: a queue of events, and clocks of simulated processes that live on it.
 *
 * **How the world turns.** The next event is taken from the queue, the time becomes its time, its
 * callback runs, and then every microtask that it set off, until none is left; only then comes the
 * next event. Events at the same instant come in an order drawn from the seed, or in the order of
 * scheduling where there is no seed. So code that awaits nothing but these clocks and a simulated
 * KV runs the same way each time, in every runtime: the language fixes the order of promise
 * reactions, and the queue fixes the rest.
 *
 * **How it is known that no microtask is left.** Each turn is a `setImmediate` callback. Runtimes
 * run such a callback with an empty stack, after all microtasks (and `process.nextTick` callbacks)
 * that were queued before it or by one another, however many there are: so it is a proof of
 * quiescence, not a guess at a number of ticks. It costs less than a microsecond (measured: Deno
 * 0.8 µs, Bun 0.5 µs; a `MessageChannel` hop 1.6 and 0.7 µs; `setTimeout` 1–2 ms). Events that run
 * no code of the process under test (a request that arrives at the database) are fired without a
 * turn of their own. Several worlds may turn in one thread at once: each has its own queue, and a
 * turn of one drains only what it set off.
 *
 * **What it cannot know.** Real I/O (`fetch`, files, real timers) is invisible: virtual time runs
 * past it.
 *
 * Instants are multiples of 2^-10 ms, so that sums of them are exact and every runtime computes the
 * same ones.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { assert } from "@std/assert";
import type { Clock, Timer } from "../core/clock.ts";
import { type Duration, toMilliseconds } from "../core/duration.ts";
import type { SeededRandom } from "./prng.ts";

/** The smallest step of virtual time, in milliseconds. */
export const TICK_MS = 2 ** -10;
/** As in the machine's own clock: a longer timer fires after this many milliseconds, too early. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/**
 * Events that one run fires at most, unless it is told otherwise: what loops for ever ends here.
 */
const RUN_EVENTS_MAX = 10_000_000;
/** So many cancelled events at least stay in the queue until their time comes. */
const CANCELLED_MIN = 256;
/**
 * The wall clock at the start of the world unless it is told otherwise: a Thursday in winter, away
 * from all DST changes.
 */
const WALL_START_MS = Date.UTC(2026, 0, 1);

/** Options of {@linkcode VirtualTime}. */
export interface VirtualTimeOptions {
  /**
   * Where the order of simultaneous events comes from. Without it they come in the order of
   * scheduling.
   */
  readonly random?: SeededRandom;
  /**
   * Milliseconds since the epoch at the start of the world, by a clock that is right.
   *
   * @default {1 January 2026}
   */
  readonly wallStartMs?: number;
}

/** Options of {@linkcode VirtualTime.schedule}. */
export interface ScheduleOptions {
  /** The process in which the callback runs: held while it is paused, dropped when it is killed. */
  readonly clock?: VirtualClock;
  /** Such an event does not keep a run going. @default {false} */
  readonly background?: boolean;
  /**
   * The callback wakes no code that awaits something, so no microtasks need be drained after it.
   * @default {false}
   */
  readonly quiet?: boolean;
}

/** Options of {@linkcode VirtualTime.run}. All bounds hold at once. */
export interface RunOptions {
  /** Ends the run when it returns true; asked before each event, when all is quiet. */
  readonly until?: () => boolean;
  /** Ends the run at this instant of virtual time, in milliseconds since the start of the world. */
  readonly untilMs?: number;
  /** Ends the run after so many turns. @default {10_000_000} */
  readonly eventsMax?: number;
}

/**
 * Why a run ended: nothing is left to happen, `until` came true, `untilMs` is reached, or
 * `eventsMax` turns were made.
 */
export type RunEnd = "idle" | "until" | "time" | "events";

/** One thing that happened, as {@linkcode VirtualTime.onTrace} sees it. */
export interface TraceEvent {
  /** Virtual time, in milliseconds since the start of the world. */
  readonly atMs: number;
  /** Who did it: the name of a process, a connection, the database. */
  readonly actor: string;
  /** What was done: `committed`, `refused`, `paused`, … */
  readonly what: string;
  /** What with: keys, mostly. */
  readonly detail: string;
}

interface Scheduled extends Timer {
  atMs: number;
  order: number;
  sequence: number;
  readonly callback: () => void;
  readonly clock: VirtualClock | undefined;
  readonly background: boolean;
  readonly quiet: boolean;
  live: boolean;
}

/**
 * A world's time. Nothing happens by itself: {@linkcode advance}, {@linkcode run} or {@linkcode
 * drive} turn it.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { VirtualTime } from "@taskkit/taskkit/testing";
 *
 * const time = new VirtualTime();
 * const clock = time.clock();
 * let rang = false;
 * clock.timer(3_600_000, () => rang = true);
 * await time.advance("59m");
 * assert.equal(rang, false);
 * await time.advance("1m");
 * assert.equal(rang, true);
 * ```
 */
export class VirtualTime {
  /** Milliseconds since the epoch at the start of the world. */
  readonly wallStartMs: number;
  /** Called for everything that is traced. For stories; it must not change anything. */
  onTrace: ((event: TraceEvent) => void) | undefined;
  readonly #random: SeededRandom | undefined;
  #queue: Scheduled[] = [];
  #cancelled = 0;
  #foreground = 0;
  #sequence = 0;
  #nowMs = 0;
  #turns = 0;
  #clocks = 0;
  #hashA = 0x2545f491;
  #hashB = 0x6c078965;
  #failures: unknown[] = [];
  #isRunning = false;
  #isDriven = false;
  #isTurnAwaited = false;

  /** Makes a world at its first instant. */
  constructor(options: VirtualTimeOptions = {}) {
    this.#random = options.random;
    this.wallStartMs = options.wallStartMs ?? WALL_START_MS;
  }

  /** Milliseconds since the start of the world, by no process's clock. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Turns made so far. */
  get turns(): number {
    return this.#turns;
  }

  /** Events that wait and keep a run going. */
  get pending(): number {
    return this.#foreground;
  }

  /** Whether a run or a drive turns the world at present. */
  get isTurned(): boolean {
    return this.#isRunning || this.#isDriven;
  }

  /** 16 hexadecimal digits that stand for everything traced so far, in its order. */
  get hash(): string {
    return hex(this.#hashA) + hex(this.#hashB);
  }

  /** A clock for one more process of this world. */
  clock(options: VirtualClockOptions = {}): VirtualClock {
    return new VirtualClock(this, `process ${++this.#clocks}`, options);
  }

  /** Calls `callback` once, at least `delayMs` from now. What it throws ends the run. */
  schedule(delayMs: number, callback: () => void, options: ScheduleOptions = {}): Timer {
    if (options.clock?.state === "killed") return { cancel: () => {} };
    const atMs = this.#nowMs + (delayMs > 0 ? ticks(delayMs) : 0);
    return this.#push(atMs, this.#random?.uint32() ?? 0, callback, options);
  }

  /**
   * Mixes what happened into the trace. `text` says the same as `detail` to a reader; it is called
   * only for a listener.
   */
  trace(actor: string, what: string, detail = "", text?: () => string): void {
    this.#mix(this.#nowMs / TICK_MS);
    this.#mixText(actor);
    this.#mixText(what);
    this.#mixText(detail);
    this.onTrace?.({ atMs: this.#nowMs, actor, what, detail: text?.() ?? detail });
  }

  /**
   * Fires what comes next, up to and with the first event after which microtasks must be drained;
   * false if there is none before `untilMs`, or nothing that keeps a run going. Drivers call it,
   * each time with all microtasks drained.
   */
  step(untilMs = Infinity): boolean {
    for (;;) {
      if (this.#foreground === 0 && untilMs === Infinity) return false;
      const next = this.#queue[0];
      if (next === undefined || next.atMs > untilMs) return false;
      this.#pop();
      if (!next.live) {
        this.#cancelled--;
        continue;
      }
      this.#nowMs = next.atMs;
      if (next.clock?.holds(next)) continue;
      this.#mix(next.atMs / TICK_MS);
      next.live = false;
      if (!next.background) this.#foreground--;
      next.callback();
      if (next.quiet && this.#failures.length === 0) continue;
      this.#turns++;
      return true;
    }
  }

  /**
   * Turns the world until one of the bounds is reached or nothing is left to happen. Whatever an
   * event sets off is done before the next one comes, and before the run ends.
   *
   * @throws What a callback threw, or the checker of an invariant.
   */
  run(options: RunOptions = {}): Promise<RunEnd> {
    assert(!this.#isRunning && !this.#isDriven, "a world is turned by one run at a time");
    this.#isRunning = true;
    const { until, eventsMax = RUN_EVENTS_MAX } = options;
    const untilMs = ticks(options.untilMs ?? Infinity);
    const turnsMax = this.#turns + eventsMax;
    return new Promise<RunEnd>((resolve, reject) => {
      const end = (how: RunEnd) => {
        this.#isRunning = false;
        resolve(how);
      };
      const turn = () => {
        try {
          this.#throwFailure();
          if (until?.()) return end("until");
          if (this.#turns >= turnsMax) return end("events");
          if (!this.step(untilMs)) {
            if (untilMs === Infinity) return end("idle");
            this.#nowMs = Math.max(this.#nowMs, untilMs);
            return end("time");
          }
        } catch (error) {
          this.#isRunning = false;
          return reject(error);
        }
        setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  /** Lets so much time pass, with all that happens in it. */
  async advance(duration: Duration): Promise<void> {
    const ms = toMilliseconds(duration, "the duration to advance");
    const end = await this.run({ untilMs: this.#nowMs + ms });
    assert(end === "time", `fewer than ${RUN_EVENTS_MAX} events in one advance`);
  }

  /**
   * Lets everything happen that needs no time: fires what is due now, and drains all microtasks.
   */
  async settle(): Promise<void> {
    await this.run({ untilMs: this.#nowMs });
  }

  /**
   * Ends the present run with an error, before anything else happens; where there is no run, throws
   * it. For checkers, whose word must not be taken by the program under test for an error of its
   * database.
   */
  fail(error: unknown): void {
    if (!this.#isRunning) throw error;
    this.#failures.push(error);
  }

  /**
   * Turns the world by itself whenever something waits, until the returned object is disposed of.
   */
  drive(): Disposable {
    assert(!this.#isRunning && !this.#isDriven, "a world is turned by one run at a time");
    this.#isDriven = true;
    this.#awaitTurn();
    return {
      [Symbol.dispose]: () => {
        this.#isDriven = false;
      },
    };
  }

  /**
   * @ignore For clocks: puts back an event that was held, before all others of this instant and in
   * their own order.
   */
  release(held: Scheduled): void {
    held.atMs = this.#nowMs;
    held.order = -1;
    held.sequence = this.#sequence++;
    this.#insert(held);
  }

  /** @ignore For clocks: forgets the events of a process that is gone. */
  forget(clock: VirtualClock, held: readonly Scheduled[]): void {
    for (const event of held) {
      if (event.live) this.#drop(event);
    }
    for (const event of this.#queue) {
      if (event.clock === clock) event.cancel();
    }
  }

  #push(
    atMs: number,
    order: number,
    callback: () => void,
    { clock, background = false, quiet = false }: ScheduleOptions,
  ): Timer {
    const event: Scheduled = {
      atMs,
      order,
      sequence: this.#sequence++,
      callback,
      clock,
      background,
      quiet,
      live: true,
      cancel: () => {
        if (!event.live) return;
        this.#drop(event);
        this.#cancelled++;
        if (this.#cancelled >= CANCELLED_MIN && this.#cancelled * 2 > this.#queue.length) {
          this.#compact();
        }
      },
    };
    if (!background) this.#foreground++;
    this.#insert(event);
    if (this.#isDriven) this.#awaitTurn();
    return event;
  }

  #throwFailure(): void {
    if (this.#failures.length === 0) return;
    const [first] = this.#failures;
    this.#failures = [];
    throw first;
  }

  #drop(event: Scheduled): void {
    event.live = false;
    if (!event.background) this.#foreground--;
  }

  /**
   * Drops cancelled events once they are most of the queue: nearly every deadline is cancelled long
   * before it is due.
   */
  #compact(): void {
    const live = this.#queue.filter((event) => event.live);
    live.sort(inOrder); // A sorted array is a heap.
    this.#queue = live;
    this.#cancelled = 0;
  }

  #insert(event: Scheduled): void {
    const queue = this.#queue;
    let index = queue.length;
    queue.push(event);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = queue[parentIndex] as Scheduled;
      if (inOrder(parent, event) < 0) break;
      queue[index] = parent;
      index = parentIndex;
    }
    queue[index] = event;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop() as Scheduled;
    const length = queue.length;
    if (length === 0) return;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= length) break;
      const right = childIndex + 1;
      if (
        right < length && inOrder(queue[right] as Scheduled, queue[childIndex] as Scheduled) < 0
      ) {
        childIndex = right;
      }
      const child = queue[childIndex] as Scheduled;
      if (inOrder(last, child) < 0) break;
      queue[index] = child;
      index = childIndex;
    }
    queue[index] = last;
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    setImmediate(() => {
      this.#isTurnAwaited = false;
      if (this.#isDriven && this.step()) this.#awaitTurn();
    });
  }

  #mix(word: number): void {
    this.#hashA = Math.imul(this.#hashA ^ word, 0x9e3779b1);
    this.#hashB = Math.imul(this.#hashB ^ (this.#hashA >>> 15) ^ word, 0x85ebca77);
  }

  #mixText(text: string): void {
    let a = this.#hashA;
    let b = this.#hashB;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(a ^ unit, 0x9e3779b1);
      b = Math.imul(b ^ (a >>> 15) ^ unit, 0x85ebca77);
    }
    this.#hashA = a;
    this.#hashB = b;
    this.#mix(text.length);
  }
}

/** Options of {@linkcode VirtualTime.clock}. */
export interface VirtualClockOptions {
  /** What traces call the process. @default {"process 1", "process 2", …} */
  readonly name?: string;
  /** How far the wall clock is ahead of the right time, in milliseconds. @default {0} */
  readonly wallOffsetMs?: number;
  /** Where the monotonic clock starts, in milliseconds. @default {0} */
  readonly monotonicStartMs?: number;
  /**
   * How fast this process's clocks and timers run: 1.01 gains one second in a hundred.
   *
   * @default {1}
   */
  readonly rate?: number;
}

/**
 * The clock of one simulated process, and the process's life: it can be paused, resumed and killed.
 *
 * @example
 * ```ts
 * import { VirtualTime } from "@taskkit/taskkit/testing";
 *
 * const time = new VirtualTime();
 * const clock = time.clock({ wallOffsetMs: 60_000 }); // a minute ahead
 * console.log(clock.now() - time.wallStartMs); // 60000
 * clock.jump(-3_600_000);
 * clock.kill();
 * console.log(clock.state); // "killed"
 * ```
 */
export class VirtualClock implements Clock {
  /** What traces call the process. */
  readonly name: string;
  readonly #time: VirtualTime;
  readonly #bornMs: number;
  readonly #rate: number;
  readonly #monotonicStartMs: number;
  #wallOffsetMs: number;
  #state: "running" | "paused" | "killed" = "running";
  #held: Scheduled[] = [];
  #wakes = 0;
  #wakesMax = Infinity;

  /** @ignore Use {@linkcode VirtualTime.clock}. */
  constructor(time: VirtualTime, name: string, options: VirtualClockOptions) {
    this.name = options.name ?? name;
    this.#time = time;
    this.#bornMs = time.nowMs;
    this.#rate = options.rate ?? 1;
    this.#monotonicStartMs = options.monotonicStartMs ?? 0;
    this.#wallOffsetMs = options.wallOffsetMs ?? 0;
    assert(this.#rate > 0, "a clock runs forward");
  }

  /** The world that the clock lives in. */
  get time(): VirtualTime {
    return this.#time;
  }

  /** Whether the process runs, stands still, or is gone. */
  get state(): "running" | "paused" | "killed" {
    return this.#state;
  }

  /**
   * How often something came to the process so far: a timer, an answer; and, where its database is
   * in the process itself, a request. Each is a place where it can be killed.
   */
  get wakes(): number {
    return this.#wakes;
  }

  now(): number {
    return Math.floor(
      this.#time.wallStartMs + this.#wallOffsetMs + this.#bornMs + this.#elapsedMs(),
    );
  }

  monotonic(): number {
    return this.#monotonicStartMs + this.#elapsedMs();
  }

  timer(ms: number, callback: () => void): Timer {
    // At least one tick (NaN counts as no delay, as for real timers), so that a loop of timers
    // without delay cannot stop the time; and one more where the division may have rounded down, so
    // that the process's own clock has reached the due time when the timer fires.
    const delayMs = ms > 0 ? Math.max(Math.min(ms, TIMER_MS_MAX) / this.#rate, TICK_MS) : TICK_MS;
    return this.schedule(this.#rate === 1 ? delayMs : delayMs + TICK_MS, callback);
  }

  soon(callback: () => void): void {
    this.schedule(0, callback);
  }

  /**
   * Runs `callback` in this process, at least `delayMs` of the world's time from now; for what
   * comes in from outside.
   */
  schedule(delayMs: number, callback: () => void): Timer {
    return this.#time.schedule(delayMs, callback, { clock: this });
  }

  /**
   * Sets the wall clock forward, or back if negative. Timers and the monotonic clock do not care.
   */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
    this.#time.trace(this.name, "clock jumps", String(ms));
  }

  /**
   * Stops the process as SIGSTOP does: its timers and answers wait until it goes on, while the time
   * passes.
   */
  pause(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#time.trace(this.name, "paused");
  }

  /** Lets the process go on as SIGCONT does: what it missed comes at once, in its order. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#time.trace(this.name, "resumed");
    const held = this.#held;
    this.#held = [];
    for (const event of held) {
      if (event.live) this.#time.release(event);
    }
  }

  /**
   * Ends the process as SIGKILL does: none of its code runs any more. What it sent is still on its
   * way.
   */
  kill(): void {
    if (this.#state === "killed") return;
    this.#state = "killed";
    this.#time.trace(this.name, "killed");
    this.#time.forget(this, this.#held);
    this.#held = [];
  }

  /**
   * Kills the process instead of waking it once it was woken so often: 0, 1, 2, … try every place
   * where it waits.
   */
  killAfterWakes(wakes: number): void {
    this.#wakesMax = wakes;
  }

  /** @ignore For the world: whether an event of this process must not fire now. */
  holds(event: Scheduled): boolean {
    if (this.#state === "paused") {
      this.#held.push(event);
      return true;
    }
    if (this.#state === "running" && this.#wakes >= this.#wakesMax) this.kill();
    if (this.#state === "killed") {
      this.#time.forget(this, [event]);
      return true;
    }
    this.#wakes++;
    return false;
  }

  #elapsedMs(): number {
    return (this.#time.nowMs - this.#bornMs) * this.#rate;
  }
}

/** A time in whole ticks, rounded up: nothing fires early. */
function ticks(ms: number): number {
  return Math.ceil(ms / TICK_MS) * TICK_MS;
}

function inOrder(a: Scheduled, b: Scheduled): number {
  return a.atMs - b.atMs || a.order - b.order || a.sequence - b.sequence;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
