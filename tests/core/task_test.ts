import assert from "node:assert/strict";
import { test } from "node:test";
import { isTerminal, TASK_STATES, type TaskRecord, toInit, toTask } from "../../src/core/task.ts";

const RECORD: TaskRecord = {
  id: "id",
  group: "g",
  name: "n",
  priority: 4,
  state: "running",
  dueMs: 100,
  createdMs: 50,
  ttlMs: 1_000,
  timeoutMs: null,
  scheduledMs: 40,
  unique: null,
  attempt: 5,
  released: 1,
  lost: 0,
  op: "op",
  lease: { worker: "w", id: "l" },
  startedMs: 120,
  endedMs: null,
  expiresMs: null,
  error: null,
  data: { kind: "inline", bytes: Uint8Array.of(7) },
  result: null,
};

test("a handler sees the task with dates, its data, and the tries that count", () => {
  const data = Uint8Array.of(1, 2);
  assert.deepEqual(toTask(toInit(RECORD, data)), {
    id: "id",
    group: "g",
    name: "n",
    data,
    due: new Date(100),
    created: new Date(50),
    scheduled: new Date(40),
    attempt: 5,
    retryCount: 3,
    ttl: 1_000,
    priority: 4,
  });
});

test("what crosses to a thread is plain data", () => {
  const init = toInit({ ...RECORD, scheduledMs: null }, Uint8Array.of(1));
  assert.deepEqual(structuredClone(init), init);
  assert.equal(toTask(init).scheduled, null);
});

test("a first attempt has no retries, also when more was released than claimed", () => {
  for (
    const [attempt, released, retryCount] of [[0, 0, 0], [1, 0, 0], [2, 0, 1], [3, 2, 0], [
      3,
      3,
      0,
    ]] as const
  ) {
    assert.equal(toInit({ ...RECORD, attempt, released }, Uint8Array.of()).retryCount, retryCount);
  }
});

test("all states but two are terminal", () => {
  assert.deepEqual(TASK_STATES.filter((state) => !isTerminal(state)), ["queued", "running"]);
});
