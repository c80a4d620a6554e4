/**
 * Waiting for something to do: until rung, or until a time, whichever is first. A ring that comes while nobody waits is
 * kept for the next wait, so none is lost between a look and the wait after it.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";

/** A bell with one listener. */
export class Waker {
  readonly #clock: Clock;
  #rung = false;
  #resolve: (() => void) | null = null;
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Wakes who waits, or who waits next. */
  ring(): void {
    if (this.#resolve === null) this.#rung = true;
    else this.#wake();
  }

  /** Resolves when rung, or after `ms` (null: only when rung). */
  wait(ms: number | null): Promise<void> {
    if (this.#rung || (ms !== null && ms <= 0)) {
      this.#rung = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (ms !== null) this.#timer = this.#clock.timer(ms, () => this.#wake());
    });
  }

  #wake(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const resolve = this.#resolve;
    this.#resolve = null;
    resolve?.();
  }
}

/** Runs `turn` again and again until `stopped`; each turn says how long to wait for the next. A turn that throws is told and tried again. */
export async function serve(
  waker: Waker,
  stopped: () => boolean,
  turn: () => Promise<number | null>,
  onError: (error: unknown) => number,
): Promise<void> {
  while (!stopped()) {
    let waitMs: number | null;
    try {
      waitMs = await turn();
    } catch (error) {
      waitMs = onError(error);
    }
    if (!stopped()) await waker.wait(waitMs);
  }
}
