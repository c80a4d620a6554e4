import assert from "node:assert/strict";
import { test } from "node:test";
import { claim } from "../../src/store/claim.ts";
import { enqueue } from "../../src/store/enqueue.ts";
import { cancel } from "../../src/store/operate.ts";
import type { Key } from "../../src/store/port.ts";
import { encodeTask } from "../../src/store/record_codec.ts";
import { decodeLease } from "../../src/store/records.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { ALONE, draft, interfered, isKind, storeOn, testOnEach, utf8, World } from "./world.ts";

function idsOf({ leases }: Awaited<ReturnType<typeof claim>>): string[] {
  return leases.flatMap(({ tasks }) => [...tasks.keys()]);
}

testOnEach(
  "a claim sets tasks running under one lease, and deletes their due entries",
  async (world) => {
    const ids = [await world.initiate(), await world.initiate()];
    const before = await world.records(ids);
    world.clock.advance(1_000);
    const lease = await world.claimLease("w");
    const after = await world.records(ids);
    assert.deepEqual(
      after,
      before.map((record) => ({
        ...record,
        state: "running",
        attempt: 1,
        op: lease.id,
        lease: { worker: "w", id: lease.id },
        startedMs: world.clock.now(),
      })),
    );
    assert.deepEqual([...lease.tasks.values()], after);
    const entry = await world.kv.get(world.a.keys.lease("w", lease.id));
    assert.equal(entry.versionstamp, lease.version);
    assert.deepEqual(decodeLease(entry.value), { tasks: ids, cancel: [], op: lease.id });
    assert.deepEqual(await world.keys("due"), []);
  },
);

testOnEach("an empty group is claimed in vain, and says so", async (world) => {
  assert.deepEqual(await world.claim("w"), {
    leases: [],
    contended: false,
    more: false,
    nextDueMs: null,
  });
});

testOnEach(
  "tasks come by priority, then oldest due first, then in the order of initiation",
  async (world) => {
    const nowMs = world.clock.now();
    const late = await world.initiate({ dueMs: nowMs - 1 });
    const early = await world.initiate({ dueMs: nowMs - 2 });
    const alsoEarly = await world.initiate({ dueMs: nowMs - 2 });
    const urgent = await world.initiate({ priority: 0 });
    const idle = await world.initiate({ priority: 9, dueMs: 0 });
    const order = [];
    for (let n = 0; n < 5; n++) order.push(...idsOf(await world.claim("w", { max: 1 })));
    assert.deepEqual(order, [urgent, early, alsoEarly, late, idle]);
  },
);

testOnEach("what is not due stays, and the claim says when the next one is", async (world) => {
  const nowMs = world.clock.now();
  await world.initiate({ dueMs: nowMs + 500 });
  await world.initiate({ dueMs: nowMs + 300, priority: 0 });
  await world.initiate({ dueMs: nowMs + 400, priority: 9 });
  const due = await world.initiate({ priority: 7 });
  const claimed = await world.claim("w");
  assert.deepEqual(idsOf(claimed), [due]);
  assert.deepEqual([claimed.more, claimed.nextDueMs], [false, nowMs + 300]);
  world.clock.advance(300);
  assert.equal(idsOf(await world.claim("w")).length, 1);
});

testOnEach(
  "a claim takes no more than it is asked for, and says that there is more",
  async (world) => {
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await world.initiate());
    const claimed = await world.claim("w", { max: 3 });
    assert.deepEqual(idsOf(claimed), ids.slice(0, 3));
    assert.deepEqual([claimed.more, claimed.contended], [true, false]);
  },
);

testOnEach(
  "groups do not see each other, though one's name begins with the other's",
  async (world) => {
    const own = await world.initiate({ group: "g" });
    await world.initiate({ group: "gg" });
    await world.initiate({ group: "g\u0000" });
    assert.deepEqual(idsOf(await world.claim("w")), [own]);
  },
);

