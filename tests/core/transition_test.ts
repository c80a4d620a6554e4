import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LOST_LEASES_MAX } from "../../src/core/limits.ts";
import { TASK_STATES, type TaskRecord, type TaskState } from "../../src/core/task.ts";
import { type TaskEvent, transition } from "../../src/core/transition.ts";

const LEASE = { worker: "w", id: "l" };
const OTHER = { worker: "v", id: "m" };
const ERROR = { name: "Error", message: "now" };
const EARLIER = { name: "Error", message: "earlier" };
const RESULT = { kind: "inline", bytes: Uint8Array.of(1) } as const;

/** A record with a value in every field, as it can be in its state. */
function recordIn(state: TaskState): TaskRecord {
  const hasEnded = state !== "queued" && state !== "running";
  return {
    id: "id",
    group: "g",
    name: "n",
    priority: 4,
    state,
    dueMs: 100,
    createdMs: 50,
    ttlMs: 1_000,
    timeoutMs: 7,
    scheduledMs: 40,
    unique: "u",
    attempt: 3,
    released: 1,
    lost: 1,
    op: "before",
    lease: state === "running" ? LEASE : null,
    startedMs: state === "queued" ? null : 120,
    endedMs: hasEnded ? 200 : null,
    expiresMs: hasEnded ? 1_200 : null,
    error: EARLIER,
    data: { kind: "inline", bytes: Uint8Array.of(7) },
    result: state === "succeeded" ? RESULT : null,
  };
}

const EVENTS: { readonly [kind in TaskEvent["kind"]]: TaskEvent } = {
  claim: { kind: "claim", op: "op", nowMs: 500, lease: OTHER },
  succeed: { kind: "succeed", op: "op", nowMs: 500, result: RESULT },
  retry: { kind: "retry", op: "op", dueMs: 600, error: ERROR },
  fail: { kind: "fail", op: "op", nowMs: 500, error: ERROR },
  discard: { kind: "discard", op: "op", nowMs: 500, error: ERROR },
  cancel: { kind: "cancel", op: "op", nowMs: 500 },
  release: { kind: "release", op: "op", dueMs: 600 },
  rescue: { kind: "rescue", op: "op", nowMs: 500 },
  revive: { kind: "revive", op: "op", nowMs: 500 },
};

const ENDED = { op: "op", lease: null, endedMs: 500, expiresMs: 1_500 };
const QUEUED = { op: "op", state: "queued", lease: null, startedMs: null };
const REVIVED = { ...QUEUED, dueMs: 500, released: 3, lost: 0, endedMs: null, expiresMs: null };
const CANCELLED = { ...ENDED, state: "cancelled" };

/** What changes, by state and event. What is not in the table is refused. */
const TABLE: { readonly [state in TaskState]: { readonly [kind in TaskEvent["kind"]]?: object } } =
  {
    queued: {
      claim: { state: "running", attempt: 4, op: "op", lease: OTHER, startedMs: 500 },
      cancel: CANCELLED,
    },
    running: {
      succeed: { ...ENDED, state: "succeeded", error: null, result: RESULT },
      retry: { ...QUEUED, dueMs: 600, lost: 0, error: ERROR },
      fail: { ...ENDED, state: "failed", error: ERROR },
      discard: { ...ENDED, state: "discarded", error: ERROR },
      cancel: CANCELLED,
      release: { ...QUEUED, dueMs: 600, released: 2 },
      rescue: { ...QUEUED, lost: 2 },
    },
    succeeded: {},
    failed: { revive: REVIVED },
    discarded: { revive: REVIVED },
    cancelled: { revive: REVIVED },
  };

describe("every state and every event", () => {
  for (const state of TASK_STATES) {
    for (const event of Object.values(EVENTS)) {
      const changes = TABLE[state][event.kind];
      const before = recordIn(state);
      if (changes === undefined) {
        test(`${event.kind} is refused for a task that is ${state}`, () => {
          assert.throws(() => transition(before, event), {
            name: "AssertionError",
            message: new RegExp(state),
          });
          assert.deepEqual(before, recordIn(state));
        });
      } else {
        test(`${event.kind} of a task that is ${state} changes this and nothing else`, () => {
          assert.deepEqual(transition(before, event), { ...before, ...changes });
          assert.deepEqual(before, recordIn(state));
        });
      }
    }
  }
});

test("a release may say why", () => {
  const released = transition(
    recordIn("running"),
    { ...EVENTS.release, error: ERROR } as TaskEvent,
  );
  assert.deepEqual(released.error, ERROR);
});

test("the rescue that is one too many fails the task as poison", () => {
  const before = { ...recordIn("running"), lost: LOST_LEASES_MAX - 1 };
  const { error, ...after } = transition(before, EVENTS.rescue);
  const { error: _, ...rest } = before;
  assert.deepEqual(after, { ...rest, ...ENDED, state: "failed", lost: LOST_LEASES_MAX });
  assert.deepEqual([error?.name, error?.code], ["TaskPoisoned", "TASK_POISONED"]);
});

test("numbers of attempts are never used twice, whatever happens to a task", () => {
  let record: TaskRecord = { ...recordIn("queued"), attempt: 0, released: 0, lost: 0 };
  const claimed: number[] = [];
  for (
    const kind of [
      "release",
      "retry",
      "rescue",
      "rescue",
      "release",
      "rescue",
      "revive",
      "cancel",
      "revive",
      "fail",
      "revive",
    ] as const
  ) {
    if (record.state === "queued" && kind !== "cancel") {
      record = transition(record, EVENTS.claim);
      claimed.push(record.attempt);
    }
    record = transition(
      record,
      EVENTS[kind === "revive" && record.state === "running" ? "fail" : kind],
    );
    if (kind === "revive" && record.state !== "queued") record = transition(record, EVENTS.revive);
  }
  assert.deepEqual(claimed, claimed.map((_, i) => i + 1));
});
