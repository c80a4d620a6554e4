/**
 * Checks what callers pass: names, numbers, and the fields of options, so that a typo never passes silently.
 *
 * @module
 */

import { shown } from "./duration.ts";
import { InvalidArgument } from "./errors.ts";
import { NAME_BYTES_MAX } from "./limits.ts";

const encoder = new TextEncoder();

/**
 * A name that is one part of a key. `what` says which, for the error.
 *
 * @throws {InvalidArgument} If it is no string, empty, not well-formed, or longer than 200 bytes as UTF-8.
 */
export function checkName(name: unknown, what: string): string {
  if (typeof name !== "string") {
    throw new InvalidArgument(`Cannot use ${shown(name)} as ${what}: it is no string`);
  }
  if (name === "") throw new InvalidArgument(`Cannot use "" as ${what}: it is empty`);
  if (!name.isWellFormed()) {
    throw new InvalidArgument(`Cannot use ${shown(name)} as ${what}: it has lone surrogates`);
  }
  // Names are checked with every task; few are so long that they must be encoded for it.
  if (name.length > NAME_BYTES_MAX / 3 && encoder.encode(name).length > NAME_BYTES_MAX) {
    throw new InvalidArgument(
      `Cannot use ${shown(name)} as ${what}: it is longer than ${NAME_BYTES_MAX} bytes`,
    );
  }
  return name;
}

/** @throws {InvalidArgument} If it is no boolean. */
export function checkBoolean(value: unknown, what: string): void {
  if (typeof value === "boolean") return;
  throw new InvalidArgument(`Cannot use ${shown(value)} as ${what}: pass true or false`);
}

/**
 * A whole number within bounds.
 *
 * @throws {InvalidArgument} If it is none.
 */
export function checkInteger(value: unknown, what: string, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
    // No negative zero: as a part of a key it is another one than zero.
    return value + 0;
  }
  throw new InvalidArgument(
    `Cannot use ${shown(value)} as ${what}: it is not a whole number from ${min} to ${max}`,
  );
}

/**
 * Options: an object with known fields only.
 *
 * @throws {InvalidArgument} If a field is unknown; the message names the field that was probably meant.
 */
export function checkFields(options: unknown, what: string, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new InvalidArgument(`Cannot use ${shown(options)} as ${what}: it is no object`);
  }
  for (const field of Object.keys(options)) {
    if (known.includes(field)) continue;
    const meant = closest(field, known);
    const hint = meant === null
      ? `known are ${known.map((name) => `"${name}"`).join(", ")}`
      : `did you mean "${meant}"?`;
    throw new InvalidArgument(`Cannot use ${what}: there is no option ${shown(field)}; ${hint}`);
  }
}

/** The known name that is at most two edits away. */
export function closest(text: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = 3;
  for (const name of known) {
    if (Math.abs(name.length - text.length) >= bestDistance || text.length > 100) continue;
    const distance = editDistance(text.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Levenshtein's distance (https://en.wikipedia.org/wiki/Levenshtein_distance), row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const substituted = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
