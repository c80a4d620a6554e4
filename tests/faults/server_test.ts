import { test } from "node:test";
import assert from "node:assert/strict";
import { runBlackhole, runNetwork, runRestarts, withoutServer } from "./server.ts";

const options = { skip: withoutServer() ?? false };

test(
  "a denokv server that is killed and started again loses and doubles nothing",
  options,
  async () => {
    const report = await runRestarts({ kills: 2, awayMs: 1_000, upMs: 600, leaseMs: 1_500 });
    assert.deepEqual(report.breaches, []);
    assert.ok(report.recoveryMs.every((ms) => ms < 30_000), String(report.recoveryMs));
  },
);

test("a network that loses requests and answers loses and doubles no task", options, async () => {
  const report = await runNetwork({
    tasks: 40,
    loss: 0.2,
    leaseMs: 4_000,
    faults: ["delay", "lose request", "lose answer", "half close"],
  });
  assert.deepEqual(report.breaches, []);
  // A cancel may end unknown or refused, too.
  assert.ok(report.tasks + report.unknown + report.refused >= 40);
  assert.ok(Object.keys(report.faults).length === 4, "each fault happened");
});

test(
  "a worker whose server does not answer fences itself, and goes on when it does",
  options,
  async () => {
    const report = await runBlackhole({ awayMs: 2_500, leaseMs: 1_000 });
    assert.deepEqual(report.breaches, []);
    assert.ok(report.fenced >= 1);
  },
);
