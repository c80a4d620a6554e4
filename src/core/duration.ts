/**
 * Durations and instants as callers write them, turned into milliseconds.
 *
 * @module
 */

import { DAY, HOUR, MINUTE, SECOND, WEEK } from "@std/datetime/constants";
import { InvalidArgument } from "./errors.ts";
import { DURATION_MS_MAX, INSTANT_MS_MAX } from "./limits.ts";

/** A length of time: milliseconds, or text such as `"250ms"`, `"90s"`, `"1h 30m"`, `"7d"`, `"2w"`. */
export type Duration = number | string;
/** A point in time: a `Date`, or milliseconds since the epoch. */
export type Instant = Date | number;

const UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", SECOND],
  ["m", MINUTE],
  ["h", HOUR],
  ["d", DAY],
  ["w", WEEK],
]);
const FORM = /^(?:\s*\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w))+\s*$/;
const PART = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)/g;

/**
 * Whole milliseconds of a {@linkcode Duration}, rounded up. `what` names the value in the error.
 *
 * @throws {InvalidArgument} If it is no duration, negative, not a number, or longer than 100 years.
 */
export function toMilliseconds(duration: Duration, what: string): number {
  let ms: number;
  if (typeof duration === "number") ms = duration;
  else if (typeof duration === "string" && duration.length <= 100 && FORM.test(duration)) {
    ms = 0;
    for (const [, amount, unit] of duration.matchAll(PART)) {
      ms += Number(amount) * (UNITS.get(unit ?? "") ?? NaN);
    }
  } else {
    throw new InvalidArgument(
      `Cannot read ${what}: ${
        shown(duration)
      } is no duration; write milliseconds or text such as "90s", "1h 30m", "7d"`,
    );
  }
  if (!(ms >= 0 && ms <= DURATION_MS_MAX)) {
    throw new InvalidArgument(
      `Cannot read ${what}: ${shown(duration)} is not between 0 and 100 years`,
    );
  }
  // No negative zero: as a part of a key it is another one than zero.
  return Math.ceil(ms) + 0;
}

/**
 * Milliseconds since the epoch of an {@linkcode Instant}. `what` names the value in the error.
 *
 * @throws {InvalidArgument} If it is no valid date, or outside the years 0 to 9999.
 */
export function toEpochMs(instant: Instant, what: string): number {
  const ms = instant instanceof Date ? instant.getTime() : instant;
  if (typeof ms !== "number" || !(ms >= 0 && ms <= INSTANT_MS_MAX)) {
    throw new InvalidArgument(
      `Cannot read ${what}: ${
        shown(instant)
      } is no valid instant; pass a Date or epoch milliseconds from 1970 to 9999`,
    );
  }
  return Math.floor(ms) + 0;
}

/** A short, printable form of any value, for messages. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "an invalid Date" : value.toISOString();
  }
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "an array" : "an object";
  }
  return typeof value === "function" ? "a function" : String(value);
}
