/**
 * Entries of schedulers: what callers write, checked and turned into what the scheduler works with.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { checkTimeout, type TaskDefinition } from "../core/define.ts";
import { type Duration, shown, toMilliseconds } from "../core/duration.ts";
import { InvalidArgument, InvalidData, InvalidSchedule } from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import {
  PRIORITY_DEFAULT,
  PRIORITY_MAX,
  SCHEDULE_DATA_BYTES_MAX,
  SCHEDULE_ENTRIES_MAX,
  TTL_MS_DEFAULT,
} from "../core/limits.ts";
import { checkFields, checkInteger, checkName } from "../core/validate.ts";
import type { ScheduleRecord, StoredSchedule } from "../store/schedules.ts";
import { CronSchedule } from "./cron.ts";
import { IntervalSchedule } from "./interval.ts";
import { scheduleFromJSON, type ScheduleJSON } from "./json.ts";
import { RegularSchedule } from "./regular.ts";
import { readPolicies, type Schedule } from "./schedule.ts";
import { zoneOf } from "./zone.ts";

/** What every entry says. */
export interface EntryOptions {
  /** Its name within its scheduler. Its state is kept under it, through restarts and changes of the schedule. */
  readonly key: string;
  /** When it fires. */
  readonly schedule: Schedule;
  /** How long the outcome of its tasks is kept. Default: 7 days. */
  readonly ttl?: Duration;
  /** From 0 (taken first) to 9. Default: 5. */
  readonly priority?: number;
  /** How long an attempt may take. Default: what the group or the definition says. */
  readonly timeout?: Duration;
}

/**
 * An entry of a scheduler: something that recurs, and the task that it makes at each of its points. The task is said by
 * group and name, or by a definition; its data is encoded once, when the worker starts, and has at most 30,000 bytes.
 */
export type ScheduleEntry =
  | EntryOptions & {
    /** The group of its tasks. */
    readonly group: string;
    /** Their name. */
    readonly name: string;
    /** Their data. */
    readonly data?: unknown;
    readonly task?: undefined;
  }
  | EntryOptions & {
    /** What its tasks are, made by `defineTask`. */
    readonly task: TaskDefinition;
    /** Their data, checked by the definition. */
    readonly data?: unknown;
    readonly group?: undefined;
    readonly name?: undefined;
  };

/** Schedulers by name, each with its entries. */
export type Schedules = Readonly<Record<string, readonly ScheduleEntry[]>>;

/** What an entry makes. */
export interface EntryTask {
  readonly scheduler: string;
  readonly key: string;
  readonly group: string;
  readonly name: string;
  readonly data: Uint8Array;
  readonly ttlMs: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
}

/** An entry that was checked: what it makes, and when. */
export interface ReadEntry extends EntryTask {
  readonly schedule: Schedule;
  readonly timeZone: string;
}

const FIELDS = ["key", "schedule", "group", "name", "data", "task", "ttl", "priority", "timeout"];

/**
 * Checks the entries of all schedulers.
 *
 * @throws {InvalidSchedule} If two entries of a scheduler have the same key, or a schedule is none.
 * @throws {InvalidArgument} If a name or an option cannot be used.
 * @throws {InvalidData} If the data does not fit the definition or cannot be encoded.
 */
export async function readSchedules(
  schedules: Schedules,
  timeZone: string,
  handler: TaskHandler,
): Promise<ReadEntry[]> {
  if (typeof schedules !== "object" || schedules === null) {
    throw new InvalidArgument(
      "Cannot use schedules: pass an object of schedulers, such as { main: [entry] }",
    );
  }
  zoneOf(timeZone);
  const read: ReadEntry[] = [];
  for (const [scheduler, entries] of Object.entries(schedules)) {
    if (!Array.isArray(entries)) {
      throw new InvalidArgument(`Cannot use scheduler "${scheduler}": its entries are no array`);
    }
    const keys = new Set<string>();
    for (const entry of entries as readonly ScheduleEntry[]) {
      const one = await readEntry(checkName(scheduler, "a scheduler"), entry, timeZone, handler);
      if (keys.has(one.key)) {
        throw new InvalidSchedule(
          `Cannot use scheduler "${scheduler}": it has two entries with the key "${one.key}"`,
        );
      }
      keys.add(one.key);
      read.push(one);
    }
  }
  checkInteger(read.length, "the number of entries", 0, SCHEDULE_ENTRIES_MAX);
  return read;
}

