/**
 * The database as the checkers see it: every commit decoded, with what was there before it. It is put together from the
 * changes alone and shares nothing with the transactions but the forms of keys and records.
 *
 * @module
 */

import { isTerminal, type TaskRecord } from "../../src/core/task.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { Key } from "../../src/store/port.ts";
import { decodeTask, isTombstone } from "../../src/store/record_codec.ts";
import { decodeLease, type LeaseRecord } from "../../src/store/records.ts";
import type { Change, CommitEvent, SimDatabase, Stored } from "./ground.ts";

/** The prefix of the simulated Kits. */
export const PREFIX = "taskkit";

/** What a commit did to a task. */
export interface TaskChange {
  readonly id: string;
  readonly before: TaskRecord | null;
  readonly after: TaskRecord | null;
  readonly stored: Stored | null;
}

/** What a commit did to a lease. */
export interface LeaseChange {
  readonly id: string;
  readonly worker: string;
  readonly before: LeaseRecord | null;
  readonly after: LeaseRecord | null;
}

/** What a commit did to any other key: the parts below the prefix, its kind apart. */
export interface OtherChange {
  readonly parts: Key;
  readonly before: Stored | null;
  readonly after: Stored | null;
}

/** A commit, decoded. */
export interface Seen {
  readonly event: CommitEvent;
  /** The name of the process. */
  readonly by: string;
  readonly tasks: readonly TaskChange[];
  readonly leases: readonly LeaseChange[];
  readonly dues: readonly OtherChange[];
  readonly workers: readonly OtherChange[];
  readonly uniques: readonly OtherChange[];
  readonly schedules: readonly OtherChange[];
  /** Keys outside the prefix: what handlers and clients write with their tasks. */
  readonly effects: readonly { key: Key; after: Stored | null }[];
}

/** A due entry as it lies in the database. */
export interface Due {
  readonly group: unknown;
  readonly priority: unknown;
  readonly dueMs: unknown;
  readonly stored: Stored;
}

/** A lease as it lies in the database. */
export interface Lease {
  readonly worker: string;
  readonly record: LeaseRecord | null;
}

/** A worker's key as it lies in the database. */
export interface WorkerKey {
  /** The process that beats. */
  readonly by: string;
  /** When the last beat was applied. */
  readonly beatAtMs: number;
}

/** What is stored, decoded. */
export class View {
  readonly keys = new Keyspace([PREFIX]);
  readonly tasks = new Map<string, TaskRecord>();
  readonly versions = new Map<string, string>();
  readonly dues = new Map<string, Due[]>();
  readonly leases = new Map<string, Lease>();
  readonly workers = new Map<string, WorkerKey>();
  /** Which process ever was the worker of an id. */
  readonly owners = new Map<string, string>();
  /** Tasks that were damaged from outside: nothing is promised of them any more. */
  readonly damaged = new Set<string>();
  readonly database: SimDatabase;

  constructor(database: SimDatabase) {
    this.database = database;
  }

  /** Takes a commit in. */
  see(event: CommitEvent): Seen {
    const tasks: TaskChange[] = [];
    const leases: LeaseChange[] = [];
    const dues: OtherChange[] = [];
    const workers: OtherChange[] = [];
    const uniques: OtherChange[] = [];
    const schedules: OtherChange[] = [];
    const effects: { key: Key; after: Stored | null }[] = [];
    for (const { key, before, after } of merged(event.changes)) {
      if (key[0] !== PREFIX) {
        effects.push({ key, after });
        continue;
      }
      const parts = key.slice(2);
      switch (key[1]) {
        case "task":
          this.#seeTask(String(parts[0]), after, tasks);
          break;
        case "due":
          this.#seeDue(parts, before, after);
          dues.push({ parts, before, after });
          break;
        case "lease":
          this.#seeLease(String(parts[0]), String(parts[1]), after, leases);
          break;
        case "worker":
          this.#seeWorker(String(parts[0]), event, after);
          workers.push({ parts, before, after });
          break;
        case "unique":
          uniques.push({ parts, before, after });
          break;
        case "schedule":
          schedules.push({ parts, before, after });
          break;
      }
    }
    return { event, by: event.by, tasks, leases, dues, workers, uniques, schedules, effects };
  }

  #seeTask(id: string, stored: Stored | null, seen: TaskChange[]): void {
    const before = this.tasks.get(id) ?? null;
    let after: TaskRecord | null = null;
    if (stored !== null && !isTombstone(stored.value)) {
      try {
        after = decodeTask(stored.value);
      } catch {
        this.damaged.add(id);
      }
    }
    if (after === null) this.tasks.delete(id);
    else this.tasks.set(id, after);
    if (stored === null) this.versions.delete(id);
    else this.versions.set(id, stored.versionstamp);
    seen.push({ id, before, after, stored });
  }

  #seeDue(parts: Key, before: Stored | null, after: Stored | null): void {
    const [group, priority, dueMs, id] = parts;
    if (typeof id !== "string") return;
    let dues = this.dues.get(id) ?? [];
    if (before !== null) dues = dues.filter(({ stored }) => stored.packed !== before.packed);
    if (after !== null) dues = [...dues, { group, priority, dueMs, stored: after }];
    if (dues.length === 0) this.dues.delete(id);
    else this.dues.set(id, dues);
  }

  #seeLease(worker: string, id: string, stored: Stored | null, seen: LeaseChange[]): void {
    const before = this.leases.get(id)?.record ?? null;
    let after: LeaseRecord | null = null;
    if (stored !== null) {
      try {
        after = decodeLease(stored.value);
      } catch {
        for (const task of before?.tasks ?? []) this.damaged.add(task);
      }
    }
    if (stored === null) this.leases.delete(id);
    else this.leases.set(id, { worker, record: after });
    seen.push({ id, worker, before, after });
  }

  #seeWorker(id: string, event: CommitEvent, stored: Stored | null): void {
    if (stored === null) {
      this.workers.delete(id);
      return;
    }
    if (event.kind === "planted") return;
    this.workers.set(id, { by: event.by, beatAtMs: event.atMs });
    this.owners.set(id, event.by);
  }

  /** Whether the task is queued or running. */
  isAlive(id: string): boolean {
    const record = this.tasks.get(id);
    return record !== undefined && !isTerminal(record.state);
  }
}

/** A key that a commit changes twice was changed from the first to the last. */
function merged(changes: readonly Change[]): readonly Change[] {
  const byKey = new Map<string, Change>();
  for (const change of changes) {
    const packed = change.before?.packed ?? change.after?.packed;
    // Deleted, and was not there.
    if (packed === undefined) continue;
    const first = byKey.get(packed);
    byKey.set(packed, first === undefined ? change : { ...change, before: first.before });
  }
  return byKey.size === changes.length ? changes : [...byKey.values()];
}
