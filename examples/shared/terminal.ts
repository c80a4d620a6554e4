/**
 * The terminal around an example: its argument, Ctrl-C, and a progress bar.
 *
 * @module
 */

import { statSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { LogEntry } from "@taskkit/taskkit";
import { counted, printable } from "./text.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** The folder that was named, or else the current one. Ends the program with code 2 where there is no such folder. */
export function chosenFolder(): string {
  const [named = ".", ...more] = process.argv.slice(2);
  // `deno task` runs in the project's folder, and says where it was called.
  const cwd = process.cwd();
  const isTask = resolve(cwd) === resolve(PROJECT);
  const folder = resolve(isTask ? process.env.INIT_CWD ?? cwd : cwd, named);
  const problem = more.length > 0
    ? `one folder at a time: "${named}" and "${more[0]}"`
    : why(folder);
  if (problem !== null) {
    console.error(`Cannot look for duplicates: ${problem}`);
    process.exit(2);
  }
  return folder;
}

function why(folder: string): string | null {
  try {
    return statSync(folder).isDirectory() ? null : `"${folder}" is no folder`;
  } catch {
    return `there is no folder "${folder}"`;
  }
}

/** Aborts on Ctrl-C or SIGTERM, for a graceful end. The second one ends the program at once. */
export function stopOnCtrlC(): AbortSignal {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return stop.signal;
}

const DRAW_MS = 80;
const TELL_MS = 1_000;
const BAR_CHARS = 30;

/** Shows how far something is: a bar on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #total: number;
  readonly #startedAt = performance.now();
  readonly #isTerminal = process.stderr.isTTY === true;
  #done = 0;
  #shownAt = performance.now();

  constructor(total: number) {
    this.#total = total;
    if (!this.#isTerminal) console.error(`${counted(total, "file")} to read`);
  }

  /** One more is done. */
  step(): void {
    this.#done++;
    const now = performance.now();
    if (now - this.#shownAt < (this.#isTerminal ? DRAW_MS : TELL_MS)) return;
    this.#shownAt = now;
    this.#show();
  }

  /** For a worker's log: trouble is told above the bar. What became of a task is told by whoever waits for it. */
  readonly log = (entry: LogEntry): void => {
    if (entry.task !== undefined || entry.level !== "warn" && entry.level !== "error") return;
    this.close();
    console.error(printable(entry.message));
  };

  /** Takes the bar away. */
  close(): void {
    if (this.#isTerminal) process.stderr.write("\r\x1b[K");
  }

  #show(): void {
    const total = Math.max(this.#total, this.#done);
    const fraction = total === 0 ? 1 : this.#done / total;
    const rate = this.#done / ((performance.now() - this.#startedAt) / 1000);
    const text = `${Math.floor(100 * fraction)} %  ${this.#done.toLocaleString("en-US")} of ` +
      `${counted(total, "file")}, ${Math.round(rate).toLocaleString("en-US")} a second`;
    if (!this.#isTerminal) return console.error(text);
    const full = Math.round(fraction * BAR_CHARS);
    const bar = "█".repeat(full) + "░".repeat(BAR_CHARS - full);
    const line = `${bar} ${text}`.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1));
    process.stderr.write(`\r\x1b[K${line}`);
  }
}
