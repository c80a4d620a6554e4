/**
 * Randomness, as everything else in Taskkit sees it. {@linkcode systemRandom} is the only user of the machine's source;
 * the simulation passes a seeded one.
 *
 * @module
 */

/** A source of randomness. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/** The machine's cryptographic source for bytes; `Math.random` for jitter. */
export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
