import assert from "node:assert/strict";
import { test } from "node:test";
import { THREAD_JOBS_MAX } from "../../src/core/limits.ts";
import { Claims } from "../../src/executor/claims.ts";

function bothSides(): { worker: Claims; thread: Claims } {
  const worker = new Claims();
  return { worker, thread: new Claims(worker.memory) };
}

test("a job is begun once, and not after it was withdrawn", () => {
  const { worker, thread } = bothSides();
  const cell = worker.offer(7) ?? -1;
  assert.equal(worker.hasBegun(cell, 7), false);
  assert.equal(thread.begin(cell, 7), true);
  assert.equal(thread.begin(cell, 7), false);
  assert.deepEqual([worker.hasBegun(cell, 7), worker.withdraw(cell, 7)], [true, false]);
});

test("a withdrawn job is not begun, even if its cell was used again", () => {
  const { worker, thread } = bothSides();
  const cell = worker.offer(7) ?? -1;
  assert.equal(worker.withdraw(cell, 7), true);
  assert.equal(worker.withdraw(cell, 7), false);
  assert.equal(thread.begin(cell, 7), false);
  worker.release(cell);
  assert.equal(worker.offer(8), cell);
  assert.deepEqual([thread.begin(cell, 7), thread.begin(cell, 8)], [false, true]);
});

test("there is room for a bounded number of jobs", () => {
  const { worker } = bothSides();
  const cells = Array.from({ length: THREAD_JOBS_MAX }, (_, i) => worker.offer(i + 1));
  assert.equal(new Set(cells).size, THREAD_JOBS_MAX);
  assert.equal(worker.offer(99_999), null);
  worker.release(cells[0] ?? -1);
  assert.equal(worker.offer(99_999), cells[0]);
});

test("who holds the thread is seen from the other side", () => {
  const { worker, thread } = bothSides();
  assert.equal(worker.holder(), 0);
  thread.hold(5);
  assert.equal(worker.holder(), 5);
  thread.hold(0);
  assert.equal(worker.holder(), 0);
});
