/**
 * Entries of a worker's log as lines for people: one a task that ended.
 *
 * @module
 */

import type { LogEntry } from "../core/log.ts";
import { formatMs, timeOfDay } from "./format.ts";
import { type Piece, type Style, styled } from "./output.ts";
import { cut, printableJson } from "./text.ts";

const MESSAGE_CHARS_MAX = 500;
const FIELDS_CHARS_MAX = 300;

const STYLES: Readonly<Record<string, Style>> = {
  "task.succeeded": "green",
  debug: "dim",
  warn: "yellow",
  error: "red",
};

/** How a line begins: the time of day where somebody watches, the whole instant where it is kept. */
export type LogTime = "day" | "instant";

/** An entry as a line. */
export function logLine(entry: LogEntry, time: LogTime): Piece[] {
  const { level, event, message, at, task, group, name, attempt, ms, fields } = entry;
  const date = new Date(at);
  const style = STYLES[event] ?? STYLES[level];
  const text = cut(message, MESSAGE_CHARS_MAX);
  const line: Piece[] = [
    styled("dim", time === "day" ? timeOfDay(date) : date.toISOString()),
    ` ${level.padEnd(5)} `,
  ];
  if (task !== undefined) {
    line.push(`${group}/${name} `, styled("dim", task), " ");
    if (attempt !== undefined && attempt > 1) line.push(`attempt ${attempt} `);
  }
  line.push(style === undefined ? text : styled(style, text));
  if (ms !== undefined) line.push(styled("dim", ` (${formatMs(ms)})`));
  if (fields !== undefined && Object.keys(fields).length > 0) {
    line.push(styled("dim", ` ${cut(printableJson(fields), FIELDS_CHARS_MAX)}`));
  }
  return line;
}

/** An entry as a value for JSON: the time is written out. */
export function logJson({ at, ...entry }: LogEntry): Record<string, unknown> {
  return { time: new Date(at).toISOString(), ...entry };
}
