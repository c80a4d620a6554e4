import assert from "node:assert/strict";
import { test } from "node:test";
import { OutcomeUnknown, TaskNotFound } from "../../src/core/errors.ts";
import { claim } from "../../src/store/claim.ts";
import { cancel, readTask, revive } from "../../src/store/operate.ts";
import { TOMBSTONE } from "../../src/store/record_codec.ts";
import { readPayload } from "../../src/store/records.ts";
import { decodeLease } from "../../src/store/records.ts";
import { sweepChunks } from "../../src/store/sweep.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { ALONE, interfered, storeOn, testOnEach, utf8, World } from "./world.ts";

const ERROR = { name: "Error", message: "no luck" };
const ABSENT = "00000000-0000-7000-8000-000000000000";

testOnEach(
  "a queued task is cancelled at once: its due entry and unique key are gone",
  async (world) => {
    const id = await world.initiate({ unique: "u" });
    const before = await world.record(id);
    world.clock.advance(5);
    assert.equal(await cancel(world.a, id), "cancelled");
    const after = await world.record(id);
    const endedMs = world.clock.now();
    assert.deepEqual(after, {
      ...before,
      state: "cancelled",
      op: after.op,
      endedMs,
      expiresMs: endedMs + before.ttlMs,
    });
    assert.deepEqual([await world.keys("due"), await world.keys("unique")], [[], []]);
    assert.deepEqual((await world.claim("w")).leases, []);
  },
);

testOnEach("cancel is idempotent", async (world) => {
  const [queued, running] = [await world.initiate(), await world.initiate()];
  await cancel(world.a, queued);
  const cancelled = await world.record(queued);
  assert.equal(await cancel(world.b, queued), "cancelled");
  assert.deepEqual(await world.record(queued), cancelled);
  const lease = await world.claimLease("w");
  assert.equal(await cancel(world.a, running), "requested");
  const { versionstamp } = await world.kv.get(world.a.keys.lease("w", lease.id));
  assert.equal(await cancel(world.b, running), "requested");
  assert.equal((await world.kv.get(world.a.keys.lease("w", lease.id))).versionstamp, versionstamp);
});

testOnEach(
  "a running task's cancel lies in its lease, and rings its worker's doorbell",
  async (world) => {
    const id = await world.initiate();
    const lease = await world.claimLease("w");
    const before = await world.record(id);
    assert.equal(await cancel(world.b, id), "requested");
    assert.deepEqual(await world.record(id), before);
    const { value } = await world.kv.get(world.a.keys.lease("w", lease.id));
    assert.deepEqual(decodeLease(value).cancel, [id]);
    assert.deepEqual((await world.keys("bell")).at(-1), ["bell", "worker", "w"]);
  },
);

testOnEach(
  "cancel of what is absent, expired or buried says that there is no such task",
  async (world) => {
    await assert.rejects(cancel(world.a, ABSENT), TaskNotFound);
    await world.plant(world.a.keys.task(ABSENT), TOMBSTONE);
    await assert.rejects(cancel(world.a, ABSENT), TaskNotFound);
    const id = await world.initiate({ ttlMs: 1_000 });
    await cancel(world.a, id);
    world.clock.advance(1_000);
    await assert.rejects(cancel(world.a, id), TaskNotFound);
  },
);

testOnEach(
  "claim and cancel at once: the task is cancelled, or runs and is told",
  async (world) => {
    for (let n = 0; n < 10; n++) {
      const id = await world.initiate();
      const [outcome, claimed] = await Promise.all([
        cancel(world.a, id),
        world.claim("w", { store: world.b }),
      ]);
      const { state } = await world.record(id);
      if (claimed.leases.length === 0) {
        assert.deepEqual([outcome, state], [
          "cancelled",
          "cancelled",
        ]);
      } else assert.deepEqual([outcome, state], ["requested", "running"]);
    }
  },
);

testOnEach(
  "a task that failed is started anew with all its retries before it, and its numbers stay used",
  async (world) => {
    const id = await world.initiate({ unique: "u", dueMs: 5 });
    await world.settle(await world.claimLease("w"), { kind: "retry", dueMs: 6, error: ERROR });
    await world.settle(await world.claimLease("w"), { kind: "fail", error: ERROR });
    const failed = await world.record(id);
    world.clock.advance(50);
    const revived = await revive(world.b, id);
    assert.deepEqual(revived, await world.record(id));
    assert.deepEqual(revived, {
      ...failed,
      state: "queued",
      dueMs: world.clock.now(),
      released: 2,
      op: revived.op,
      startedMs: null,
      endedMs: null,
      expiresMs: null,
    });
    const lease = await world.claimLease("w");
    assert.equal([...lease.tasks.values()][0]?.attempt, 3);
  },
);

