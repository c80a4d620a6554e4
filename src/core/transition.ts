/**
 * The one state machine. Nothing else assigns a state:
 *
 * ```text
 * queued ──claim──▶ running ──succeed──▶ succeeded
 *    ▲  │              │ ├──fail─────▶ failed ──────┐
 *    │  └──cancel──────┼─┼──discard──▶ discarded ───┤
 *    │                 │ └──cancel───▶ cancelled ───┤
 *    ├─retry, release, rescue                       │
 *    └──────────────────revive (an operator)────────┘
 * ```
 *
 * Pure: time, tokens and durations are arguments.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type StoredError, TaskPoisoned } from "./errors.ts";
import { LOST_LEASES_MAX } from "./limits.ts";
import { toStoredError } from "./stored_error.ts";
import { isTerminal, type LeaseRef, type Payload, type TaskRecord } from "./task.ts";
import { unreachable } from "./unreachable.ts";

/** What happens to a task. `op` names the operation that makes the change. */
export type TaskEvent =
  | {
    readonly kind: "claim";
    readonly op: string;
    readonly nowMs: number;
    readonly lease: LeaseRef;
  }
  | {
    readonly kind: "succeed";
    readonly op: string;
    readonly nowMs: number;
    readonly result: Payload;
  }
  | {
    readonly kind: "retry";
    readonly op: string;
    readonly dueMs: number;
    readonly error: StoredError;
  }
  | {
    readonly kind: "fail" | "discard";
    readonly op: string;
    readonly nowMs: number;
    readonly error: StoredError;
  }
  | { readonly kind: "cancel"; readonly op: string; readonly nowMs: number }
  /** Given back without using the attempt. */
  | {
    readonly kind: "release";
    readonly op: string;
    readonly dueMs: number;
    readonly error?: StoredError;
  }
  /** Taken back from a dead worker; uses the attempt up. */
  | { readonly kind: "rescue"; readonly op: string; readonly nowMs: number }
  /** Started anew by an operator. */
  | { readonly kind: "revive"; readonly op: string; readonly nowMs: number };

/** The record after the event. An event that the record's state does not allow is a broken assumption. */
export function transition(record: TaskRecord, event: TaskEvent): TaskRecord {
  switch (event.kind) {
    case "claim": {
      assert(record.state === "queued", `Cannot claim a task that is ${record.state}`);
      const { op, lease, nowMs } = event;
      return {
        ...record,
        state: "running",
        attempt: record.attempt + 1,
        op,
        lease,
        startedMs: nowMs,
      };
    }
    case "succeed":
      assertRunning(record, event.kind);
      return { ...ended(record, "succeeded", event), error: null, result: event.result };
    case "retry":
      assertRunning(record, event.kind);
      return { ...queued(record, event), lost: 0, error: event.error };
    case "fail":
      assertRunning(record, event.kind);
      return { ...ended(record, "failed", event), error: event.error };
    case "discard":
      assertRunning(record, event.kind);
      return { ...ended(record, "discarded", event), error: event.error };
    case "cancel":
      assert(!isTerminal(record.state), `Cannot cancel a task that is ${record.state}`);
      return ended(record, "cancelled", event);
    case "release":
      assertRunning(record, event.kind);
      // The count of lost leases stands: a task that is given back unharmed, or never begun, has proven nothing.
      return {
        ...queued(record, event),
        released: record.released + 1,
        error: event.error ?? record.error,
      };
    case "rescue": {
      assertRunning(record, event.kind);
      const lost = record.lost + 1;
      if (lost >= LOST_LEASES_MAX) {
        return {
          ...ended(record, "failed", event),
          lost,
          error: toStoredError(new TaskPoisoned(record.id, lost)),
        };
      }
      return { ...queued(record, { op: event.op, dueMs: record.dueMs }), lost };
    }
    case "revive":
      assert(
        isTerminal(record.state) && record.state !== "succeeded",
        `Cannot start a ${record.state} task anew`,
      );
      // All attempts so far are forgiven, and their numbers stay used.
      return {
        ...queued(record, { op: event.op, dueMs: event.nowMs }),
        released: record.attempt,
        lost: 0,
        endedMs: null,
        expiresMs: null,
      };
    default:
      return unreachable(event);
  }
}

function assertRunning(record: TaskRecord, act: string): void {
  assert(record.state === "running", `Cannot ${act} a task that is ${record.state}`);
}

function queued(
  record: TaskRecord,
  to: { readonly op: string; readonly dueMs: number },
): TaskRecord {
  return { ...record, state: "queued", op: to.op, dueMs: to.dueMs, lease: null, startedMs: null };
}

function ended(
  record: TaskRecord,
  state: "succeeded" | "failed" | "discarded" | "cancelled",
  by: { readonly op: string; readonly nowMs: number },
): TaskRecord {
  const expiresMs = by.nowMs + record.ttlMs;
  return { ...record, state, op: by.op, lease: null, endedMs: by.nowMs, expiresMs };
}
