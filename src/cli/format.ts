/**
 * How numbers, times and tables are written for people.
 *
 * @module
 */

import { DAY, HOUR, MINUTE, SECOND } from "@std/datetime/constants";
import { printable } from "../core/printable.ts";
import { type Piece, plainText } from "./output.ts";
import { widthOf } from "./text.ts";

/** A length of time as one would write it as a `Duration`: `"23ms"`, `"1.2s"`, `"2m 10s"`, `"3h 4m"`, `"7d 2h"`. */
export function formatMs(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)}ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)}s`;
  const [unit, name, rest, restName] = ms < HOUR
    ? [MINUTE, "m", SECOND, "s"] as const
    : ms < DAY
    ? [HOUR, "h", MINUTE, "m"] as const
    : [DAY, "d", HOUR, "h"] as const;
  const more = Math.floor((ms % unit) / rest);
  return `${Math.floor(ms / unit)}${name}${more === 0 ? "" : ` ${more}${restName}`}`;
}

/** A count with separators: `"1,234"`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** A count with its noun: `"1 task"`, `"1,234 tasks"`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** How long ago or in how long an instant is. */
export function relative(at: Date, nowMs: number): string {
  const ms = at.getTime() - nowMs;
  return ms > 0 ? `in ${formatMs(ms)}` : `${formatMs(-ms)} ago`;
}

/** The clock's time where somebody watches. */
export function timeOfDay(at: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const ms = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/** Lines of a table whose columns stand below each other; the last cell of a row may be of any length. */
export function table(rows: readonly (readonly Piece[])[]): Piece[][] {
  const widths: number[] = [];
  rows = rows.map(withoutEmptyEnd);
  for (const row of rows) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, widthOf(shownText(cell))));
  }
  return rows.map((row) =>
    row.flatMap((cell, i) => {
      if (i === row.length - 1) return [cell];
      return [cell, " ".repeat((widths[i] ?? 0) - widthOf(shownText(cell)) + 2)];
    })
  );
}

/** A row without the empty cells at its end, which would only leave blanks behind the line. */
function withoutEmptyEnd(row: readonly Piece[]): readonly Piece[] {
  const last = row.findLastIndex((cell) => plainText(cell) !== "");
  return row.slice(0, last + 1);
}

function shownText(piece: Piece): string {
  return printable(plainText(piece));
}
