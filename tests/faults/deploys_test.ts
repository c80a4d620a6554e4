import { test } from "node:test";
import assert from "node:assert/strict";
import { runDeploys } from "./deploys.ts";

test("workers that are replaced one after another use no attempt up", async () => {
  const report = await runDeploys({ replace: 2, everyMs: 300, graceMs: 3_000, handlerMs: 150 });
  assert.deepEqual(report.breaches, []);
});

test("workers whose grace is too short give back what they run, and use no attempt up", async () => {
  const report = await runDeploys({ replace: 3, everyMs: 300, graceMs: 20, handlerMs: 400 });
  assert.deepEqual(report.breaches, []);
  assert.ok(report.released >= 1, "something was given back");
});
