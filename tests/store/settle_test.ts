import assert from "node:assert/strict";
import { test } from "node:test";
import { claim, type HeldLease } from "../../src/store/claim.ts";
import { Changes } from "../../src/store/commit.ts";
import { encodeLease } from "../../src/store/records.ts";
import { cancel } from "../../src/store/operate.ts";
import { rescueLease } from "../../src/store/rescue.ts";
import { type Ending, settle, type Settlement } from "../../src/store/settle.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { ALONE, interfered, NEVER, storeOn, testOnEach, utf8, World } from "./world.ts";

const SUCCEED: Ending = {
  kind: "succeed",
  result: { kind: "inline", bytes: utf8("result") },
  writes: null,
};
const ERROR = { name: "Error", message: "no luck" };

testOnEach("settle() writes each kind of ending, and the whole record says so", async (world) => {
  const ids = [];
  for (let n = 0; n < 5; n++) ids.push(await world.initiate());
  const lease = await world.claimLease("w");
  const before = await world.records(ids);
  world.clock.advance(1_000);
  const nowMs = world.clock.now();
  const endings: Ending[] = [
    SUCCEED,
    { kind: "retry", dueMs: nowMs + 5, error: ERROR },
    { kind: "fail", error: ERROR },
    { kind: "discard", error: ERROR },
    { kind: "release", dueMs: nowMs },
  ];
  const outcomes = [];
  for (const [i, id] of ids.entries()) {
    outcomes.push(...await world.settle(lease, endings[i] as Ending, [id]));
  }
  const after = await world.records(ids);
  assert.deepEqual(outcomes, after.map((record) => ({ kind: "settled", record })));
  const ended = { lease: null, endedMs: nowMs, expiresMs: nowMs + 3_600_000 };
  const queued = { state: "queued", lease: null, startedMs: null };
  const changes = [
    { state: "succeeded", ...ended, result: { kind: "inline", bytes: utf8("result") } },
    { ...queued, dueMs: nowMs + 5, error: ERROR },
    { state: "failed", ...ended, error: ERROR },
    { state: "discarded", ...ended, error: ERROR },
    { ...queued, dueMs: nowMs, released: 1 },
  ];
  assert.deepEqual(
    after,
    before.map((record, i) => ({ ...record, ...changes[i], op: after[i]?.op })),
  );
  assert.equal(lease.tasks.size, 0);
  assert.deepEqual(await world.keys("lease"), []);
});

testOnEach(
  "settle() shrinks a lease by what has ended, and deletes it with the last",
  async (world) => {
    const ids = [await world.initiate(), await world.initiate(), await world.initiate()] as const;
    const lease = await world.claimLease("w");
    await world.settle(lease, SUCCEED, [ids[1]]);
    assert.deepEqual([...lease.tasks.keys()], [ids[0], ids[2]]);
    await world.assertSound();
    await world.settle(lease, SUCCEED, [ids[0], ids[2]]);
    assert.deepEqual(await world.keys("lease"), []);
  },
);

testOnEach(
  "settle() of many leases takes as many in one commit as the connection has checks",
  async (world) => {
    const leases: HeldLease[] = [];
    for (let n = 0; n < 25; n++) {
      await world.initiate();
      leases.push(await world.claimLease("w"));
    }
    const settlements = leases.map((lease): Settlement => {
      const [record] = lease.tasks.values();
      assert(record !== undefined);
      return { lease, record, ending: SUCCEED };
    });
    const settled = await settle(world.a, settlements, NEVER);
    assert.deepEqual([...settled.keys()], settlements.slice(0, Math.min(25, world.checksMax)));
  },
);