testOnEach("what queues, runs or succeeded is not started anew", async (world) => {
  const id = await world.initiate();
  await assert.rejects(revive(world.a, id), { code: "CONFLICT", message: /it is queued$/ });
  const lease = await world.claimLease("w");
  await assert.rejects(revive(world.a, id), { code: "CONFLICT", message: /it is running$/ });
  await world.settle(lease, {
    kind: "succeed",
    result: { kind: "inline", bytes: utf8("r") },
    writes: null,
  });
  await assert.rejects(revive(world.a, id), { code: "CONFLICT", message: /it is succeeded$/ });
  await assert.rejects(revive(world.a, ABSENT), TaskNotFound);
});

testOnEach(
  "a task that is started anew keeps its large data, also when a sweep comes by",
  async (world) => {
    const data = new Uint8Array(500_000).fill(3);
    const id = await world.initiate({ data, ttlMs: 3_600_000 });
    await cancel(world.a, id);
    world.clock.advance(3_000_000);
    await revive(world.a, id);
    world.clock.advance(86_400_000);
    await sweepChunks(world.b, 1_000);
    assert.deepEqual(await readPayload(world.a, id, (await world.record(id)).data), data);
  },
);

test("a revive whose answer is lost says that it was done, though the task runs already", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  const id = await world.initiate();
  await cancel(world.a, id);
  let isLost = false;
  const late = interfered(kv, async (call, proceed) => {
    const answer = await proceed();
    if (isLost || call.kind !== "commit") return answer;
    isLost = true;
    const { leases } = await claim(world.b, { worker: "v", group: "g", max: 1, window: ALONE });
    assert.equal(leases.length, 1);
    throw new Error("the connection broke");
  });
  const store = storeOn(late, { clock: world.clock, seed: "late", checksMax: 10 });
  assert.equal((await revive(store, id)).state, "running");
  await world.assertSound();
});

test("a cancel whose answer is lost says what came of it", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  const [queued, running] = [await world.initiate({ group: "q" }), await world.initiate()];
  await world.claimLease("w");
  for (const [id, outcome] of [[queued, "cancelled"], [running, "requested"]] as const) {
    kv.inject({ kind: "lostAnswer", isRepeated: false });
    kv.inject({ kind: "lostRequest", isRepeated: false }, {
      on: "read",
      skip: id === queued ? 1 : 2,
    });
    assert.equal(await cancel(world.a, id), outcome);
  }
  await world.assertSound();
});

test("cancel and revive end as unknown when the database does not say, with the id", async () => {
  const database = new SimDatabase({ dialect: "npm" });
  using _driver = database.time.drive();
  const kv = database.connect();
  const world = new World(kv, 10);
  const id = await world.initiate();
  const clock = database.time.clock({ wallOffsetMs: 0 });
  const dead = interfered(
    kv,
    (call, proceed) => call.kind === "commit" ? Promise.reject(new Error("reset")) : proceed(),
  );
  const store = storeOn(dead, { clock, seed: "dead", checksMax: 10 });
  for (
    const act of [
      () => cancel(store, id),
      async () => (await cancel(world.a, id), revive(store, id)),
    ]
  ) {
    await assert.rejects(act, (error) => {
      assert(error instanceof OutcomeUnknown);
      assert.deepEqual(error.ids, [id]);
      return true;
    });
  }
});

testOnEach("a task whose ttl is over is not found though its key is still there", async (world) => {
  const id = await world.initiate({ ttlMs: 10 });
  await cancel(world.a, id);
  world.clock.advance(9);
  assert.equal((await readTask(world.a, id)).record.id, id);
  world.clock.advance(1);
  await assert.rejects(readTask(world.a, id), TaskNotFound);
  await assert.rejects(revive(world.a, id), TaskNotFound);
  assert(await world.kv.get(world.a.keys.task(id)).then(({ value }) => value !== null));
});

testOnEach("a record that cannot be read is a typed error", async (world) => {
  await world.plant(world.a.keys.task(ABSENT), Uint8Array.of(1, 2, 3));
  await assert.rejects(readTask(world.a, ABSENT), { code: "CORRUPT_RECORD" });
  await world.plant(world.a.keys.task(ABSENT), Uint8Array.of(9, 2, 3));
  await assert.rejects(cancel(world.a, ABSENT), { code: "NEWER_VERSION" });
}, { isUnsound: true });
