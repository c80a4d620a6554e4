/**
 * Randomness from a seed: the same numbers in every runtime, for ever.
 *
 * The generator is Chris Doty-Humphrey's sfc32 (PractRand): 128 bits of state, one add-shift-rotate
 * round a number, passes PractRand and TestU01's BigCrush. Only integer arithmetic is used, since
 * `Math.log`, `Math.pow` and their like may differ in the last bit from engine to engine, and one
 * bit is enough to make two runs of a seed differ.
 *
 * @module
 */

import { assert } from "@std/assert";
import type { Random } from "../core/random.ts";

/** Rounds after which every bit of the seed has reached all of the state. */
const WARM_UP_ROUNDS = 15;
const UINT32_RANGE = 2 ** 32;

/**
 * A seeded source of randomness.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SeededRandom } from "@taskkit/taskkit/testing";
 *
 * const random = new SeededRandom(42);
 * const again = new SeededRandom(42);
 * assert.equal(random.int(1, 6), again.int(1, 6));
 * ```
 */
export class SeededRandom implements Random {
  /** What the numbers come from: the seed, and the labels of the forks on the way here. */
  readonly seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * Starts the sequence of a seed. Different seeds, also neighbouring ones, give unrelated
   * sequences.
   */
  constructor(seed: number | string) {
    this.seed = String(seed);
    [this.#a, this.#b, this.#c] = stateOf(this.seed);
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.uint32();
  }

  /** A whole number in [0, 2^32). */
  uint32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + result) | 0;
    return result >>> 0;
  }

  /** A number in [0, 1), of 2^32 possible ones. */
  next(): number {
    return this.uint32() / UINT32_RANGE;
  }

  /** `length` random bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.uint32();
      bytes[i] = word;
      bytes[i + 1] = word >>> 8;
      bytes[i + 2] = word >>> 16;
      bytes[i + 3] = word >>> 24;
    }
    return bytes;
  }

  /** A whole number between `min` and `max`, both included; they lie less than 2^32 apart. */
  int(min: number, max: number): number {
    assert(max >= min && max - min < UINT32_RANGE, "a range of whole numbers below 2^32");
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** True with this probability: never for 0, always for 1. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, "something to pick from");
    return items[this.int(0, items.length - 1)] as T;
  }

  /** The items in a random order (Fisher–Yates), in a new array. */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
    }
    return shuffled;
  }

  /**
   * A source of its own for one purpose. It depends on the seed and the label alone, not on how
   * much was drawn so far: what one part of a simulation draws does not change what another part
   * gets.
   */
  fork(label: string | number): SeededRandom {
    return new SeededRandom(`${this.seed}/${label}`);
  }
}

/**
 * Three unrelated words from a seed's text (FNV-1a with three offsets, each finished as in
 * MurmurHash3).
 */
function stateOf(seed: string): [number, number, number] {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  let c = 0x85ebca6b;
  for (let i = 0; i < seed.length; i++) {
    const unit = seed.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x27d4eb2f);
    c = Math.imul(c ^ unit, 0x165667b1);
  }
  return [mixed(a), mixed(b), mixed(c)];
}

function mixed(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}
