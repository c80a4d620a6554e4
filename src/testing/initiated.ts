/**
 * Finding the task that a test expects among those that were initiated, and saying where the nearest one differs.
 *
 * @module
 */

import { AssertionError } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";
import { type Duration, toMilliseconds } from "../core/duration.ts";
import type { TaskHandler } from "../core/handler.ts";
import { type TaskRecord, toInit, toTask } from "../core/task.ts";
import { checkFields } from "../core/validate.ts";
import type { InitiatedTask, TaskName } from "./test_kit.ts";

/** What a test expects of a task; what is left out may be anything. */
export interface Expected<Input = unknown> {
  /** Its data, equal in depth; or what says whether they are right. */
  readonly data?: Input | ((data: Input) => boolean);
  /** When it is due: an instant, or a duration from now. */
  readonly due?: Date | Duration;
  /** Its priority. */
  readonly priority?: number;
  /** Its unique key. */
  readonly unique?: string | null;
  /** Where it is in its life. */
  readonly state?: InitiatedTask["state"];
  /** How many there are. @default {one or more} */
  readonly count?: number;
}

const FIELDS = ["data", "due", "priority", "unique", "state", "count"];
/** Tasks that a message shows. */
const SHOWN_MAX = 10;

/** A task as tests see it; without its data where `bytes` is null. */
export function toInitiated(
  record: TaskRecord,
  handler: TaskHandler,
  bytes: Uint8Array | null,
): InitiatedTask {
  const { id, group, name, priority, unique, state, attempt } = record;
  const task = toTask(toInit(record, bytes ?? new Uint8Array(0)));
  return {
    id,
    group,
    name,
    data: bytes === null ? undefined : handler.decodeData(task),
    due: task.due,
    priority,
    unique,
    scheduled: task.scheduled,
    state,
    attempt,
  };
}

/** Those that fit. */
export function matching(
  all: readonly InitiatedTask[],
  task: TaskName,
  expected: Expected,
  now: Date,
): InitiatedTask[] {
  checkFields(expected, "what is expected of a task", FIELDS);
  return all.filter((one) =>
    one.group === task.group && one.name === task.name &&
    differences(one, expected, now).length === 0
  );
}

/** The error for a task that is not there. */
export function missing(
  { all, found, task, expected, now }: {
    all: readonly InitiatedTask[];
    found: readonly InitiatedTask[];
    task: TaskName;
    expected: Expected;
    now: Date;
  },
): AssertionError {
  const { group, name } = task;
  const named = all.filter((one) => one.group === group && one.name === name);
  const lines: string[] = [];
  if (found.length > 0) {
    lines.push(
      `Expected ${expected.count} tasks "${name}" of group "${group}", found ${found.length}:`,
      ...show(found),
    );
  } else if (named.length > 0) {
    lines.push(`Expected a task "${name}" of group "${group}" that was not initiated as such.`);
    const nearest = named.map((one) => ({ one, wrong: differences(one, expected, now) }))
      .reduce((a, b) => b.wrong.length < a.wrong.length ? b : a);
    lines.push(`The nearest of ${named.length} (${nearest.one.id}) differs in:`);
    for (const { field, expected, actual } of nearest.wrong) {
      lines.push(`  ${field}`, indented("- ", expected), indented("+ ", actual));
    }
  } else {
    lines.push(`Expected a task "${name}" of group "${group}"; none was initiated.`);
    lines.push(all.length === 0 ? "Nothing was initiated at all." : "What was initiated:");
    lines.push(...show(all));
  }
  return new AssertionError({ message: lines.join("\n"), actual: named, expected });
}

/** The error for tasks that should not be there. */
export function unwanted(found: readonly InitiatedTask[]): AssertionError {
  const message = ["Expected no such task; initiated were:", ...show(found)].join("\n");
  return new AssertionError({ message, actual: found, expected: [] });
}

interface Difference {
  readonly field: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

function differences(
  one: InitiatedTask,
  expected: Expected,
  now: Date,
): Difference[] {
  const wrong: Difference[] = [];
  const compare = (field: string, wanted: unknown, actual: unknown) => {
    if (!isDeepStrictEqual(actual, wanted)) wrong.push({ field, expected: wanted, actual });
  };
  if ("data" in expected) {
    const { data } = expected;
    if (typeof data !== "function") compare("data", data, one.data);
    else if (!Reflect.apply(data, undefined, [one.data])) {
      wrong.push({ field: "data", expected: data, actual: one.data });
    }
  }
  const { due, priority, unique, state } = expected;
  if (due !== undefined) compare("due", dueOf(due, now), one.due);
  if (priority !== undefined) compare("priority", priority, one.priority);
  if (unique !== undefined) compare("unique", unique, one.unique);
  if (state !== undefined) compare("state", state, one.state);
  return wrong;
}

function dueOf(due: Date | Duration, now: Date): Date {
  return due instanceof Date ? due : new Date(now.getTime() + toMilliseconds(due, "due"));
}

function show(tasks: readonly InitiatedTask[]): string[] {
  const lines = tasks.slice(0, SHOWN_MAX).map((one) =>
    `  ${one.group}/${one.name} ${text(one.data)}, ${one.state}, due ${one.due.toISOString()}`
  );
  const more = tasks.length - lines.length;
  return more > 0 ? [...lines, `  and ${more} more`] : lines;
}

function indented(sign: string, value: unknown): string {
  return text(value).split("\n").map((line) => `    ${sign}${line}`).join("\n");
}

function text(value: unknown): string {
  return inspect(value, { depth: 8, breakLength: 80, sorted: true });
}
