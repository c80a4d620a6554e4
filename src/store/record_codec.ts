/**
 * The bytes of everything that Taskkit stores. A task record is
 *
 * ```text
 * version (1 byte) │ length of the header (4 bytes, big endian) │ header, JSON │ inline data │ inline result
 * ```
 *
 * All else is a version byte and JSON. Fields at their default are left out. A version that this code does not know is
 * refused with `NEWER_VERSION` and left as it is; anything else that cannot be read is `CORRUPT_RECORD`.
 *
 * @module
 */

import { UnreadableRecord } from "../core/errors.ts";
import { isId } from "../core/ids.ts";
import { PRIORITY_DEFAULT, PRIORITY_MAX } from "../core/limits.ts";
import { readStoredError } from "../core/stored_error.ts";
import {
  type LeaseRef,
  type Payload,
  TASK_STATES,
  type TaskRecord,
  type TaskState,
} from "../core/task.ts";

/** The version that this code writes. Version N reads N−1; see CONTRIBUTING for how to raise it. */
export const RECORD_VERSION = 1;

/** Stands where a task was never committed, so that a late copy of its commit finds its key taken. */
export const TOMBSTONE: Uint8Array = Uint8Array.of(0x80, 0);
/** Whether a value is the {@linkcode TOMBSTONE}. */
export function isTombstone(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === 2 && value[0] === 0x80;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const HEADER_AT = 5;

/** The header as JSON: short names, since it is written three times in a task's life. */
interface Header {
  i: string;
  g: string;
  n: string;
  s: TaskState;
  d: number;
  c: number;
  t: number;
  o: string;
  p?: number;
  to?: number;
  sc?: number;
  u?: string;
  a?: number;
  r?: number;
  l?: number;
  le?: [string, string];
  st?: number;
  e?: number;
  x?: number;
  er?: unknown;
  /** Length of inline data, or [size, count, part] of chunks. */
  da: number | [number, number, number];
  re?: number | [number, number, number];
}

/** The bytes of a task record. */
export function encodeTask(record: TaskRecord): Uint8Array {
  const header: Header = {
    i: record.id,
    g: record.group,
    n: record.name,
    s: record.state,
    d: record.dueMs,
    c: record.createdMs,
    t: record.ttlMs,
    o: record.op,
    da: payloadHeader(record.data),
  };
  if (record.priority !== PRIORITY_DEFAULT) header.p = record.priority;
  if (record.timeoutMs !== null) header.to = record.timeoutMs;
  if (record.scheduledMs !== null) header.sc = record.scheduledMs;
  if (record.unique !== null) header.u = record.unique;
  if (record.attempt !== 0) header.a = record.attempt;
  if (record.released !== 0) header.r = record.released;
  if (record.lost !== 0) header.l = record.lost;
  if (record.lease !== null) header.le = [record.lease.worker, record.lease.id];
  if (record.startedMs !== null) header.st = record.startedMs;
  if (record.endedMs !== null) header.e = record.endedMs;
  if (record.expiresMs !== null) header.x = record.expiresMs;
  if (record.error !== null) header.er = record.error;
  if (record.result !== null) header.re = payloadHeader(record.result);

  const head = encoder.encode(JSON.stringify(header));
  const data = record.data.kind === "inline" ? record.data.bytes : EMPTY;
  const result = record.result?.kind === "inline" ? record.result.bytes : EMPTY;
  const bytes = new Uint8Array(HEADER_AT + head.length + data.length + result.length);
  bytes[0] = RECORD_VERSION;
  new DataView(bytes.buffer).setUint32(1, head.length);
  bytes.set(head, HEADER_AT);
  bytes.set(data, HEADER_AT + head.length);
  bytes.set(result, HEADER_AT + head.length + data.length);
  return bytes;
}

/**
 * The record of bytes that {@linkcode encodeTask} made.
 *
 * @throws {UnreadableRecord} If they are damaged or from a newer version.
 */
export function decodeTask(value: unknown): TaskRecord {
  const bytes = checkVersion(value, "task record");
  try {
    const headLength = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(1);
    const end = HEADER_AT + headLength;
    if (end > bytes.length) throw new Error("its header is cut off");
    const h = JSON.parse(decoder.decode(bytes.subarray(HEADER_AT, end))) as Header;
    const dataEnd = end + (typeof h.da === "number" ? h.da : 0);
    const record: TaskRecord = {
      id: must(h.i, isId),
      group: must(h.g, isText),
      name: must(h.n, isText),
      priority: must(h.p ?? PRIORITY_DEFAULT, isPriority),
      state: must(h.s, isState),
      dueMs: must(h.d, isCount),
      createdMs: must(h.c, isCount),
      ttlMs: must(h.t, isCount),
      timeoutMs: h.to === undefined ? null : must(h.to, isCount),
      scheduledMs: h.sc === undefined ? null : must(h.sc, isCount),
      unique: h.u === undefined ? null : must(h.u, isText),
      attempt: must(h.a ?? 0, isCount),
      released: must(h.r ?? 0, isCount),
      lost: must(h.l ?? 0, isCount),
      op: must(h.o, isText),
      lease: h.le === undefined ? null : readLeaseRef(h.le),
      startedMs: h.st === undefined ? null : must(h.st, isCount),
      endedMs: h.e === undefined ? null : must(h.e, isCount),
      expiresMs: h.x === undefined ? null : must(h.x, isCount),
      error: h.er === undefined ? null : readStoredError(h.er),
      data: readPayload(h.da, bytes, end),
      result: h.re === undefined ? null : readPayload(h.re, bytes, dataEnd),
    };
    if ((record.state === "running") !== (record.lease !== null)) {
      throw new Error("its lease does not fit its state");
    }
    return record;
  } catch (error) {
    throw corrupt("task record", error);
  }
}

const EMPTY = new Uint8Array(0);

function payloadHeader(payload: Payload): number | [number, number, number] {
  return payload.kind === "inline"
    ? payload.bytes.length
    : [payload.size, payload.count, payload.part];
}

function readPayload(
  header: number | [number, number, number],
  bytes: Uint8Array,
  start: number,
): Payload {
  if (typeof header === "number") {
    const end = start + must(header, isCount);
    if (end > bytes.length) throw new Error("its data is cut off");
    // Some clients hand out views of class Buffer, whose `slice` would not copy.
    return { kind: "inline", bytes: new Uint8Array(bytes.subarray(start, end)) };
  }
  const [size, count, part] = header;
  return {
    kind: "chunks",
    size: must(size, isCount),
    count: must(count, isCount),
    part: must(part, isCount),
  };
}

function readLeaseRef(value: unknown): LeaseRef {
  if (!Array.isArray(value)) throw new Error("its lease is no pair");
  return { worker: must(value[0], isText), id: must(value[1], isText) };
}

/** The bytes of any other record. */
export function encodeJson(value: object): Uint8Array {
  const text = encoder.encode(JSON.stringify(value));
  const bytes = new Uint8Array(text.length + 1);
  bytes[0] = RECORD_VERSION;
  bytes.set(text, 1);
  return bytes;
}

/**
 * The value of bytes that {@linkcode encodeJson} made, read by `read`, which throws if a field is wrong. `what` names the
 * record in the error.
 *
 * @throws {UnreadableRecord} If they are damaged or from a newer version.
 */
export function decodeJson<T>(
  value: unknown,
  what: string,
  read: (fields: Record<string, unknown>) => T,
): T {
  const bytes = checkVersion(value, what);
  try {
    const fields: unknown = JSON.parse(decoder.decode(bytes.subarray(1)));
    if (typeof fields !== "object" || fields === null) throw new Error("it is no object");
    return read(fields as Record<string, unknown>);
  } catch (error) {
    throw corrupt(what, error);
  }
}

function checkVersion(value: unknown, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < 2) {
    throw corrupt(what, new Error("it is not made of bytes"));
  }
  const version = value[0] ?? 0;
  if (version > RECORD_VERSION && version < 0x80) {
    throw new UnreadableRecord(
      "NEWER_VERSION",
      `Cannot read a ${what}: it was written by a newer version of Taskkit (record version ${version}, this code reads up to ${RECORD_VERSION}); update this process`,
    );
  }
  if (version !== RECORD_VERSION) throw corrupt(what, new Error(`it starts with ${version}`));
  return value;
}

function corrupt(what: string, cause: unknown): UnreadableRecord {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new UnreadableRecord("CORRUPT_RECORD", `Cannot read a ${what}: ${why}`, { cause });
}

/** The value, if it passes; records are read from bytes that anything may have damaged. */
export function must<T>(value: unknown, passes: (value: unknown) => value is T): T {
  if (!passes(value)) throw new Error(`a field is not what ${passes.name} wants`);
  return value;
}
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.isWellFormed();
}
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}
function isPriority(value: unknown): value is number {
  return isCount(value) && value <= PRIORITY_MAX;
}
function isState(value: unknown): value is TaskState {
  return TASK_STATES.includes(value as TaskState);
}
