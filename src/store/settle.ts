/**
 * Transaction: write the outcomes of ended attempts under their leases.
 *
 * ```text
 * reads    –
 * checks   each lease is at the version that its worker knows; the user's own checks
 * sets     each record in its new state, with a ttl if it has ended; due entries of those that wait again; each lease
 *          without what has ended; the user's own writes; doorbells of groups in which something waits again
 * deletes  leases that are empty; unique keys of what has ended
 * doubtful read each lease, by the token in it: see `resolve`
 * ```
 *
 * The lease is the fence. Whoever takes tasks away from a worker (a rescue) deletes their lease, and whoever wants
 * something of them (a cancel) changes it; so an outcome that was overtaken cannot be written, whichever record it is
 * about, and one check fences hundreds of records.
 *
 * @module
 */

import { InvalidArgument, type StoredError, UnreadableRecord } from "../core/errors.ts";
import { KV_COMMIT_BYTES_MAX, SETTLE_BATCH_MAX } from "../core/limits.ts";
import type { Payload, TaskRecord } from "../core/task.ts";
import { type TaskEvent, transition } from "../core/transition.ts";
import type { HeldLease } from "./claim.ts";
import { Changes, commit } from "./commit.ts";
import type { Key } from "./port.ts";
import { addTask, decodeLease, encodeLease, type LeaseRecord, tryDecodeTask } from "./records.ts";
import { readMany, readOne, type Store } from "./store.ts";
import { pause } from "./tries.ts";

/** How an attempt ended. */
export type Ending =
  | { readonly kind: "succeed"; readonly result: Payload; readonly writes: Changes | null }
  | { readonly kind: "retry"; readonly dueMs: number; readonly error: StoredError }
  | { readonly kind: "fail" | "discard"; readonly error: StoredError }
  | { readonly kind: "release"; readonly dueMs: number; readonly error?: StoredError };

/** An ended attempt to be written. */
export interface Settlement {
  readonly lease: HeldLease;
  readonly record: TaskRecord;
  readonly ending: Ending;
}

/** What became of a settlement. */
export type Settled =
  /** Written; this is the task now. */
  | { readonly kind: "settled"; readonly record: TaskRecord }
  /** The lease was lost, and with it the right to write: somebody else has the task. */
  | { readonly kind: "lost" }
  /** The user's own writes cannot be committed, since a check of the user's failed or they cannot be stored; nothing was written. */
  | { readonly kind: "refused"; readonly error: unknown };

/** How often the user's own writes are tried before one of their checks is held to have failed. */
const USER_TRIES_MAX = 3;

/**
 * Writes as many settlements as fit one commit, from the first on, and tells what became of each of those; the caller
 * comes again with the rest. A settlement with writes of the user's own gets a commit for itself, so that what fails is
 * its own. No other settle of the same leases may be under way.
 *
 * It does not give up while the leases may still be held: a full disk or a server that is away are waited for. Only
 * `signal` ends that; then what is not in the answer was not settled.
 */
