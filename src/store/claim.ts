/**
 * Transaction: claim the oldest due tasks of a group for one worker.
 *
 * ```text
 * reads    the due index of the group, from its head, up to now
 * checks   each record is still at the version that its due entry carries
 * sets     each record running, under the new lease, attempt + 1; the lease
 * deletes  each due entry
 * doubtful read the lease: there → ours; not there → once more with those that did not change; due entries that have lost
 *          their record are set aside
 * ```
 *
 * The due entry was written in the same commit as the record's version that it copies, so both carry one versionstamp: a
 * claim is one listing and one commit, and nothing that is not due is read but the entry that says when to look again.
 *
 * Several claimers would all go for the same head. One that lost a race therefore takes its own window of the list, the
 * r-th of n, for a while; a window never lies beyond what is due, so that nothing starves.
 *
 * @module
 */

import { UnreadableRecord } from "../core/errors.ts";
import { CLAIM_BATCH_MAX, KV_COMMIT_BYTES_MAX, LIST_PAGE_MAX } from "../core/limits.ts";
import type { LeaseRef, TaskRecord } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import { Changes, commit } from "./commit.ts";
import type { DueKey } from "./keyspace.ts";
import type { Entry, Key } from "./port.ts";
import { decodeTask } from "./record_codec.ts";
import { addTask, decodeLease, encodeLease } from "./records.ts";
import { setAside } from "./set_aside.ts";
import { readMany, readOne, readPage, type Store } from "./store.ts";
import { pause } from "./tries.ts";

/** A lease as its worker holds it. Only the settles of one worker change it, one after another. */
export interface HeldLease {
  readonly worker: string;
  readonly id: string;
  /** The version of the lease's key: what a settle checks. */
  version: string;
  /** The tasks that still run under it. */
  readonly tasks: Map<string, TaskRecord>;
  /** Those of them that somebody asked to cancel. */
  readonly cancelled: Set<string>;
}

/** What to claim. */
export interface ClaimOptions {
  readonly worker: string;
  readonly group: string;
  /** At most so many tasks. */
  readonly max: number;
  /** Which window of the due list: the `rank`-th of `of` claimers. */
  readonly window: { readonly rank: number; readonly of: number };
  /** Ids of tasks that another claim of this worker is about to take; they are passed by. */
  readonly except?: ReadonlySet<string>;
}

/** What a claim tells while it is under way. */
export interface ClaimHooks {
  /** Before anything is sent: what it goes for. */
  onListed?(listed: Listed): void;
  /** The id of each lease before it is sent: one that is found in the database before the claim returns is no phantom. */
  onSent?(leaseId: string): void;
}

/** What is due. */
export interface Listed {
  /** The tasks that the claim goes for. */
  readonly ids: readonly string[];
  /** Whether more tasks are due. */
  readonly more: boolean;
  /** When the next task that is not due yet will be, or null. */
  readonly nextDueMs: number | null;
}

/** What a claim got. */
export interface Claimed {
  readonly leases: readonly HeldLease[];
  /** Whether another claimer was first for some of them. */
  readonly contended: boolean;
  /** Whether more tasks are due. */
  readonly more: boolean;
  /** When the next task that is not due yet will be, or null. */
  readonly nextDueMs: number | null;
}

interface DueTask {
  readonly entry: Entry;
  readonly key: DueKey;
  readonly record: TaskRecord;
  readonly version: string;
}

/** Claims tasks. What the worker may run is what this returns, and nothing else. */
export function claim(
  store: Store,
  options: ClaimOptions,
  hooks: ClaimHooks = {},
): Promise<Claimed> {
  // The listing too: what is listed in a turn is nobody else's to claim before it ends.
  return store.turns.take(() => listAndTake(store, options, hooks));
}

async function listAndTake(
  store: Store,
  options: ClaimOptions,
  { onListed, onSent = () => {} }: ClaimHooks,
): Promise<Claimed> {
  const { rank, of } = options.window;
  const max = Math.min(options.max, CLAIM_BATCH_MAX);
  const list = await listDue(store, options, store.clock.now(), Math.min(max * of, LIST_PAGE_MAX));
  const { due, nextDueMs } = list;
  const start = Math.min(max * rank, Math.floor(due.length * rank / of));
  const wanted = due.slice(start, start + max);
  const more = list.more || wanted.length < due.length;
  onListed?.({ ids: wanted.map(({ record }) => record.id), more, nextDueMs });

  const batches: DueTask[][] = [];
  for (let i = 0; i < wanted.length; i += store.checksMax) {
    batches.push(wanted.slice(i, i + store.checksMax));
  }
  const taken = await Promise.allSettled(
    batches.map((batch) => take(store, options.worker, batch, onSent)),
  );
  // What was claimed must be run, whatever became of the others.
  const leases: HeldLease[] = [];
  let contended = false;
  for (const batch of taken) {
    if (batch.status === "rejected") continue;
    if (batch.value.lease !== null) leases.push(batch.value.lease);
    contended ||= batch.value.contended;
  }
  for (const batch of taken) {
    if (batch.status === "rejected" && leases.length === 0) throw batch.reason;
  }
  const count = leases.reduce((sum, lease) => sum + lease.tasks.size, 0);
  return { leases, contended, more: more || count < wanted.length, nextDueMs };
}

/** How often a claim goes on with what others left of its batch. */
const TAKE_TRIES_MAX = 3;

interface Taken {
  readonly lease: HeldLease | null;
  /** Whether somebody else was first for some. */
  readonly contended: boolean;
}

