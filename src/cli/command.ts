/**
 * What a command is: its help as data, and what it does.
 *
 * @module
 */

import type { Arguments, Flags } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** One run of a command. */
export interface Call {
  readonly args: Arguments;
  readonly terminal: Terminal;
  /** Whether standard output is to be JSON, one value a line. */
  readonly isJson: boolean;
}

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** What it does, in half a line. */
  readonly summary: string;
  /** What follows its name, such as `"<group> <name> [data]"`. */
  readonly usage: string;
  /** How many arguments that are no flags it takes. */
  readonly positionals: readonly [min: number, max: number];
  /** Paragraphs of its help. */
  readonly about: readonly string[];
  /** Its flags, beside those that all commands have. */
  readonly flags: Flags;
  readonly examples: readonly string[];
  /** Does it, and resolves to the exit code. */
  run(call: Call): Promise<number>;
}

/** What all commands take. */
export const COMMON_FLAGS: Flags = {
  config: {
    value: "<path>",
    short: "c",
    help: "the configuration (default: taskkit.config.ts in the current folder, if it is there)",
  },
  kv: {
    value: "<path|url>",
    help: "the database: the path of a SQLite file, or a KV Connect URL, whose token comes from " +
      "DENO_KV_ACCESS_TOKEN",
  },
  handler: {
    value: "<path>",
    help: "the module that exports the handler; it also encodes and decodes data",
  },
  prefix: { value: "<name>", help: "the key part below which the tasks are stored" },
  json: { help: "JSON on standard output, one value a line, and nothing else there" },
  help: { short: "h", help: "this text" },
};