testOnEach("settle() refuses an outcome from an attempt that was rescued", async (world) => {
  const id = await world.initiate();
  const stale = await world.claimLease("w");
  const [record] = stale.tasks.values();
  assert(record !== undefined);
  const settleStale = async (ending: Ending) => {
    const settled = await settle(world.a, [{ lease: stale, record, ending }], NEVER);
    return [...settled.values()];
  };
  const rescued = await rescueLease(world.b, { worker: "w", version: null }, stale.id);
  assert.deepEqual(rescued.map((record) => record.id), [id]);
  const queued = await world.record(id);
  assert.deepEqual(await settleStale(SUCCEED), [{ kind: "lost" }]);
  assert.deepEqual(await world.record(id), queued);

  const fresh = await world.claimLease("v", { store: world.b });
  assert.deepEqual(await settleStale({ kind: "fail", error: ERROR }), [{ kind: "lost" }]);
  const [settled] = await world.settle(fresh, SUCCEED);
  assert.equal(settled?.kind, "settled");
  assert.equal((await world.record(id)).attempt, 2);
});

testOnEach("rescue comes too late for what was settled", async (world) => {
  const [first, second] = [await world.initiate(), await world.initiate()];
  const lease = await world.claimLease("w");
  await world.settle(lease, SUCCEED, [first]);
  const settled = await world.record(first);
  const rescued = await rescueLease(world.b, { worker: "w", version: null }, lease.id);
  assert.deepEqual(rescued.map((record) => record.id), [second]);
  assert.deepEqual(await world.record(first), settled);
});

testOnEach(
  "settle() refuses what a rescue took from a lease that it left standing with the rest",
  async (world) => {
    // A rescue of much data goes in several commits, and the lease stays until the last one of them.
    const [taken, left] = [await world.initiate(), await world.initiate()];
    const stale = await world.claimLease("w");
    const { keys } = world.a;
    const leaseKey = keys.lease("w", stale.id);
    // The rescue's first commit, written out: one task queued again, the lease without it.
    const lone: HeldLease = { ...stale, tasks: new Map(stale.tasks), cancelled: new Set() };
    await world.settle(lone, { kind: "release", dueMs: world.clock.now() }, [taken], world.b);
    const fresh = await world.claimLease("v", { store: world.b });
    const running = await world.record(taken);
    assert.equal(running.attempt, 2);

    const outcomes = await world.settle(stale, SUCCEED, [taken, left]);
    assert.deepEqual(outcomes.map(({ kind }) => kind), ["lost", "settled"]);
    assert.deepEqual(await world.record(taken), running);
    assert.equal((await world.kv.get(leaseKey)).versionstamp, null);
    await world.assertSound();
    await world.settle(fresh, SUCCEED);
  },
);

testOnEach("a cancel that came before makes every ending but success a cancel", async (world) => {
  const ids = [await world.initiate(), await world.initiate(), await world.initiate()] as const;
  const lease = await world.claimLease("w");
  for (const id of ids) assert.equal(await cancel(world.b, id), "requested");
  await world.settle(lease, { kind: "retry", dueMs: world.clock.now(), error: ERROR }, [ids[0]]);
  await world.settle(lease, { kind: "release", dueMs: world.clock.now() }, [ids[1]]);
  await world.settle(lease, SUCCEED, [ids[2]]);
  assert.deepEqual(
    (await world.records(ids)).map(({ state }) => state),
    ["cancelled", "cancelled", "succeeded"],
  );
});

testOnEach("a cancel that comes after finds the task ended", async (world) => {
  const id = await world.initiate();
  const lease = await world.claimLease("w");
  await world.settle(lease, SUCCEED);
  const settled = await world.record(id);
  assert.equal(await cancel(world.b, id), "ended");
  assert.deepEqual(await world.record(id), settled);
});

