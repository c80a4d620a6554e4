/**
 * Transactions of recurring schedules. One record an entry holds what it makes and how far it has come.
 *
 * ```text
 * change   reads    the record
 *          checks   it is as it was read
 *          sets     it; the schedules' doorbell; below `aside` the bytes of a record that cannot be read
 *          doubtful reads the record: our token → committed; anything else → started again from what is there
 * remove   checks   the record; deletes it; rings
 * fire     reads    the record and the keys of the points' tasks, to leave out those that exist (a backfill, an earlier
 *                   life), and to come to nothing at once if somebody was first
 *          checks   the record; each task's key is absent
 *          sets     the record at its new state; the tasks, their due entries, the doorbells of their groups
 *          doubtful reads the record: our token → committed; anything else → not by us
 * ```
 *
 * The state moves in the commit that makes the tasks, under a check of its old version, and a task's id is made from its
 * point: two schedulers, a repeated commit or a clock that was set back cannot fire a point twice. There is no leader.
 *
 * @module
 */

import { UnreadableRecord } from "../core/errors.ts";
import {
  INLINE_BYTES_MAX,
  KV_COMMIT_BYTES_MAX,
  KV_VALUE_BYTES_MAX,
  LIST_PAGE_MAX,
} from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { isTerminal } from "../core/task.ts";
import { Changes, commit, type CommitAnswer } from "./commit.ts";
import type { Draft } from "./enqueue.ts";
import type { Entry, Key } from "./port.ts";
import { decodeJson, encodeJson, isCount, isText, must } from "./record_codec.ts";
import { addPayload, addTask, tryDecodeTask } from "./records.ts";
import { readMany, readOne, readPage, type Store } from "./store.ts";
import { type Send, untilKnown } from "./tries.ts";

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

/** Which entry. */
export type ScheduleName = Pick<StoredSchedule, "scheduler" | "key">;

/** An entry whose record cannot be read. */
export interface UnreadableSchedule extends ScheduleName {
  readonly version: string;
  readonly error: UnreadableRecord;
}

/**
 * One entry, or null.
 *
 * @throws {UnreadableRecord} If its record is damaged or from a newer version.
 */
export async function readSchedule(
  store: Store,
  { scheduler, key }: ScheduleName,
): Promise<StoredSchedule | null> {
  return read({ scheduler, key }, await readOne(store, store.keys.schedule(scheduler, key)));
}

function read({ scheduler, key }: ScheduleName, entry: Entry): StoredSchedule | null {
  const { value, versionstamp } = entry;
  return versionstamp === null
    ? null
    : { scheduler, key, version: versionstamp, record: decodeSchedule(value) };
}

/** All entries, of one scheduler or of every one. Those that cannot be read are told, and stop nothing. */
export async function listSchedules(
  store: Store,
  scheduler?: string,
  onUnreadable: (entry: UnreadableSchedule) => void = () => {},
): Promise<StoredSchedule[]> {
  const all: StoredSchedule[] = [];
  for (let selector = store.keys.schedules(scheduler);;) {
    const page = await readPage(store, selector, { limit: LIST_PAGE_MAX });
    for (const entry of page) {
      const name = store.keys.readSchedule(entry);
      if (name === null || entry.versionstamp === null) continue;
      try {
        all.push({ ...name, version: entry.versionstamp, record: decodeSchedule(entry.value) });
      } catch (error) {
        if (!(error instanceof UnreadableRecord)) throw error;
        onUnreadable({ ...name, version: entry.versionstamp, error });
      }
    }
    const last = page.at(-1);
    if (page.length < LIST_PAGE_MAX || last === undefined) return all;
    selector = store.keys.afterSchedule(scheduler, last);
  }
}

/** What {@linkcode changeSchedule} is told. */
export interface ChangeOptions {
  /** What an error says that it could not do. */
  readonly act: string;
  /** Whether a damaged record is set aside and written anew, as if there were none. */
  readonly overDamaged: boolean;
}

/**
 * Writes an entry from what is there; `change` returns null to leave it so. It may be called again, since others write too.
 *
 * @throws {UnreadableRecord} If the record is from a newer version, or damaged and not to be written over.
 * @throws {OutcomeUnknown} If the database did not say in time whether it was written.
 */
export async function changeSchedule(
  store: Store,
  name: ScheduleName,
  { act, overDamaged }: ChangeOptions,
  change: (stored: StoredSchedule | null) => Omit<ScheduleRecord, "op"> | null,
): Promise<void> {
  const { keys } = store;
  const key = keys.schedule(name.scheduler, name.key);
  const op = store.ids.token();
  await untilKnown(store, { act, ids: [] }, async (send) => {
    const entry = await readOne(store, key);
    const { stored, isDamaged } = readOver(name, entry, overDamaged);
    // An earlier try whose answer was lost.
    if (stored?.record.op === op) return true;
    const wanted = change(stored);
    if (wanted === null) return true;
    const changes = new Changes();
    changes.check(key, entry.versionstamp);
    changes.set(key, encodeJson({ ...wanted, op }));
    if (isDamaged) changes.set(keys.aside(key), entry.value);
    return await sendAndRing(store, send, changes, op) ? true : null;
  });
}