async function take(
  store: Store,
  worker: string,
  batch: readonly DueTask[],
  onSent: (leaseId: string) => void,
): Promise<Taken> {
  let left = batch;
  let contended = false;
  for (let n = 0; n < TAKE_TRIES_MAX && left.length > 0; n++) {
    const id = store.ids.next();
    onSent(id);
    const lease = await tryTake(store, { worker, id }, left);
    if (lease !== null) return { lease, contended };
    const there = await whatIsLeft(store, left);
    contended ||= there.length < left.length;
    left = there;
  }
  return { lease: null, contended: true };
}

/**
 * Those of a batch that can still be claimed. Who claims a task deletes its due entry; an entry that is there while its
 * record is at another version belongs to no task, and is set aside.
 */
async function whatIsLeft(store: Store, batch: readonly DueTask[]): Promise<DueTask[]> {
  const records = await readMany(store, batch.map(({ record }) => store.keys.task(record.id)));
  const isSame = ({ version }: DueTask, i: number) => records[i]?.versionstamp === version;
  const changed = batch.filter((task, i) => !isSame(task, i));
  // Read after the records: both change together, so that an entry that is still as it was has lost its record.
  const entries = await readMany(store, changed.map(({ entry }) => entry.key));
  const left = batch.filter(isSame);
  for (const [i, { entry, key }] of changed.entries()) {
    if (entries[i]?.versionstamp !== entry.versionstamp) continue;
    const task = await trySetAside(store, entry, key);
    if (task !== null) left.push(task);
  }
  return left;
}

async function tryTake(
  store: Store,
  { worker, id }: LeaseRef,
  batch: readonly DueTask[],
): Promise<HeldLease | null> {
  const nowMs = store.clock.now();
  const tasks = new Map<string, TaskRecord>();
  const changes = new Changes();
  for (const { entry, record, version } of batch) {
    if (changes.bytes > KV_COMMIT_BYTES_MAX / 2) break;
    const running = transition(record, { kind: "claim", op: id, nowMs, lease: { worker, id } });
    changes.check(store.keys.task(record.id), version);
    changes.delete(entry.key);
    addTask(store, changes, running);
    tasks.set(record.id, running);
  }
  const leaseKey = store.keys.lease(worker, id);
  changes.set(leaseKey, encodeLease({ tasks: [...tasks.keys()], cancel: [], op: id }));

  const answer = await commit(store, changes);
  const held = (version: string, cancelled: readonly string[]): HeldLease => ({
    worker,
    id,
    version,
    tasks,
    cancelled: new Set(cancelled),
  });
  if (answer.kind === "committed") return held(answer.versionstamp, []);
  // Nothing runs on a claim that is not proven.
  const { value, versionstamp } = await readBack(store, leaseKey);
  return versionstamp === null ? null : held(versionstamp, decodeLease(value).cancel);
}

/** Reads a lease after a doubtful answer: some tries, since nobody else knows of it. */
async function readBack(store: Store, leaseKey: Key): Promise<Entry> {
  for (let n = 0;; n++) {
    await pause(store, n);
    try {
      return await readOne(store, leaseKey);
    } catch (error) {
      if (n >= READ_BACK_TRIES_MAX) throw error;
    }
  }
}

const READ_BACK_TRIES_MAX = 5;

const NOBODY: ReadonlySet<string> = new Set();

/** The oldest due tasks by priority, at most `want`, and when the next one is due. */
async function listDue(
  store: Store,
  { group, except = NOBODY }: ClaimOptions,
  nowMs: number,
  want: number,
): Promise<{ due: DueTask[]; nextDueMs: number | null; more: boolean }> {
  const due: DueTask[] = [];
  let nextDueMs: number | null = null;
  let selector = store.keys.dueFrom(group, 0);
  let limit = want + 1;
  // Ends: every turn leaves a page, or all of a priority, behind.
  while (true) {
    const page = await readPage(store, selector, { limit });
    const before = due.length;
    let waiting: DueKey | null = null;
    for (const entry of page) {
      const key = store.keys.readDue(entry);
      if (key === null) continue;
      if (key.dueMs > nowMs) {
        nextDueMs = Math.min(nextDueMs ?? Infinity, key.dueMs);
        waiting = key;
        break;
      }
      if (except.has(key.id)) continue;
      if (due.length === want) return { due, nextDueMs, more: true };
      const task = await readDueTask(store, entry, key);
      if (task !== null) due.push(task);
    }
    const last = page.at(-1);
    // The rest of this priority is not due; a later priority may be.
    if (waiting !== null) selector = store.keys.dueFrom(group, waiting.priority + 1);
    else if (page.length < limit || last === undefined) return { due, nextDueMs, more: false };
    else selector = store.keys.dueAfter(group, last);
    // Many entries that cannot be claimed must not be walked over in small steps.
    const isFruitless = waiting === null && due.length === before;
    limit = Math.min(isFruitless ? 2 * limit : want - due.length + 1, LIST_PAGE_MAX);
  }
}

/** The task of a due entry; null if it is not to be claimed: from a newer version, or not readable and set aside. */
async function readDueTask(store: Store, entry: Entry, key: DueKey): Promise<DueTask | null> {
  try {
    const record = decodeTask(entry.value);
    const isSound = record.state === "queued" && store.keys.isDueOf(entry, record);
    if (isSound && entry.versionstamp !== null) {
      return { entry, key, record, version: entry.versionstamp };
    }
  } catch (error) {
    if (error instanceof UnreadableRecord && error.code === "NEWER_VERSION") return null;
  }
  return await trySetAside(store, entry, key);
}

/** One that cannot even be set aside is passed by. */
async function trySetAside(store: Store, entry: Entry, key: DueKey): Promise<DueTask | null> {
  try {
    const task = await setAside(store, entry, key);
    return task === null ? null : { entry, ...task };
  } catch {
    return null;
  }
}
