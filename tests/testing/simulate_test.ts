import assert from "node:assert/strict";
import { test } from "node:test";
import { defineTask, tasks } from "../../mod.ts";
import {
  crashEverywhere,
  type Scenario,
  type SimProcess,
  simulate,
  SimulationFailed,
} from "../../src/testing/mod.ts";

interface Ledger {
  readonly charges: string[];
}

/** An account in the database, and a handler that takes 10 from it. */
function charging(
  charge: (own: SimProcess) => Parameters<typeof defineTask<string, unknown>>[0]["run"],
): Scenario<Ledger> {
  return {
    setup: () => ({ charges: [] }),
    handler: (_, own) =>
      tasks([defineTask<string, unknown>({ group: "pay", name: "charge", run: charge(own) })]),
    run: async (kit, _, { kv }) => {
      await kv.atomic().set(["balance"], 100).commit();
      await kit.initiateTask("pay", "charge", "order 7");
    },
  };
}

const chargesTwice = charging(({ kv }) => async () => {
  const { value, versionstamp } = await kv.get(["balance"]);
  await kv.atomic().check({ key: ["balance"], versionstamp }).set(["balance"], Number(value) - 10)
    .commit();
});

const chargesOnce = charging(({ kv }) => async (_, context) => {
  const { value, versionstamp } = await kv.get(["balance"]);
  return context.complete(
    null,
    (atomic) => atomic.check(["balance"], versionstamp).set(["balance"], Number(value) - 10),
  );
});

const isChargedOnce = async ({ kv }: { kv: SimProcess["kv"] }) => {
  assert.equal((await kv.get(["balance"])).value, 90);
};

test("crashEverywhere finds the handler that charges twice", async () => {
  await assert.rejects(
    crashEverywhere(chargesTwice, { invariant: isChargedOnce }),
    (error: unknown) => {
      assert.ok(error instanceof SimulationFailed);
      assert.match(error.message, /^A crash at moment \d+ of \d+ broke the invariant/);
      assert.match(error.message, /worker 0 killed/);
      assert.match(error.message, /runs attempt 2 of task charge/);
      return true;
    },
  );
});

test("crashEverywhere finds nothing where the charge commits with the outcome", async () => {
  const report = await crashEverywhere(chargesOnce, { invariant: isChargedOnce });
  assert.ok(report.runs > 20, `${report.runs} runs`);
  assert.equal(report.crashes, report.runs - 1);
});

test("simulate finds the handler that charges twice, and says from which seed", async () => {
  const run = simulate({ scenario: chargesTwice, invariant: isChargedOnce, seeds: 200 });
  const error = await run.then(() => null, (error) => error);
  assert.ok(error instanceof SimulationFailed);
  assert.match(error.message, /Run it again with \{ seeds: \{ from: \d+, count: 1 \} \}/);

  const again = simulate({
    scenario: chargesTwice,
    invariant: isChargedOnce,
    seeds: { from: error.run, count: 1 },
  });
  assert.equal((await again.then(() => null, (error) => error)).message, error.message);
});

test("simulate finds nothing where the charge commits with the outcome", async () => {
  const report = await simulate({ scenario: chargesOnce, invariant: isChargedOnce, seeds: 60 });
  assert.equal(report.runs, 60);
  assert.ok(report.crashes > 5, `${report.crashes} crashes`);
});

test("an invariant that is broken without any fault is told as such", async () => {
  await assert.rejects(
    crashEverywhere(chargesOnce, { invariant: () => assert.fail("always") }),
    /^SimulationFailed: Without any crash the scenario broke the invariant: always/,
  );
});

test("a run that comes to no end says what waits", async () => {
  const scenario: Scenario<null> = {
    setup: () => null,
    handler: () =>
      tasks([defineTask({ group: "a", name: "hangs", run: () => new Promise(() => {}) })]),
    run: (kit) => kit.initiateTask("a", "hangs"),
  };
  await assert.rejects(
    simulate({ scenario, invariant: () => {}, seeds: 1, faults: "calm", crashes: false }),
    /came to no end within 6 virtual hours: a\/hangs is running; does a handler wait/,
  );
});