function readOver(
  name: ScheduleName,
  entry: Entry,
  overDamaged: boolean,
): { stored: StoredSchedule | null; isDamaged: boolean } {
  try {
    return { stored: read(name, entry), isDamaged: false };
  } catch (error) {
    const isDamaged = error instanceof UnreadableRecord && error.code === "CORRUPT_RECORD";
    if (!overDamaged || !isDamaged) throw error;
    return { stored: null, isDamaged };
  }
}

/**
 * Deletes an entry, whatever it says; false if there is none.
 *
 * @throws {OutcomeUnknown} If the database did not say in time whether it was deleted.
 */
export async function removeSchedule(store: Store, name: ScheduleName): Promise<boolean> {
  const key = store.keys.schedule(name.scheduler, name.key);
  let isTried = false;
  const gone = await untilKnown(store, { act: "remove the schedule", ids: [] }, async (send) => {
    const { versionstamp } = await readOne(store, key);
    if (versionstamp === null) return isTried ? "removed" : "absent";
    const changes = new Changes();
    changes.check(key, versionstamp);
    changes.delete(key);
    isTried = true;
    return await sendAndRing(store, send, changes, store.ids.token()) ? "removed" : null;
  });
  return gone === "removed";
}

/** Whether it is certain that the changes were committed; the schedules' doorbell rings with them. */
async function sendAndRing(
  store: Store,
  send: Send,
  changes: Changes,
  op: string,
): Promise<boolean> {
  const bell = store.keys.scheduleBell();
  changes.set(bell, new TextEncoder().encode(op));
  const answer = await send(changes);
  if (answer.kind === "committed") store.bells.ring([bell]);
  return answer.kind === "committed";
}

/** What came of {@linkcode fireSchedule}. */
export interface Fired {
  /** What lies there now; null if the entry was removed. */
  readonly stored: StoredSchedule | null;
  /** Whether we moved it. If not, and the version is still the old one, the database did not take the commit. */
  readonly isOurs: boolean;
  /** The tasks that were made; those that existed are not among them. */
  readonly made: readonly TaskRecord[];
}

/**
 * Makes the tasks of points and moves the entry on, both or neither. Tasks that exist already are left as they are.
 * At most {@linkcode pointsPerCommit} drafts.
 */
export async function fireSchedule(
  store: Store,
  entry: StoredSchedule,
  next: Pick<ScheduleRecord, "decidedMs" | "fingerprint" | "lastTask">,
  drafts: readonly Draft[],
): Promise<Fired> {
  const { keys } = store;
  const key = keys.schedule(entry.scheduler, entry.key);
  const [now, ...existing] = await readMany(store, [
    key,
    ...drafts.map(({ record }) => keys.task(record.id)),
  ]);
  if (now !== undefined && now.versionstamp !== entry.version) {
    return { stored: read(entry, now), isOurs: false, made: [] };
  }
  const fresh = drafts.filter((_, i) => existing[i]?.versionstamp === null);
  const record: ScheduleRecord = { ...entry.record, ...next, op: store.ids.token() };
  const changes = new Changes();
  changes.check(key, entry.version);
  changes.set(key, encodeJson(record));
  const made: TaskRecord[] = [];
  for (const draft of fresh) {
    changes.check(keys.task(draft.record.id), null);
    const data = addPayload(store, changes, draft.record.id, 0, draft.data);
    addTask(store, changes, { ...draft.record, data });
    made.push({ ...draft.record, data });
  }
  const bells: Key[] = [...new Set(fresh.map(({ record }) => record.group))].map((group) =>
    keys.groupBell(group)
  );
  for (const bell of bells) changes.set(bell, new TextEncoder().encode(record.op));

  const answer: CommitAnswer = await commit(store, changes);
  const stored = answer.kind === "committed"
    ? { ...entry, version: answer.versionstamp, record }
    : await readSchedule(store, entry);
  const isOurs = stored?.record.op === record.op;
  if (isOurs) store.bells.ring(bells);
  return { stored, isOurs, made: isOurs ? made : [] };
}

/** A task without its data, with long names and the keys of its entries, and the record of its schedule: more than they take. */
const TASK_BYTES_MAX = 6_000;

/**
 * How many points one commit can fire on this connection, 2 at least: each takes a check (and so does the entry), and the
 * task's data once, or twice where the due entry has a copy.
 */
export function pointsPerCommit(store: Store, dataBytes: number): number {
  const copies = dataBytes <= INLINE_BYTES_MAX ? 2 : 1;
  const bytes = TASK_BYTES_MAX + copies * dataBytes;
  const room = Math.floor((KV_COMMIT_BYTES_MAX - KV_VALUE_BYTES_MAX) / bytes);
  return Math.max(2, Math.min(store.checksMax - 1, room));
}

/** Whether the task that the entry made last has not ended. */
export async function isLastTaskAlive(store: Store, entry: StoredSchedule): Promise<boolean> {
  const { lastTask } = entry.record;
  if (lastTask === null) return false;
  const record = tryDecodeTask((await readOne(store, store.keys.task(lastTask))).value);
  return record !== null && !isTerminal(record.state);
}

/**
 * The record of an entry.
 *
 * @throws {UnreadableRecord} If it is damaged or from a newer version.
 */
export function decodeSchedule(value: unknown): ScheduleRecord {
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
