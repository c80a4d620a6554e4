/**
 * What commands that deal with many tasks share: choosing them, walking over them page by page, and how they are shown.
 *
 * @module
 */

import { shown } from "../core/duration.ts";
import { isTerminal, TASK_STATES, type TaskState } from "../core/task.ts";
import { closest } from "../core/validate.ts";
import type { Kit } from "../kit.ts";
import type { TaskInfo } from "../options.ts";
import type { Arguments, Flags } from "./arguments.ts";
import { CliError } from "./cli_error.ts";
import { counted, formatMs, relative } from "./format.ts";
import { type Piece, type Style, styled } from "./output.ts";
import { cut } from "./text.ts";

/** Which tasks. */
export interface Filter {
  readonly group?: string;
  readonly name?: string;
  /** Any of these; all where it is left out. */
  readonly states?: readonly TaskState[];
}

/** The flags of a filter. */
export const FILTER_FLAGS: Flags = {
  group: { value: "<name>", help: "only tasks of this group" },
  name: { value: "<name>", help: "only tasks of this name" },
  state: {
    value: "<state>",
    isRepeated: true,
    help: `only tasks in this state: ${TASK_STATES.join(", ")}`,
  },
};

/**
 * The filter that the flags tell of. `states` are those that make sense, where not all do.
 *
 * @throws {CliError} If a state is none of them.
 */
export function readFilter(
  args: Arguments,
  states: readonly TaskState[] = TASK_STATES,
): Filter {
  const group = args.text("group");
  const name = args.text("name");
  const chosen = args.texts("state").map((text) => {
    const state = states.find((state) => state === text);
    if (state !== undefined) return state;
    const meant = closest(text, states);
    throw new CliError(`Cannot read --state: ${shown(text)} is none of ${states.join(", ")}`, {
      hints: meant === null ? [] : [`did you mean ${meant}?`],
    });
  });
  return {
    ...(group === undefined ? {} : { group }),
    ...(name === undefined ? {} : { name }),
    ...(chosen.length > 0
      ? { states: chosen }
      : states.length < TASK_STATES.length
      ? { states }
      : {}),
  };
}

/** A page of tasks, and where it ended. */
export interface Page {
  readonly tasks: TaskInfo[];
  /** Continues after the page; null where there are no more. */
  readonly cursor: string | null;
}

const PAGE_TASKS = 500;

/** Tasks that fit, from the newest on, in pages, none of them empty: at most `limit`, and from `cursor` on. */
export async function* pages(
  kit: Kit,
  { states, ...filter }: Filter,
  options: { limit?: number; cursor?: string | null } = {},
): AsyncGenerator<Page> {
  const [state] = states ?? [];
  const one = states?.length === 1 && state !== undefined ? { state } : {};
  let { limit: left = Infinity, cursor = null } = options;
  do {
    const limit = Math.min(left, PAGE_TASKS);
    const page: Page = await kit.listTasks({ ...filter, ...one, limit, cursor });
    ({ cursor } = page);
    const tasks = page.tasks.filter((task) => states?.includes(task.state) ?? true);
    left -= tasks.length;
    if (tasks.length > 0) yield { tasks, cursor };
  } while (left > 0 && cursor !== null);
}

/** What a filter chooses, in words: `3 tasks (group "images", queued or running)`; without a count `all tasks (…)`. */
export function describe({ group, name, states }: Filter, count: number | null): string {
  const details = [
    ...(group === undefined ? [] : [`group ${JSON.stringify(group)}`]),
    ...(name === undefined ? [] : [`name ${JSON.stringify(name)}`]),
    ...(states === undefined ? [] : [states.join(" or ")]),
  ];
  const tasks = count === null ? "all tasks" : counted(count, "task");
  return details.length === 0 ? tasks : `${tasks} (${details.join(", ")})`;
}

const STATE_STYLES: Readonly<Record<TaskState, Style>> = {
  queued: "blue",
  running: "cyan",
  succeeded: "green",
  failed: "red",
  discarded: "yellow",
  cancelled: "magenta",
};

/** A state, as it is shown everywhere. */
export function statePiece(state: TaskState): Piece {
  return styled(STATE_STYLES[state], state);
}

const ERROR_CHARS_MAX = 200;

/** The header of {@linkcode taskRow}. */
export const TASK_HEADER: readonly Piece[] = ["ID", "STATE", "GROUP", "NAME", "ATTEMPT", "WHEN", ""]
  .map((text) => styled("dim", text));

/** A task as a row of a table. */
export function taskRow(task: TaskInfo, nowMs: number): Piece[] {
  const { id, state, group, name, attempt, error } = task;
  const about = error === null || state === "succeeded" ? "" : `${error.name}: ${error.message}`;
  return [
    id,
    statePiece(state),
    group,
    name,
    String(attempt),
    when(task, nowMs),
    cut(about, ERROR_CHARS_MAX),
  ];
}

function when({ state, due, started, ended }: TaskInfo, nowMs: number): string {
  if (state === "queued") {
    const ms = due.getTime() - nowMs;
    return ms > 0 ? `due in ${formatMs(ms)}` : `due for ${formatMs(-ms)}`;
  }
  if (isTerminal(state)) return ended === null ? "" : relative(ended, nowMs);
  return started === null ? "" : `for ${formatMs(Math.max(0, nowMs - started.getTime()))}`;
}
