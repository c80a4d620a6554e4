import { test } from "node:test";
import assert from "node:assert/strict";
import { runPauses } from "./pauses.ts";

test("a worker that was suspended finds its signals aborted and its outcomes refused", async () => {
  const report = await runPauses({ cycles: 3, leaseMs: 600, leasesMin: 2.1, leasesMax: 3 });
  assert.deepEqual(report.breaches, []);
  const { rescues, aborted, refused } = report;
  assert.ok(rescues >= 3, `a suspended worker is declared dead each time: ${rescues}`);
  assert.ok(aborted >= 3, `a handler is told each time: ${aborted}`);
  assert.ok(refused >= 3, `an outcome is refused each time: ${refused}`);
});