export async function settle(
  store: Store,
  settlements: readonly Settlement[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Settlement, Settled>> {
  const op = store.ids.token();
  const settled = new Map<Settlement, Settled>();
  let refusals = 0;
  for (let turn = 0; !signal.aborted; turn++) {
    const plan = planCommit(store, settlements, op, settled);
    if (plan === null) return settled;
    await pause(store, turn, signal);
    const answer = await store.turns.take(() => attempt(store, plan, op));
    if (answer.kind === "applied") {
      apply(plan, answer.version);
      for (const [settlement, record] of plan.records) {
        settled.set(settlement, { kind: "settled", record });
      }
      store.bells.ring(plan.bells);
      return settled;
    }
    // The user's check failed, or what the user writes cannot be stored. Should a late copy of the commit still be under
    // way, then the settle of the failure, which comes next, changes the lease that it checks.
    if (answer.kind === "refused") refusals++;
    if (plan.isUsers && (answer.kind === "impossible" || refusals >= USER_TRIES_MAX)) {
      for (const settlement of plan.records.keys()) {
        // Where the lease was lost, the next plan says so.
        if (!settlement.lease.tasks.has(settlement.record.id)) continue;
        settled.set(settlement, { kind: "refused", error: answer.error });
      }
    }
  }
  return settled;
}

type Attempt =
  | { readonly kind: "applied"; readonly version: string }
  /** Not applied: the database was away, a check failed, or it can never be. */
  | { readonly kind: "not yet" | "refused" | "impossible"; readonly error: unknown };

async function attempt(store: Store, plan: Plan, op: string): Promise<Attempt> {
  try {
    const answer = await commit(store, plan.changes);
    if (answer.kind === "committed") return { kind: "applied", version: answer.versionstamp };
    const version = await resolve(store, plan, op);
    if (version !== null) return { kind: "applied", version };
    return { kind: answer.isRefused ? "refused" : "not yet", error: answer.error };
  } catch (error) {
    return { kind: error instanceof InvalidArgument ? "impossible" : "not yet", error };
  }
}

interface Plan {
  readonly changes: Changes;
  readonly records: Map<Settlement, TaskRecord>;
  readonly leases: Set<HeldLease>;
  readonly bells: Key[];
  readonly isUsers: boolean;
}

/**
 * The changes of the settlements that are not settled yet, as many as fit; null if there are none. Those whose lease does
 * not hold their task any more are lost.
 */
function planCommit(
  store: Store,
  settlements: readonly Settlement[],
  op: string,
  settled: Map<Settlement, Settled>,
): Plan | null {
  const changes = new Changes();
  const records = new Map<Settlement, TaskRecord>();
  const leases = new Set<HeldLease>();
  const bells: Key[] = [];
  const ended = new Map<HeldLease, Set<string>>();
  const rung = new Set<string>();
  let isUsers = false;
  for (const settlement of settlements) {
    if (settled.has(settlement)) continue;
    const { lease, ending } = settlement;
    if (!lease.tasks.has(settlement.record.id)) {
      settled.set(settlement, { kind: "lost" });
      continue;
    }
    const users = ending.kind === "succeed" ? ending.writes : null;
    if (records.size >= SETTLE_BATCH_MAX || changes.bytes > KV_COMMIT_BYTES_MAX / 2) break;
    if (isUsers || (users !== null && records.size > 0)) break;
    if (!leases.has(lease) && leases.size === store.checksMax) break;
    const event = toEvent(settlement, op, store.clock.now());
    const record = transition(settlement.record, event);
    addTask(store, changes, record);
    if (users !== null) {
      isUsers = true;
      changes.add(users);
    }
    if (record.state === "queued") rung.add(record.group);
    else bells.push(store.keys.task(record.id));
    records.set(settlement, record);
    leases.add(lease);
    const gone = ended.get(lease) ?? new Set();
    ended.set(lease, gone.add(record.id));
  }
  if (records.size === 0) return null;
  for (const [lease, gone] of ended) {
    const key = store.keys.lease(lease.worker, lease.id);
    changes.check(key, lease.version);
    if (gone.size === lease.tasks.size) changes.delete(key);
    else {
      const tasks = [...lease.tasks.keys()].filter((id) => !gone.has(id));
      const cancel = [...lease.cancelled].filter((id) => !gone.has(id));
      changes.set(key, encodeLease({ tasks, cancel, op }));
    }
  }
  for (const group of rung) {
    const key = store.keys.groupBell(group);
    bells.push(key);
    changes.set(key, new TextEncoder().encode(op));
  }
  return { changes, records, leases, bells, isUsers };
}

/** A cancel that was asked for wins over everything but success: the work was done, and saying otherwise would be a lie. */
export function toEvent(
  { lease, record, ending }: Settlement,
  op: string,
  nowMs: number,
): TaskEvent {
  if (lease.cancelled.has(record.id) && ending.kind !== "succeed") {
    return { kind: "cancel", op, nowMs };
  }
  switch (ending.kind) {
    case "succeed":
      return { kind: "succeed", op, nowMs, result: ending.result };
    case "fail":
    case "discard":
      return { kind: ending.kind, op, nowMs, error: ending.error };
    default:
      return { ...ending, op };
  }
}

/**
 * After a doubtful answer: reads the leases back. If one carries our token, the whole commit was applied (it is atomic),
 * and its version is returned. Otherwise null, with the leases as they are now: what a cancel asked for is known, and what
 * they do not hold any more is not ours to write.
 */
async function resolve(store: Store, plan: Plan, op: string): Promise<string | null> {
  for (const lease of plan.leases) {
    const entry = await readOne(store, store.keys.lease(lease.worker, lease.id));
    const now = readLease(entry.value);
    if (now !== "damaged" && now?.op === op) return entry.versionstamp;
    const isListed = (id: string) => now !== "damaged" && now?.tasks.includes(id) === true;
    const unlisted = [...lease.tasks.keys()].filter((id) => !isListed(id));
    // Taken out of the lease by this very commit, which then left its token in the records, or by a rescue.
    const entries = await readMany(store, unlisted.map((id) => store.keys.task(id)));
    const records = entries.map(({ value }) => tryDecodeTask(value));
    const mine = records.findIndex((record) => record?.op === op);
    const version = entries[mine]?.versionstamp ?? null;
    if (version !== null) return version;
    // What a damaged lease holds is asked of the records: nobody else can have taken them out of it.
    const running = now !== "damaged" ? [] : unlisted.filter((_, i) => {
      const record = records[i];
      return record?.state === "running" && record.lease?.id === lease.id;
    });
    const isHeld = (id: string) => isListed(id) || running.includes(id);
    for (const id of [...lease.tasks.keys()]) if (!isHeld(id)) lease.tasks.delete(id);
    if (entry.versionstamp !== null) lease.version = entry.versionstamp;
    if (now !== "damaged") { for (const id of now?.cancel ?? []) lease.cancelled.add(id); }
  }
  return null;
}

/**
 * A lease as it lies in the database; null if it is gone, or written by a newer version, so that what it holds cannot be
 * known. One that is damaged is nobody else's to take: its worker goes on with what it knows, and writes it anew.
 */
function readLease(value: unknown): LeaseRecord | "damaged" | null {
  if (value === null) return null;
  try {
    return decodeLease(value);
  } catch (error) {
    if (error instanceof UnreadableRecord && error.code === "NEWER_VERSION") return null;
    return "damaged";
  }
}

/** What the leases are after the commit. */
function apply(plan: Plan, version: string): void {
  for (const [{ lease }, record] of plan.records) {
    lease.tasks.delete(record.id);
    lease.cancelled.delete(record.id);
  }
  for (const lease of plan.leases) lease.version = version;
}