testOnEach("two workers at once share the tasks, and none runs twice", async (world) => {
  for (let n = 0; n < 300; n++) await world.initiate();
  const got = { v: [] as string[], w: [] as string[] };
  for (let left = 40; left > 0 && got.v.length + got.w.length < 300; left--) {
    const [v, w] = await Promise.all([
      world.claim("v", { store: world.a, max: 20, window: { rank: 0, of: 2 } }),
      world.claim("w", { store: world.b, max: 20, window: { rank: 1, of: 2 } }),
    ]);
    got.v.push(...idsOf(v));
    got.w.push(...idsOf(w));
  }
  assert.equal(new Set([...got.v, ...got.w]).size, 300);
  assert.equal(got.v.length + got.w.length, 300);
});

testOnEach(
  "two workers that go for the same head: what one lost it says, and takes what is left",
  async (world) => {
    for (let n = 0; n < 4; n++) await world.initiate();
    const [first, second] = await Promise.all([
      world.claim("v", { store: world.a, max: 3 }),
      world.claim("w", { store: world.b, max: 4 }),
    ]);
    const all = [...idsOf(first), ...idsOf(second)];
    assert.equal(new Set(all).size, 4);
    assert(first.contended || second.contended);
  },
);

testOnEach("a claim cut short by the size of a commit is no lost race", async (world) => {
  for (let n = 0; n < 90; n++) await world.initiate({ data: new Uint8Array(4_096) });
  const claimed = await world.claim("w");
  assert.equal(claimed.contended, false);
  assert.equal(claimed.more, idsOf(claimed).length < 90);
});

testOnEach(
  "windows never lie beyond what is due, so that the last task finds its claimer",
  async (world) => {
    const only = await world.initiate();
    const claims = [];
    for (const rank of [0, 1, 2]) {
      claims.push(idsOf(await world.claim("w", { window: { rank, of: 3 }, max: 5 })));
    }
    assert.deepEqual(claims, [[only], [], []]);
    const later = await world.initiate();
    assert.deepEqual(idsOf(await world.claim("w", { window: { rank: 2, of: 3 }, max: 5 })), [
      later,
    ]);
  },
);

/** Due entries that nobody of ours has written, at the head of the queue. */
function foreignKeys(world: World): Key[] {
  const { prefix } = world.a.keys;
  const id = "00000000-0000-7000-8000-00000000000";
  return [
    [...prefix, "due", "g", "text"],
    [...prefix, "due", "g", 0],
    [...prefix, "due", "g", 0, 0],
    [...prefix, "due", "g", 0, 0, 0],
    [...prefix, "due", "g", 0, "x", `${id}1`],
    [...prefix, "due", "g", 0, 0, "no id"],
    [...prefix, "due", "g", 0, 0, `${id}2`, "more"],
    [...prefix, "due", "g", 0, -1, `${id}3`],
    [...prefix, "due", "g", 0, 0.5, `${id}4`],
    [...prefix, "due", "g", 0.5, 0, `${id}5`],
    [...prefix, "due", "g", 3, Infinity, `${id}6`],
    [...prefix, "due", "g", Infinity, 1e300, `${id}7`],
    [...prefix, "due", "g", NaN, NaN, `${id}8`],
    [...prefix, "due", "g", 1e300, 1e300, `${id}9`],
    [...prefix, "due", "g", 4n, 0, `${id}a`],
    [...prefix, "due", "g", true],
  ];
}

testOnEach("foreign keys in a queue stop nothing behind them", async (world) => {
  const id = await world.initiate({ priority: 5 });
  const last = await world.initiate({ priority: 9 });
  for (const key of foreignKeys(world)) await world.plant(key, utf8("foreign"));
  assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), [id]);
  assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), [last]);
  assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), []);
  // What none of ours looks like is left to the check of the database.
  assert.equal((await world.keys("due")).length, foreignKeys(world).length);
}, { isUnsound: true });

