/**
 * How a command ends: its exit code, and the errors that lead to one.
 *
 * @module
 */

import { TaskkitError } from "../core/errors.ts";

/** The exit codes, as the help tells them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  database: 3,
  leaked: 4,
  interrupted: 130,
  terminated: 143,
} as const;

/** The table of exit codes for the help. */
export const EXIT_HELP: readonly (readonly [string, string])[] = [
  ["0", "done; for a worker: stopped gracefully, by a signal or by shutdown"],
  [
    "1",
    "failed: a task is not there, did not succeed, or cannot be changed; the answer was no; or an " +
    "unexpected error",
  ],
  ["2", "the command line, the configuration, the handler or the data cannot be used"],
  ["3", "the database cannot be opened, or did not answer"],
  ["4", "a worker without a supervisor stopped since too many of its threads would not end"],
  ["130", "ended early by Ctrl-C (a worker: by the second one); 143 by SIGTERM likewise"],
];

/** An error that is told as it is, with hints below it. */
export class CliError extends Error {
  readonly exitCode: number;
  /** Lines that say what to do. */
  readonly hints: readonly string[];

  constructor(message: string, options: { hints?: readonly string[]; exitCode?: number } = {}) {
    super(message);
    this.name = "CliError";
    this.hints = options.hints ?? [];
    this.exitCode = options.exitCode ?? EXIT.usage;
  }
}

/** The exit code for whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (!(error instanceof TaskkitError)) return EXIT.failed;
  switch (error.code) {
    case "INVALID_ARGUMENT":
    case "INVALID_DATA":
    case "DATA_TOO_LARGE":
    case "HANDLER_INVALID":
    case "INVALID_SCHEDULE":
    case "UNSUPPORTED":
      return EXIT.usage;
    case "KV_UNAVAILABLE":
    case "NEWER_VERSION":
    case "OUTCOME_UNKNOWN":
      return EXIT.database;
    case "RESULT_GET_TIMED_OUT":
      return error.cause === undefined ? EXIT.failed : EXIT.database;
    default:
      return EXIT.failed;
  }
}
