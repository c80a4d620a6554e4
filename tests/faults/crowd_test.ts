import { test } from "node:test";
import assert from "node:assert/strict";
import { runCrowd } from "./crowd.ts";

test("many claimers of one task run it once", async () => {
  const report = await runCrowd({ claimers: 16, rounds: 4, tasksPerRound: 1, concurrency: 1 });
  assert.deepEqual({ starts: report.starts, problems: report.problems }, {
    starts: 4,
    problems: [],
  });
});

test("tasks that are due in the same millisecond run once each", async () => {
  const report = await runCrowd({ claimers: 4, rounds: 1, tasksPerRound: 1_500, concurrency: 20 });
  assert.deepEqual(
    { starts: report.starts, problems: report.problems },
    { starts: 1_500, problems: [] },
  );
});
