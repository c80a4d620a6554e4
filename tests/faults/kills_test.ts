import { test } from "node:test";
import assert from "node:assert/strict";
import { runKills } from "./kills.ts";

test("kill -9 of workers, one or all, loses and doubles no task", async () => {
  const report = await runKills({
    tasks: 150,
    kills: 5,
    workers: 3,
    allEvery: 4,
    lease: "1500ms",
    rescueMs: 5_000,
    handlerMs: 60,
    pauseMs: 600,
  });
  assert.deepEqual(report.breaches, []);
  assert.equal(report.tasks, 150);
});
