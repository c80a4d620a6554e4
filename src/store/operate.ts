/**
 * Transactions of an operator on one task: cancel it, or start it anew.
 *
 * ```text
 * cancel, queued   checks the record; sets it cancelled; deletes its due entry and unique key
 * cancel, running  checks the record and its lease; sets the lease with the request in it; rings the worker's doorbell
 * revive           checks the record (and that its unique key is free); sets it queued, its due entry, its unique key;
 *                  rings the group's doorbell; deletes the mark for the sweep
 * doubtful         reads again: our token is there → committed; otherwise once more from what is there now
 * ```
 *
 * A running task's record is changed under its lease alone, so the request lies in the lease: whichever of settle,
 * rescue and cancel comes second sees what the first one did.
 *
 * @module
 */

import { Conflict, TaskNotFound } from "../core/errors.ts";
import { isTerminal, type TaskRecord } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import { Changes } from "./commit.ts";
import { decodeTask, isTombstone } from "./record_codec.ts";
import { addTask, decodeLease, encodeLease, hasChunks, sweepAt } from "./records.ts";
import { readOne, type Store } from "./store.ts";
import { untilKnown } from "./tries.ts";

/** What a cancel did: the task is cancelled; its running attempt was told; or it had ended before. */
export type CancelOutcome = "cancelled" | "requested" | "ended";

/**
 * Cancels a task.
 *
 * @throws {TaskNotFound} If there is none with this id.
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function cancel(store: Store, id: string): Promise<CancelOutcome> {
  const op = store.ids.token();
  return await untilKnown(store, { act: "cancel the task", ids: [id] }, async (send) => {
    const { record, version } = await readTask(store, id);
    if (record.state === "cancelled") return "cancelled";
    if (isTerminal(record.state)) return "ended";
    if (record.lease === null) {
      const cancelled = transition(record, { kind: "cancel", op, nowMs: store.clock.now() });
      const changes = new Changes();
      changes.check(store.keys.task(id), version);
      changes.delete(store.keys.due(record.group, record.priority, record.dueMs, id));
      addTask(store, changes, cancelled);
      if ((await send(changes)).kind !== "committed") return null;
      store.bells.ring([store.keys.task(id)]);
      return "cancelled";
    }
    const leaseKey = store.keys.lease(record.lease.worker, record.lease.id);
    const entry = await readOne(store, leaseKey);
    // Gone since the record was read: it was settled or rescued.
    if (entry.versionstamp === null) return null;
    const lease = decodeLease(entry.value);
    if (lease.cancel.includes(id)) return "requested";
    const bell = store.keys.workerBell(record.lease.worker);
    const changes = new Changes();
    changes.check(store.keys.task(id), version);
    changes.check(leaseKey, entry.versionstamp);
    changes.set(leaseKey, encodeLease({ ...lease, cancel: [...lease.cancel, id], op }));
    changes.set(bell, new TextEncoder().encode(op), BELL_MS);
    if ((await send(changes)).kind !== "committed") return null;
    store.bells.ring([bell]);
    return "requested";
  });
}

/** A worker's doorbell outlives it by no more than this. */
const BELL_MS = 86_400_000;

/**
 * Starts a task anew that failed, was discarded or cancelled: at once, with all its retries before it.
 *
 * @throws {TaskNotFound} If there is none with this id.
 * @throws {Conflict} If it has not ended, or succeeded, or its unique key is held by another task.
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function revive(store: Store, id: string): Promise<TaskRecord> {
  const op = store.ids.token();
  let sent: { readonly version: string; readonly attempt: number } | null = null;
  return await untilKnown(store, { act: "start the task anew", ids: [id] }, async (send) => {
    const { record, version } = await readTask(store, id);
    // After a doubtful answer: ours is there, or what came of it. Nothing but a start anew forgives attempts that ended.
    if (record.op === op) return record;
    if (sent !== null && version !== sent.version && record.released >= sent.attempt) return record;
    if (!isTerminal(record.state) || record.state === "succeeded") {
      throw new Conflict(`Cannot start task "${id}" anew: it is ${record.state}`);
    }
    const revived = transition(record, { kind: "revive", op, nowMs: store.clock.now() });
    const changes = new Changes();
    changes.check(store.keys.task(id), version);
    addTask(store, changes, revived);
    if (hasChunks(record)) changes.delete(store.keys.sweep(sweepAt(record), id));
    if (record.unique !== null) {
      const key = store.keys.unique(record.unique);
      if ((await readOne(store, key)).versionstamp !== null) {
        throw new Conflict(
          `Cannot start task "${id}" anew: another task holds its unique key "${record.unique}"`,
        );
      }
      changes.check(key, null);
      changes.set(key, new TextEncoder().encode(id));
    }
    const bell = store.keys.groupBell(record.group);
    changes.set(bell, new TextEncoder().encode(op));
    sent = { version, attempt: record.attempt };
    if ((await send(changes)).kind !== "committed") return null;
    store.bells.ring([bell]);
    return revived;
  });
}

/**
 * One task's record and its version.
 *
 * @throws {TaskNotFound} If there is none, or its ttl has passed.
 */
export async function readTask(
  store: Store,
  id: string,
): Promise<{ record: TaskRecord; version: string }> {
  const { value, versionstamp } = await readOne(store, store.keys.task(id));
  if (versionstamp === null || isTombstone(value)) throw new TaskNotFound(id);
  const record = decodeTask(value);
  if (record.expiresMs !== null && record.expiresMs <= store.clock.now()) {
    throw new TaskNotFound(id);
  }
  return { record, version: versionstamp };
}
