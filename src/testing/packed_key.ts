/**
 * Keys as text that sorts as Deno KV sorts keys.
 *
 * Deno KV orders keys by the bytes of FoundationDB's tuple encoding
 * (https://github.com/apple/foundationdb/blob/main/design/tuple.md): a tag for the type of each
 * part, then its value. Here each of those bytes is one character from U+0000 to U+00FF, so that
 * `<` on such strings compares bytes, and `length` is the number of bytes that the engine counts
 * against its limits.
 *
 * @module
 */

import type { Key, KeyPart } from "../store/port.ts";

/** A key's bytes, one a character. */
export type PackedKey = string;

const BYTES = "\x01";
const STRING = "\x02";
const INT_NEGATIVE_LONG = 0x0b;
const INT_ZERO = 0x14;
const INT_POSITIVE_LONG = 0x1d;
const INT_BYTES_SHORT_MAX = 8;
const INT_BYTES_MAX = 255;
const DOUBLE = "\x21";
const FALSE = "\x26";
const TRUE = "\x27";
const END = "\0";
/** A zero byte within a part: what follows tells it from the end. */
const ESCAPED_ZERO = "\0\xff";

// deno-lint-ignore no-control-regex
const NEEDS_NO_ESCAPE = /^[\x01-\x7f]*$/;
const utf8 = new TextEncoder();
const double = new DataView(new ArrayBuffer(8));

/**
 * The bytes of a key.
 *
 * @throws {TypeError} If a part is of no type that keys can have.
 */
export function packKey(key: Key): PackedKey {
  let packed = "";
  for (let i = 0; i < key.length; i++) packed += packPart(key[i] as KeyPart);
  return packed;
}

function packPart(part: KeyPart): string {
  switch (typeof part) {
    case "string":
      if (NEEDS_NO_ESCAPE.test(part)) return STRING + part + END;
      // TextEncoder turns lone surrogates into U+FFFD, as the engine's bindings do: such keys
      // collide.
      return STRING + escaped(utf8.encode(part)) + END;
    case "number":
      return packDouble(part);
    case "bigint":
      return packInt(part);
    case "boolean":
      return part ? TRUE : FALSE;
    default:
      if (part instanceof Uint8Array) return BYTES + escaped(part) + END;
      throw new TypeError("expected string, number, bigint, ArrayBufferView, boolean");
  }
}

function escaped(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte === 0 ? ESCAPED_ZERO : String.fromCharCode(byte);
  return text;
}

/**
 * The IEEE 754 bits, big-endian, made to sort: all bits of negative numbers flipped, else the sign
 * alone.
 */
function packDouble(value: number): string {
  double.setFloat64(0, value);
  let high = double.getInt32(0);
  let low = double.getInt32(4);
  if (Number.isNaN(value)) {
    high = 0x7ff80000; // The one canonical NaN, after positive infinity.
    low = 0;
  }
  if (high < 0) {
    high = ~high;
    low = ~low;
  } else {
    high ^= -0x80000000;
  }
  return DOUBLE + String.fromCharCode(
    high >>> 24,
    high >>> 16 & 0xff,
    high >>> 8 & 0xff,
    high & 0xff,
    low >>> 24,
    low >>> 16 & 0xff,
    low >>> 8 & 0xff,
    low & 0xff,
  );
}

/**
 * The magnitude's bytes, big-endian, after a tag that grows with the value; all of them flipped if
 * it is negative.
 */
function packInt(value: bigint): string {
  if (value === 0n) return String.fromCharCode(INT_ZERO);
  const isNegative = value < 0n;
  let digits = (isNegative ? -value : value).toString(16);
  if (digits.length % 2 === 1) digits = `0${digits}`;
  const length = digits.length / 2;
  if (length > INT_BYTES_MAX) {
    throw new TypeError("BigUint requires more than 255 bytes to be represented");
  }
  const flip = isNegative ? 0xff : 0;
  let packed: string;
  if (length <= INT_BYTES_SHORT_MAX) {
    packed = String.fromCharCode(isNegative ? INT_ZERO - length : INT_ZERO + length);
  } else {
    packed = String.fromCharCode(
      isNegative ? INT_NEGATIVE_LONG : INT_POSITIVE_LONG,
      length ^ flip,
    );
  }
  for (let i = 0; i < digits.length; i += 2) {
    packed += String.fromCharCode(parseInt(digits.slice(i, i + 2), 16) ^ flip);
  }
  return packed;
}

/** A key for a reader: `task/0190…/3`, with what is no plain text told apart. */
export function keyText(key: Key): string {
  return key.map(partText).join("/");
}

function partText(part: KeyPart): string {
  if (typeof part === "string") {
    return part === "" || /[\s/"]/.test(part) ? JSON.stringify(part) : part;
  }
  if (typeof part === "bigint") return `${part}n`;
  if (part instanceof Uint8Array) return `<${part.join(" ")}>`;
  return Object.is(part, -0) ? "-0" : String(part);
}
