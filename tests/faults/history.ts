/**
 * What happened in a run with faults, as every process of it saw it: one file of JSON lines a process.
 *
 * Each event is one `write` to a file opened for appending, before the process goes on: what a process did before it
 * was killed is in its file, whatever its own buffers held. (Only the machine's own crash could lose it, and that is no
 * fault of these suites.) All processes run on one machine, so its wall clock orders their events to a millisecond.
 *
 * @module
 */

import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** What can happen. */
export type Happening =
  /** Tasks were initiated, and the call answered so. */
  | { readonly kind: "initiated"; readonly ids: readonly string[] }
  /** A call ended as `OutcomeUnknown`: its tasks may exist or not. */
  | { readonly kind: "unknown"; readonly ids: readonly string[] }
  /** A call ended with an error that says that nothing was written. */
  | { readonly kind: "refused"; readonly code: string }
  /** A cancel was answered. */
  | { readonly kind: "cancel"; readonly id: string; readonly answer: string }
  /** A handler was entered, and left. */
  | { readonly kind: "start"; readonly id: string; readonly attempt: number }
  | {
    readonly kind: "end";
    readonly id: string;
    readonly attempt: number;
    /** The code of the error by which its signal was aborted, or null. */
    readonly aborted: string | null;
  }
  /** A result was read. */
  | { readonly kind: "result"; readonly id: string; readonly ok: boolean }
  /** An entry of a worker's log. */
  | {
    readonly kind: "log";
    readonly level: string;
    readonly event: string;
    readonly message: string;
    readonly id?: string;
    readonly attempt?: number;
  }
  /** What the harness did to a process: its pid is `target`. */
  | { readonly kind: "fault"; readonly fault: string; readonly target: number }
  /** A worker of the process began or ceased to work. */
  | { readonly kind: "up" | "down" };

/** What happened, when, and in which process. */
export type HistoryEvent = Happening & { readonly at: number; readonly pid: number };

/** Writes the history of this process. */
export class HistoryWriter {
  readonly #file: number;

  constructor(folder: string) {
    this.#file = openSync(join(folder, `${process.pid}.jsonl`), "a");
  }

  /** Notes what happened now. */
  note(happening: Happening): void {
    writeSync(
      this.#file,
      `${JSON.stringify({ at: Date.now(), pid: process.pid, ...happening })}\n`,
    );
  }

  /** Closes the file. */
  close(): void {
    closeSync(this.#file);
  }
}

/** The events of all processes, in the order of time. A last line that a kill cut off is left out. */
export function readHistory(folder: string): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".jsonl")) continue;
    const lines = readFileSync(join(folder, name), "utf8").split("\n");
    for (const line of lines.slice(0, -1)) events.push(JSON.parse(line));
  }
  return events.sort((a, b) => a.at - b.at);
}
