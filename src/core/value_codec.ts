/**
 * The default codec of data and results. It keeps `Date`, `bigint`, `Map`, `Set`, `Uint8Array`, `undefined`, NaN and
 * repeated references, and never evaluates anything: the text form is devalue's, the first byte says which form it is.
 *
 * @module
 */

import { stringify, unflatten } from "devalue";
import { InvalidData } from "./errors.ts";
import { DATA_NODES_MAX } from "./limits.ts";

const FORM_UNDEFINED = 0;
const FORM_TEXT = 1;
const FORM_BYTES = 2;
/** {@linkcode FORM_TEXT} as a character. */
const TEXT_MARK = "\u0001";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * The bytes of a value. `what` names it in the error.
 *
 * @throws {InvalidData} If it holds a function, a symbol, an instance of a class, or an own `__proto__` key, or is too deep.
 */
export function encodeValue(value: unknown, what: string): Uint8Array {
  if (value === undefined) return Uint8Array.of(FORM_UNDEFINED);
  if (value instanceof Uint8Array) return bytesWithForm(value);
  let text: string;
  try {
    text = stringify(value);
  } catch (error) {
    throw new InvalidData(`Cannot encode ${what}: ${reason(error)}`, { cause: error });
  }
  return encoder.encode(TEXT_MARK + text);
}

/**
 * The value of bytes that {@linkcode encodeValue} made. `what` names it in the error.
 *
 * @throws {InvalidData} If the bytes are damaged, from another codec, too deep, or hold more than 200,000 nodes.
 */
export function decodeValue(bytes: Uint8Array, what: string): unknown {
  switch (bytes[0]) {
    case FORM_UNDEFINED:
      return undefined;
    case FORM_BYTES:
      // A copy, and no Buffer, whatever the caller has.
      return new Uint8Array(bytes.subarray(1));
    case FORM_TEXT:
      try {
        const flat: unknown = JSON.parse(decoder.decode(bytes.subarray(1)));
        if (Array.isArray(flat) && flat.length > DATA_NODES_MAX) {
          throw new Error(`it has ${flat.length} nodes; the bound is ${DATA_NODES_MAX}`);
        }
        return unflatten(flat as number | unknown[]);
      } catch (error) {
        throw new InvalidData(`Cannot decode ${what}: ${reason(error)}`, { cause: error });
      }
    default:
      throw new InvalidData(
        `Cannot decode ${what}: the bytes are not in the form of the default codec`,
      );
  }
}

function bytesWithForm(value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(value.length + 1);
  bytes[0] = FORM_BYTES;
  bytes.set(value, 1);
  return bytes;
}

/** Why devalue gave up, with the path to the culprit where it tells one. */
function reason(error: unknown): string {
  if (error instanceof RangeError) return "it is nested too deep";
  if (!(error instanceof Error)) return "unknown reason";
  const path = "path" in error && typeof error.path === "string" ? error.path : "";
  return path === "" ? error.message : `${error.message} (at "${path}")`;
}
