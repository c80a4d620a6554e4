/**
 * `schedules`: looks at recurring schedules and steers them.
 *
 * @module
 */

import { shown } from "../../core/duration.ts";
import { closest } from "../../core/validate.ts";
import type { Kit } from "../../kit.ts";
import type { ScheduleInfo } from "../../schedules.ts";
import { CliError, EXIT } from "../cli_error.ts";
import type { Call, Command } from "../command.ts";
import { confirm, YES_FLAG } from "../confirm.ts";
import { counted, relative, table } from "../format.ts";
import { type Piece, styled } from "../output.ts";
import { cut } from "../text.ts";
import { withKit } from "../with_kit.ts";

/** Something to do with schedules. */
interface Act {
  /** What follows its name. */
  readonly usage: string;
  /** How many arguments follow its name. */
  readonly positionals: readonly [min: number, max: number];
  readonly run: (call: Call, kit: Kit, args: readonly string[]) => Promise<number>;
}

const ACTS: ReadonlyMap<string, Act> = new Map<string, Act>([
  ["list", { usage: "", positionals: [0, 0], run: list }],
  ["next", { usage: "<key>", positionals: [1, 1], run: next }],
  ["trigger", { usage: "<key>", positionals: [1, 1], run: trigger }],
  ["pause", { usage: "<key…>", positionals: [1, Infinity], run: pause }],
  ["resume", { usage: "<key…>", positionals: [1, Infinity], run: resume }],
  ["backfill", { usage: "<key> <from> <to>", positionals: [3, 3], run: backfill }],
  ["remove", { usage: "<key…>", positionals: [1, Infinity], run: remove }],
]);
const SCHEDULER_DEFAULT = "main";
const NEXT_DEFAULT = 10;
const ERROR_CHARS_MAX = 200;

/** The command. */
export const schedulesCommand: Command = {
  name: "schedules",
  summary: "lists recurring schedules, triggers, pauses, resumes, backfills and removes them",
  usage: "[list | next | trigger | pause | resume | backfill | remove] [key…]",
  positionals: [0, Infinity],
  about: [
    "list (also where nothing is said) shows every entry with its next point; next <key> the next points of one.",
    "trigger <key> initiates a task of the entry now, beside its points, and prints its id. pause <key…> and " +
    "resume <key…>: what would have fired meanwhile does not fire late.",
    "backfill <key> <from> <to> creates the tasks of points in the past that do not exist yet; from and to are dates " +
    "with times, such as 2030-01-31T10:00Z.",
    "remove <key…> forgets an entry; it asks before, or takes --yes. An entry of a program comes back, and begins " +
    "anew, when a worker is started with it.",
    `Keys are those of the scheduler ${
      JSON.stringify(SCHEDULER_DEFAULT)
    }, unless --scheduler names another one.`,
  ],
  flags: {
    scheduler: {
      value: "<name>",
      help: "the scheduler that is meant; for a list: only its entries",
    },
    count: { value: "<n>", help: `next: so many points (default: ${NEXT_DEFAULT})` },
    ...YES_FLAG,
  },
  examples: [
    "schedules",
    "schedules next report --count 3",
    "schedules trigger report --scheduler nightly",
    "schedules backfill report 2030-01-30T00:00Z 2030-01-31T00:00Z",
  ],
  run(call) {
    const [name = "list", ...args] = call.args.positionals;
    const act = findAct(name);
    const [min, max] = act.positionals;
    if (args.length < min || args.length > max) {
      throw new CliError(
        `Cannot run schedules ${name}: ${
          args.length < min
            ? "something is missing"
            : `${JSON.stringify(args[max])} is one argument too many`
        }`,
        { hints: [`usage: taskkit schedules ${name} ${act.usage}`.trimEnd()] },
      );
    }
    return withKit(call, (kit) => act.run(call, kit, args));
  },
};

function findAct(name: string): Act {
  const act = ACTS.get(name);
  if (act !== undefined) return act;
  const names = [...ACTS.keys()];
  const meant = closest(name, names);
  throw new CliError(`Cannot run schedules ${JSON.stringify(name)}: there is no such thing to do`, {
    hints: [meant === null ? `there are ${names.join(", ")}` : `did you mean "${meant}"?`],
  });
}

function nameOf({ args }: Call, key: string): { scheduler: string; key: string } {
  return { scheduler: args.text("scheduler") ?? SCHEDULER_DEFAULT, key };
}

async function list({ args, terminal: { out, err }, isJson }: Call, kit: Kit): Promise<number> {
  const scheduler = args.text("scheduler");
  const all = await kit.schedules.list(scheduler === undefined ? {} : { scheduler });
  if (isJson) { for (const entry of all) out.json(entry); }
  else if (all.length === 0) err.line("There are no schedules");
  else {
    const head = ["SCHEDULER", "KEY", "SOURCE", "GROUP", "NAME", "NEXT", ""];
    const rows = all.map((entry) => row(entry, Date.now()));
    for (const line of table([head.map((text) => styled("dim", text)), ...rows])) out.line(...line);
  }
  return EXIT.ok;
}