testOnEach(
  "thousands of entries that cannot be claimed are walked over in few steps",
  async (world) => {
    const { prefix } = world.a.keys;
    for (let page = 0; page < 6; page++) {
      let atomic = world.kv.atomic();
      for (let n = 0; n < 500; n++) {
        atomic = atomic.set([...prefix, "due", "g", 0, 0, page * 500 + n], utf8("x"));
      }
      await atomic.commit();
    }
    const id = await world.initiate();
    let lists = 0;
    const counted = interfered(world.kv, (call, proceed) => {
      if (call.kind === "list") lists++;
      return proceed();
    });
    const store = storeOn(counted, { clock: world.clock, seed: "counted" });
    assert.deepEqual(idsOf(await world.claim("w", { store, max: 1 })), [id]);
    assert(lists < 20, `${lists} listings`);
  },
  { isUnsound: true },
);

const DAMAGED = Uint8Array.of(1, 0, 0, 0, 9, 123);

testOnEach(
  "a due entry that is damaged is replaced by its record, which is sound",
  async (world) => {
    const id = await world.initiate();
    const [key] = await world.keys("due");
    await world.plant([...world.a.keys.prefix, ...key ?? []], DAMAGED);
    assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), [id]);
    assert.equal((await world.record(id)).state, "running");
    assert.deepEqual(await world.keys("due"), []);
  },
);

testOnEach(
  "a record that is damaged does not stop those behind it, and is set aside whole",
  async (world) => {
    const damaged = [];
    for (let n = 0; n < 3; n++) damaged.push(await world.initiate());
    const sound = await world.initiate();
    for (const id of damaged) await world.plant(world.a.keys.task(id), DAMAGED);
    const got = [];
    for (let n = 0; n < 10 && got.length === 0; n++) {
      got.push(...idsOf(await world.claim("w", { max: 1 })));
    }
    assert.deepEqual(got, [sound]);
    await world.assertSound();
    const aside = (await world.entries()).filter(({ key }) => isKind(key, "aside"));
    const tasks = aside.filter(({ key }) => key[2] === "task");
    assert.deepEqual(
      tasks.map(({ key, value }) => [key[3], [...value as Uint8Array]]),
      damaged.map((id) => [id, [...DAMAGED]]),
    );
    assert.equal(aside.length, 6);
  },
);

testOnEach("a due entry whose record is gone stops nothing", async (world) => {
  const gone = await world.initiate();
  const sound = await world.initiate();
  await world.kv.atomic().delete(world.a.keys.task(gone)).commit();
  const got = [];
  for (let n = 0; n < 10 && got.length === 0; n++) {
    got.push(...idsOf(await world.claim("w", { max: 1 })));
  }
  assert.deepEqual(got, [sound]);
  await world.assertSound();
});

testOnEach("a due entry that a task left behind does not make it run again", async (world) => {
  const id = await world.initiate();
  const [stale] = (await world.entries()).filter(({ key }) => isKind(key, "due"));
  assert(stale !== undefined);
  const lease = await world.claimLease("w");
  await world.plant(stale.key, stale.value);
  for (let n = 0; n < 3; n++) assert.deepEqual(idsOf(await world.claim("v", { max: 1 })), []);
  await world.assertSound();
  const ending = { kind: "succeed", result: { kind: "inline", bytes: utf8("r") }, writes: null };
  await world.settle(lease, ending as never);
  await world.plant(stale.key, stale.value);
  for (let n = 0; n < 3; n++) assert.deepEqual(idsOf(await world.claim("v", { max: 1 })), []);
  assert.equal((await world.record(id)).state, "succeeded");
});

testOnEach(
  "a task queued in one group is not claimed by a copy of its entry in another",
  async (world) => {
    const id = await world.initiate({ group: "g" });
    const [entry] = (await world.entries()).filter(({ key }) => isKind(key, "due"));
    assert(entry !== undefined);
    await world.plant(world.a.keys.due("other", 5, world.clock.now(), id), entry.value);
    assert.deepEqual(idsOf(await world.claim("w", { group: "other" })), []);
    assert.deepEqual(idsOf(await world.claim("w", { group: "g" })), [id]);
  },
);

