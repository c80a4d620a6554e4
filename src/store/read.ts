/**
 * Looking without touching: one task, pages of tasks, numbers.
 *
 * @module
 */

import { LIST_PAGE_MAX, PLACE_TASKS_MAX } from "../core/limits.ts";
import { isTerminal, type TaskRecord, type TaskState } from "../core/task.ts";
import type { Entry, Key } from "./port.ts";
import { decodeJson, isCount, isText, must } from "./record_codec.ts";
import { decodeLease, tryDecodeTask } from "./records.ts";
import { readMany, readOne, readPage, type Store } from "./store.ts";

/** Which tasks to list. */
export interface TaskFilter {
  readonly group?: string;
  readonly state?: TaskState;
  readonly name?: string;
}

/** A page of tasks; `cursor` continues, null at the end. */
export interface TaskPage {
  readonly records: TaskRecord[];
  readonly cursor: string | null;
}

/** Records that one call looks at, at most; a filter that matches little ends early, with a cursor. */
const LOOK_MAX = 20_000;

/** Tasks from the newest to the oldest. Those that cannot be read or whose ttl has passed are left out. */
export async function listTasks(
  store: Store,
  filter: TaskFilter,
  options: { limit: number; cursor: string | null },
): Promise<TaskPage> {
  const nowMs = store.clock.now();
  const records: TaskRecord[] = [];
  let { cursor } = options;
  let before: string | Key | undefined = cursor ?? undefined;
  for (let looked = 0; looked < LOOK_MAX;) {
    const limit = Math.min(LIST_PAGE_MAX, 4 * (options.limit - records.length) + 50);
    const page = await readPage(store, store.keys.tasksBefore(before), { limit, reverse: true });
    for (const entry of page) {
      const id = store.keys.readTask(entry);
      // A key that is none of ours stops nothing.
      if (id === null) continue;
      cursor = id;
      const record = tryDecodeTask(entry.value);
      if (record === null || isExpired(record, nowMs) || !matches(record, filter)) continue;
      records.push(record);
      if (records.length === options.limit) return { records, cursor };
    }
    looked += page.length;
    before = page.at(-1)?.key;
    if (page.length < limit) return { records, cursor: null };
  }
  return { records, cursor };
}

function matches(record: TaskRecord, filter: TaskFilter): boolean {
  return (filter.group === undefined || record.group === filter.group) &&
    (filter.state === undefined || record.state === filter.state) &&
    (filter.name === undefined || record.name === filter.name);
}

function isExpired(record: TaskRecord, nowMs: number): boolean {
  return record.expiresMs !== null && record.expiresMs <= nowMs;
}

/** Numbers of one group. */
export interface GroupStats {
  /** Tasks that wait, due or not. */
  queued: number;
  /** Of the queued ones, those that are due. */
  due: number;
  /** Tasks that a worker has claimed. */
  running: number;
  /** How long the oldest due task has been waiting, in milliseconds; null if none is due. */
  oldestDueMs: number | null;
  /** Tasks that succeeded, as long as their outcome is kept. */
  succeeded: number;
  /** Tasks that failed for good. */
  failed: number;
  /** Tasks that their handler discarded. */
  discarded: number;
  /** Tasks that were cancelled. */
  cancelled: number;
}

/** Counts every task of the database, in pages: about 200,000 a second. */
export async function countTasks(store: Store): Promise<Map<string, GroupStats>> {
  const nowMs = store.clock.now();
  const groups = new Map<string, GroupStats>();
  let before: Key | undefined;
  while (true) {
    const page = await readPage(store, store.keys.tasksBefore(before), {
      limit: LIST_PAGE_MAX,
      reverse: true,
    });
    for (const entry of page) {
      const record = store.keys.readTask(entry) === null ? null : tryDecodeTask(entry.value);
      if (record === null || isExpired(record, nowMs)) continue;
      const stats = groups.get(record.group) ?? emptyStats();
      groups.set(record.group, stats);
      stats[record.state]++;
      if (record.state !== "queued" || record.dueMs > nowMs) continue;
      stats.due++;
      stats.oldestDueMs = Math.max(stats.oldestDueMs ?? 0, nowMs - record.dueMs);
    }
    if (page.length < LIST_PAGE_MAX) return groups;
    before = page.at(-1)?.key;
  }
}

function emptyStats(): GroupStats {
  return {
    queued: 0,
    due: 0,
    running: 0,
    oldestDueMs: null,
    succeeded: 0,
    failed: 0,
    discarded: 0,
    cancelled: 0,
  };
}

/** How many due tasks of its group are taken before a queued one, as far as they are counted. */
export async function countAhead(
  store: Store,
  { group, priority, dueMs, id }: TaskRecord,
): Promise<number> {
  const nowMs = store.clock.now();
  let ahead = 0;
  let left = PLACE_TASKS_MAX;
  for (let other = 0; other <= priority && left > 0; other++) {
    const before = other === priority && dueMs <= nowMs
      ? store.keys.dueBefore(group, other, dueMs, id)
      : store.keys.dueBefore(group, other, nowMs + 1);
    const page = await readPage(store, before, { limit: left });
    ahead += page.filter((entry) => store.keys.readDue(entry) !== null).length;
    left -= page.length;
  }
  return ahead;
}

/** How many tasks of a group the workers hold, as far as they are counted. */
export async function countRunning(store: Store, group: string): Promise<number> {
  const leases = await readPage(store, store.keys.leases(), { limit: PLACE_TASKS_MAX });
  const keys = leases.flatMap(leasedTasks).slice(0, PLACE_TASKS_MAX).map((id) =>
    store.keys.task(id)
  );
  const records = (await readMany(store, keys)).map(({ value }) => tryDecodeTask(value));
  return records.filter((record) => record?.state === "running" && record.group === group).length;
}

/** The ids in a lease; none if it cannot be read. */
function leasedTasks({ value }: Entry): readonly string[] {
  try {
    return decodeLease(value).tasks;
  } catch {
    return [];
  }
}

/** What a handler told last about one attempt. */
export interface Progress {
  /** How far it is, from 0 to 1. */
  readonly fraction: number;
  /** What it said, for people; empty if nothing. */
  readonly message: string;
  /** The attempt that told it. */
  readonly attempt: number;
}

/** The progress of a task, if its current attempt told any. */
export async function readProgress(store: Store, record: TaskRecord): Promise<Progress | null> {
  if (isTerminal(record.state)) return null;
  const { value } = await readOne(store, store.keys.progress(record.id));
  try {
    const progress = decodeJson(value, "progress record", (fields) => ({
      fraction: must(fields.fraction, isFraction),
      message: must(fields.message, isText),
      attempt: must(fields.attempt, isCount),
    }));
    return progress.attempt === record.attempt ? progress : null;
  } catch {
    // A hint that cannot be read, or is absent, is none.
    return null;
  }
}

function isFraction(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}
