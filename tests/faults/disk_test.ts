import { test } from "node:test";
import assert from "node:assert/strict";
import { runDisk, withoutDisk } from "./disk.ts";

test("a disk that is full for a while loses and doubles nothing", {
  skip: withoutDisk() ?? false,
}, async () => {
  const report = await runDisk({ fills: 2, fullMs: 500 });
  assert.deepEqual(report.breaches, []);
  assert.ok(report.failedCommits >= 1, "a commit failed for want of room");
});
