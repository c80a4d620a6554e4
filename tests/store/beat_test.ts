import assert from "node:assert/strict";
import { test } from "node:test";
import { KvUnavailable } from "../../src/core/errors.ts";
import { beat, goodbye, listLeases, listWorkers } from "../../src/store/beat.ts";
import { decodeWorker } from "../../src/store/records.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { ABOUT, testOnEach, utf8, World } from "./world.ts";

testOnEach("beats follow one another, each at the version of the one before", async (world) => {
  const first = await beat(world.a, "w", null, { ...ABOUT, op: "1" });
  assert(first.kind === "alive");
  world.clock.advance(5);
  const second = await beat(world.a, "w", first.version, { ...ABOUT, op: "2" });
  assert(second.kind === "alive");
  assert.notEqual(second.version, first.version);
  const entry = await world.kv.get(world.a.keys.worker("w"));
  assert.equal(entry.versionstamp, second.version);
  assert.deepEqual(decodeWorker(entry.value), { ...ABOUT, beatMs: world.clock.now(), op: "2" });
});

testOnEach(
  "a worker whose heartbeat was taken away, or is another one's, is dead",
  async (world) => {
    const version = await world.beat("w");
    await world.kv.atomic().delete(world.a.keys.worker("w")).commit();
    assert.deepEqual(await beat(world.a, "w", version, { ...ABOUT, op: "x" }), { kind: "dead" });
    await world.beat("w");
    assert.deepEqual(await beat(world.a, "w", version, { ...ABOUT, op: "x" }), { kind: "dead" });
    assert.deepEqual(await beat(world.a, "w", null, { ...ABOUT, op: "x" }), { kind: "dead" });
  },
);

testOnEach(
  "a heartbeat that is damaged is as good as taken away: the worker goes on under another id",
  async (world) => {
    const version = await world.beat("w");
    await world.plant(world.a.keys.worker("w"), Uint8Array.of(1, 2, 3));
    assert.deepEqual(await beat(world.a, "w", version, { ...ABOUT, op: "x" }), { kind: "dead" });
    assert.deepEqual((await listWorkers(world.b)).map(({ id, record }) => [id, record]), [
      ["w", null],
    ]);
  },
);

test("a beat whose answer is lost is found in the database", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  kv.inject({ kind: "lostAnswer", isRepeated: false });
  const found = await beat(world.a, "w", null, { ...ABOUT, op: "1" });
  const { versionstamp } = await kv.get(world.a.keys.worker("w"));
  assert.deepEqual(found, { kind: "alive", version: versionstamp, op: "1" });
});

test("a beat that did not arrive is told as trouble, not as death", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  kv.inject({ kind: "lostRequest", isRepeated: false });
  await assert.rejects(beat(world.a, "w", null, { ...ABOUT, op: "1" }), KvUnavailable);
  kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read" });
  kv.inject({ kind: "lostRequest", isRepeated: false });
  await assert.rejects(beat(world.a, "w", null, { ...ABOUT, op: "1" }), KvUnavailable);
});

test("a late copy of one's own earlier beat is a sign of life, and says which one it was", async () => {
  const database = new SimDatabase({ dialect: "npm" });
  const kv = database.connect();
  const world = new World(kv, 10);
  const version = await world.beat("w");
  // The first beat is sent and nobody answers; it is applied when the second one has been sent.
  const { versionstamp } = await (async () => {
    const late = await beat(world.b, "w", version, { ...ABOUT, op: "first" });
    assert(late.kind === "alive");
    return await kv.get(world.a.keys.worker("w"));
  })();
  const ours = new Set(["first", "second"]);
  const found = await beat(world.a, "w", version, { ...ABOUT, op: "second" }, (op) => ours.has(op));
  assert.deepEqual(found, { kind: "alive", version: versionstamp, op: "first" });
});

testOnEach("a goodbye takes the heartbeat and the doorbell away", async (world) => {
  await world.beat("w");
  await world.plant(world.a.keys.workerBell("w"), utf8("x"));
  await goodbye(world.a, "w");
  assert.deepEqual(await world.entries(), []);
});

testOnEach(
  "leases and workers are listed, of one worker or of all; what cannot be read hides none",
  async (world) => {
    await world.beat("v");
    await world.beat("w");
    const leases = [];
    for (const worker of ["v", "w", "w"]) {
      await world.initiate();
      leases.push(await world.claimLease(worker));
    }
    await world.plant(world.a.keys.lease("w", "damaged"), utf8("x"));
    await world.plant([...world.a.keys.prefix, "lease", "w", 5], utf8("foreign"));
    await world.plant(world.a.keys.worker("damaged"), utf8("x"));
    await world.plant([...world.a.keys.prefix, "worker", 5], utf8("foreign"));
    const all = await listLeases(world.b);
    assert.deepEqual(all.map(({ id }) => id), leases.map(({ id }) => id));
    const own = await listLeases(world.b, "w");
    assert.deepEqual(
      own.map(({ id, version }) => [id, version]),
      leases.slice(1).map(({ id, version }) => [id, version]),
    );
    const workers = await listWorkers(world.b);
    assert.deepEqual(workers.map(({ id, record }) => [id, record?.host]), [
      ["damaged", undefined],
      ["v", "host"],
      ["w", "host"],
    ]);
  },
  { isUnsound: true },
);

testOnEach("more leases than one page are listed", async (world) => {
  for (let page = 0; page < 3; page++) {
    let atomic = world.kv.atomic();
    for (let n = 0; n < 500; n++) {
      atomic = atomic.set(world.a.keys.worker(`w${page}-${n}`), await workerBytes(world));
    }
    await atomic.commit();
  }
  assert.equal((await listWorkers(world.a)).length, 1_501);
});

async function workerBytes(world: World): Promise<unknown> {
  const key = world.a.keys.worker("one");
  if ((await world.kv.get(key)).value === null) await world.beat("one");
  return (await world.kv.get(key)).value;
}
