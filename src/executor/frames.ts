/**
 * Messages on a pipe: four bytes of length, then the message in the codec that tasks' data uses, which evaluates nothing.
 * The length is looked at before anything is read.
 *
 * @module
 */

import { InvalidData } from "../core/errors.ts";
import { FRAME_BYTES_MAX } from "../core/limits.ts";
import { decodeValue, encodeValue } from "../core/value_codec.ts";

const HEADER_BYTES = 4;

/**
 * The bytes of a message.
 *
 * @throws {InvalidData} If it holds what cannot be encoded, or is larger than a frame may be.
 */
export function encodeFrame(message: unknown): Uint8Array {
  const body = encodeValue(message, "a message between worker and process");
  if (body.length > FRAME_BYTES_MAX) {
    throw new InvalidData(
      `Cannot encode a message between worker and process: it has ${body.length} bytes; the bound is ${FRAME_BYTES_MAX}`,
      { code: "DATA_TOO_LARGE" },
    );
  }
  const frame = new Uint8Array(HEADER_BYTES + body.length);
  new DataView(frame.buffer).setUint32(0, body.length);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Puts frames together again from the pieces in which they arrive. */
export class FrameReader {
  readonly #onMessage: (message: unknown) => void;
  #pieces: Uint8Array[] = [];
  #length = 0;
  #wanted = HEADER_BYTES;
  #inBody = false;

  constructor(onMessage: (message: unknown) => void) {
    this.#onMessage = onMessage;
  }

  /**
   * Takes the next bytes, and calls back for each message that is complete.
   *
   * @throws {InvalidData} If a frame is too large or cannot be decoded. Nothing after it can be read.
   */
  take(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    while (this.#length >= this.#wanted) {
      const part = this.#cut(this.#wanted);
      if (this.#inBody) {
        this.#inBody = false;
        this.#wanted = HEADER_BYTES;
        this.#onMessage(decodeValue(part, "a message between worker and process"));
      } else {
        this.#wanted = new DataView(part.buffer, part.byteOffset).getUint32(0);
        this.#inBody = true;
        if (this.#wanted === 0 || this.#wanted > FRAME_BYTES_MAX) {
          throw new InvalidData(
            `Cannot read a message between worker and process: it claims ${this.#wanted} bytes`,
          );
        }
      }
    }
  }

  /** The first `count` bytes of what has arrived. */
  #cut(count: number): Uint8Array {
    const [first] = this.#pieces;
    this.#length -= count;
    if (first !== undefined && first.length >= count) {
      const rest = first.subarray(count);
      if (rest.length === 0) this.#pieces.shift();
      else this.#pieces[0] = rest;
      return first.subarray(0, count);
    }
    const part = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const piece = this.#pieces.shift();
      if (piece === undefined) throw new RangeError("Cannot cut: too few bytes have arrived");
      const taken = piece.subarray(0, count - filled);
      part.set(taken, filled);
      filled += taken.length;
      if (taken.length < piece.length) this.#pieces.unshift(piece.subarray(taken.length));
    }
    return part;
  }
}
