/**
 * Looking again after a doubtful answer: at once, and then after random pauses that double.
 *
 * @module
 */

import { sleep } from "../core/clock.ts";
import { DOUBT_PAUSE_FIRST_MS, DOUBT_PAUSE_MS_MAX, DOUBT_TRIES_MAX } from "../core/limits.ts";
import type { Store } from "./store.ts";

/** Bounded tries, numbered from 0; the first two come at once, since most doubts are lost races. */
export async function* tries(store: Store): AsyncGenerator<number> {
  for (let n = 0; n < DOUBT_TRIES_MAX; n++) {
    await pause(store, n);
    yield n;
  }
}

/** The pause before try `n`, counted from 0. */
export async function pause(
  { clock, random }: Store,
  n: number,
  signal?: AbortSignal,
): Promise<void> {
  if (n < 2) return;
  const ms = Math.min(DOUBT_PAUSE_FIRST_MS * 2 ** (n - 2), DOUBT_PAUSE_MS_MAX);
  await sleep(clock, ms * (0.5 + random.next()), signal);
}
