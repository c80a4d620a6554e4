/**
 * The pauses before a slot is filled again whose thread or process died.
 *
 * @module
 */

import { REFILL_PAUSE_FIRST_MS, REFILL_PAUSE_MS_MAX } from "../core/limits.ts";
import type { Random } from "../core/random.ts";

/** Pauses that double with each death in a row, with jitter, so that slots do not come back together. */
export class Backoff {
  readonly #random: Random;
  #deaths = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The pause after another death: half of the doubled one for sure, the rest by chance. */
  nextMs(): number {
    const fullMs = Math.min(REFILL_PAUSE_FIRST_MS * 2 ** this.#deaths, REFILL_PAUSE_MS_MAX);
    this.#deaths = Math.min(this.#deaths + 1, 30);
    return fullMs / 2 + this.#random.next() * fullMs / 2;
  }

  /** Something went well. */
  reset(): void {
    this.#deaths = 0;
  }
}
