import assert from "node:assert/strict";
import { test } from "node:test";
import { LOST_LEASES_MAX } from "../../src/core/limits.ts";
import { cancel } from "../../src/store/operate.ts";
import { decodeLease } from "../../src/store/records.ts";
import { buryWorker, rescueLease } from "../../src/store/rescue.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { interfered, storeOn, testOnEach, utf8, World } from "./world.ts";

const ERROR = { name: "Error", message: "no luck" };

testOnEach(
  "a rescue queues what ran under the lease again, at its old due time, with the attempt used up",
  async (world) => {
    const id = await world.initiate({ dueMs: 77, unique: "u" });
    const version = await world.beat("w");
    const lease = await world.claimLease("w");
    const before = await world.record(id);
    const rescued = await rescueLease(world.b, { worker: "w", version }, lease.id);
    const after = await world.record(id);
    assert.deepEqual(rescued, [after]);
    assert.deepEqual(after, {
      ...before,
      state: "queued",
      lease: null,
      startedMs: null,
      lost: 1,
      op: after.op,
    });
    assert.deepEqual(await world.keys("lease"), []);
  },
);

testOnEach("a rescue of a worker that has beaten since takes nothing", async (world) => {
  await world.initiate();
  const version = await world.beat("w");
  const lease = await world.claimLease("w");
  await world.beat("w");
  const before = await world.entries();
  assert.deepEqual(await rescueLease(world.b, { worker: "w", version }, lease.id), []);
  assert.deepEqual(await rescueLease(world.b, { worker: "w", version: null }, lease.id), []);
  assert.deepEqual(await world.entries(), before);
});

testOnEach("of two rescues at once one takes the tasks", async (world) => {
  for (let n = 0; n < 5; n++) await world.initiate();
  const lease = await world.claimLease("w");
  const death = { worker: "w", version: null };
  const both = await Promise.all([
    rescueLease(world.a, death, lease.id),
    rescueLease(world.b, death, lease.id),
  ]);
  assert.deepEqual(both.map(({ length }) => length).sort(), [0, 5]);
});

testOnEach(
  "three leases lost in a row fail the task as poison; what it holds is free",
  async (world) => {
    const id = await world.initiate({ unique: "u" });
    for (let n = 1; n <= LOST_LEASES_MAX; n++) {
      const lease = await world.claimLease("w");
      await rescueLease(world.b, { worker: "w", version: null }, lease.id);
      assert.equal((await world.record(id)).lost, n);
    }
    const record = await world.record(id);
    assert.deepEqual(
      [record.state, record.attempt, record.error?.code],
      ["failed", 3, "TASK_POISONED"],
    );
    assert.notEqual(await world.initiate({ unique: "u" }), id);
  },
);

testOnEach("an attempt that ends by itself begins the count of lost leases anew", async (world) => {
  const id = await world.initiate();
  const lose = async () => {
    const lease = await world.claimLease("w");
    await rescueLease(world.b, { worker: "w", version: null }, lease.id);
  };
  await lose();
  await lose();
  const lease = await world.claimLease("w");
  await world.settle(lease, { kind: "retry", dueMs: world.clock.now(), error: ERROR });
  await lose();
  await lose();
  assert.equal((await world.record(id)).state, "queued");
});

testOnEach(
  "an attempt that was given back before it could do harm proves nothing: the count stands",
  async (world) => {
    const id = await world.initiate();
    const death = { worker: "w", version: null };
    for (let n = 0; n < LOST_LEASES_MAX; n++) {
      const idle = await world.claimLease("w");
      await world.settle(idle, { kind: "release", dueMs: world.clock.now() });
      await rescueLease(world.b, death, (await world.claimLease("w")).id);
    }
    assert.equal((await world.record(id)).state, "failed");
  },
);

testOnEach("a cancel that was asked for is done by the rescue", async (world) => {
  const [asked, other] = [await world.initiate(), await world.initiate()];
  const lease = await world.claimLease("w");
  assert.equal(await cancel(world.b, asked), "requested");
  await rescueLease(world.b, { worker: "w", version: null }, lease.id);
  assert.deepEqual(
    (await world.records([asked, other])).map(({ state }) => state),
    ["cancelled", "queued"],
  );
});

testOnEach("a phantom lease is given back without using the attempt", async (world) => {
  const id = await world.initiate();
  const version = await world.beat("w");
  const lease = await world.claimLease("w");
  await rescueLease(world.a, { worker: "w", version }, lease.id, "release");
  const record = await world.record(id);
  assert.deepEqual([record.state, record.attempt, record.released, record.lost], [
    "queued",
    1,
    1,
    0,
  ]);
});

test("a lease with much data is rescued in several commits, and what is left stays fenced by it", async () => {
  const kv = new SimDatabase().connect();
  const world = new World(kv, 100);
  const ids = [];
  for (let n = 0; n < 60; n++) ids.push(await world.initiate({ data: new Uint8Array(4_096) }));
  const lease = await world.claimLease("w");
  const all = [...lease.tasks.keys()];
  let commits = 0;
  const halfway = interfered(kv, async (call, proceed) => {
    if (call.kind !== "commit") return await proceed();
    if (++commits > 1) throw new Error("the rescuer dies here");
    return await proceed();
  });
  const store = storeOn(halfway, { clock: world.clock, seed: "half" });
  const first = await rescueLease(store, { worker: "w", version: null }, lease.id);
  assert(first.length > 0 && first.length < all.length);
  await world.assertSound();
  const { value } = await kv.get(world.a.keys.lease("w", lease.id));
  assert.deepEqual(decodeLease(value).tasks, all.slice(first.length));

  // The worker was only slow: what was taken is lost to it, the rest is its own.
  const ending = {
    kind: "succeed",
    result: { kind: "inline", bytes: utf8("r") },
    writes: null,
  } as const;
  const outcomes = await world.settle(lease, ending);
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    all.map((_, n) => n < first.length ? "lost" : "settled"),
  );
  await world.assertSound();
  const records = await world.records(all);
  assert.deepEqual(
    records.map(({ state }) => state),
    all.map((_, n) => n < first.length ? "queued" : "succeeded"),
  );
});

testOnEach(
  "a record that cannot be read does not keep the others of its lease from being rescued",
  async (world) => {
    const [damaged, sound] = [await world.initiate(), await world.initiate()];
    const lease = await world.claimLease("w");
    await world.plant(world.a.keys.task(damaged), Uint8Array.of(1, 2, 3));
    const rescued = await rescueLease(world.b, { worker: "w", version: null }, lease.id);
    assert.deepEqual(rescued.map(({ id }) => id), [sound]);
  },
  { isUnsound: true },
);

testOnEach("a lease that is gone is nobody's to rescue", async (world) => {
  assert.deepEqual(await rescueLease(world.a, { worker: "w", version: null }, "lease"), []);
});

testOnEach("a dead worker is buried, one that has beaten since is not", async (world) => {
  const version = await world.beat("w");
  const again = await world.beat("w");
  assert.equal(await buryWorker(world.b, { worker: "w", version }), false);
  assert.equal((await world.keys("worker")).length, 1);
  assert.equal(await buryWorker(world.b, { worker: "w", version: again }), true);
  assert.deepEqual(await world.keys("worker"), []);
});
