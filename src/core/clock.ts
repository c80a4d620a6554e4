/**
 * Time, as everything else in Taskkit sees it. {@linkcode systemClock} is the only reader of the machine's clocks and
 * the only owner of timers; the simulation passes a clock of its own.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** A timer that can be taken back. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  /** Takes the timer back. */
  cancel(): void;
}

/** Where the time comes from and how it is waited for. */
export interface Clock {
  /** Wall clock, in milliseconds since the epoch. May jump in both directions; nothing that must be safe relies on it. */
  now(): number;
  /** Milliseconds that only go forward, from an arbitrary start. */
  monotonic(): number;
  /** Calls `callback` once after `ms`. */
  timer(ms: number, callback: () => void): Timer;
  /** Calls `callback` once, as soon as what is under way in this turn of the event loop is through. */
  soon(callback: () => void): void;
}

/** The longest delay that the platform's timers take; longer ones would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer(ms, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
    return { cancel: () => clearTimeout(handle) };
  },
  soon: (callback) => void setImmediate(callback),
};

/** Resolves after `ms`, or as soon as `signal` aborts; it never rejects, so the caller looks at the signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.timer(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Resolves in the next turn of the event loop, once what is under way in this one is through. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}
