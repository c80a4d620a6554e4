/**
 * Transaction: initiate tasks.
 *
 * ```text
 * reads    –
 * checks   the first task's key is absent (a late or repeated copy cannot apply); the unique key; the mark of chunks that
 *          were written ahead
 * sets     record, due entry, chunks of large data, unique key; the doorbell of each group
 * deletes  the mark of chunks that were written ahead
 * doubtful read the first record: there → committed; not there → repeat the same commit
 * ```
 *
 * Hundreds of tasks share a commit, split at the engine's bounds; each commit is atomic, the whole call is not.
 *
 * @module
 */

import { nextTurn } from "../core/clock.ts";
import { Conflict, InvalidArgument, UnreadableRecord } from "../core/errors.ts";
import { KV_COMMIT_BYTES_MAX, KV_COMMIT_MUTATIONS_MAX, ORPHAN_MS } from "../core/limits.ts";
import { isTerminal, type Payload, type TaskRecord } from "../core/task.ts";
import { Changes, isSmall } from "./commit.ts";
import type { Key } from "./port.ts";
import { decodeTask, isTombstone, TOMBSTONE } from "./record_codec.ts";
import { addPayload, addTask } from "./records.ts";
import { readOne, type Store } from "./store.ts";
import { untilKnown } from "./tries.ts";

/** A task to be written: its record still without data, and the data. */
export interface Draft {
  readonly record: Omit<TaskRecord, "data">;
  readonly data: Uint8Array;
}

/** Some of them, which may be made only as they are written. */
export type Drafts = Iterable<Draft> & { readonly length: number };

/** One draft adds its record and due entry, its chunks, and the doorbell of its group; rather more is kept free. */
const DRAFT_MUTATIONS_MAX = 20;
/** Commits of one call that are under way at once: the database is at one while the next is handed over. */
const COMMITS_AT_ONCE_MAX = 2;
/** Tasks of a commit, if they are small. */
const BATCH_TASKS_MAX = Math.floor((KV_COMMIT_MUTATIONS_MAX - DRAFT_MUTATIONS_MAX) / 2);
/** Data beyond this is written ahead of the commit that makes it a task. */
const AHEAD_BYTES_MIN = KV_COMMIT_BYTES_MAX / 2;
/** A record without data, roughly, with long names. */
const RECORD_BYTES_MAX = 2_000;

/** Tasks that are put together for one commit. */
class Batch {
  readonly changes = new Changes();
  readonly ids: string[] = [];
  readonly #store: Store;
  readonly #bells = new Map<string, Key>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Doorbells to ring in this process once it is committed. */
  get bells(): Iterable<Key> {
    return this.#bells.values();
  }
  /** The first task: who finds it absent knows that nothing of the batch was committed. */
  get firstKey(): Key {
    return this.#store.keys.task(this.ids[0] ?? "");
  }

  hasRoomFor(draft: Draft): boolean {
    return this.ids.length === 0 || !isLarge(draft) &&
        this.changes.mutations + DRAFT_MUTATIONS_MAX <= KV_COMMIT_MUTATIONS_MAX &&
        this.changes.bytes + 2 * (draft.data.length + RECORD_BYTES_MAX) <= KV_COMMIT_BYTES_MAX;
  }

