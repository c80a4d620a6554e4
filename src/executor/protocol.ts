/**
 * What a worker and its threads and processes tell each other: plain data, in batches.
 *
 * ```
 * worker → thread   run (an attempt, with its number) · abort (its signal) · ping
 * thread → worker   ready | invalid · outcome · progress · log · dying (and of which attempt) · pong
 * ```
 *
 * A worker trusts nothing it is told: every report is read field by field, with bounds, and counts only if the attempt it
 * names was given to its sender and has not ended.
 *
 * @module
 */

import type { StoredError } from "../core/errors.ts";
import * as errors from "../core/errors.ts";
import type { UserKey, UserWrite } from "../core/handler.ts";
import {
  DATA_BYTES_MAX,
  DURATION_MS_MAX,
  KV_COMMIT_MUTATIONS_MAX,
  LOG_FIELDS_DEPTH_MAX,
  LOG_FIELDS_MAX,
  LOG_MESSAGE_CHARS_MAX,
} from "../core/limits.ts";
import type { LogLevel } from "../core/log.ts";
import { readStoredError, toStoredError } from "../core/stored_error.ts";
import type { TaskInit } from "../core/task.ts";
import type { Outcome } from "./executor.ts";

/** An attempt under way. Numbers grow from 1 and name one attempt in one place, unlike the id of its task. */
export interface RunCommand {
  readonly kind: "run";
  readonly n: number;
  /** Where in the shared memory the thread takes the attempt; see `claims.ts`. */
  readonly claim: number;
  /** Whether the worker wants to know when it begins. */
  readonly isTimed: boolean;
  readonly task: TaskInit;
  /** Why it was aborted before it began, if it was. */
  readonly aborted: Reason | null;
}

/** What a worker tells a thread or process. */
export type Command =
  | RunCommand
  | { readonly kind: "abort"; readonly n: number; readonly reason: Reason }
  | { readonly kind: "ping" };

/** What a thread or process tells its worker. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "invalid"; readonly error: StoredError }
  | { readonly kind: "began"; readonly n: number }
  | { readonly kind: "outcome"; readonly n: number; readonly outcome: Outcome }
  | {
    readonly kind: "progress";
    readonly n: number;
    readonly fraction: number;
    readonly message: string;
  }
  | {
    readonly kind: "log";
    readonly n: number;
    readonly level: LogLevel;
    readonly message: string;
    readonly fields: Record<string, unknown>;
  }
  /** It ends; `n` is the attempt whose code is to blame, 0 where none was under way, null where that is not known. */
  | { readonly kind: "dying"; readonly n: number | null; readonly error: StoredError }
  | { readonly kind: "pong" };

// ── The reason of a signal ──

/** The reason of an abort, in a form that crosses. */
export type Reason =
  | { readonly kind: "error"; readonly error: StoredError; readonly id?: string }
  | { readonly kind: "value"; readonly value: string | number | boolean | null };

/** The crossing form of a reason. */
export function packReason(reason: unknown): Reason {
  if (typeof reason === "string" || typeof reason === "number" || typeof reason === "boolean") {
    return { kind: "value", value: reason };
  }
  if (reason === null || reason === undefined) return { kind: "value", value: null };
  const error = toStoredError(reason);
  const id: unknown = typeof reason === "object" ? Reflect.get(reason, "id") : undefined;
  return { kind: "error", error, ...(typeof id === "string" ? { id } : {}) };
}

const CLASSES: ReadonlyMap<string, object> = new Map(
  Object.values(errors).map((known) => [known.name, known.prototype]),
);

/** The reason again; an error of Taskkit is of its own class again. */
export function unpackReason(reason: Reason): unknown {
  if (reason.kind === "value") return reason.value;
  const { name, message, code, stack } = reason.error;
  if (name === "AbortError" || name === "TimeoutError") return new DOMException(message, name);
  const prototype = CLASSES.get(name);
  const error = new Error(message);
  if (prototype !== undefined) Object.setPrototypeOf(error, prototype);
  const more = { name, code, stack, id: reason.id };
  for (const [key, value] of Object.entries(more)) {
    if (value !== undefined) {
      Object.defineProperty(error, key, { value, configurable: true, writable: true });
    }
  }
  return error;
}

// ── The user's writes ──

/** The name of the class whose instances lose it on the way; `Deno.KvU64` is made again on the other side. */
const COUNTER = "KvU64";

