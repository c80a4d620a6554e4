/**
 * Transaction: take the tasks of a dead worker back.
 *
 * ```text
 * reads    the lease and its records
 * checks   the lease; the worker's heartbeat is still what it was when it was found dead (or absent)
 * sets     each record that still runs under the lease: queued again at its old due time, failed as poison after three
 *          lost leases, or cancelled if that was asked for; their due entries; the doorbells of their groups; the lease
 *          without them, if it is too large for one commit
 * deletes  the lease
 * doubtful nothing: the next sweep comes by again and finds what is there then
 * ```
 *
 * A task that its worker settled in between is no longer running under the lease, or the lease has changed: either way
 * the rescue does not touch it. Two rescuers at once do no harm: the second one's check fails.
 *
 * @module
 */

import { KV_COMMIT_BYTES_MAX } from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import { Changes, commit } from "./commit.ts";
import type { Key } from "./port.ts";
import { addTask, decodeLease, encodeLease, tryDecodeTask } from "./records.ts";
import { readMany, readOne, type Store } from "./store.ts";

/** The heartbeat under which a worker was found dead: its version, or null if it has none at all. */
export interface Death {
  readonly worker: string;
  readonly version: string | null;
}

/**
 * Takes back what runs under one lease of a dead worker: what it took, which is less than the lease holds if somebody was
 * first or the answer was doubtful. With `"release"` the attempts are given back without being used up.
 */
export async function rescueLease(
  store: Store,
  death: Death,
  leaseId: string,
  kind: "rescue" | "release" = "rescue",
): Promise<TaskRecord[]> {
  const leaseKey = store.keys.lease(death.worker, leaseId);
  const rescued: TaskRecord[] = [];
  while (true) {
    const entry = await readOne(store, leaseKey);
    if (entry.versionstamp === null) return rescued;
    const lease = decodeLease(entry.value);
    const op = store.ids.token();
    const nowMs = store.clock.now();
    const changes = new Changes();
    const changed: TaskRecord[] = [];
    const seen = new Set<string>();
    const entries = await readMany(store, lease.tasks.map((id) => store.keys.task(id)));
    for (const [i, id] of lease.tasks.entries()) {
      if (changes.bytes > KV_COMMIT_BYTES_MAX / 2) break;
      seen.add(id);
      const record = tryDecodeTask(entries[i]?.value ?? null);
      if (record?.state !== "running" || record.lease?.id !== leaseId) continue;
      const isCancelled = lease.cancel.includes(id);
      const next = transition(
        record,
        isCancelled || kind === "rescue"
          ? { kind: isCancelled ? "cancel" : "rescue", op, nowMs }
          : { kind: "release", op, dueMs: record.dueMs },
      );
      addTask(store, changes, next);
      changed.push(next);
    }
    changes.check(leaseKey, entry.versionstamp);
    changes.check(store.keys.worker(death.worker), death.version);
    const left = lease.tasks.filter((id) => !seen.has(id));
    if (left.length === 0) changes.delete(leaseKey);
    else {
      const cancel = lease.cancel.filter((id) => !seen.has(id));
      changes.set(leaseKey, encodeLease({ tasks: left, cancel, op }));
    }
    const bells = bellsOf(store, changed);
    for (const key of bells.groups) changes.set(key, new TextEncoder().encode(op));
    const answer = await commit(store, changes);
    if (answer.kind === "doubtful") return rescued;
    rescued.push(...changed);
    store.bells.ring([...bells.groups, ...bells.tasks]);
    if (left.length === 0) return rescued;
  }
}

function bellsOf(store: Store, records: readonly TaskRecord[]): { groups: Key[]; tasks: Key[] } {
  const groups = new Set(
    records.filter(({ state }) => state === "queued").map(({ group }) => group),
  );
  return {
    groups: [...groups].map((group) => store.keys.groupBell(group)),
    tasks: records.filter(({ state }) => state !== "queued").map(({ id }) => store.keys.task(id)),
  };
}

/** Forgets a dead worker whose leases are all taken back. Does nothing if it has beaten since. */
export async function buryWorker(store: Store, death: Death): Promise<boolean> {
  const changes = new Changes();
  const key = store.keys.worker(death.worker);
  changes.check(key, death.version);
  changes.delete(key, store.keys.workerBell(death.worker));
  return (await commit(store, changes)).kind === "committed";
}
