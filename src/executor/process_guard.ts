/**
 * A thread in a process of the process executor. It waits for the worker to go away and then ends the process, even if
 * the handler computes without end.
 *
 * @module
 */

import { createReadStream } from "node:fs";
import process from "node:process";

/** Standard input: the one descriptor that a thread of Deno may read without having opened it. */
const LIFELINE = 0;

createReadStream("", { fd: LIFELINE, autoClose: false })
  .on("data", () => {})
  // It cannot be listened to; the process then ends when its handler comes to wait.
  .on("error", () => {})
  .on("end", () => {
    try {
      process.kill(process.pid, "SIGKILL");
    } catch {
      // Not permitted: likewise.
    }
  });
