/**
 * What a task is: the record that is stored, and the views of it that handlers and callers see.
 *
 * @module
 */

import type { StoredError } from "./errors.ts";

/** Where a task is in its life. Only `succeeded`, `failed`, `discarded` and `cancelled` are terminal. */
export type TaskState = "queued" | "running" | "succeeded" | "failed" | "discarded" | "cancelled";

/** All states, in the order of a task's life. */
export const TASK_STATES: readonly TaskState[] = [
  "queued",
  "running",
  "succeeded",
  "failed",
  "discarded",
  "cancelled",
];

/** Whether a task in this state has ended for good. */
export function isTerminal(state: TaskState): boolean {
  return state !== "queued" && state !== "running";
}

/** Bytes of data or of a result: in the record, or in chunks of their own when they are large. */
export type Payload =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | {
    readonly kind: "chunks";
    readonly size: number;
    readonly count: number;
    readonly part: number;
  };

/** The lease under which a task runs. */
export interface LeaseRef {
  readonly worker: string;
  readonly id: string;
}

/** The stored form of a task. `attempt` counts every claim and is never used twice; it is the fencing token. */
export interface TaskRecord {
  readonly id: string;
  readonly group: string;
  readonly name: string;
  readonly priority: number;
  readonly state: TaskState;
  readonly dueMs: number;
  readonly createdMs: number;
  readonly ttlMs: number;
  readonly timeoutMs: number | null;
  /** The schedule point that made the task, if one did. */
  readonly scheduledMs: number | null;
  /** The key that this task alone may hold until it ends. */
  readonly unique: string | null;
  readonly attempt: number;
  /** How many of the attempts were given back: by a graceful stop, a snooze, a missing task definition. */
  readonly released: number;
  /** Leases lost in a row. */
  readonly lost: number;
  /** Token of the operation that wrote this version; how a lost answer is told from a lost race. */
  readonly op: string;
  readonly lease: LeaseRef | null;
  readonly startedMs: number | null;
  readonly endedMs: number | null;
  readonly expiresMs: number | null;
  /** What the last attempt that did not succeed left. */
  readonly error: StoredError | null;
  readonly data: Payload;
  readonly result: Payload | null;
}

/** What a task is given when it is initiated; its data comes beside it. */
export type NewTask = Pick<
  TaskRecord,
  | "id"
  | "group"
  | "name"
  | "priority"
  | "dueMs"
  | "createdMs"
  | "ttlMs"
  | "timeoutMs"
  | "scheduledMs"
  | "unique"
  | "op"
>;

/** The record of a task that nobody has claimed yet, still without its data. */
export function newTask(task: NewTask): Omit<TaskRecord, "data"> {
  return {
    ...task,
    state: "queued",
    attempt: 0,
    released: 0,
    lost: 0,
    lease: null,
    startedMs: null,
    endedMs: null,
    expiresMs: null,
    error: null,
    result: null,
  };
}

/**
 * A task as its handler sees it.
 *
 * @example
 * ```ts
 * import { type Task, TaskHandler } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): string {
 *     return `${task.group}/${task.name}, attempt ${task.attempt}`;
 *   }
 * }
 * ```
 */
export interface Task {
  /** Unique, and sorted by the time of initiation (UUID v7). */
  readonly id: string;
  /** The group whose workers take it. */
  readonly group: string;
  /** What the handler tells tasks apart by. */
  readonly name: string;
  /** The encoded data; `handler.decodeData(task)` gives the value. */
  readonly data: Uint8Array;
  /** Not before this instant. */
  readonly due: Date;
  /** When it was initiated. */
  readonly created: Date;
  /** The schedule point that made it, or null. */
  readonly scheduled: Date | null;
  /** Which run this is, counted from 1. Grows with every claim and is never used twice: a fencing token. */
  readonly attempt: number;
  /** Attempts before this one that count as tries: those given back by a graceful stop do not. */
  readonly retryCount: number;
  /** How long the outcome is kept after the end, in milliseconds. */
  readonly ttl: number;
  /** 0 (taken first) to 9; default 5. */
  readonly priority: number;
}

/** What crosses a thread's or process's border to make a {@linkcode Task}: plain data. */
export interface TaskInit {
  readonly id: string;
  readonly group: string;
  readonly name: string;
  readonly data: Uint8Array;
  readonly dueMs: number;
  readonly createdMs: number;
  readonly scheduledMs: number | null;
  readonly attempt: number;
  readonly retryCount: number;
  readonly ttlMs: number;
  readonly priority: number;
}

/** The plain form of a record's task. */
export function toInit(record: TaskRecord, data: Uint8Array): TaskInit {
  const { id, group, name, dueMs, createdMs, scheduledMs, attempt, ttlMs, priority } = record;
  const retryCount = Math.max(0, attempt - 1 - record.released);
  return {
    id,
    group,
    name,
    data,
    dueMs,
    createdMs,
    scheduledMs,
    attempt,
    retryCount,
    ttlMs,
    priority,
  };
}

/** The handler's view of a task. */
export function toTask(init: TaskInit): Task {
  return {
    id: init.id,
    group: init.group,
    name: init.name,
    data: init.data,
    due: new Date(init.dueMs),
    created: new Date(init.createdMs),
    scheduled: init.scheduledMs === null ? null : new Date(init.scheduledMs),
    attempt: init.attempt,
    retryCount: init.retryCount,
    ttl: init.ttlMs,
    priority: init.priority,
  };
}
