import { test } from "node:test";
import assert from "node:assert/strict";
import { defineTask, Kit, tasks } from "../mod.ts";

const wait = defineTask({
  group: "work",
  name: "wait",
  async run(ms: number, { signal }) {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
    return ms;
  },
});

test("drain() works on what is due, leaves what is not, and resolves", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([wait]) });
  const now = await kit.initiateTask(wait, 1);
  const later = await kit.initiateTask(wait, 2, { due: "1h" });
  assert.equal(await kit.drain(), true);
  assert.equal(await now.get(), 1);
  assert.equal((await kit.getTask(later.id)).state, "queued");
  assert.deepEqual(await kit.getWorkers(), []);
});

test("drain() ends when its time is over, and gives back what runs without using an attempt", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([wait]) });
  const { id } = await kit.initiateTask(wait, 60_000);
  assert.equal(await kit.drain({ for: "100ms", grace: 0, log: () => {} }), false);
  const { state, retryCount } = await kit.getTask(id);
  assert.deepEqual({ state, retryCount }, { state: "queued", retryCount: 0 });
});

test("drain() joins one that is under way, and starts anew after one that is about to end", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([wait]) });
  const first = await kit.initiateTask(wait, 200);
  const draining = kit.drain({ for: "50ms", grace: 0, log: () => {} });
  assert.equal(await kit.drain({ for: "10s" }), true);
  assert.equal(await draining, true);
  assert.equal(await first.get(), 200);
  const second = await kit.initiateTask(wait, 1);
  assert.equal(await kit.drain(), true);
  assert.equal(await second.get(), 1);
});

test("drain() refuses options that it cannot use", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([wait]) });
  await assert.rejects(kit.drain({ for: 0 }), { code: "INVALID_ARGUMENT" });
  await assert.rejects(kit.drain({ maintenance: false } as object), { code: "INVALID_ARGUMENT" });
  await using bare = await Kit.open({ kv: ":memory:" });
  await assert.rejects(bare.drain(), {
    code: "INVALID_ARGUMENT",
    message: "Cannot drain: open the Kit with a handler",
  });
});
