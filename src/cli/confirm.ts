/**
 * Asks before something is done that reaches far.
 *
 * @module
 */

import { CliError } from "./cli_error.ts";
import type { Flags } from "./arguments.ts";
import type { Call } from "./command.ts";

/** The flag that answers beforehand. */
export const YES_FLAG: Flags = { yes: { short: "y", help: "does it without asking" } };

/**
 * Whether to go on: said by `--yes`, or answered on a terminal.
 *
 * @throws {CliError} If neither is there.
 */
export async function confirm(
  { args, terminal, isJson }: Call,
  question: string,
): Promise<boolean> {
  if (args.has("yes")) return true;
  if (!terminal.canAsk || isJson) {
    throw new CliError(`Cannot ask "${question}": nobody is there to answer`, {
      hints: ["say --yes to do it without being asked"],
    });
  }
  const answer = await terminal.ask(`${question} [y/N] `);
  if (answer !== null && /^\s*(y|yes)\s*$/i.test(answer)) return true;
  terminal.err.line("Nothing was changed");
  return false;
}
