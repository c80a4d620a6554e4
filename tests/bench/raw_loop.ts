/**
 * The same work on the database without the library: what Deno KV itself allows. One process, batches of 100, the settle
 * of one batch under way while the next is claimed; each value has the size that Taskkit's has.
 *
 * @module
 */

import type { Entry, Key, KvPort, Selector } from "../../src/store/port.ts";

const BATCH = 100;
const RECORD_BYTES = 330;
/** Of a lease, for each of its tasks. */
const LEASE_BYTES = 40;
const KEPT_MS = 7 * 86_400_000;

let counter = 0;
/** Ids that sort by time, made as cheaply as possible. */
function nextId(): string {
  return `01a20f9b-${(counter++).toString(16).padStart(27, "0")}`;
}

/** Writes `count` records and due entries, `batch` of them a commit, `inFlight` commits at once. */
export async function rawEnqueue(
  kv: KvPort,
  count: number,
  { batch, inFlight }: { batch: number; inFlight: number },
): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      const size = Math.min(batch, left);
      left -= size;
      let atomic = kv.atomic();
      for (let i = 0; i < size; i++) {
        const id = nextId();
        const value = new Uint8Array(RECORD_BYTES);
        if (i === 0) atomic = atomic.check({ key: ["raw", "task", id], versionstamp: null });
        atomic = atomic.set(["raw", "task", id], value).set(
          ["raw", "due", "a", 5, Date.now(), id],
          value,
        );
      }
      await atomic.set(["raw", "bell"], new Uint8Array(18)).commit();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/** Claims and settles everything that is due; `checks` of a commit as the connection allows. */
export async function rawDrain(kv: KvPort, checks: number): Promise<number> {
  const size = Math.min(BATCH, checks);
  let done = 0;
  let settling: Promise<unknown> = Promise.resolve();
  while (true) {
    const due = await listDue(kv, { prefix: DUE }, size);
    if (due.length === 0) break;
    const lease = await claim(kv, due);
    await settling;
    settling = settle(kv, [lease]);
    done += due.length;
  }
  await settling;
  return done;
}

/**
 * The same over a network, where a commit is slow and many are under way: `lanes` batches at once, one listed while the
 * others are being committed; of each batch as many claims side by side as its checks call for, and one settle of them
 * all, while the next batch is claimed.
 */
export async function rawDrainRemote(
  kv: KvPort,
  checks: number,
  { lanes }: { lanes: number },
): Promise<number> {
  let done = 0;
  let last: Entry | undefined;
  let listing: Promise<unknown> = Promise.resolve();
  const list = async () => {
    const start = last === undefined ? {} : { start: [...last.key, 0] };
    const due = await listDue(kv, { prefix: DUE, ...start }, BATCH);
    last = due.at(-1) ?? last;
    return due;
  };
  const next = (): Promise<Entry[]> => {
    const due = listing.then(list);
    listing = due;
    return due;
  };
  const lane = async () => {
    let settling: Promise<unknown> = Promise.resolve();
    for (let due = await next(); due.length > 0; due = await next()) {
      const batches: Entry[][] = [];
      for (let i = 0; i < due.length; i += checks) batches.push(due.slice(i, i + checks));
      const leases = await Promise.all(batches.map((batch) => claim(kv, batch)));
      await settling;
      settling = settle(kv, leases);
      done += due.length;
    }
    await settling;
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return done;
}

const DUE: Key = ["raw", "due", "a"];

async function listDue(kv: KvPort, selector: Selector, limit: number): Promise<Entry[]> {
  const due: Entry[] = [];
  for await (const entry of kv.list(selector, { limit, batchSize: limit })) due.push(entry);
  return due;
}

interface Lease {
  readonly key: Key;
  readonly versionstamp: string;
  readonly ids: readonly string[];
}

async function claim(kv: KvPort, due: readonly Entry[]): Promise<Lease> {
  const key = ["raw", "lease", "worker", nextId()];
  const ids = due.map((entry) => String(entry.key[5]));
  let atomic = kv.atomic();
  for (const [i, entry] of due.entries()) {
    const task = ["raw", "task", ids[i] ?? ""];
    atomic = atomic.check({ key: task, versionstamp: entry.versionstamp })
      .delete(entry.key).set(task, new Uint8Array(RECORD_BYTES));
  }
  const claimed = await atomic.set(key, new Uint8Array(LEASE_BYTES * ids.length)).commit();
  if (!claimed.ok) throw new Error("a raw claim was refused");
  return { key, versionstamp: claimed.versionstamp, ids };
}

async function settle(kv: KvPort, leases: readonly Lease[]): Promise<void> {
  let atomic = kv.atomic();
  for (const { key, versionstamp, ids } of leases) {
    atomic = atomic.check({ key, versionstamp }).delete(key);
    for (const id of ids) {
      atomic = atomic.set(["raw", "task", id], new Uint8Array(RECORD_BYTES), {
        expireIn: KEPT_MS,
      });
    }
  }
  if (!(await atomic.commit()).ok) throw new Error("a raw settle was refused");
}
