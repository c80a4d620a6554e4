/**
 * The command line as a function: finds the command, reads its arguments, runs it, and turns what goes wrong into a
 * message and an exit code.
 *
 * @module
 */

import { TaskkitError } from "../core/errors.ts";
import { closest } from "../core/validate.ts";
import { readArguments } from "./arguments.ts";
import { CliError, EXIT, exitCodeOf } from "./cli_error.ts";
import { type Command, COMMON_FLAGS } from "./command.ts";
import { cancelCommand } from "./commands/cancel.ts";
import { pauseCommand, resumeCommand, shutdownCommand } from "./commands/control.ts";
import { initiateCommand } from "./commands/initiate.ts";
import { listCommand } from "./commands/list.ts";
import { retryCommand } from "./commands/retry.ts";
import { schedulesCommand } from "./commands/schedules.ts";
import { showCommand } from "./commands/show.ts";
import { checkCommand } from "./commands/check.ts";
import { statsCommand } from "./commands/stats.ts";
import { workerCommand } from "./commands/worker.ts";
import { commandHelp, overview } from "./help.ts";
import { styled } from "./output.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** All commands, in the order of the overview. */
export const COMMANDS: readonly Command[] = [
  workerCommand,
  initiateCommand,
  listCommand,
  showCommand,
  cancelCommand,
  retryCommand,
  pauseCommand,
  resumeCommand,
  shutdownCommand,
  statsCommand,
  schedulesCommand,
  checkCommand,
];

/** Runs a command line (without the program's name) and resolves to the exit code. Never rejects. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  // Before anything is parsed, so that also an error of the parsing is told in the form that was asked for.
  const isJson = argv.includes("--json");
  let code: number;
  try {
    code = await dispatch(argv, terminal, isJson);
  } catch (error) {
    tell(error, terminal, isJson);
    code = exitCodeOf(error);
  }
  terminal.err.clearStatus();
  await Promise.all([terminal.out.flush(), terminal.err.flush()]);
  return code;
}

async function dispatch(
  argv: readonly string[],
  terminal: Terminal,
  isJson: boolean,
): Promise<number> {
  const [first, ...rest] = argv;
  if (first === "--version") {
    terminal.out.line(VERSION);
    return EXIT.ok;
  }
  const asksForHelp = first === "help" || first === "--help" || first === "-h";
  if (asksForHelp && rest[0] === undefined) {
    terminal.out.text(overview(COMMANDS, VERSION));
    return EXIT.ok;
  }
  const isNamed = first !== undefined && !first.startsWith("-");
  const command = asksForHelp
    ? findCommand(rest[0] ?? "")
    : isNamed
    ? findCommand(first)
    : workerCommand;
  const args = readArguments(asksForHelp ? [] : isNamed ? rest : argv, command.name, {
    ...command.flags,
    ...COMMON_FLAGS,
  });
  if (asksForHelp || args.has("help")) {
    terminal.out.text(commandHelp(command));
    return EXIT.ok;
  }
  checkCount(command, args.positionals);
  return await command.run({ args, terminal, isJson });
}

function findCommand(name: string): Command {
  const command = COMMANDS.find((command) => command.name === name);
  if (command !== undefined) return command;
  const names = COMMANDS.map(({ name }) => name);
  const meant = closest(name, names);
  throw new CliError(`Cannot run ${JSON.stringify(name)}: there is no such command`, {
    hints: [
      meant === null ? `there are ${names.join(", ")}` : `did you mean "${meant}"?`,
      '"taskkit --help" tells what each does',
    ],
  });
}

function checkCount({ name, usage, positionals: [min, max] }: Command, given: readonly string[]) {
  if (given.length >= min && given.length <= max) return;
  const what = given.length < min
    ? "something is missing"
    : `${JSON.stringify(given[max])} is one argument too many`;
  throw new CliError(`Cannot run ${name}: ${what}`, {
    hints: [`usage: taskkit ${name} ${usage}`.trimEnd(), `"taskkit ${name} --help" tells more`],
  });
}

function tell(error: unknown, { err }: Terminal, isJson: boolean): void {
  const message = error instanceof Error ? error.message : String(error);
  const hints = error instanceof CliError ? error.hints : [];
  if (isJson) {
    const code = error instanceof TaskkitError ? error.code : undefined;
    err.json({ error: { message, code, hints: hints.length === 0 ? undefined : hints } });
    return;
  }
  err.line(styled("red", "taskkit:"), ` ${message}`);
  for (const hint of hints) err.line(`  ${hint}`.trimEnd());
  // A defect of the program, or of a handler's codec: the place helps to find it.
  if (error instanceof CliError || error instanceof TaskkitError) return;
  const [, ...stack] = (error instanceof Error ? error.stack ?? "" : "").split("\n");
  for (const line of stack.slice(0, 10)) err.line(styled("dim", line));
}
