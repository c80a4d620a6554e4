/**
 * Transactions of recurring schedules. One record an entry holds what it makes and how far it has come.
 *
 * ```text
 * put      checks the record; sets it; rings the schedules' doorbell
 * remove   checks the record; deletes it; rings
 * fire     reads    the keys of the points' tasks, to leave out those that exist (a backfill, an earlier life)
 *          checks   the record; each task's key is absent
 *          sets     the record at its new state; the tasks, their due entries, the doorbells of their groups
 * doubtful reads the record: our token → committed; anything else → somebody was first
 * ```
 *
 * The state moves in the commit that makes the tasks, under a check of its old version, and a task's id is made from its
 * point: two schedulers, a repeated commit or a clock that was set back cannot fire a point twice. There is no leader.
 *
 * @module
 */

import { LIST_PAGE_MAX } from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { isTerminal } from "../core/task.ts";
import { Changes, commit } from "./commit.ts";
import type { Draft } from "./enqueue.ts";
import type { Key } from "./port.ts";
import { decodeJson, encodeJson, isCount, isText, must } from "./record_codec.ts";
import { addPayload, addTask, tryDecodeTask } from "./records.ts";
import { readMany, readOne, readPage, type Store } from "./store.ts";

/** What is stored of an entry. */
export interface ScheduleRecord {
  /** Whether the entry lives in the program that a worker runs, or in the database alone. */
  readonly source: "code" | "stored";
  readonly group: string;
  readonly name: string;
  /** The encoded data, as base64. */
  readonly data: string;
  readonly ttlMs: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  /** The schedule as plain data; null for one of the user's own. */
  readonly schedule: unknown;
  readonly timeZone: string;
  readonly paused: boolean;
  /** The last point that was decided, or when the entry began. */
  readonly decidedMs: number;
  /** What the schedule was then. */
  readonly fingerprint: string;
  /** The task that the entry made last. */
  readonly lastTask: string | null;
  readonly op: string;
}

/** An entry as it lies in the database. */
export interface StoredSchedule {
  readonly scheduler: string;
  readonly key: string;
  readonly version: string;
  readonly record: ScheduleRecord;
}

/** One entry, or null. */
export async function readSchedule(
  store: Store,
  scheduler: string,
  key: string,
): Promise<StoredSchedule | null> {
  const { value, versionstamp } = await readOne(store, store.keys.schedule(scheduler, key));
  return versionstamp === null
    ? null
    : { scheduler, key, version: versionstamp, record: decode(value) };
}

/** All entries, of one scheduler or of every one. Those that cannot be read are left out. */
export async function listSchedules(store: Store, scheduler?: string): Promise<StoredSchedule[]> {
  const all: StoredSchedule[] = [];
  const prefix = store.keys.schedules(scheduler);
  for (let selector = prefix;;) {
    const page = await readPage(store, selector, { limit: LIST_PAGE_MAX });
    for (const entry of page) {
      const [, name, key] = store.keys.parts(entry);
      if (typeof name !== "string" || typeof key !== "string" || entry.versionstamp === null) {
        continue;
      }
      try {
        all.push({
          scheduler: name,
          key,
          version: entry.versionstamp,
          record: decode(entry.value),
        });
      } catch {
        // One record that cannot be read must not stop the others.
      }
    }
    const last = page.at(-1);
    if (page.length < LIST_PAGE_MAX || last === undefined) return all;
    selector = store.keys.afterSchedule(scheduler, last);
  }
}

/** Writes an entry over the version that was read (null: there was none). Returns what lies there now, and whether it is ours. */
export async function putSchedule(
  store: Store,
  scheduler: string,
  key: string,
  version: string | null,
  record: Omit<ScheduleRecord, "op">,
): Promise<{ stored: StoredSchedule | null; isOurs: boolean }> {
  return await write(store, scheduler, key, version, { ...record, op: store.ids.token() }, []);
}

/** Deletes an entry; false if it was changed or deleted meanwhile. */
export async function removeSchedule(store: Store, entry: StoredSchedule): Promise<boolean> {
  const changes = new Changes();
  const key = store.keys.schedule(entry.scheduler, entry.key);
  changes.check(key, entry.version);
  changes.delete(key);
  const bell = store.keys.scheduleBell();
  changes.set(bell, new TextEncoder().encode(store.ids.token()));
  const answer = await commit(store, changes);
  const isGone = answer.kind === "committed" || (await readOne(store, key)).versionstamp === null;
  if (isGone) store.bells.ring([bell]);
  return isGone;
}

