/**
 * The small records beside the task: leases, workers, control; and how a task's record becomes changes to commit.
 *
 * @module
 */

import { isTerminal, type Payload, type TaskRecord } from "../core/task.ts";
import { CHUNK_BYTES, INLINE_BYTES_MAX, TOMBSTONE_MS_MIN } from "../core/limits.ts";
import type { Changes } from "./commit.ts";
import {
  decodeJson,
  decodeTask,
  encodeJson,
  encodeTask,
  isCount,
  isText,
  isTexts,
  must,
} from "./record_codec.ts";
import type { Store } from "./store.ts";
import { readMany } from "./store.ts";
import { UnreadableRecord } from "../core/errors.ts";

/** What a claim took together: the tasks that still run, and which of them are to be cancelled. */
export interface LeaseRecord {
  readonly tasks: readonly string[];
  readonly cancel: readonly string[];
  readonly op: string;
}

export function encodeLease(lease: LeaseRecord): Uint8Array {
  return encodeJson(lease);
}

export function decodeLease(value: unknown): LeaseRecord {
  return decodeJson(value, "lease", (fields) => ({
    tasks: must(fields.tasks, isTexts),
    cancel: must(fields.cancel, isTexts),
    op: must(fields.op, isText),
  }));
}

/** A worker's heartbeat. It lives while the version of this record changes. */
export interface WorkerRecord {
  readonly host: string;
  readonly pid: number;
  readonly runtime: string;
  readonly startedMs: number;
  readonly beatMs: number;
  readonly groups: Readonly<Record<string, number>>;
  readonly running: number;
  readonly stopping: boolean;
  /** After this long without a beat it is dead. It fences itself by the same time. */
  readonly leaseMs: number;
  readonly op: string;
}

export function encodeWorker(worker: WorkerRecord): Uint8Array {
  return encodeJson(worker);
}

export function decodeWorker(value: unknown): WorkerRecord {
  return decodeJson(value, "worker record", (fields) => {
    const groups = fields.groups;
    if (typeof groups !== "object" || groups === null) throw new Error("its groups are no object");
    return {
      host: must(fields.host, isText),
      pid: must(fields.pid, isCount),
      runtime: must(fields.runtime, isText),
      startedMs: must(fields.startedMs, isCount),
      beatMs: must(fields.beatMs, isCount),
      groups: Object.fromEntries(
        Object.entries(groups).map(([name, n]) => [name, must(n, isCount)]),
      ),
      running: must(fields.running, isCount),
      stopping: fields.stopping === true,
      leaseMs: must(fields.leaseMs, isCount),
      op: must(fields.op, isText),
    };
  });
}

/** Adds a record's new version: its due entry if it is queued, its ttl and what has to be cleaned up if it has ended. */
export function addTask(store: Store, changes: Changes, record: TaskRecord): void {
  const { keys } = store;
  const value = encodeTask(record);
  if (record.state === "queued") {
    changes.set(keys.task(record.id), value);
    changes.set(keys.due(record.group, record.priority, record.dueMs, record.id), value);
  } else if (!isTerminal(record.state)) {
    changes.set(keys.task(record.id), value);
  } else {
    changes.set(keys.task(record.id), value, keptMs(record));
    if (record.unique !== null) changes.delete(keys.unique(record.unique));
    if (hasChunks(record)) {
      changes.set(keys.sweep(sweepAt(record), record.id), NOTHING);
    }
  }
}

const NOTHING = new Uint8Array(0);

/** Whether the task has chunks to be swept when its ttl is over. */
export function hasChunks(record: TaskRecord): boolean {
  return record.data.kind === "chunks" || record.result?.kind === "chunks";
}

/** When an ended task's chunks may go. */
export function sweepAt(record: TaskRecord): number {
  return (record.endedMs ?? 0) + keptMs(record);
}

/**
 * How long an ended record stays in the database. By a clock that was set back, it ended before it was made: its time then
 * counts from when it was made, or a late copy of the commit that made it would find its place empty.
 */
function keptMs({ ttlMs, createdMs, endedMs }: TaskRecord): number {
  const setBackMs = Math.max(0, createdMs - (endedMs ?? createdMs));
  return Math.max(ttlMs, TOMBSTONE_MS_MIN) + setBackMs;
}

/** Puts bytes into the record, or into chunks that are added to the changes. `part` is 0 for data, the attempt for a result. */
export function addPayload(
  store: Store,
  changes: Changes,
  id: string,
  part: number,
  bytes: Uint8Array,
): Payload {
  if (bytes.length <= INLINE_BYTES_MAX) return { kind: "inline", bytes };
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  for (let n = 0; n < count; n++) {
    const value = bytes.slice(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES);
    changes.set(store.keys.chunk(id, part, n), value);
  }
  return { kind: "chunks", size: bytes.length, count, part };
}

/**
 * The bytes of a payload.
 *
 * @throws {UnreadableRecord} If a chunk is missing or damaged.
 */
export async function readPayload(store: Store, id: string, payload: Payload): Promise<Uint8Array> {
  if (payload.kind === "inline") return payload.bytes;
  const keys = Array.from(
    { length: payload.count },
    (_, n) => store.keys.chunk(id, payload.part, n),
  );
  const bytes = new Uint8Array(payload.size);
  let at = 0;
  for (const { value } of await readMany(store, keys)) {
    if (!(value instanceof Uint8Array) || at + value.length > bytes.length) break;
    bytes.set(value, at);
    at += value.length;
  }
  if (at !== bytes.length) {
    throw new UnreadableRecord(
      "CORRUPT_RECORD",
      `Cannot read the data of task "${id}": ${at} of ${bytes.length} bytes are there`,
    );
  }
  return bytes;
}

/** A record, or null where there is none or it cannot be read; the caller leaves the latter alone. */
export function tryDecodeTask(value: unknown): TaskRecord | null {
  try {
    return value === null ? null : decodeTask(value);
  } catch {
    return null;
  }
}