test("settle() whose answer is lost does not write again over an attempt that came after, though a cancel changed the lease", async () => {
  const database = new SimDatabase({ dialect: "npm" });
  const kv = database.connect();
  const world = new World(kv, 10);
  const [first, second] = [await world.initiate(), await world.initiate()];
  const lease = await world.claimLease("w");
  let isLost = false;
  const late = interfered(kv, async (call, proceed) => {
    const answer = await proceed();
    if (isLost || call.kind !== "commit") return answer;
    isLost = true;
    // Between the commit and its answer: the retried task is claimed by another worker, its neighbour is cancelled.
    const { leases } = await claim(world.b, { worker: "v", group: "g", max: 9, window: ALONE });
    assert.deepEqual(leases.map(({ tasks }) => [...tasks.keys()]), [[first]]);
    assert.equal(await cancel(world.b, second), "requested");
    throw new Error("the connection broke");
  });
  const store = storeOn(late, { clock: world.clock, seed: "late", checksMax: 10 });
  await world.settle(
    lease,
    { kind: "retry", dueMs: world.clock.now(), error: ERROR },
    [first],
    store,
  );
  const running = await world.record(first);
  assert.deepEqual(
    [running.state, running.attempt, running.lease?.worker],
    ["running", 2, "v"],
  );
  await world.assertSound();
  const [outcome] = await world.settle(lease, SUCCEED, [second], store);
  assert.equal(outcome?.kind, "settled");
  await world.assertSound();
});

test("settle() goes on when a lease cannot be read: it writes the lease that it holds, and the others are not kept waiting", async () => {
  const world = new World(new SimDatabase().connect(), 100);
  const ids = [await world.initiate(), await world.initiate()] as const;
  const lease = await world.claimLease("w");
  await world.plant(world.a.keys.lease("w", lease.id), Uint8Array.of(1, 2, 3));
  const outcomes = await world.settle(lease, SUCCEED, [ids[0]]);
  assert.deepEqual(outcomes.map(({ kind }) => kind), ["settled"]);
  await world.assertSound();
  assert.equal((await world.record(ids[1])).state, "running");
});

test("settle() leaves a lease from a newer version as it is, and drops what it can no longer prove", async () => {
  const world = new World(new SimDatabase().connect(), 100);
  const id = await world.initiate();
  const lease = await world.claimLease("w");
  const future = encodeLease({ tasks: [id], cancel: [id], op: "future" });
  future[0] = 2;
  await world.plant(world.a.keys.lease("w", lease.id), future);
  assert.deepEqual(await world.settle(lease, SUCCEED), [{ kind: "lost" }]);
  const { value } = await world.kv.get(world.a.keys.lease("w", lease.id));
  assert.deepEqual([...value as Uint8Array], [...future]);
});

function withWrites(build: (writes: Changes) => void): Ending {
  const writes = new Changes();
  build(writes);
  return { kind: "succeed", result: { kind: "inline", bytes: utf8("r") }, writes };
}

testOnEach("the user's writes commit with the outcome", async (world) => {
  const id = await world.initiate();
  const lease = await world.claimLease("w");
  const ending = withWrites((writes) => {
    writes.check(["mail", id], null);
    writes.set(["mail", id], "sent");
    writes.delete(["draft", id]);
  });
  assert.equal((await world.settle(lease, ending))[0]?.kind, "settled");
  assert.equal((await world.kv.get(["mail", id])).value, "sent");
});

testOnEach(
  "neither outcome nor the user's writes are there when the user's check fails",
  async (world) => {
    const id = await world.initiate();
    const lease = await world.claimLease("w");
    await world.plant(["mail", id], "sent before");
    const before = await world.entries();
    const ending = withWrites((writes) => {
      writes.check(["mail", id], null);
      writes.set(["mail", id], "sent again");
    });
    assert.equal((await world.settle(lease, ending))[0]?.kind, "refused");
    assert.deepEqual(await world.entries(), before);
    assert.equal((await world.kv.get(["mail", id])).value, "sent before");
    await world.settle(lease, { kind: "fail", error: ERROR });
  },
);

testOnEach("the user's writes of a stale attempt never exist", async (world) => {
  const id = await world.initiate();
  const lease = await world.claimLease("w");
  await rescueLease(world.b, { worker: "w", version: null }, lease.id);
  const ending = withWrites((writes) => writes.set(["mail", id], "sent"));
  assert.deepEqual(await world.settle(lease, ending), [{ kind: "lost" }]);
  assert.equal((await world.kv.get(["mail", id])).versionstamp, null);
});