/**
 * The crossing form of writes. Structured clone turns an instance of a class into a plain object, as Deno KV does; only
 * `KvU64`, which means something to the database, must stay what it is.
 *
 * @throws {errors.InvalidData} If a value is a `KvU64` and this runtime cannot make one on the other side.
 */
export function packWrites(writes: readonly UserWrite[]): readonly UserWrite[] {
  if (!writes.some(isCounterWrite)) return writes;
  return writes.map((write) => {
    if (!isCounterWrite(write)) return write;
    if (counterClass() === null) {
      throw new errors.InvalidData(
        `Cannot send a ${COUNTER} to the worker: this runtime has no Deno.${COUNTER}; store a bigint, or run inline`,
      );
    }
    return { ...write, value: write.value.value, counter: true };
  });
}

function isCounterWrite(
  write: UserWrite,
): write is UserWrite & { kind: "set"; value: { value: bigint } } {
  return write.kind === "set" && typeof write.value === "object" && write.value !== null &&
    write.value.constructor?.name === COUNTER && "value" in write.value &&
    typeof write.value.value === "bigint";
}

function counterClass(): (new (value: bigint) => unknown) | null {
  const owner: unknown = Reflect.get(globalThis, "Deno");
  if (typeof owner !== "object" || owner === null) return null;
  const counter: unknown = Reflect.get(owner, COUNTER);
  return isCounterClass(counter) ? counter : null;
}

function isCounterClass(value: unknown): value is new (value: bigint) => unknown {
  return typeof value === "function";
}

// ── Reading reports ──

const LEVELS: readonly unknown[] = ["debug", "info", "warn", "error"] satisfies LogLevel[];

/** A report, read field by field from what was received; null where it is none. */
export function readReport(value: unknown): Report | null {
  if (typeof value !== "object" || value === null) return null;
  const field = (name: string): unknown => Reflect.get(value, name);
  switch (field("kind")) {
    case "ready":
      return { kind: "ready" };
    case "pong":
      return { kind: "pong" };
    case "invalid": {
      const error = readStoredError(field("error"));
      return error === null ? null : { kind: "invalid", error };
    }
    case "began": {
      const n = readNumber(field("n"));
      return n === null ? null : { kind: "began", n };
    }
    case "outcome": {
      const n = readNumber(field("n"));
      const outcome = readOutcome(field("outcome"));
      return n === null || outcome === null ? null : { kind: "outcome", n, outcome };
    }
    case "progress": {
      const n = readNumber(field("n"));
      const fraction = field("fraction");
      const message = readText(field("message"));
      if (n === null || message === null || typeof fraction !== "number") return null;
      return fraction >= 0 && fraction <= 1 ? { kind: "progress", n, fraction, message } : null;
    }
    case "log": {
      const n = readNumber(field("n"));
      const level = field("level");
      const message = readText(field("message"));
      if (n === null || message === null || !isLevel(level)) return null;
      return { kind: "log", n, level, message, fields: boundFields(field("fields")) };
    }
    case "dying": {
      const n = field("n");
      const error = readStoredError(field("error"));
      if (error === null || n !== null && n !== 0 && readNumber(n) === null) return null;
      return { kind: "dying", n: n === null ? null : Number(n), error };
    }
    default:
      return null;
  }
}

/** The number of the attempt that a report claims to be about, even if the rest of it makes no sense. */
export function readAttempt(value: unknown): number | null {
  return typeof value === "object" && value !== null ? readNumber(Reflect.get(value, "n")) : null;
}

function isLevel(value: unknown): value is LogLevel {
  return LEVELS.includes(value);
}

function readNumber(value: unknown): number | null {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : null;
}

function readText(value: unknown): string | null {
  return typeof value === "string" ? cutText(value) : null;
}

function cutText(text: string): string {
  return (text.length > LOG_MESSAGE_CHARS_MAX
    ? `${text.slice(0, LOG_MESSAGE_CHARS_MAX - 1)}…`
    : text)
    .toWellFormed();
}

/** The text of a log line or of a progress, cut to its bound. */
export { cutText };

