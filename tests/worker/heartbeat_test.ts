import assert from "node:assert/strict";
import { test } from "node:test";
import { listWorkers } from "../../src/store/beat.ts";
import type { KvPort } from "../../src/store/port.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { Heartbeat, type HeartbeatHost } from "../../src/worker/heartbeat.ts";
import { ABOUT, interfered, isKind, storeOn } from "../store/world.ts";

const LEASE_MS = 15_000;

function stage(options: { dialect?: "deno" | "npm"; around?: (kv: KvPort) => KvPort } = {}) {
  const { dialect = "npm", around = (kv: KvPort) => kv } = options;
  const time = new VirtualTime();
  const database = new SimDatabase({ time, dialect, faults: CALM });
  const clock = time.clock();
  const kv = database.connect({ clock });
  const store = storeOn(around(kv), { clock, seed: "heartbeat", checksMax: 10 });
  const seen = { fenced: [] as [number, string][], proven: 0, looks: 0, troubles: 0 };
  const host: HeartbeatHost = {
    beatMs: LEASE_MS / 3,
    leaseMs: LEASE_MS,
    about: () => ABOUT,
    onLeases: () => void seen.looks++,
    heldLeases: () => new Set(),
    onFenced: (why) => void seen.fenced.push([clock.monotonic(), why]),
    onProven: () => void seen.proven++,
    onTrouble: () => void seen.troubles++,
  };
  const heartbeat = new Heartbeat(store, host);
  const driver = time.drive();
  return {
    time,
    database,
    clock,
    kv,
    store,
    seen,
    heartbeat,
    sleep: (ms: number) => new Promise<void>((resolve) => time.schedule(ms, resolve)),
    async [Symbol.asyncDispose]() {
      await heartbeat.stop();
      driver[Symbol.dispose]();
      assert.equal(time.pending, 0, "nothing of the heartbeat waits any more");
    },
  };
}

test("a heartbeat beats three times a lease, looks at its leases each time, and is gone when it stops", async () => {
  const world = stage();
  let beats = 0;
  world.database.onCommit(({ changes }) => {
    if (changes.some(({ key }) => isKind(key, "worker"))) beats++;
  });
  await world.heartbeat.start();
  assert.equal(world.heartbeat.isAlive, true);
  await world.sleep(60_000);
  assert(beats >= 12 && beats <= 14, `${beats}`);
  assert(Math.abs(world.seen.looks - beats) <= 1);
  assert.deepEqual(world.seen.fenced, []);
  await world.heartbeat.stop();
  assert.deepEqual(await listWorkers(world.store), []);
  await world[Symbol.asyncDispose]();
});

test("a worker holds itself for dead a lease's time after its last proven beat was sent, before anybody else may", async () => {
  let isAway = false;
  await using world = stage({
    around: (kv) =>
      interfered(kv, (_, proceed) => isAway ? Promise.reject(new Error("away")) : proceed()),
  });
  await world.heartbeat.start();
  await world.sleep(7_000);
  isAway = true;
  const lastSentAt = 5_000;
  await world.sleep(30_000);
  const [fence] = world.seen.fenced;
  assert(fence !== undefined && world.seen.fenced.length === 1);
  assert(fence[0] >= lastSentAt && fence[0] <= lastSentAt + LEASE_MS + 3_100, `${fence[0]}`);
  assert.equal(world.heartbeat.isAlive, false);
  const { id } = world.heartbeat;
  const proven = world.seen.proven;
  isAway = false;
  await world.sleep(5_000);
  // Nobody took its key meanwhile: it goes on under the same id.
  assert.deepEqual([world.heartbeat.isAlive, world.heartbeat.id, world.seen.proven], [
    true,
    id,
    proven + 1,
  ]);
});

test("a database that does not answer any more fences in time", async () => {
  let isSilent = false;
  await using world = stage({
    around: (kv) => interfered(kv, (_, proceed) => isSilent ? new Promise(() => {}) : proceed()),
  });
  await world.heartbeat.start();
  isSilent = true;
  await world.sleep(25_000);
  const [fence] = world.seen.fenced;
  assert(fence !== undefined);
  assert(fence[0] <= LEASE_MS + 10, `${fence[0]}`);
  isSilent = false;
});

test("a worker whose key was taken away goes on under another id", async () => {
  await using world = stage();
  await world.heartbeat.start();
  const { id } = world.heartbeat;
  await world.kv.atomic().delete(world.store.keys.worker(id)).commit();
  await world.sleep(6_000);
  assert.notEqual(world.heartbeat.id, id);
  assert.equal(world.heartbeat.isAlive, true);
  assert.match(world.seen.fenced[0]?.[1] ?? "", /was declared dead by another one$/);
  assert.deepEqual((await listWorkers(world.store)).map((worker) => worker.id), [
    world.heartbeat.id,
  ]);
});

test("late copies and lost answers of one's own beats are no death", async () => {
  await using world = stage();
  await world.heartbeat.start();
  const { id } = world.heartbeat;
  const faults = [
    { kind: "lostAnswer", isRepeated: false },
    { kind: "lostRequest", isRepeated: false },
    { kind: "lostAnswer", isRepeated: true },
    { kind: "zombie", afterMs: 7_000 },
    { kind: "blackhole", appliedAfterMs: 10_300 },
  ] as const;
  for (const fault of faults) {
    world.kv.inject(fault);
    await world.sleep(30_000);
  }
  // The database was silent for ten seconds at most, which is less than a lease.
  assert.deepEqual([world.heartbeat.id, world.seen.fenced], [id, []]);
});

test("a process that was suspended knows when it wakes", async () => {
  await using world = stage();
  await world.heartbeat.start();
  world.clock.pause();
  await world.sleep(60_000);
  assert.deepEqual(world.seen.fenced, []);
  world.clock.resume();
  await world.sleep(1_000);
  assert.equal(world.seen.fenced.length, 1);
  assert.equal(world.heartbeat.isAlive, true);
});

test("a first beat that fails is told to who starts it, as a typed error", async () => {
  const world = stage();
  world.kv.inject({ kind: "lostRequest", isRepeated: false });
  await assert.rejects(world.heartbeat.start(), { code: "KV_UNAVAILABLE" });
});
