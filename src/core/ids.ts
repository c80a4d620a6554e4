/**
 * Ids that sort by time (UUID v7, RFC 9562): keys that arrive in order keep the database's trees small and fast.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { v7 } from "uuid";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

const TOKEN_BYTES = 9;
const POOL_BYTES = 1_024;
const SEQUENCE_MAX = 0xffff_ffff;

/** Makes ids that grow, also within one millisecond and when the wall clock is set back. */
export class IdSource {
  readonly #clock: Clock;
  readonly #random: Random;
  #msecs = 0;
  #seq = 0;
  #pool: Uint8Array = new Uint8Array(0);
  #poolAt = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A new id. */
  next(): string {
    const now = this.#clock.now();
    if (now > this.#msecs || this.#seq === SEQUENCE_MAX) {
      this.#msecs = Math.max(now, this.#msecs + 1);
      this.#seq = 0;
    } else {
      this.#seq++;
    }
    return v7({ msecs: this.#msecs, seq: this.#seq, random: this.#bytes(16) });
  }

  /** A short token that names one operation; kept in what it writes. */
  token(): string {
    return Buffer.from(this.#bytes(TOKEN_BYTES)).toString("base64url");
  }

  /** Random bytes from a pool: asking the machine for a few at a time costs more than all else here. */
  #bytes(length: number): Uint8Array {
    if (this.#poolAt + length > this.#pool.length) {
      this.#pool = this.#random.bytes(POOL_BYTES);
      this.#poolAt = 0;
    }
    this.#poolAt += length;
    return this.#pool.subarray(this.#poolAt - length, this.#poolAt);
  }
}

/**
 * The id of the task that a schedule point makes: always the same for the same scheduler, key and point, so that a
 * point cannot make two tasks. It sorts by the point's time, as a UUID v7 does.
 */
export function scheduledTaskId(scheduler: string, key: string, pointMs: number): string {
  const hash = createHash("sha256").update(JSON.stringify([scheduler, key, pointMs])).digest();
  return v7({ msecs: pointMs, seq: hash.readUInt32BE(16), random: hash.subarray(0, 16) });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether text has the form of an id. */
export function isId(text: unknown): text is string {
  return typeof text === "string" && UUID.test(text);
}