  /** Adds a task, whose data is in chunks that were written ahead if `ahead` says so. */
  add(draft: Draft, ahead?: Ahead): void {
    const { keys } = this.#store;
    const { id, group, op } = draft.record;
    if (ahead !== undefined) {
      // With the mark goes its check: had a sweep come by, the chunks would be gone.
      this.changes.check(ahead.mark, ahead.version);
      this.changes.delete(ahead.mark);
    }
    const data = ahead?.payload ?? addPayload(this.#store, this.changes, id, 0, draft.data);
    addTask(this.#store, this.changes, { ...draft.record, data });
    this.ids.push(id);
    if (this.#bells.has(group)) return;
    const bell = keys.groupBell(group);
    this.#bells.set(group, bell);
    this.changes.set(bell, new TextEncoder().encode(op));
  }
}

/**
 * Writes the tasks and returns their ids in order; for a task whose unique key is held, the holder's id.
 *
 * @throws {OutcomeUnknown} If the database did not say in time; tasks of the same call may be written or not.
 */
export async function enqueue(store: Store, drafts: Drafts): Promise<string[]> {
  const ids: string[] = [];
  const count = drafts.length;
  // Commits of one size: a small one at the end would take as long as a large one to reach the disk.
  const sizeMax = Math.ceil(count / Math.ceil(count / BATCH_TASKS_MAX));
  let batch = new Batch(store);
  // Some commits are under way while the next is put together.
  const underWay: Promise<void>[] = [];
  const send = async () => {
    if (batch.ids.length === 0) return;
    if (underWay.length >= COMMITS_AT_ONCE_MAX) await underWay.shift();
    const committing = commitNew(store, batch);
    // Its rejection is seen by the next `await`; until then it is nobody's.
    committing.catch(() => {});
    underWay.push(committing);
    batch = new Batch(store);
  };
  try {
    for (const draft of drafts) {
      const { id, unique } = draft.record;
      if (unique !== null || isLarge(draft)) {
        await send();
        await Promise.all(underWay);
        underWay.length = 0;
        ids.push(
          unique === null
            ? await enqueueLarge(store, draft)
            : await enqueueUnique(store, draft, unique),
        );
        continue;
      }
      if (batch.ids.length === sizeMax || !batch.hasRoomFor(draft)) {
        await send();
        // So that it is really sent before the next takes the time.
        await nextTurn(store.clock);
      }
      batch.add(draft);
      ids.push(id);
    }
    await send();
    await Promise.all(underWay);
  } finally {
    // Nothing goes on behind the caller's back.
    await Promise.allSettled(underWay);
  }
  return ids;
}

/**
 * Writes the tasks and the user's own changes in one commit, or nothing.
 *
 * @returns Whether it was committed; false if one of the user's checks failed.
 * @throws {InvalidArgument} If they do not fit one commit.
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function enqueueWith(
  store: Store,
  drafts: readonly Draft[],
  userChanges: Changes,
): Promise<boolean> {
  if (drafts.length === 0) {
    throw new InvalidArgument(
      "Cannot commit: there is no task in it; use the database's own atomic()",
    );
  }
  const ids = drafts.map(({ record }) => record.id);
  return await untilKnown(store, { act: "initiate the tasks", ids }, async (send) => {
    const batch = new Batch(store);
    for (const draft of drafts) {
      batch.add(draft, isLarge(draft) ? await writeAhead(store, draft) : undefined);
    }
    const { changes, firstKey } = batch;
    changes.add(userChanges);
    changes.check(firstKey, null);
    checkFits(store, changes);
    const answer = await send(changes);
    if (answer.kind === "committed") {
      store.bells.ring(batch.bells);
      return true;
    }
    const { value } = await readOne(store, firstKey);
    if (value !== null) {
      if (isTombstone(value)) return false;
      store.bells.ring(batch.bells);
      return true;
    }
    if (!answer.isRefused) return null;
    // Before "not committed" can be said, a late copy is made impossible by a tombstone where its check looks.
    const buried = new Changes();
    buried.check(firstKey, null);
    buried.set(firstKey, TOMBSTONE, ORPHAN_MS);
    return (await send(buried)).kind === "committed" ? false : null;
  });
}

function checkFits(store: Store, { mutations, bytes, checks }: Changes): void {
  const fits = mutations <= KV_COMMIT_MUTATIONS_MAX && bytes <= KV_COMMIT_BYTES_MAX &&
    checks.length <= store.checksMax;
  if (fits) return;
  throw new InvalidArgument(
    `Cannot commit: ${mutations} writes of about ${
      Math.round(bytes)
    } bytes and ${checks.length} checks do not fit one ` +
      `commit of ${KV_COMMIT_MUTATIONS_MAX}, ${KV_COMMIT_BYTES_MAX} and ${store.checksMax}; make it smaller, or use initiateTasks`,
  );
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

async function commitNew(store: Store, batch: Batch): Promise<void> {
  const { changes, firstKey, ids } = batch;
  changes.check(firstKey, null);
  await untilKnown(store, { act: "initiate the tasks", ids }, async (send) => {
    const write = () => send(changes);
    const answer = await (isSmall(changes) ? write() : store.turns.take(write));
    return answer.kind === "committed" || (await readOne(store, firstKey)).value !== null || null;
  });
  store.bells.ring(batch.bells);
}

/** A task whose data does not fit beside others. Each try writes it anew, in case a sweep took it for forgotten. */
async function enqueueLarge(store: Store, draft: Draft): Promise<string> {
  const { id } = draft.record;
  const key = store.keys.task(id);
  return await untilKnown(store, { act: "initiate the task", ids: [id] }, async (send) => {
    const batch = new Batch(store);
    batch.add(draft, await writeAhead(store, draft));
    batch.changes.check(key, null);
    const answer = await send(batch.changes);
    if (answer.kind !== "committed" && (await readOne(store, key)).value === null) return null;
    store.bells.ring(batch.bells);
    return id;
  });
}

async function enqueueUnique(store: Store, draft: Draft, unique: string): Promise<string> {
  const { id } = draft.record;
  const key = store.keys.task(id);
  const holderKey = store.keys.unique(unique);
  return await untilKnown(store, { act: "initiate the task", ids: [id] }, async (send) => {
    const holder = await readOne(store, holderKey);
    const holderId = holder.value instanceof Uint8Array
      ? new TextDecoder().decode(holder.value)
      : null;
    if (holderId !== null) {
      const { value } = await readOne(store, store.keys.task(holderId));
      if (holds(value, unique)) return holderId;
    }
    const batch = new Batch(store);
    batch.add(draft, isLarge(draft) ? await writeAhead(store, draft) : undefined);
    batch.changes.check(holderKey, holder.versionstamp);
    batch.changes.check(key, null);
    batch.changes.set(holderKey, new TextEncoder().encode(id));
    const answer = await send(batch.changes);
    if (answer.kind !== "committed" && (await readOne(store, key)).value === null) return null;
    store.bells.ring(batch.bells);
    return id;
  });
}

/**
 * Whether a record holds a unique key. A key whose holder is gone (deleted by hand, set aside) must not lock for ever; one
 * from a newer version cannot be read here, and holds what it holds.
 */
function holds(value: unknown, unique: string): boolean {
  if (value === null) return false;
  try {
    const record = decodeTask(value);
    return record.unique === unique && !isTerminal(record.state);
  } catch (error) {
    return error instanceof UnreadableRecord && error.code === "NEWER_VERSION";
  }
}

function isLarge(draft: Draft): boolean {
  return draft.data.length > AHEAD_BYTES_MIN;
}

/** Chunks that were written ahead of the commit that refers to them, and the mark by which a sweep finds them. */
interface Ahead {
  readonly payload: Payload;
  readonly mark: Key;
  readonly version: string;
}

/** Writes a draft's data ahead. */
function writeAhead(store: Store, draft: Draft): Promise<Ahead> {
  return writeChunksAhead(store, draft.record.id, 0, draft.data);
}

/**
 * Writes a payload in chunks before the commit that refers to them, and a mark by which the sweep finds them if that
 * commit never comes.
 */
export async function writeChunksAhead(
  store: Store,
  id: string,
  part: number,
  bytes: Uint8Array,
): Promise<Ahead> {
  const chunks = new Changes();
  const payload = addPayload(store, chunks, id, part, bytes);
  const mark = store.keys.sweep(store.clock.now() + ORPHAN_MS, id);
  let some = new Changes();
  some.set(mark, new Uint8Array(0));
  let version: string | null = null;
  for (const { key, value } of chunks.sets) {
    if (some.bytes > AHEAD_BYTES_MIN) {
      const committed = await commitUnconditionally(store, some, id);
      version ??= committed;
      some = new Changes();
    }
    some.set(key, value);
  }
  const committed = await commitUnconditionally(store, some, id);
  return { payload, mark, version: version ?? committed };
}

/** For changes that are the same however often they are applied, and that nothing refers to yet. */
async function commitUnconditionally(store: Store, changes: Changes, id: string): Promise<string> {
  return await untilKnown(store, { act: "write the data", ids: [id] }, async (send) => {
    const answer = await send(changes);
    return answer.kind === "committed" ? answer.versionstamp : null;
  });
}
