/**
 * Why a task does not run.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TaskInfo, TaskPlace, WorkerInfo } from "@taskkit/taskkit";
import { explain } from "../../src/cli/explain.ts";

const NOW = Date.UTC(2030, 0, 1);
function task(changes: Partial<TaskInfo> = {}): TaskInfo {
  return {
    id: "id",
    group: "images",
    name: "resize",
    state: "queued",
    priority: 5,
    due: new Date(NOW),
    created: new Date(NOW),
    started: null,
    ended: null,
    expires: null,
    scheduled: null,
    attempt: 0,
    retryCount: 0,
    ttl: 1,
    timeout: null,
    unique: null,
    worker: null,
    error: null,
    ...changes,
  };
}

function worker(changes: Partial<WorkerInfo> = {}): WorkerInfo {
  return {
    id: "w",
    host: "host",
    pid: 7,
    runtime: "deno 2",
    started: new Date(NOW),
    lastBeat: new Date(NOW - 1_000),
    groups: { images: 2 },
    running: 0,
    stopping: false,
    ...changes,
  };
}

function reasons(
  changes: Partial<TaskInfo>,
  workers: readonly WorkerInfo[],
  place: Partial<TaskPlace> | null = {},
): string[] {
  const whole = place && { ahead: 0, running: 0, paused: false, pausedAll: false, ...place };
  return explain(task(changes), { nowMs: NOW, workers, place: whole });
}

test("explain() of a queued task: paused, not due, nobody there", () => {
  assert.deepEqual(
    reasons({ due: new Date(NOW + 90_000) }, [], { pausedAll: true, paused: true }),
    [
      "all groups are paused: taskkit resume",
      'group "images" is paused: taskkit resume images',
      "it is due in 1m 30s, at 2030-01-01T00:01:30.000Z",
      'no worker works on group "images": taskkit worker --group images',
    ],
  );
  assert.deepEqual(reasons({}, [worker({ lastBeat: new Date(NOW - 45_000) })]), [
    'no worker of group "images" is alive: the last heartbeat came 45s ago',
  ]);
  assert.deepEqual(reasons({}, [worker({ stopping: true })]), [
    'every worker of group "images" is stopping',
  ]);
  assert.deepEqual(reasons({}, [worker({ groups: { mail: 1 } })]), [
    'no worker works on group "images": taskkit worker --group images',
  ]);
});

test("explain() of a queued task: between attempts, or unknown to the worker", () => {
  const due = new Date(NOW + 5_000);
  const error = { name: "Error", message: "boom" };
  assert.deepEqual(reasons({ attempt: 2, error, due }, [worker()]), [
    "attempt 2 failed; the next one is due in 5.0s",
  ]);
  assert.deepEqual(
    reasons({ attempt: 1, error: { ...error, code: "UNKNOWN_TASK" }, due }, [worker()]),
    ["the worker that took it does not know it; it waits for one whose handler does"],
  );
});

test("explain() of a queued task: behind others, or about to be taken", () => {
  assert.deepEqual(reasons({}, [worker()], { ahead: 3, running: 2 }), [
    'all 2 slots of the workers of group "images" are taken: more workers, or a higher concurrency',
    '3 tasks of group "images" are taken before it',
  ]);
  assert.deepEqual(reasons({}, [worker()], { ahead: 1, running: 1 }), [
    '1 task of group "images" is taken before it',
  ]);
  assert.deepEqual(reasons({}, [worker()], { ahead: 1_000 }), [
    'at least 1,000 tasks of group "images" are taken before it',
  ]);
  for (const place of [{}, null]) {
    assert.deepEqual(reasons({}, [worker()], place), [
      "nothing is in its way: a worker is about to take it",
    ]);
  }
});

test("explain() of a running task tells where, and whether its worker is heard of", () => {
  const running = { state: "running", worker: "w" } as const;
  assert.deepEqual(reasons(running, [worker()]), ["it runs in process 7 on host"]);
  assert.deepEqual(reasons(running, [worker({ stopping: true })]), [
    "it runs in process 7 on host, which is stopping",
  ]);
  assert.deepEqual(reasons(running, [worker({ lastBeat: new Date(NOW - 60_000) })]), [
    "its worker (process 7 on host) has not been heard of for 1m; if it is dead, another one " +
    "takes the task back, if any runs",
  ]);
  assert.deepEqual(reasons(running, []), [
    "its worker is gone; another one takes it back, if any runs",
  ]);
  assert.deepEqual(reasons({ state: "succeeded" }, []), []);
});
