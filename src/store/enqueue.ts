/**
 * Transaction: initiate tasks.
 *
 * ```text
 * reads    –
 * checks   the first task's key is absent (a late or repeated copy cannot apply); each schedule's or unique key
 * sets     record, due entry, chunks of large data, unique key; the doorbell of each group
 * deletes  the mark of chunks that were written ahead
 * doubtful read the first record: there → committed; not there → repeat the same commit
 * ```
 *
 * Hundreds of tasks share a commit, split at the engine's bounds; each commit is atomic, the whole call is not.
 *
 * @module
 */

import { Conflict, OutcomeUnknown } from "../core/errors.ts";
import { KV_COMMIT_BYTES_MAX, KV_COMMIT_MUTATIONS_MAX, ORPHAN_MS } from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { Changes, commit } from "./commit.ts";
import type { Key } from "./port.ts";
import { isTombstone, TOMBSTONE } from "./record_codec.ts";
import { addPayload, addTask, tryDecodeTask } from "./records.ts";
import { readOne, type Store } from "./store.ts";
import { tries } from "./tries.ts";

/** A task to be written: its record still without data, and the data. */
export interface Draft {
  readonly record: Omit<TaskRecord, "data">;
  readonly data: Uint8Array;
}

/** Room that a commit keeps for the doorbells and marks of its tasks. */
const MUTATIONS_MAX = KV_COMMIT_MUTATIONS_MAX - 100;
/** Data beyond this is written ahead of the commit that makes it a task. */
const AHEAD_BYTES_MIN = KV_COMMIT_BYTES_MAX / 2;
/** A record without data, roughly, with long names. */
const RECORD_BYTES_MAX = 2_000;

/**
 * Writes the tasks and returns their ids in order; for a task whose unique key is held, the holder's id.
 *
 * @throws {OutcomeUnknown} If the database did not say in time; tasks of the same call may be written or not.
 */
export async function enqueue(store: Store, drafts: readonly Draft[]): Promise<string[]> {
  const ids: string[] = [];
  let batch: Draft[] = [];
  let changes = new Changes();
  // One commit is under way while the next is put together.
  let committing: Promise<void> = Promise.resolve();
  const flush = async () => {
    await committing;
    if (batch.length > 0) committing = commitNew(store, batch, changes);
    // Its rejection is seen by the next `await`; until then it is nobody's.
    committing.catch(() => {});
    batch = [];
    changes = new Changes();
  };
  for (const draft of drafts) {
    if (draft.record.unique !== null) {
      await flush();
      await committing;
      ids.push(await enqueueUnique(store, draft, draft.record.unique));
      continue;
    }
    const isFull = changes.mutations > MUTATIONS_MAX ||
      changes.bytes + 2 * (draft.data.length + RECORD_BYTES_MAX) > KV_COMMIT_BYTES_MAX;
    if (isFull) await flush();
    if (isLarge(draft)) await addLargeDraft(store, changes, draft);
    else addDraft(store, changes, draft);
    batch.push(draft);
    ids.push(draft.record.id);
  }
  await flush();
  await committing;
  return ids;
}