function row(entry: ScheduleInfo, nowMs: number): Piece[] {
  const { scheduler, key, source, group, name } = entry;
  return [scheduler, key, source, group, name, nextPiece(entry), aboutNext(entry, nowMs)];
}

function nextPiece({ paused, error, next: [point], schedule }: ScheduleInfo): Piece {
  if (paused) return styled("yellow", "paused");
  if (error !== null) return styled("red", "unreadable");
  if (point !== undefined) return point.toISOString();
  // Only the program that made a schedule of its own knows its points.
  return schedule === null ? "?" : "never";
}

function aboutNext({ error, next: [point] }: ScheduleInfo, nowMs: number): string {
  if (error !== null) return cut(error, ERROR_CHARS_MAX);
  return point === undefined ? "" : relative(point, nowMs);
}

async function next(call: Call, kit: Kit, [key = ""]: readonly string[]): Promise<number> {
  const { args, terminal: { out, err }, isJson } = call;
  const { scheduler } = nameOf(call, key);
  const count = args.integer("count", NEXT_DEFAULT);
  const all = await kit.schedules.list({ scheduler, next: count });
  const entry = all.find((entry) => entry.key === key);
  if (entry === undefined) {
    const meant = closest(key, all.map((entry) => entry.key));
    throw new CliError(`Cannot find a schedule with the key ${shown(key)}`, {
      hints: meant === null ? [] : [`did you mean ${shown(meant)}?`],
    });
  }
  if (isJson) out.json({ scheduler, key, next: entry.next, paused: entry.paused });
  else {
    for (const point of entry.next) out.line(point.toISOString());
    if (entry.next.length === 0) err.line(whyNone(entry));
  }
  return EXIT.ok;
}

function whyNone({ paused, error, schedule }: ScheduleInfo): string {
  if (paused) return "It is paused";
  if (error !== null) return error;
  return schedule === null
    ? "Only the program that made its schedule knows its points"
    : "It has no more points";
}

async function trigger(call: Call, kit: Kit, [key = ""]: readonly string[]): Promise<number> {
  const id = await kit.schedules.trigger(nameOf(call, key));
  if (call.isJson) call.terminal.out.json({ ...nameOf(call, key), id });
  else call.terminal.out.line(id);
  return EXIT.ok;
}

function pause(call: Call, kit: Kit, keys: readonly string[]): Promise<number> {
  return each(call, keys, "paused", (name) => kit.schedules.pause(name));
}

function resume(call: Call, kit: Kit, keys: readonly string[]): Promise<number> {
  return each(call, keys, "resumed", (name) => kit.schedules.resume(name));
}

async function remove(call: Call, kit: Kit, keys: readonly string[]): Promise<number> {
  const what = `Remove ${keys.map((key) => JSON.stringify(key)).join(", ")}?`;
  if (!await confirm(call, what)) return EXIT.failed;
  return await each(call, keys, "removed", async (name) => {
    if (await kit.schedules.remove(name)) return;
    throw new CliError(`Cannot find a schedule with the key ${shown(name.key)}`);
  });
}

async function each(
  call: Call,
  keys: readonly string[],
  outcome: string,
  act: (name: { scheduler: string; key: string }) => Promise<void>,
): Promise<number> {
  const { terminal: { out }, isJson } = call;
  for (const key of keys) {
    const name = nameOf(call, key);
    await act(name);
    if (isJson) out.json({ ...name, outcome });
    else out.line(`${JSON.stringify(key)}: ${outcome}`);
  }
  return EXIT.ok;
}

async function backfill(
  call: Call,
  kit: Kit,
  [key = "", from = "", to = ""]: readonly string[],
): Promise<number> {
  const name = nameOf(call, key);
  const created = await kit.schedules.backfill(
    name,
    readInstant(from, "from"),
    readInstant(to, "to"),
  );
  if (call.isJson) call.terminal.out.json({ ...name, created });
  else call.terminal.out.line(`${JSON.stringify(key)}: ${counted(created, "task")} created`);
  return EXIT.ok;
}

/** With a zone, so that it means the same everywhere. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

function readInstant(text: string, what: string): Date {
  const instant = new Date(text);
  if (INSTANT.test(text) && !Number.isNaN(instant.getTime())) return instant;
  throw new CliError(`Cannot read ${what}: ${shown(text)} is no date with a time and a zone`, {
    hints: ["write it as 2030-01-31T10:00Z or 2030-01-31T19:00+09:00"],
  });
}
