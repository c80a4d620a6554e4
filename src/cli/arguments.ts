/**
 * Reads a command's arguments. A flag that there is not is an error that names the one that was probably meant.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { shown } from "../core/duration.ts";
import { closest } from "../core/validate.ts";
import { CliError } from "./cli_error.ts";

/** A flag. One without a placeholder is a switch. */
export interface Flag {
  /** What stands for its value in the help, such as `"<path>"`. */
  readonly value?: string;
  /** Whether it may be given several times. */
  readonly isRepeated?: boolean;
  /** One letter that means the same. */
  readonly short?: string;
  readonly help: string;
}

/** Flags by their name, without the dashes. */
export type Flags = Readonly<Record<string, Flag>>;

/** What was said on the command line. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.#values = values;
  }

  /** Whether the flag was given. */
  has(flag: string): boolean {
    return this.#values.has(flag);
  }

  /** The flag's value; the last one counts. */
  text(flag: string): string | undefined {
    return this.#values.get(flag)?.at(-1);
  }

  /** All values of a flag that may be repeated. */
  texts(flag: string): readonly string[] {
    return this.#values.get(flag) ?? [];
  }

  /**
   * The flag's value as a whole number.
   *
   * @throws {CliError} If it is none.
   */
  integer(flag: string, fallback: number): number {
    const text = this.text(flag);
    if (text === undefined) return fallback;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new CliError(`Cannot read --${flag}: ${shown(text)} is no whole number`);
  }
}

/**
 * Reads arguments by the flags that there are. `command` is for messages.
 *
 * @throws {CliError} If a flag is unknown, lacks its value, or has one that it does not take.
 */
export function readArguments(args: readonly string[], command: string, flags: Flags): Arguments {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value, short }]) => [name, {
      type: value === undefined ? "boolean" as const : "string" as const,
      ...(short === undefined ? {} : { short }),
    }]),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options,
    // What is wrong is said here, in the same words in every runtime.
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (flag === undefined) throw unknownFlag(rawName, command, flags);
    const given = values.get(name) ?? [];
    values.set(name, given);
    if (flag.value === undefined) {
      if (value !== undefined) {
        throw new CliError(
          `Cannot read ${rawName}: it takes no value, and was given ${shown(value)}`,
        );
      }
      given.push("");
      continue;
    }
    if (value === undefined || (!inlineValue && /^-./.test(value))) {
      throw new CliError(`Cannot read ${rawName}: its value is missing`, {
        hints: [`write ${rawName} ${flag.value}, or ${rawName}=… for one that begins with a dash`],
      });
    }
    given.push(value);
  }
  return new Arguments(positionals, values);
}

function unknownFlag(rawName: string, command: string, flags: Flags): CliError {
  const meant = closest(rawName.replace(/^-+/, ""), Object.keys(flags));
  return new CliError(`Cannot run ${command}: there is no flag ${shown(rawName)}`, {
    hints: [
      ...(meant === null ? [] : [`did you mean --${meant}?`]),
      `"taskkit ${command} --help" lists what there is`,
    ],
  });
}
