/**
 * Transaction: deal with a due entry that cannot be read or claimed, so that it stops nothing behind it.
 *
 * ```text
 * reads    the record that the entry stands for
 * checks   the due entry and the record are as they were read
 * sets     the bytes of both below `aside`, where `taskkit check` reports them; a tombstone in place of the record if it
 *          cannot be read either
 * deletes  the due entry
 * doubtful nothing: the next claim comes by again
 * ```
 *
 * @module
 */

import { UnreadableRecord } from "../core/errors.ts";
import { ORPHAN_MS } from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { Changes, commit } from "./commit.ts";
import type { DueKey } from "./keyspace.ts";
import type { Entry } from "./port.ts";
import { decodeTask, isTombstone, TOMBSTONE } from "./record_codec.ts";
import { readOne, type Store } from "./store.ts";

/** The task behind the entry, if its record is sound and is waiting under this very key; else sets both aside. */
export async function setAside(
  store: Store,
  entry: Entry,
  key: DueKey,
): Promise<{ key: DueKey; record: TaskRecord; version: string } | null> {
  const task = await readOne(store, store.keys.task(key.id));
  let record: TaskRecord | null = null;
  try {
    record = task.value === null ? null : decodeTask(task.value);
  } catch (error) {
    if (error instanceof UnreadableRecord && error.code === "NEWER_VERSION") return null;
  }
  if (record?.state === "queued" && task.versionstamp !== null) {
    if (store.keys.isDueOf(entry, record)) return { key, record, version: task.versionstamp };
  }
  const changes = new Changes();
  changes.check(entry.key, entry.versionstamp);
  changes.check(task.key, task.versionstamp);
  changes.set(store.keys.aside(entry.key), entry.value);
  changes.delete(entry.key);
  if (record === null && task.value !== null && !isTombstone(task.value)) {
    changes.set(store.keys.aside(task.key), task.value);
    // In its place, not gone: a late copy of the commit that made the task would make it anew, and run it again.
    changes.set(task.key, TOMBSTONE, ORPHAN_MS);
  }
  await commit(store, changes);
  return null;
}
