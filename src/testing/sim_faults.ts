/**
 * What can go wrong between a program and its database, as data: how often by chance, and one by
 * one on demand.
 *
 * @module
 */

import type { SeededRandom } from "./prng.ts";

/** How long one way takes, request or answer: mostly little, sometimes very long. */
export interface Latency {
  /** What every way takes at least. */
  readonly minMs: number;
  /** What it takes at most, but for the tail. */
  readonly maxMs: number;
  /** How often a way takes much longer. */
  readonly tailProbability: number;
  /** How much longer at most; half of that is twice as likely, a quarter of it four times. */
  readonly tailMsMax: number;
}

/**
 * How often what goes wrong on a connection. Numbers are probabilities for one call, from 0 to 1.
 */
export interface KvFaults {
  /**
   * Null answers at once, and nothing goes wrong by chance: such a connection needs nobody to turn
   * the clock.
   */
  readonly latency: Latency | null;
  /** The request never arrives; the caller gets an error. */
  readonly lostRequest: number;
  /**
   * A commit is applied (or a read done), and the caller gets an error, or the answer to the
   * client's own repeat.
   */
  readonly lostAnswer: number;
  /** A copy of a commit arrives a second time, up to `zombieMsMax` later. */
  readonly zombie: number;
  /** The call is never answered; a commit may be applied later than anybody waits. */
  readonly blackhole: number;
  /** How late the copies and the unanswered commits arrive at most. */
  readonly zombieMsMax: number;
  /** `database is locked` by another process: nothing applied. */
  readonly locked: number;
  /** `database or disk is full`: nothing applied. */
  readonly diskFull: number;
  /** A change is not told to a watch. */
  readonly watchLost: number;
  /** A watch falls silent for ever, without a word. */
  readonly watchDeath: number;
}

/** One thing that goes wrong with one call. */
export type Fault =
  | { readonly kind: "lostRequest"; readonly isRepeated?: boolean }
  | { readonly kind: "lostAnswer"; readonly isRepeated?: boolean }
  | { readonly kind: "zombie"; readonly afterMs: number }
  | { readonly kind: "blackhole"; readonly appliedAfterMs?: number }
  | { readonly kind: "slow"; readonly ms: number }
  | { readonly kind: "locked" }
  | { readonly kind: "diskFull" };

const NOTHING_WRONG = {
  lostRequest: 0,
  lostAnswer: 0,
  zombie: 0,
  blackhole: 0,
  zombieMsMax: 0,
  locked: 0,
  diskFull: 0,
  watchLost: 0,
  watchDeath: 0,
} as const;

/**
 * Answers at once, and nothing goes wrong.
 *
 * @example
 * ```ts
 * import { INSTANT, SeededRandom, SimDatabase } from "@taskkit/taskkit/testing";
 *
 * // A database that answers at once.
 * const database = new SimDatabase({ random: new SeededRandom(7), faults: INSTANT });
 * console.log(database.faults === INSTANT); // true
 * ```
 */
export const INSTANT: KvFaults = { ...NOTHING_WRONG, latency: null };

/**
 * A good day: a millisecond or two a call, and nothing goes wrong.
 *
 * @example
 * ```ts
 * import { CALM, SeededRandom, SimDatabase } from "@taskkit/taskkit/testing";
 *
 * // A database that takes a millisecond or two.
 * const database = new SimDatabase({ random: new SeededRandom(7), faults: CALM });
 * console.log(database.faults === CALM); // true
 * ```
 */
export const CALM: KvFaults = {
  ...NOTHING_WRONG,
  latency: { minMs: 0.125, maxMs: 2, tailProbability: 0, tailMsMax: 0 },
};

/**
 * A bad day on one SQLite file that several processes share.
 *
 * @example
 * ```ts
 * import { ROUGH_FILE, SeededRandom, SimDatabase } from "@taskkit/taskkit/testing";
 *
 * // A database that is locked now and then.
 * const database = new SimDatabase({ random: new SeededRandom(7), faults: ROUGH_FILE });
 * console.log(database.faults === ROUGH_FILE); // true
 * ```
 */
export const ROUGH_FILE: KvFaults = {
  latency: { minMs: 0.125, maxMs: 4, tailProbability: 1 / 64, tailMsMax: 8_000 },
  lostRequest: 0,
  lostAnswer: 0,
  zombie: 0,
  blackhole: 0,
  zombieMsMax: 0,
  locked: 1 / 16,
  diskFull: 1 / 512,
  watchLost: 1 / 16,
  watchDeath: 1 / 256,
};

/**
 * A bad day on a network.
 *
 * @example
 * ```ts
 * import { ROUGH_NETWORK, SeededRandom, SimDatabase } from "@taskkit/taskkit/testing";
 *
 * // A database that loses answers now and then.
 * const database = new SimDatabase({ random: new SeededRandom(7), faults: ROUGH_NETWORK });
 * console.log(database.faults === ROUGH_NETWORK); // true
 * ```
 */
export const ROUGH_NETWORK: KvFaults = {
  latency: { minMs: 0.5, maxMs: 16, tailProbability: 1 / 32, tailMsMax: 40_000 },
  lostRequest: 1 / 64,
  lostAnswer: 1 / 32,
  zombie: 1 / 64,
  blackhole: 1 / 256,
  zombieMsMax: 90_000,
  locked: 0,
  diskFull: 0,
  watchLost: 1 / 16,
  watchDeath: 1 / 128,
};

/** How long one way takes now. Exact in every runtime: only halving and multiplying. */
export function latencyMs(latency: Latency, random: SeededRandom | undefined): number {
  if (random === undefined) return latency.minMs;
  const ms = latency.minMs + random.next() * (latency.maxMs - latency.minMs);
  if (!random.chance(latency.tailProbability)) return ms;
  return ms + latency.tailMsMax * random.next() * 2 ** -random.int(0, 6);
}

/** What goes wrong with a call by chance, or null. One number is drawn while nothing does. */
export function drawFault(
  faults: KvFaults,
  random: SeededRandom,
  isCommit: boolean,
): Fault | null {
  let left = random.next();
  const falls = (probability: number) => (left -= probability) < 0;
  if (falls(faults.lostRequest)) return { kind: "lostRequest" };
  if (falls(faults.lostAnswer)) return { kind: "lostAnswer" };
  const lateMs = () => random.next() * faults.zombieMsMax;
  if (falls(faults.blackhole)) {
    return isCommit && random.chance(0.5)
      ? { kind: "blackhole", appliedAfterMs: lateMs() }
      : { kind: "blackhole" };
  }
  if (!isCommit) return null;
  if (falls(faults.zombie)) return { kind: "zombie", afterMs: lateMs() };
  if (falls(faults.locked)) return { kind: "locked" };
  if (falls(faults.diskFull)) return { kind: "diskFull" };
  return null;
}
