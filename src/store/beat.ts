/**
 * Transactions of a worker about itself: beat, and say goodbye.
 *
 * ```text
 * beat      checks its own key at the version of its last beat (absent at first); sets it
 *           doubtful: reads it: a token of ours → alive; as it was → tried again; anything else → declared dead
 * goodbye   deletes its key and its doorbell, once it holds no lease
 * leases    reads the worker's own leases, to find requests to cancel, leases it lost, and claims it never heard of
 * ```
 *
 * @module
 */

import { KvUnavailable } from "../core/errors.ts";
import { LIST_PAGE_MAX } from "../core/limits.ts";
import { Changes, commit, firstLine } from "./commit.ts";
import type { Entry } from "./port.ts";
import {
  decodeLease,
  decodeWorker,
  encodeWorker,
  type LeaseRecord,
  type WorkerRecord,
} from "./records.ts";
import { readOne, readPage, type Store } from "./store.ts";

/** What a beat found: `op` is the token of the beat that proves that the worker is alive. */
export type Beat =
  | { readonly kind: "alive"; readonly version: string; readonly op: string }
  | { readonly kind: "dead" };

/**
 * Beats once. A late copy of an earlier beat is a sign of life too: `isOurs` knows the tokens of those whose answer was
 * doubtful, this one's included.
 *
 * @throws {KvUnavailable} If the database does not answer; the caller knows how long that may go on.
 */
export async function beat(
  store: Store,
  id: string,
  lastVersion: string | null,
  about: Omit<WorkerRecord, "beatMs">,
  isOurs: (op: string) => boolean = (op) => op === about.op,
): Promise<Beat> {
  const { op } = about;
  const key = store.keys.worker(id);
  const changes = new Changes();
  changes.check(key, lastVersion);
  changes.set(key, encodeWorker({ ...about, beatMs: store.clock.now() }));
  const answer = await commit(store, changes);
  if (answer.kind === "committed") return { kind: "alive", version: answer.versionstamp, op };
  const entry = await readOne(store, key);
  const found = opOf(entry);
  if (entry.versionstamp !== null && found !== null && isOurs(found)) {
    return { kind: "alive", version: entry.versionstamp, op: found };
  }
  // Nobody else writes this key: at its old version, the beat was not applied, and is tried again.
  if (entry.versionstamp === lastVersion) {
    throw new KvUnavailable(`Cannot write a heartbeat: ${firstLine(answer.error)}`, {
      cause: answer.error,
    });
  }
  return { kind: "dead" };
}

/** The token in a heartbeat; null if there is none, or it is damaged. */
function opOf({ value }: Entry): string | null {
  try {
    return value === null ? null : decodeWorker(value).op;
  } catch {
    return null;
  }
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
