/**
 * The same work on the database without the library: what Deno KV itself allows. One process, batches of 100, the settle
 * of one batch under way while the next is claimed; each value has the size that Taskkit's has.
 *
 * @module
 */

import type { Entry, KvPort } from "../../src/store/port.ts";

const BATCH = 100;
const RECORD_BYTES = 330;
const LEASE_BYTES = 4_000;
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
    const due: Entry[] = [];
    const selector = { prefix: ["raw", "due", "a"] };
    for await (const entry of kv.list(selector, { limit: size, batchSize: size })) due.push(entry);
    if (due.length === 0) break;
    const lease = ["raw", "lease", "worker", nextId()];
    let claim = kv.atomic();
    const ids = due.map(({ key }) => String(key[5]));
    for (const [i, entry] of due.entries()) {
      claim = claim.check({ key: ["raw", "task", ids[i] ?? ""], versionstamp: entry.versionstamp })
        .delete(entry.key).set(["raw", "task", ids[i] ?? ""], new Uint8Array(RECORD_BYTES));
    }
    const claimed = await claim.set(lease, new Uint8Array(LEASE_BYTES)).commit();
    if (!claimed.ok) throw new Error("a raw claim was refused");
    await settling;
    let settle = kv.atomic().check({ key: lease, versionstamp: claimed.versionstamp });
    for (const id of ids) {
      settle = settle.set(["raw", "task", id], new Uint8Array(RECORD_BYTES), { expireIn: KEPT_MS });
    }
    settling = settle.delete(lease).commit();
    done += due.length;
  }
  await settling;
  return done;
}