/** An outcome. A thread cannot say that it was lost: that is for the worker to notice. */
function readOutcome(value: unknown): Outcome | null {
  if (typeof value !== "object" || value === null) return null;
  const field = (name: string): unknown => Reflect.get(value, name);
  const kind = field("kind");
  if (kind === "succeeded") {
    const result = field("result");
    const writes = readWrites(field("writes"));
    if (!(result instanceof Uint8Array) || result.length > DATA_BYTES_MAX) return null;
    return writes === null ? null : { kind, result: compact(result), writes };
  }
  const error = readStoredError(field("error"));
  if (error === null) return null;
  if (kind === "failed" || kind === "discarded") return { kind, error };
  if (kind !== "retried" && kind !== "parked") return null;
  const delayMs = field("delayMs");
  if (typeof delayMs !== "number" || !(delayMs >= 0 && delayMs <= DURATION_MS_MAX)) return null;
  return { kind, delayMs, error };
}

/** Bytes that stand alone in memory of their own: a view would take all that it looks into across the border. */
export function compact(bytes: Uint8Array): Uint8Array {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? bytes
    : bytes.slice();
}

function readWrites(value: unknown): UserWrite[] | null {
  if (!Array.isArray(value) || value.length > KV_COMMIT_MUTATIONS_MAX) return null;
  const writes: UserWrite[] = [];
  for (const item of value) {
    const write = readWrite(item);
    if (write === null) return null;
    writes.push(write);
  }
  return writes;
}

function readWrite(value: unknown): UserWrite | null {
  if (typeof value !== "object" || value === null) return null;
  const field = (name: string): unknown => Reflect.get(value, name);
  const key = readKey(field("key"));
  if (key === null) return null;
  switch (field("kind")) {
    case "delete":
      return { kind: "delete", key };
    case "check": {
      const versionstamp = field("versionstamp");
      return versionstamp === null || typeof versionstamp === "string"
        ? { kind: "check", key, versionstamp }
        : null;
    }
    case "set": {
      const expireIn = field("expireIn");
      if (expireIn !== undefined && typeof expireIn !== "number") return null;
      const stored = field("counter") === true ? toCounter(field("value")) : field("value");
      return {
        kind: "set",
        key,
        value: stored,
        ...(expireIn === undefined ? {} : { expireIn }),
      };
    }
    default:
      return null;
  }
}

function toCounter(value: unknown): unknown {
  const counter = counterClass();
  return counter === null || typeof value !== "bigint" ? value : new counter(value);
}

const KEY_PARTS_MAX = 1_000;

function readKey(value: unknown): UserKey | null {
  if (!Array.isArray(value) || value.length > KEY_PARTS_MAX) return null;
  return value.every(isKeyPart) ? value : null;
}

function isKeyPart(value: unknown): value is UserKey[number] {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint" ||
    typeof value === "boolean" || value instanceof Uint8Array;
}

/**
 * The fields of a log line as plain data of bounded size, whatever they hold: what is deeper, longer or more is cut, and
 * what is no data is named. Never throws.
 */
export function boundFields(fields: unknown): Record<string, unknown> {
  const room = { left: LOG_FIELDS_MAX };
  const bound = boundValue(fields, LOG_FIELDS_DEPTH_MAX, room);
  return typeof bound === "object" && bound !== null && !Array.isArray(bound)
    ? Object.fromEntries(Object.entries(bound))
    : {};
}

function boundValue(value: unknown, depth: number, room: { left: number }): unknown {
  try {
    switch (typeof value) {
      case "string":
        return cutText(value);
      case "bigint":
        return cutText(String(value));
      case "function":
      case "symbol":
        return `[${typeof value}]`;
      case "object":
        return value === null ? null : boundObject(value, depth, room);
      default:
        return value;
    }
  } catch {
    // A getter or a proxy that throws.
    return "[unreadable]";
  }
}

function boundObject(value: object, depth: number, room: { left: number }): unknown {
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "[invalid date]" : value.toISOString();
  }
  if (value instanceof Error) return boundObject({ ...toStoredError(value) }, depth, room);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth === 0) return "[…]";
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (let i = 0; i < value.length && room.left-- > 0; i++) {
      items.push(boundValue(value[i], depth - 1, room));
    }
    return items;
  }
  const fields: [string, unknown][] = [];
  for (const name of Object.keys(value)) {
    if (room.left-- <= 0) break;
    if (name === "__proto__") continue;
    fields.push([cutText(name), boundValue(Reflect.get(value, name), depth - 1, room)]);
  }
  return Object.fromEntries(fields);
}
