/**
 * Transaction: delete the chunks of large data whose task is over or never was. The engine's ttl collects records by
 * itself, but a chunk is written before anybody knows when its task will end.
 *
 * ```text
 * reads    marks whose time has come; the task's record; the task's chunks
 * checks   the mark (so two sweepers do not do the same work twice)
 * deletes  the chunks that no record refers to; the mark
 * sets     a later mark, if an attempt that may still refer to them is under way
 * doubtful nothing: the mark is still there, or the work was done
 * ```
 *
 * @module
 */

import { ORPHAN_MS, SWEEP_PAGE_MAX } from "../core/limits.ts";
import { isTerminal, type TaskRecord } from "../core/task.ts";
import { Changes, commit } from "./commit.ts";
import type { Entry, Key } from "./port.ts";
import { tryDecodeTask } from "./records.ts";
import { readOne, readPage, type Store } from "./store.ts";

/**
 * Sweeps the marks whose time has come, for about so long. Returns whether it came to the end of them; each turn leaves
 * a page behind, whatever lies in it.
 */
export async function sweepChunks(store: Store, forMs: number): Promise<boolean> {
  const { clock } = store;
  const nowMs = clock.now();
  const startedAt = clock.monotonic();
  let after: Entry | undefined;
  do {
    const marks = await readPage(store, store.keys.sweepsUntil(nowMs, after), {
      limit: SWEEP_PAGE_MAX,
    });
    for (const mark of marks) {
      const key = store.keys.readSweep(mark);
      if (key !== null) await sweepTask(store, mark, key.id, nowMs);
    }
    if (marks.length < SWEEP_PAGE_MAX) return true;
    after = marks.at(-1);
  } while (clock.monotonic() - startedAt < forMs);
  return false;
}

/** Chunks deleted in one commit; each carries its value over when it is listed. */
const CHUNKS_MAX = 50;

async function sweepTask(store: Store, mark: Entry, id: string, nowMs: number): Promise<void> {
  const task = await readOne(store, store.keys.task(id));
  const record = task.value === null ? null : tryDecodeTask(task.value);
  const isOver = task.value === null;
  // There, but from a newer version or damaged: whoever can read it knows what to keep. And one whose ttl is over by this
  // clock, which may be wrong, is over when the database has forgotten it, since nobody can read it without its record.
  if (!isOver && (record === null || isExpired(record, nowMs))) return;
  const changes = new Changes();
  changes.check(mark.key, mark.versionstamp);
  if (record !== null && !isTerminal(record.state)) {
    changes.delete(mark.key);
    changes.set(store.keys.sweep(nowMs + ORPHAN_MS, id), new Uint8Array(0));
    await commit(store, changes);
    return;
  }
  const chunks = await readPage(store, store.keys.chunks(id), { limit: CHUNKS_MAX });
  const unused = chunks.filter(({ key }) => record === null || !refersTo(store, record, key));
  for (const { key } of unused) changes.delete(key);
  // A full page may not have been all: the mark stays for the next turn.
  if (chunks.length < CHUNKS_MAX) changes.delete(mark.key);
  await commit(store, changes);
}

function refersTo(store: Store, record: TaskRecord, key: Key): boolean {
  const part = key[store.keys.prefix.length + 2];
  return [record.data, record.result].some((payload) =>
    payload?.kind === "chunks" && payload.part === part
  );
}

function isExpired(record: TaskRecord, nowMs: number): boolean {
  return record.expiresMs !== null && record.expiresMs <= nowMs;
}
