/**
 * Finds a handler that charges twice, and shows that its correction does not.
 *
 *     deno run -A examples/testing_charge.ts
 *     bun examples/testing_charge.ts
 *
 * Both handlers take 10 from a balance. They are run once for every moment at which their worker can crash, and from some
 * seeds on days when the database answers late, twice or not at all. Whatever happens, the balance must be 90 in the end.
 *
 * @module
 */

import { defineTask, type TaskContext, tasks } from "@taskkit/taskkit";
import {
  crashEverywhere,
  type Scenario,
  type SimEnd,
  type SimProcess,
  simulate,
  SimulationFailed,
} from "@taskkit/taskkit/testing";

const BALANCE = ["balance", "ada"];

/** One charge of 10 by a handler. */
function charging(charge: (own: SimProcess, context: TaskContext) => unknown): Scenario<null> {
  return {
    setup: () => null,
    handler: (_, own) =>
      tasks([
        defineTask({ group: "pay", name: "charge", run: (_: string, at) => charge(own, at) }),
      ]),
    run: async (kit, _, { kv }) => {
      await kv.atomic().set(BALANCE, 100).commit();
      await kit.initiateTask("pay", "charge", "order 7");
    },
  };
}

// Careful, it seems: nobody else can change the balance between the read and the write. But if the worker crashes after the
// write and before its outcome is stored, the task runs again.
const careful = charging(async ({ kv }) => {
  const { value, versionstamp } = await kv.get(BALANCE);
  await kv.atomic()
    .check({ key: BALANCE, versionstamp })
    .set(BALANCE, Number(value) - 10)
    .commit();
});

// The write commits with the outcome: both, or neither.
const correct = charging(async ({ kv }, context) => {
  const { value, versionstamp } = await kv.get(BALANCE);
  return context.complete("charged", (atomic) =>
    atomic
      .check(BALANCE, versionstamp)
      .set(BALANCE, Number(value) - 10));
});

async function isChargedOnce({ kv }: SimEnd<null>): Promise<void> {
  const { value } = await kv.get(BALANCE);
  if (value !== 90) throw new Error(`the balance is ${value}, not 90`);
}

async function tell(name: string, scenario: Scenario<null>): Promise<boolean> {
  try {
    const crashed = await crashEverywhere(scenario, { invariant: isChargedOnce });
    console.log(`${name}: holds through ${crashed.crashes} crashes, each at another moment`);
    const { runs, crashes, attempts } = await simulate({
      scenario,
      invariant: isChargedOnce,
      seeds: 100,
    });
    console.log(`${name}: holds on ${runs} bad days, ${crashes} crashes, ${attempts} attempts`);
    return true;
  } catch (error) {
    if (!(error instanceof SimulationFailed)) throw error;
    console.log(`${name}: ${error.message}\n`);
    return false;
  }
}

const isCarefulEnough = await tell("the careful handler", careful);
const isCorrect = await tell("the correct handler", correct);
if (isCarefulEnough || !isCorrect) throw new Error("This is not what the example says");
