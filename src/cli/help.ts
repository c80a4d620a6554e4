/**
 * The help texts: an overview, and one page a command.
 *
 * @module
 */

import type { Flags } from "./arguments.ts";
import { EXIT_HELP } from "./cli_error.ts";
import { type Command, COMMON_FLAGS } from "./command.ts";

const LINE_CHARS = 96;

/** The overview of all commands. */
export function overview(commands: readonly Command[], version: string): string {
  return [
    `Taskkit ${version}: background tasks on Deno KV`,
    "",
    "Usage: taskkit [command] [arguments] [flags]",
    "",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    'Without a command it is a worker that starts. "taskkit <command> --help" tells more.',
    "",
    '"taskkit" stands for one of',
    ...columns([
      ["deno run -A jsr:@taskkit/taskkit/cli", "in a project that uses Deno"],
      ["bun taskkit.ts", "in one that uses Bun, with a file of your own that says"],
      ["", 'import "@taskkit/taskkit/cli";'],
      ["deno task worker", "in the sources of Taskkit"],
    ]),
    "",
    "Flags of every command:",
    ...flagLines({ ...COMMON_FLAGS, version: { help: "the version, without a command" } }),
    "",
    "Flags come before what taskkit.config.ts says. Paths in flags are relative to the current folder",
    "(for a task of deno.json: the folder it stands in), those in the configuration to its own.",
    "",
    ...exitLines(),
  ].join("\n");
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const { name, summary, usage, about, flags, examples } = command;
  const sections = [
    `taskkit ${name}: ${summary}`,
    "",
    `Usage: taskkit ${name} ${usage === "" ? "" : `${usage} `}[flags]`,
    ...about.flatMap((paragraph) => ["", ...wrap(paragraph, LINE_CHARS)]),
  ];
  if (Object.keys(flags).length > 0) sections.push("", "Flags:", ...flagLines(flags));
  sections.push("", "Flags of every command:", ...flagLines(COMMON_FLAGS));
  if (examples.length > 0) {
    sections.push("", "Examples:", ...examples.map((example) => `  taskkit ${example}`));
  }
  return [...sections, "", ...exitLines()].join("\n");
}

function exitLines(): string[] {
  return ["Exit codes:", ...columns(EXIT_HELP)];
}

function flagLines(flags: Flags): string[] {
  return columns(
    Object.entries(flags).map(([name, { short, value, help, isRepeated }]) => [
      `${short === undefined ? "    " : `-${short}, `}--${name}${
        value === undefined ? "" : ` ${value}`
      }`,
      isRepeated === true ? `${help} (may be repeated)` : help,
    ]),
  );
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.flatMap(([left, right]) =>
    wrap(right, LINE_CHARS - width).map((line, i) =>
      `${(i === 0 ? `  ${left}` : "").padEnd(width)}${line}`
    )
  );
}

function wrap(text: string, chars: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1] ?? "";
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + word.length < chars) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
