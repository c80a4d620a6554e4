import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRetryInterval, TaskHandler } from "../../src/core/handler.ts";
import { RETRIES_DEFAULT } from "../../src/core/limits.ts";
import type { Task } from "../../src/core/task.ts";

class Handler extends TaskHandler {
  override handle(): void {}
}

function task(options: Partial<Task> = {}): Task {
  return {
    id: "019b796d-d600-7000-8000-078eee237ce0",
    group: "g",
    name: "n",
    data: new Uint8Array(0),
    due: new Date(0),
    created: new Date(0),
    scheduled: null,
    attempt: 1,
    retryCount: 0,
    ttl: 1,
    priority: 5,
    ...options,
  };
}

test("the default rule doubles from a second up to an hour, with a jitter of a fifth, ten times", () => {
  for (let retryCount = 0; retryCount < RETRIES_DEFAULT; retryCount++) {
    const base = Math.min(1_000 * 2 ** retryCount, 3_600_000);
    for (let attempt = 1; attempt < 50; attempt++) {
      const ms = defaultRetryInterval(task({ retryCount, attempt })) ?? -1;
      assert(ms >= 0.8 * base && ms <= 1.2 * base && Number.isInteger(ms), `${retryCount}: ${ms}`);
    }
  }
  assert.equal(defaultRetryInterval(task({ retryCount: RETRIES_DEFAULT })), null);
});

test("the jitter is the same for the same attempt, and differs from task to task", () => {
  assert.equal(defaultRetryInterval(task()), defaultRetryInterval(task()));
  const waits = new Set<number | null>();
  for (let n = 0; n < 100; n++) waits.add(defaultRetryInterval(task({ id: `task ${n}` })));
  assert(waits.size > 80, `${waits.size} of 100`);
});

test("a handler's codec keeps data and results, and says whose they are when it cannot", () => {
  const handler = new Handler();
  const value = { at: new Date(5), n: 5n };
  const data = handler.encodeData("g", "n", value);
  assert.deepEqual(handler.decodeData(task({ data })), value);
  assert.deepEqual(handler.decodeResult(task(), handler.encodeResult(task(), value)), value);
  assert.throws(() => handler.encodeData("g", "resize", () => {}), {
    code: "INVALID_DATA",
    message: /^Cannot encode the data of a task "resize": /,
  });
  assert.throws(() => handler.decodeData(task({ data: Uint8Array.of(9) })), {
    code: "INVALID_DATA",
    message: /^Cannot decode the data of task "019b/,
  });
});
