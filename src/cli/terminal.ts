/**
 * What the command line has around it: streams, the folder it was started in, questions, and signals. Tests give it
 * another one.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { EXIT } from "./cli_error.ts";
import type { Lifeline } from "./lifeline.ts";
import { Output, type Sink } from "./output.ts";

/** The surroundings of a command. */
export interface Terminal {
  /** Relative paths of flags are relative to it. */
  readonly cwd: string;
  /** What was asked for. */
  readonly out: Output;
  /** Everything else: errors, hints, progress. */
  readonly err: Output;
  /** Whether somebody is there to answer a question. */
  readonly canAsk: boolean;
  /** The answer to a question, or null where the input ended. */
  ask(question: string): Promise<string | null>;
  /** The lines of the input. */
  readLines(): AsyncIterable<string>;
  /** Calls back for Ctrl-C (SIGINT) and SIGTERM, with the exit code for it and how many there were; returns how to end that. */
  onInterrupt(listener: (code: number, count: number) => void): () => void;
  /** The worker has started: from now on an end that is not in good order is a crash. */
  hasStarted(): void;
  /** Ends the process now. */
  exit(code: number): void;
}

/** The terminal of this process, which may have a supervisor. */
export function processTerminal(lifeline: Lifeline | null): Terminal {
  const err = outputOf(process.stderr);
  return {
    cwd: process.cwd(),
    out: outputOf(process.stdout),
    err,
    canAsk: process.stdin.isTTY === true && process.stderr.isTTY === true,
    ask(question) {
      err.prompt(question);
      const lines = createInterface({ input: process.stdin, terminal: false });
      return new Promise((resolve) => {
        lines.once("line", (line) => {
          resolve(line);
          lines.close();
        });
        lines.once("close", () => resolve(null));
      });
    },
    readLines: () => createInterface({ input: process.stdin, terminal: false }),
    onInterrupt(listener) {
      let count = 0;
      // With a supervisor it is the one that counts; a signal to this process alone, or to both, asks for a stop.
      const onInt = lifeline === null ? () => listener(EXIT.interrupted, ++count) : () => {};
      const onTerm = () => listener(EXIT.terminated, lifeline === null ? ++count : 1);
      lifeline?.onAsked((urgency) => listener(EXIT.interrupted, urgency));
      process.on("SIGINT", onInt);
      process.on("SIGTERM", onTerm);
      return () => {
        process.off("SIGINT", onInt);
        process.off("SIGTERM", onTerm);
      };
    },
    hasStarted: () => lifeline?.say("started"),
    exit: (code) => process.exit(code),
  };
}

function outputOf(stream: Sink & { isTTY?: boolean; columns?: number }): Output {
  const isTerminal = stream.isTTY === true;
  const { NO_COLOR, TERM } = process.env;
  return new Output(stream, {
    isTerminal,
    // https://no-color.org: set and not empty.
    hasColors: isTerminal && TERM !== "dumb" && (NO_COLOR === undefined || NO_COLOR === ""),
    columns: () => stream.columns ?? 80,
  });
}