/**
 * Makes the tasks of points and moves the entry on, both or neither. Tasks that exist already are left as they are.
 * At most {@linkcode pointsPerCommit} drafts.
 */
export async function fireSchedule(
  store: Store,
  entry: StoredSchedule,
  next: Pick<ScheduleRecord, "decidedMs" | "fingerprint">,
  drafts: readonly Draft[],
): Promise<{ stored: StoredSchedule | null; isOurs: boolean; made: TaskRecord[] }> {
  const existing = await readMany(store, drafts.map(({ record }) => store.keys.task(record.id)));
  const fresh = drafts.filter((_, i) => existing[i]?.versionstamp === null);
  const lastTask = fresh.at(-1)?.record.id ?? entry.record.lastTask;
  const record = { ...entry.record, ...next, lastTask, op: store.ids.token() };
  const { scheduler, key, version } = entry;
  const written = await write(store, scheduler, key, version, record, fresh);
  const made = written.isOurs
    ? fresh.map((draft) => ({
      ...draft.record,
      data: { kind: "inline", bytes: draft.data } as const,
    }))
    : [];
  return { ...written, made };
}

/** How many points one commit can fire on this connection: each takes a check, and so does the entry. */
export function pointsPerCommit(store: Store): number {
  return Math.max(2, store.checksMax - 1);
}

/** Whether the task that the entry made last has not ended. */
export async function isLastTaskAlive(store: Store, entry: StoredSchedule): Promise<boolean> {
  const { lastTask } = entry.record;
  if (lastTask === null) return false;
  const record = tryDecodeTask((await readOne(store, store.keys.task(lastTask))).value);
  return record !== null && !isTerminal(record.state);
}

async function write(
  store: Store,
  scheduler: string,
  key: string,
  version: string | null,
  record: ScheduleRecord,
  drafts: readonly Draft[],
): Promise<{ stored: StoredSchedule | null; isOurs: boolean }> {
  const changes = new Changes();
  const recordKey = store.keys.schedule(scheduler, key);
  changes.check(recordKey, version);
  changes.set(recordKey, encodeJson(record));
  const bells = new Set<string>();
  for (const draft of drafts) {
    changes.check(store.keys.task(draft.record.id), null);
    const data = addPayload(store, changes, draft.record.id, 0, draft.data);
    addTask(store, changes, { ...draft.record, data });
    bells.add(draft.record.group);
  }
  const ring: Key[] = [...bells].map((group) => store.keys.groupBell(group));
  // An entry that only moved on is of no news to anybody; one that was written is.
  if (drafts.length === 0) ring.push(store.keys.scheduleBell());
  for (const bell of ring) {
    changes.set(bell, new TextEncoder().encode(record.op));
  }
  const answer = await commit(store, changes);
  if (answer.kind === "committed") {
    store.bells.ring(ring);
    return { stored: { scheduler, key, version: answer.versionstamp, record }, isOurs: true };
  }
  const stored = await readSchedule(store, scheduler, key);
  const isOurs = stored?.record.op === record.op;
  if (isOurs) store.bells.ring(ring);
  return { stored, isOurs };
}

function decode(value: unknown): ScheduleRecord {
  return decodeJson(value, "schedule record", (fields) => ({
    source: fields.source === "code" ? "code" : "stored",
    group: must(fields.group, isText),
    name: must(fields.name, isText),
    data: must(fields.data, isText),
    ttlMs: must(fields.ttlMs, isCount),
    priority: must(fields.priority, isCount),
    timeoutMs: fields.timeoutMs === null ? null : must(fields.timeoutMs, isCount),
    schedule: fields.schedule ?? null,
    timeZone: must(fields.timeZone, isText),
    paused: fields.paused === true,
    decidedMs: must(fields.decidedMs, isCount),
    fingerprint: must(fields.fingerprint, isText),
    lastTask: fields.lastTask === null ? null : must(fields.lastTask, isText),
    op: must(fields.op, isText),
  }));
}
