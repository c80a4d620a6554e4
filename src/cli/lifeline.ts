/**
 * The pipe between a worker's process and its supervisor. The supervisor asks for a stop by bytes; that the pipe closes
 * tells that the supervisor is gone. The worker says that it has started, and that it ends in good order: an end of the
 * process without that word is a crash, whatever its exit code.
 *
 * @module
 */

import { createReadStream, writeSync } from "node:fs";
import process from "node:process";

/** The descriptor of the pipe in the worker's process. */
export const LIFELINE_FD = 3;
/** The variable that tells a process that it has a supervisor. */
export const LIFELINE_VARIABLE = "TASKKIT_SUPERVISED";

/** What a supervisor asks for, as bytes. */
export const ASK = { stop: 1, stopNow: 2 } as const;
/** What a worker says, as bytes. */
export const SAY = { started: 1, ended: 2 } as const;

/** The worker's end of the pipe. */
export interface Lifeline {
  /** Calls back when a stop is asked for, with how urgent it is: 1, or 2 for at once. */
  onAsked(listener: (urgency: number) => void): void;
  /** Says a word to the supervisor. */
  say(word: keyof typeof SAY): void;
}

/** The worker's end of the pipe, or null for a process without a supervisor. */
export function openLifeline(): Lifeline | null {
  if (process.env[LIFELINE_VARIABLE] !== "1") return null;
  // Programs that a handler starts have no supervisor of their own.
  delete process.env[LIFELINE_VARIABLE];
  return {
    onAsked(listener) {
      const stop = () => listener(ASK.stop);
      createReadStream("", { fd: LIFELINE_FD, autoClose: false })
        .on("data", (bytes) => {
          if (typeof bytes !== "string") { for (const byte of bytes) listener(byte); }
        })
        .on("end", stop)
        .on("error", stop);
    },
    say(word) {
      try {
        writeSync(LIFELINE_FD, Uint8Array.of(SAY[word]));
      } catch {
        // The supervisor is gone; nobody is left to be told.
      }
    },
  };
}
