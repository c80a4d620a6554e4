import { test } from "node:test";
import assert from "node:assert/strict";
import { runDrain, runIdle, runInitiate } from "./processes.ts";

test("four processes drain one file together, and none hears of a lock", async () => {
  const { warnings, fairness } = await runDrain({ workers: 4, forMs: 1_000, tasks: 25_000 });
  assert.deepEqual(warnings, []);
  assert.ok(fairness > 0, "each had a share");
});

test("a process that only initiates is let through while another one drains", async () => {
  const { warnings, calls, drained } = await runInitiate({ forMs: 1_000, tasks: 25_000 });
  assert.deepEqual(warnings, []);
  assert.ok(calls > 0 && drained > 0);
});

test("an idle worker writes nothing but its heartbeats, and is woken across processes", async () => {
  const { p50, bytesPerSecond } = await runIdle({ starts: 5, idleMs: 2_500, lease: "3s" });
  // By the poll alone it would be 2,500 on average; by a feedback of its own commits it was 3,000,000.
  assert.ok(p50 < 1_000, `${p50} ms`);
  assert.ok(bytesPerSecond < 100_000, `${bytesPerSecond} bytes/s`);
});
