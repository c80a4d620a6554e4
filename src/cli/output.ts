/**
 * A stream that people or programs read. All text goes through here piece by piece, so that control characters from data
 * never reach a terminal, colours appear only where they are wanted, and a reader that goes away harms nothing.
 *
 * @module
 */

import { printable } from "../core/printable.ts";
import { printableJson } from "./text.ts";

/** How a piece of text may look. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan";

/** Text with a look. */
export interface Styled {
  readonly text: string;
  readonly style: Style;
}

/** What a line is made of. */
export type Piece = string | Styled;

/** The part of a Node stream that is used. */
export interface Sink {
  write(text: string, done: (error?: Error | null) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** What a stream is connected to. */
export interface OutputOptions {
  readonly isTerminal: boolean;
  readonly hasColors: boolean;
  /** The width of the terminal; asked each time, since windows change. */
  readonly columns: () => number;
}

const SGR: Readonly<Record<Style, number>> = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
};
/** Lines that wait for a slow reader; more are left out, and counted, so that a log never fills the memory. */
const LINES_WAITING_MAX = 10_000;
/** A status line is drawn anew at most this often. */
const STATUS_PAUSE_MS = 80;

/** Text with a look. */
export function styled(style: Style, text: string): Styled {
  return { style, text };
}

/** The text of a piece. */
export function plainText(piece: Piece): string {
  return typeof piece === "string" ? piece : piece.text;
}

/** One output stream. */
export class Output {
  readonly isTerminal: boolean;
  readonly #sink: Sink;
  readonly #options: OutputOptions;
  readonly #onClosed = new Set<() => void>();
  #isClosed = false;
  #waiting = 0;
  #leftOut = 0;
  #flushed: PromiseWithResolvers<void> | null = null;
  #hasStatus = false;
  #statusAt = -Infinity;

  constructor(sink: Sink, options: OutputOptions) {
    this.isTerminal = options.isTerminal;
    this.#sink = sink;
    this.#options = options;
    sink.on("error", () => this.#close());
  }

  /** Whether its reader went away; what is written from then on goes nowhere. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls back when its reader goes away, at once if it has. */
  onClosed(listener: () => void): void {
    if (this.#isClosed) listener();
    else this.#onClosed.add(listener);
  }

  /** Writes one line. */
  line(...pieces: Piece[]): void {
    if (this.#waiting >= LINES_WAITING_MAX) {
      this.#leftOut++;
      return;
    }
    if (this.#leftOut > 0) {
      const text = `… ${this.#leftOut} lines were left out: they came faster than they were read`;
      this.#leftOut = 0;
      this.#write(`${text}\n`);
    }
    this.#write(`${this.#render(pieces)}\n`);
  }

  /** Writes a value as one line of JSON. Nothing is ever left out: whoever writes a lot awaits {@linkcode flush}. */
  json(value: unknown): void {
    this.#write(`${printableJson(value)}\n`);
  }

  /** Like {@linkcode json}, for logs: where the reader is slow, entries are left out rather than kept. */
  jsonEntry(value: unknown): void {
    if (this.#waiting >= LINES_WAITING_MAX) this.#leftOut++;
    else {
      if (this.#leftOut > 0) {
        this.json({ level: "warn", event: "log.left_out", entries: this.#leftOut });
        this.#leftOut = 0;
      }
      this.json(value);
    }
  }

  /** Writes lines as they are but for their control characters. */
  text(text: string): void {
    for (const line of text.split("\n")) this.line(line);
  }

  /** Shows how far something is: on a terminal, in one line that the next output replaces; nowhere else. */
  status(...pieces: Piece[]): void {
    const now = performance.now();
    if (!this.isTerminal || now - this.#statusAt < STATUS_PAUSE_MS) return;
    this.#statusAt = now;
    const text = printable(pieces.map(plainText).join(""));
    const columns = Math.max(10, this.#options.columns() - 1);
    this.#write(text.slice(0, columns));
    this.#hasStatus = true;
  }

  /** Takes the status line away. */
  clearStatus(): void {
    if (this.#hasStatus) this.#write("");
  }

  /** Writes a question, and stays on its line. */
  prompt(text: string): void {
    this.#write(printable(text));
  }

  /** Resolves when everything was handed over, or its reader went away. */
  flush(): Promise<void> {
    if (this.#waiting === 0 || this.#isClosed) return Promise.resolve();
    this.#flushed ??= Promise.withResolvers();
    return this.#flushed.promise;
  }

  #render(pieces: readonly Piece[]): string {
    return pieces.map((piece) => {
      const text = printable(plainText(piece));
      if (typeof piece === "string" || !this.#options.hasColors || text === "") return text;
      return `\x1b[${SGR[piece.style]}m${text}\x1b[0m`;
    }).join("");
  }

  #write(text: string): void {
    if (this.#isClosed) return;
    const clear = this.#hasStatus ? "\r\x1b[K" : "";
    this.#hasStatus = false;
    this.#waiting++;
    this.#sink.write(clear + text, (error) => {
      this.#waiting--;
      if (error) this.#close();
      if (this.#waiting === 0) this.#settleFlush();
    });
  }

  #settleFlush(): void {
    this.#flushed?.resolve();
    this.#flushed = null;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#settleFlush();
    for (const listener of this.#onClosed) listener();
    this.#onClosed.clear();
  }
}