/**
 * Writes the tasks and the user's own changes in one commit, or nothing.
 *
 * @returns Whether it was committed; false if one of the user's checks failed.
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function enqueueWith(
  store: Store,
  drafts: readonly Draft[],
  userChanges: Changes,
): Promise<boolean> {
  const changes = new Changes();
  for (const draft of drafts) {
    if (isLarge(draft)) await addLargeDraft(store, changes, draft);
    else addDraft(store, changes, draft);
  }
  changes.add(userChanges);
  const first = drafts[0];
  if (first === undefined) {
    throw new Conflict("Cannot commit: there is no task in it; use the database's own atomic()");
  }
  const firstKey = store.keys.task(first.record.id);
  changes.check(firstKey, null);
  const bells = ring(store, changes, drafts);
  const answer = await commit(store, changes);
  if (answer.kind === "doubtful") {
    // Before "not committed" can be said, a late copy is made impossible by a tombstone where its check looks.
    const outcome = await resolveOrBury(store, first.record.id, firstKey);
    if (!outcome) return false;
  }
  store.bells.ring(bells);
  return true;
}

/**
 * Writes a task that was run before it was stored, in whatever state it is now, with the user's own writes.
 *
 * @throws {Conflict} If one of the user's checks failed; nothing is stored then.
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function enqueueEnded(
  store: Store,
  draft: Draft,
  userChanges: Changes | null,
): Promise<void> {
  if (await enqueueWith(store, [draft], userChanges ?? new Changes())) return;
  throw new Conflict("Cannot complete: one of the handler's own checks failed");
}

async function resolveOrBury(store: Store, id: string, key: Key): Promise<boolean> {
  const buried = new Changes();
  buried.check(key, null);
  buried.set(key, TOMBSTONE, ORPHAN_MS);
  for await (const _ of tries(store)) {
    const { value } = await readOne(store, key);
    if (value !== null) return !isTombstone(value);
    const answer = await commit(store, buried);
    if (answer.kind === "committed") return false;
  }
  throw new OutcomeUnknown("initiate the tasks", [id]);
}

async function commitNew(store: Store, drafts: readonly Draft[], changes: Changes): Promise<void> {
  const first = drafts[0];
  if (first === undefined) return;
  const key = store.keys.task(first.record.id);
  changes.check(key, null);
  const bells = ring(store, changes, drafts);
  for await (const _ of tries(store)) {
    const answer = await commit(store, changes);
    if (answer.kind === "committed" || (await readOne(store, key)).value !== null) {
      store.bells.ring(bells);
      return;
    }
  }
  throw new OutcomeUnknown("initiate the tasks", drafts.map((draft) => draft.record.id));
}

async function enqueueUnique(store: Store, draft: Draft, unique: string): Promise<string> {
  const { id } = draft.record;
  const holderKey = store.keys.unique(unique);
  for await (const _ of tries(store)) {
    const holder = await readOne(store, holderKey);
    const holderId = holder.value instanceof Uint8Array
      ? new TextDecoder().decode(holder.value)
      : null;
    if (holderId !== null) {
      // A key whose holder is gone (deleted by hand, expired while damaged) must not lock for ever.
      const record = tryDecodeTask((await readOne(store, store.keys.task(holderId))).value);
      if (record !== null && record.unique === unique && record.endedMs === null) return holderId;
    }
    const changes = new Changes();
    if (isLarge(draft)) await addLargeDraft(store, changes, draft);
    else addDraft(store, changes, draft);
    changes.check(holderKey, holder.versionstamp);
    changes.check(store.keys.task(id), null);
    changes.set(holderKey, new TextEncoder().encode(id));
    const bells = ring(store, changes, [draft]);
    const answer = await commit(store, changes);
    if (answer.kind === "committed" || (await readOne(store, store.keys.task(id))).value !== null) {
      store.bells.ring(bells);
      return id;
    }
  }
  throw new OutcomeUnknown("initiate the task", [id]);
}

function isLarge(draft: Draft): boolean {
  return draft.data.length > AHEAD_BYTES_MIN;
}

/** Adds the changes that make a draft a task. */
function addDraft(store: Store, changes: Changes, draft: Draft): void {
  const data = addPayload(store, changes, draft.record.id, 0, draft.data);
  addTask(store, changes, { ...draft.record, data });
}

/** The same for data that does not fit: it is written ahead, in commits of its own. */
async function addLargeDraft(store: Store, changes: Changes, draft: Draft): Promise<void> {
  const { id } = draft.record;
  const chunks = new Changes();
  const data = addPayload(store, chunks, id, 0, draft.data);
  changes.delete(await writeAhead(store, id, chunks));
  addTask(store, changes, { ...draft.record, data });
}

/**
 * Writes chunks before the commit that refers to them, and a mark by which the sweep finds them if that commit never
 * comes. Returns the mark's key.
 */
export async function writeAhead(store: Store, id: string, chunks: Changes): Promise<Key> {
  const mark = store.keys.sweep(store.clock.now() + ORPHAN_MS, id);
  let part = new Changes();
  part.set(mark, new Uint8Array(0));
  for (const { key, value } of chunks.sets) {
    if (part.bytes > AHEAD_BYTES_MIN) {
      await commitUnconditionally(store, part, id);
      part = new Changes();
    }
    part.set(key, value);
  }
  await commitUnconditionally(store, part, id);
  return mark;
}

/** For changes that are the same however often they are applied, and that nothing refers to yet. */
async function commitUnconditionally(store: Store, changes: Changes, id: string): Promise<void> {
  for await (const _ of tries(store)) {
    const answer = await commit(store, changes);
    if (answer.kind === "committed") return;
  }
  throw new OutcomeUnknown("write the data", [id]);
}

/** Rings the doorbell of each group, in the commit and, once it is through, in this process. Returns what to ring. */
function ring(store: Store, changes: Changes, drafts: readonly Draft[]): Key[] {
  const groups = new Set(drafts.map((draft) => draft.record.group));
  const keys = [...groups].map((group) => store.keys.groupBell(group));
  const value = new TextEncoder().encode(drafts[0]?.record.op ?? "");
  for (const key of keys) changes.set(key, value);
  return keys;
}
