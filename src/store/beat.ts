/**
 * Transactions of a worker about itself: beat, and say goodbye.
 *
 * ```text
 * beat      checks its own key at the version of its last beat (absent at first); sets it
 *           doubtful: reads it: our token → alive; anything else → declared dead by a rescuer
 * goodbye   deletes its key and its doorbell, once it holds no lease
 * leases    reads the worker's own leases, to find requests to cancel, leases it lost, and claims it never heard of
 * ```
 *
 * @module
 */

import { Changes, commit } from "./commit.ts";
import {
  decodeLease,
  decodeWorker,
  encodeWorker,
  type LeaseRecord,
  type WorkerRecord,
} from "./records.ts";
import { readOne, readPage, type Store } from "./store.ts";
import { LIST_PAGE_MAX } from "../core/limits.ts";
import type { Entry } from "./port.ts";

/** What a beat found. */
export type Beat = { readonly kind: "alive"; readonly version: string } | { readonly kind: "dead" };

/** Beats once. Rejects if the database does not answer; the caller knows how long that may go on. */
export async function beat(
  store: Store,
  id: string,
  lastVersion: string | null,
  about: Omit<WorkerRecord, "op" | "beatMs">,
): Promise<Beat> {
  const op = store.ids.token();
  const key = store.keys.worker(id);
  const changes = new Changes();
  changes.check(key, lastVersion);
  changes.set(key, encodeWorker({ ...about, beatMs: store.clock.now(), op }));
  const answer = await commit(store, changes);
  if (answer.kind === "committed") return { kind: "alive", version: answer.versionstamp };
  const entry = await readOne(store, key);
  if (entry.versionstamp !== null && tryDecodeWorker(entry.value)?.op === op) {
    return { kind: "alive", version: entry.versionstamp };
  }
  // Nobody else writes this key: at its old version, the beat was not applied, and is tried again.
  if (entry.versionstamp === lastVersion) throw answer.error;
  return { kind: "dead" };
}

/** Forgets the worker. Whatever it left is rescued at once, since a lease without a worker is an orphan. */
export async function goodbye(store: Store, id: string): Promise<void> {
  const changes = new Changes();
  changes.delete(store.keys.worker(id), store.keys.workerBell(id));
  await commit(store, changes);
}

/** A lease as it lies in the database. */
export interface StoredLease {
  readonly worker: string;
  readonly id: string;
  readonly version: string;
  readonly record: LeaseRecord;
}

/** The leases of one worker, or of all. Those that cannot be read are left out. */
export async function listLeases(store: Store, worker?: string): Promise<StoredLease[]> {
  return await listAll(store, store.keys.leases(worker), (entry) => {
    const key = store.keys.readLease(entry);
    if (key === null || entry.versionstamp === null) return null;
    return { ...key, version: entry.versionstamp, record: decodeLease(entry.value) };
  });
}

/** A worker as it lies in the database; without a record if that cannot be read. Its version alone says whether it lives. */
export interface StoredWorker {
  readonly id: string;
  readonly version: string;
  readonly record: WorkerRecord | null;
}

/** All workers, living and dead. */
export async function listWorkers(store: Store): Promise<StoredWorker[]> {
  return await listAll(store, store.keys.workers(), (entry) => {
    const [, id] = store.keys.parts(entry);
    if (typeof id !== "string" || entry.versionstamp === null) return null;
    return { id, version: entry.versionstamp, record: tryDecodeWorker(entry.value) };
  });
}

function tryDecodeWorker(value: unknown): WorkerRecord | null {
  try {
    return decodeWorker(value);
  } catch {
    return null;
  }
}

async function listAll<T>(
  store: Store,
  selector: Parameters<typeof readPage>[1],
  read: (entry: Entry) => T | null,
): Promise<T[]> {
  const all: T[] = [];
  let from = selector;
  while (true) {
    const page = await readPage(store, from, { limit: LIST_PAGE_MAX });
    for (const entry of page) {
      try {
        const item = read(entry);
        if (item !== null) all.push(item);
      } catch {
        // One record that cannot be read must not hide the others.
      }
    }
    const last = page.at(-1);
    if (page.length < LIST_PAGE_MAX || last === undefined || !("prefix" in selector)) return all;
    from = store.keys.after(selector.prefix, last);
  }
}