testOnEach(
  "a task from a newer version is neither claimed nor damaged, and stops nothing",
  async (world) => {
    const future = await world.initiate();
    const bytes = encodeTask(await world.record(future));
    bytes[0] = 2;
    const due = world.a.keys.due("g", 5, world.clock.now(), future);
    await world.kv.atomic().set(world.a.keys.task(future), bytes).set(due, bytes).commit();
    const before = await world.entries();
    const sound = await world.initiate();
    assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), [sound]);
    assert.deepEqual(idsOf(await world.claim("w", { max: 1 })), []);
    const after = (await world.entries()).filter(({ key }) => key.includes(future));
    assert.deepEqual(after, before.filter(({ key }) => key.includes(future)));
  },
  { isUnsound: true },
);

testOnEach("a task is claimed however often it was before", async (world) => {
  const made = draft(world.a);
  await enqueue(world.a, [{
    ...made,
    record: { ...made.record, attempt: 1_000_000, released: 1_000_000 },
  }]);
  const next = await world.initiate();
  assert.deepEqual(idsOf(await world.claim("w")), [made.record.id, next]);
  assert.equal((await world.record(made.record.id)).attempt, 1_000_001);
});

for (const isRepeated of [false, true]) {
  test(`a claim whose answer is lost (repeated by the client: ${isRepeated}) is found by its lease`, async () => {
    const database = new SimDatabase({ dialect: "npm" });
    using _driver = database.time.drive();
    const kv = database.connect();
    const world = new World(kv, 10);
    const id = await world.initiate();
    kv.inject({ kind: "lostAnswer", isRepeated });
    kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read", skip: 1 });
    const claimed = await world.claim("w");
    assert.deepEqual(idsOf(claimed), [id]);
    await world.assertSound();
  });
}

test("a claim whose request is lost runs nothing, and the task is claimed with the next", async () => {
  const kv = new SimDatabase().connect();
  const world = new World(kv, 100);
  const id = await world.initiate();
  kv.inject({ kind: "lostRequest", isRepeated: false });
  assert.deepEqual(idsOf(await world.claim("w")), [id]);
  await world.assertSound();
});

test("what one batch of a claim took is not lost with the error of another", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  for (let n = 0; n < 20; n++) await world.initiate();
  let commits = 0;
  const broken = interfered(kv, (call, proceed) => {
    const isSecond = call.kind === "commit" && ++commits === 2;
    if (isSecond) {
      return Promise.reject(new Error("Cannot call '.commit' after '.close' is called"));
    }
    return proceed();
  });
  const store = storeOn(broken, { clock: world.clock, seed: "broken", checksMax: 10 });
  const claimed = await claim(store, { worker: "w", group: "g", max: 20, window: ALONE });
  assert.equal(idsOf(claimed).length, 10);
  await world.assertSound();
});

test("a cancel between a claim and its lost answer is not forgotten", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  const id = await world.initiate();
  let isLost = false;
  const late = interfered(kv, async (call, proceed) => {
    const answer = await proceed();
    if (isLost || call.kind !== "commit") return answer;
    isLost = true;
    assert.equal(await cancel(world.b, id), "requested");
    throw new Error("the connection broke");
  });
  const store = storeOn(late, { clock: world.clock, seed: "late", checksMax: 10 });
  const { leases } = await claim(store, { worker: "w", group: "g", max: 5, window: ALONE });
  const [lease] = leases;
  assert(lease !== undefined);
  assert.deepEqual([...lease.cancelled], [id]);
  await world.settle(lease, { kind: "release", dueMs: world.clock.now() });
  assert.equal((await world.record(id)).state, "cancelled");
});

test("entries that cannot even be set aside are passed by", async () => {
  const kv = new SimDatabase().connect();
  const world = new World(kv, 100);
  const damaged = await world.initiate();
  const due = world.a.keys.due("g", 5, world.clock.now(), damaged);
  await world.plant(due, DAMAGED);
  await world.plant(world.a.keys.task(damaged), DAMAGED);
  const sound = await world.initiate();
  const unable = interfered(
    kv,
    (call, proceed) =>
      call.kind === "commit" && call.keys.some((key) => isKind(key, "aside"))
        ? Promise.reject(new TypeError("Key too large for write (max 2048 bytes)"))
        : proceed(),
  );
  const store = storeOn(unable, { clock: world.clock, seed: "unable" });
  assert.deepEqual(idsOf(await world.claim("w", { store, max: 1 })), [sound]);
});
