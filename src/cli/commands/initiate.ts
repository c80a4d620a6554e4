/**
 * `initiate`: initiates one task, or one for each line of the input.
 *
 * @module
 */

import { shown } from "../../core/duration.ts";
import { TaskkitError } from "../../core/errors.ts";
import { DATA_BYTES_MAX } from "../../core/limits.ts";
import type { Kit } from "../../kit.ts";
import type { InitiateOptions } from "../../options.ts";
import type { Result } from "../../result.ts";
import type { Arguments } from "../arguments.ts";
import { CliError, EXIT, exitCodeOf } from "../cli_error.ts";
import type { Call, Command } from "../command.ts";
import { counted, formatCount } from "../format.ts";
import { styled } from "../output.ts";
import { printValue } from "../values.ts";
import { withKit } from "../with_kit.ts";

/** Tasks in one call of `initiateTasks`: a few commits. */
const BATCH_TASKS = 500;
/** Characters of a batch's lines: a batch of long lines is a short one. */
const BATCH_CHARS = 8 * DATA_BYTES_MAX;
/** JSON of data takes at most so much; the encoded form has its own bound, which the Kit checks. */
const INPUT_CHARS_MAX = 16 * DATA_BYTES_MAX;

/** The command. */
export const initiateCommand: Command = {
  name: "initiate",
  summary: "initiates a task, or one for each line of the input",
  usage: "<group> <name> [data]",
  positionals: [2, 3],
  about: [
    'The data is JSON; "-" reads it from standard input. The handler encodes it, where there is one.',
    "Prints the id of the task. With --wait it then waits for the result and prints it; the exit code is 1 if the " +
    "task does not succeed in time, and the task goes on.",
  ],
  flags: {
    due: {
      value: "<when>",
      help:
        "not before: a duration from now, or a date and time such as 2030-01-31T10:00Z (default: now)",
    },
    ttl: { value: "<duration>", help: "how long the outcome is kept after the end (default: 7d)" },
    priority: { value: "<n>", help: "from 0, taken first, to 9 (default: 5)" },
    timeout: { value: "<duration>", help: "how long an attempt may take (default: no bound)" },
    unique: {
      value: "<key>",
      help: "a key that only one task may hold until it ends; if one does, that one is meant",
    },
    text: { help: "the data is text as it stands, not JSON" },
    lines: { help: "one task for each line of standard input, which is its data" },
    wait: { value: "<duration>", help: "waits so long for the result and prints it" },
  },
  examples: [
    `initiate images resize '{ "file": "a.jpg" }' --due 10s`,
    "initiate text count --text 'to be or not to be' --wait 30s",
    "initiate images resize --lines --json < files.jsonl",
  ],
  run: (call) => withKit(call, (kit) => initiate(call, kit)),
};

async function initiate(call: Call, kit: Kit): Promise<number> {
  const { args, terminal } = call;
  const [group = "", name = "", dataText] = args.positionals;
  const options = taskOptions(args);
  if (args.has("lines")) {
    if (dataText !== undefined || args.has("wait") || args.has("unique")) {
      throw new CliError("Cannot initiate: --lines takes neither data, nor --wait, nor --unique");
    }
    return await initiateLines(call, kit, { ...options, group, name });
  }
  const text = dataText === "-" ? await readAll(terminal.readLines()) : dataText;
  const data = text === undefined ? undefined : readData(text, args.has("text"));
  const result = await kit.initiateTask(group, name, data, options);
  if (call.isJson) terminal.out.json({ id: result.id, group, name });
  else terminal.out.line(result.id);
  const wait = args.text("wait");
  return wait === undefined ? EXIT.ok : await awaitResult(call, result, wait);
}

async function initiateLines(
  { args, terminal, isJson }: Call,
  kit: Kit,
  task: InitiateOptions & { group: string; name: string },
): Promise<number> {
  const { out, err } = terminal;
  let lineNumber = 0;
  let count = 0;
  let chars = 0;
  let batch: unknown[] = [];
  const send = async () => {
    const results = await kit.initiateTasks(batch.map((data) => ({ ...task, data })));
    for (const { id } of results) {
      if (isJson) out.json({ id, group: task.group, name: task.name });
      else out.line(id);
    }
    await out.flush();
    count += batch.length;
    err.status(`${formatCount(count)} initiated`);
    batch = [];
    chars = 0;
  };
  for await (const line of terminal.readLines()) {
    lineNumber++;
    if (line.trim() === "") continue;
    try {
      batch.push(readData(line, args.has("text")));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      await send();
      throw new CliError(`${error.message}, in line ${lineNumber} of the input`, {
        hints: [`${counted(count, "task")} initiated from the lines before it`],
      });
    }
    chars += line.length;
    if (batch.length >= BATCH_TASKS || chars >= BATCH_CHARS) await send();
  }
  if (batch.length > 0) await send();
  err.clearStatus();
  if (!isJson) err.line(`Initiated ${counted(count, "task")}`);
  return EXIT.ok;
}

async function awaitResult(call: Call, result: Result, timeout: string): Promise<number> {
  const { out, err } = call.terminal;
  await out.flush();
  try {
    const value = await result.get({ timeout });
    if (call.isJson) out.json({ id: result.id, state: "succeeded", result: value });
    else printValue(out, value);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof TaskkitError)) throw error;
    switch (error.code) {
      case "TASK_FAILED":
      case "TASK_DISCARDED":
      case "TASK_CANCELLED":
      case "RESULT_GET_TIMED_OUT": {
        const { code, message } = error;
        if (call.isJson) out.json({ id: result.id, error: { code, message } });
        else err.line(styled("red", message));
        return exitCodeOf(error);
      }
      default:
        throw error;
    }
  }
}

function taskOptions(args: Arguments): InitiateOptions {
  const given = Object.entries({
    due: args.has("due") ? readDue(args.text("due") ?? "") : undefined,
    ttl: args.text("ttl"),
    timeout: args.text("timeout"),
    unique: args.text("unique"),
    priority: args.has("priority") ? args.integer("priority", 0) : undefined,
  }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

/** A date where it begins like one; the Kit reads the rest as a duration. */
function readDue(text: string): string | Date {
  if (!/^\d{4}-/.test(text)) return text;
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date;
  throw new CliError(`Cannot read --due: ${shown(text)} is no date`, {
    hints: [
      "write 2030-01-31T10:00Z, with the offset of another zone +09:00, or a duration such as 10s",
    ],
  });
}

function readData(text: string, isText: boolean): unknown {
  if (isText) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError(`Cannot read the data: ${shown(text)} is no JSON`, {
      hints: [
        `quote it for the shell, as in '{ "file": "a.jpg" }', or say --text for text as it stands`,
      ],
    });
  }
}

async function readAll(lines: AsyncIterable<string>): Promise<string> {
  const read: string[] = [];
  let chars = 0;
  for await (const line of lines) {
    read.push(line);
    chars += line.length + 1;
    if (chars > INPUT_CHARS_MAX) {
      throw new CliError(`Cannot read the data: it is longer than ${INPUT_CHARS_MAX} characters`);
    }
  }
  return read.join("\n");
}
