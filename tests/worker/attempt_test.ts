/**
 * One attempt: what its ending makes of the task, and what is told of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { defineTask, tasks } from "../../mod.ts";
import { aborted, Stage } from "./world.ts";

const MINUTE = 60_000;

/** Between one try of a task that nobody knows and the next, in milliseconds. */
function pauses(stage: Stage): number[] {
  const at = stage.log.filter(({ event }) => event === "task.parked").map(({ at }) => at);
  return at.slice(1).map((ms, i) => ms - (at[i] ?? 0));
}

test("a task that the worker does not know is left to others for longer and longer, up to 5 minutes", async () => {
  await using stage = new Stage();
  const known = defineTask({ group: "g", name: "known", run: () => {} });
  const { kit } = await stage.process(tasks([known]));
  const { id } = await kit.initiateTask("g", "unknown");
  await kit.startWorker(stage.worker);
  await stage.sleep(30 * MINUTE);
  const expected = [0.5, 1, 2, 4, 5, 5, 5];
  const found = pauses(stage).slice(0, expected.length);
  const ratios = found.map((ms, i) => ms / ((expected[i] ?? 0) * MINUTE));
  assert(ratios.length === 7 && ratios.every((x) => x > 0.79 && x < 1.21), ratios.join());
  assert.equal(new Set(found).size, found.length, "they do not come back together");
  const { state, attempt, retryCount, error } = await kit.getTask(id);
  assert.deepEqual([state, retryCount, error?.code], ["queued", 0, "UNKNOWN_TASK"]);
  assert.equal(attempt, pauses(stage).length + 1);
});

test("a task that was given back before is left to others for half a minute at first", async () => {
  await using stage = new Stage();
  const old = await stage.process(async (_, { signal }) => {
    throw await aborted(signal);
  });
  const { id } = await old.kit.initiateTask("g", "gone");
  for (let n = 0; n < 4; n++) {
    const worker = await old.kit.startWorker(stage.worker);
    await stage.until(async () => (await old.kit.getTask(id)).state === "running");
    await worker.stop({ grace: 0 });
  }
  const known = defineTask({ group: "g", name: "known", run: () => {} });
  const { kit } = await stage.process(tasks([known]));
  await kit.startWorker(stage.worker);
  await stage.sleep(MINUTE);
  const [first = Infinity] = pauses(stage);
  assert(first < 0.61 * MINUTE, `${first} ms`);
});

test("that a task is not known is told once, by a warning that says which, and what to do", async () => {
  await using stage = new Stage();
  const known = defineTask({ group: "g", name: "known", run: () => {} });
  const { kit } = await stage.process(tasks([known]));
  const { id } = await kit.initiateTask("g", "unknown");
  const worker = await kit.startWorker({ ...stage.worker, logLevel: "info" });
  await stage.until(() => stage.events("task.").length > 0);
  await stage.until(async () => (await kit.getTask(id)).state === "queued");
  await worker.stop();
  const due = (await kit.getTask(id)).due.toISOString();
  const told = stage.log.filter(({ event }) => event.startsWith("task."));
  const { at: _, ...entry } = told[0] ?? assert.fail();
  assert.deepEqual(entry, {
    level: "warn",
    event: "task.parked",
    message: `left to others until ${due}: Cannot run task "unknown" of group "g": this worker ` +
      "does not define it; start a worker whose handler knows it, or cancel it",
    task: id,
    group: "g",
    name: "unknown",
    attempt: 1,
  });
  assert.equal(told.length, 1);
});
