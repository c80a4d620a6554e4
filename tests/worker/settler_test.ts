import assert from "node:assert/strict";
import { test } from "node:test";
import { claim } from "../../src/store/claim.ts";
import { enqueue } from "../../src/store/enqueue.ts";
import type { KvPort } from "../../src/store/port.ts";
import type { Ending, Settled, Settlement } from "../../src/store/settle.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { Settler } from "../../src/worker/settler.ts";
import { ALONE, draft, interfered, storeOn, utf8 } from "../store/world.ts";

const SUCCEED: Ending = {
  kind: "succeed",
  result: { kind: "inline", bytes: utf8("r") },
  writes: null,
};

function stage(options: { checksMax?: number; around?: (kv: KvPort) => KvPort } = {}) {
  const { checksMax = 100, around = (kv: KvPort) => kv } = options;
  const time = new VirtualTime();
  const dialect = checksMax === 100 ? "deno" : "npm";
  const database = new SimDatabase({ time, dialect, faults: CALM });
  const clock = time.clock();
  const store = storeOn(around(database.connect()), { clock, seed: "settler", checksMax });
  const settled: [Settlement, Settled][] = [];
  const driver = time.drive();
  return {
    time,
    database,
    clock,
    store,
    settled,
    settler: new Settler(store, (settlement, outcome) => void settled.push([settlement, outcome])),
    sleep: (ms: number) => new Promise<void>((resolve) => time.schedule(ms, resolve)),
    /** Leases with so many tasks each, all of them with an outcome to write. */
    async held(leases: number, tasks: number): Promise<Settlement[]> {
      const settlements: Settlement[] = [];
      for (let n = 0; n < leases; n++) {
        await enqueue(store, Array.from({ length: tasks }, () => draft(store)));
        const claimed = await claim(store, { worker: "w", group: "g", max: tasks, window: ALONE });
        for (const lease of claimed.leases) {
          for (const record of lease.tasks.values()) {
            settlements.push({ lease, record, ending: SUCCEED });
          }
        }
      }
      return settlements;
    },
    [Symbol.dispose]: () => driver[Symbol.dispose](),
  };
}

test("outcomes that end together share a commit", async () => {
  using world = stage();
  const settlements = await world.held(5, 10);
  let commits = 0;
  world.database.onCommit(() => commits++);
  for (const settlement of settlements) world.settler.add(settlement);
  assert.equal(world.settler.pending, 50);
  await world.settler.flush();
  assert.deepEqual([commits, world.settler.pending, world.settled.length], [1, 0, 50]);
  for (const [, { kind }] of world.settled) assert.equal(kind, "settled");
});

test("settles of one lease follow one another, those of others overlap over a network", async () => {
  let underWay = 0;
  let most = 0;
  const busy = new Map<string, number>();
  let hasOverlap = false;
  using world = stage({
    checksMax: 10,
    around: (kv) =>
      interfered(kv, async (call, proceed) => {
        if (call.kind !== "commit") return await proceed();
        const leases = call.keys.filter(([, kind]) => kind === "lease").map((key) =>
          String(key[3])
        );
        most = Math.max(most, ++underWay);
        for (const lease of leases) {
          busy.set(lease, (busy.get(lease) ?? 0) + 1);
          hasOverlap ||= (busy.get(lease) ?? 0) > 1;
        }
        try {
          return await proceed();
        } finally {
          underWay--;
          for (const lease of leases) busy.set(lease, (busy.get(lease) ?? 0) - 1);
        }
      }),
  });
  const settlements = await world.held(40, 10);
  most = 0;
  // One task of each lease at a time, so that every settle touches many leases.
  for (let n = 0; n < 10; n++) {
    for (let i = n; i < settlements.length; i += 10) {
      world.settler.add(settlements[i] as Settlement);
    }
    await world.sleep(1);
  }
  await world.settler.flush();
  assert.equal(world.settled.filter(([, { kind }]) => kind === "settled").length, 400);
  assert.equal(hasOverlap, false);
  assert(most > 1 && most <= 8, `${most} at once`);
});

test("what is lost is told, and holds up nothing", async () => {
  using world = stage();
  const [lost, ...rest] = await world.held(3, 1);
  assert(lost !== undefined);
  const { worker, id } = lost.lease;
  await world.store.kv.atomic().delete(world.store.keys.lease(worker, id)).commit();
  for (const settlement of [lost, ...rest]) world.settler.add(settlement);
  await world.settler.flush();
  assert.deepEqual(
    world.settled.map(([{ lease }, { kind }]) => [lease === lost.lease, kind]).sort(),
    [[false, "settled"], [false, "settled"], [true, "lost"]],
  );
});

test("while the database is away outcomes wait; giveUp() ends that", async () => {
  let isAway = true;
  using world = stage({
    around: (kv) =>
      interfered(
        kv,
        (call, proceed) =>
          isAway && call.kind === "commit" && call.keys.some(([, kind]) => kind === "lease")
            ? Promise.reject(new Error("away"))
            : proceed(),
      ),
  });
  isAway = false;
  const settlements = await world.held(2, 2);
  isAway = true;
  for (const settlement of settlements) world.settler.add(settlement);
  await world.sleep(60_000);
  assert.deepEqual([world.settled.length, world.settler.pending], [0, 4]);
  isAway = false;
  await world.settler.flush();
  assert.equal(world.settled.length, 4);

  const more = await world.held(1, 2);
  isAway = true;
  for (const settlement of more) world.settler.add(settlement);
  await world.sleep(1_000);
  const flushed = world.settler.flush();
  world.settler.giveUp();
  await flushed;
  assert.equal(world.settled.length, 4);
});

test("what follows on an outcome belongs to it: flush() waits", async () => {
  using world = stage();
  const [settlement] = await world.held(1, 1);
  assert(settlement !== undefined);
  let isDone = false;
  const settler = new Settler(world.store, async () => {
    await world.sleep(5_000);
    isDone = true;
  });
  settler.add(settlement);
  await settler.flush();
  assert.equal(isDone, true);
});