testOnEach("writes that the engine cannot store are refused, and only they", async (world) => {
  const [bad, good] = [await world.initiate(), await world.initiate()];
  const lease = await world.claimLease("w");
  const unstorable = withWrites((writes) => writes.set(["big"], new Uint8Array(70_000)));
  const settlements = [[good, SUCCEED], [bad, unstorable]] as const;
  const outcomes = [];
  for (const [id, ending] of settlements) {
    outcomes.push(...await world.settle(lease, ending, [id]));
  }
  assert.deepEqual(outcomes.map(({ kind }) => kind), ["settled", "refused"]);
  await world.settle(lease, { kind: "fail", error: ERROR });
});

for (
  const [what, fault] of [
    ["a full disk", { kind: "diskFull" }],
    ["a server that is away", { kind: "lostRequest", isRepeated: false }],
    ["a file that is locked", { kind: "locked" }],
  ] as const
) {
  test(`the user's writes wait for ${what}: only a failed check refuses them`, async () => {
    const kv = new SimDatabase().connect();
    const world = new World(kv, 100);
    const id = await world.initiate();
    const lease = await world.claimLease("w");
    for (let n = 0; n < 5; n++) kv.inject(fault);
    const ending = withWrites((writes) => writes.set(["mail", id], "sent"));
    assert.equal((await world.settle(lease, ending))[0]?.kind, "settled");
    assert.equal((await world.kv.get(["mail", id])).value, "sent");
  });
}

test("settle() gives up when it is told so, and says nothing of what it did not write", async () => {
  const kv = new SimDatabase().connect();
  const world = new World(kv, 100);
  const id = await world.initiate();
  const lease = await world.claimLease("w");
  const [record] = lease.tasks.values();
  assert(record !== undefined);
  const giveUp = new AbortController();
  let tries = 0;
  const failing = interfered(kv, (call, proceed) => {
    if (call.kind !== "commit") return proceed();
    if (++tries === 3) giveUp.abort();
    return Promise.reject(new Error("disk full"));
  });
  const store = storeOn(failing, { clock: world.clock, seed: "f" });
  const settled = await settle(store, [{ lease, record, ending: SUCCEED }], giveUp.signal);
  assert.deepEqual([settled.size, tries], [0, 3]);
  assert.equal((await world.record(id)).state, "running");
});

testOnEach(
  "200 records of 4 KB, their due entries and unique keys fit the engine's bounds",
  async (world) => {
    const ids = [];
    for (let n = 0; n < 200; n++) {
      ids.push(
        await world.initiate({
          data: new Uint8Array(4_096).fill(n),
          name: "é".repeat(100),
          unique: `${"u".repeat(190)}${n}`,
        }),
      );
    }
    const claimed: HeldLease[] = [];
    for (let more = true; more;) {
      const claim = await world.claim("w");
      claimed.push(...claim.leases);
      more = claim.leases.length > 0;
    }
    assert.equal(claimed.reduce((sum, { tasks }) => sum + tasks.size, 0), 200);
    for (const lease of claimed) {
      const [first, ...rest] = lease.tasks.keys();
      assert(first !== undefined);
      await world.settle(
        lease,
        { kind: "retry", dueMs: world.clock.now() + 1, error: ERROR },
        rest,
      );
      await world.settle(lease, SUCCEED);
    }
    await world.assertSound();
  },
);

testOnEach("settle() fits the engine's bounds below a long prefix too", async (world) => {
  for (let n = 0; n < 100; n++) await world.initiate();
  const { leases } = await world.claim("w");
  for (const lease of leases) {
    await world.settle(lease, { kind: "retry", dueMs: world.clock.now(), error: ERROR });
  }
  assert.equal((await world.keys("due")).length, 100);
}, { prefix: ["p".repeat(200), "q".repeat(200), "r".repeat(200)] });