/**
 * Checks one entry.
 *
 * @throws {InvalidSchedule} If its schedule is none, or the time zone does not exist.
 * @throws {InvalidArgument} If a name or an option cannot be used.
 * @throws {InvalidData} If the data does not fit the definition or cannot be encoded.
 */
export async function readEntry(
  scheduler: string,
  entry: ScheduleEntry,
  timeZone: string,
  handler: TaskHandler,
): Promise<ReadEntry> {
  checkFields(entry, "an entry of a scheduler", FIELDS);
  zoneOf(timeZone);
  const key = checkName(entry.key, "the key of an entry");
  const { schedule, task, data, ttl, priority = PRIORITY_DEFAULT, timeout } = entry;
  if (typeof schedule?.next !== "function") {
    throw new InvalidSchedule(
      `Cannot use entry "${key}": its schedule is ${
        shown(schedule)
      }; pass a RegularSchedule, CronSchedule, IntervalSchedule, or an object with next()`,
    );
  }
  readPolicies(schedule, `use entry "${key}"`);
  if (task !== undefined) {
    const isBoth = entry.group !== undefined || entry.name !== undefined;
    if (typeof task?.validate !== "function" || isBoth) {
      throw new InvalidArgument(
        `Cannot use entry "${key}": give either a task made by defineTask, or a group and a name`,
      );
    }
    await task.validate(data);
  }
  const group = checkName(task?.group ?? entry.group, `the group of entry "${key}"`);
  const name = checkName(task?.name ?? entry.name, `the name of entry "${key}"`);
  const bytes = handler.encodeData(group, name, data);
  if (!(bytes instanceof Uint8Array)) {
    throw new InvalidData(`Cannot use entry "${key}": encodeData returned no Uint8Array`);
  }
  if (bytes.length > SCHEDULE_DATA_BYTES_MAX) {
    throw new InvalidArgument(
      `Cannot use entry "${key}": its data has ${bytes.length} bytes; the bound is ${SCHEDULE_DATA_BYTES_MAX}`,
    );
  }
  return {
    scheduler,
    key,
    group,
    name,
    data: bytes,
    ttlMs: ttl === undefined ? TTL_MS_DEFAULT : toMilliseconds(ttl, "ttl"),
    priority: checkInteger(priority, "priority", 0, PRIORITY_MAX),
    timeoutMs: timeout === undefined ? null : checkTimeout(timeout),
    schedule,
    timeZone,
  };
}

/** What can be kept in the database. A class of the user's own may extend one of them: its points are another matter. */
const KINDS: readonly unknown[] = [RegularSchedule, CronSchedule, IntervalSchedule];

/** The schedule as plain data; null for one of the user's own, which only the program that made it can follow. */
export function toStoredJSON(schedule: Schedule): unknown {
  return KINDS.includes(schedule.constructor) ? JSON.parse(JSON.stringify(schedule)) : null;
}

/**
 * The entry that the database describes, or null if its schedule is one of the user's own.
 *
 * @throws {InvalidSchedule} If what is stored is no schedule.
 */
export function fromStored(stored: StoredSchedule): ReadEntry | null {
  const { scheduler, key, record } = stored;
  if (record.schedule === null) return null;
  const schedule = scheduleFromJSON(record.schedule as ScheduleJSON);
  return { ...madeBy(scheduler, key, record), schedule, timeZone: record.timeZone };
}

/** What the entry that the database describes makes. */
export function madeBy(scheduler: string, key: string, record: ScheduleRecord): EntryTask {
  const { group, name, ttlMs, priority, timeoutMs } = record;
  const data = new Uint8Array(Buffer.from(record.data, "base64"));
  return { scheduler, key, group, name, data, ttlMs, priority, timeoutMs };
}
