import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTurn, systemClock } from "../../src/core/clock.ts";
import {
  Conflict,
  InvalidArgument,
  KvUnavailable,
  OutcomeUnknown,
  TaskkitError,
} from "../../src/core/errors.ts";
import { DATA_BYTES_MAX, INLINE_BYTES_MAX } from "../../src/core/limits.ts";
import { Changes } from "../../src/store/commit.ts";
import { enqueue, enqueueEnded, enqueueWith } from "../../src/store/enqueue.ts";
import { cancel, revive } from "../../src/store/operate.ts";
import { isTombstone } from "../../src/store/record_codec.ts";
import { encodeTask } from "../../src/store/record_codec.ts";
import { readPayload } from "../../src/store/records.ts";
import { sweepChunks } from "../../src/store/sweep.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import {
  draft,
  interfered,
  isKind,
  StillClock,
  storeOn,
  testOnEach,
  utf8,
  World,
} from "./world.ts";

testOnEach("enqueue() writes the whole record, its due entry and the doorbell", async (world) => {
  const made = draft(world.a, { dueMs: 5, priority: 3, timeoutMs: 7, data: utf8("abc") });
  assert.deepEqual(await enqueue(world.a, [made]), [made.record.id]);
  assert.deepEqual(await world.record(made.record.id), {
    ...made.record,
    data: { kind: "inline", bytes: utf8("abc") },
  });
  assert.deepEqual(await world.keys("due"), [["due", "g", 3, 5, made.record.id]]);
  assert.deepEqual(await world.keys("bell"), [["bell", "group", "g"]]);
});

testOnEach("enqueue() of nothing writes nothing", async (world) => {
  assert.deepEqual(await enqueue(world.a, []), []);
  assert.deepEqual(await world.entries(), []);
});

for (const size of [0, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 60_000, 60_001, DATA_BYTES_MAX]) {
  testOnEach(`data of ${size} bytes comes back as it was, whole`, async (world) => {
    const data = Uint8Array.from({ length: size }, (_, i) => i * 31);
    const id = await world.initiate({ data });
    const record = await world.record(id);
    assert.equal(record.data.kind, size > INLINE_BYTES_MAX ? "chunks" : "inline");
    assert.deepEqual(await readPayload(world.b, id, record.data), data);
    // Nothing is left of the mark by which data that was written ahead would have been swept.
    assert.deepEqual(await world.keys("sweep"), []);
  });
}

testOnEach("a missing chunk is an error that says so, not less data", async (world) => {
  const id = await world.initiate({ data: new Uint8Array(200_000) });
  const { data } = await world.record(id);
  await world.kv.atomic().delete(world.a.keys.chunk(id, 0, 1)).commit();
  await assert.rejects(readPayload(world.a, id, data), {
    code: "CORRUPT_RECORD",
    message: `Cannot read the data of task "${id}": 60000 of 200000 bytes are there`,
  });
}, { isUnsound: true });

testOnEach(
  "enqueue() splits large numbers at the engine's bounds, and keeps their order",
  async (world) => {
    const drafts = Array.from({ length: 2_500 }, (_, n) => draft(world.a, { data: utf8(`${n}`) }));
    const ids = await enqueue(world.a, drafts);
    assert.deepEqual(ids, drafts.map(({ record }) => record.id));
    assert.deepEqual((await world.keys("task")).map(([, id]) => id), ids);
  },
);

testOnEach(
  "enqueue() splits at the engine's bounds for bytes, with data of all sizes",
  async (world) => {
    const sizes = [0, 4_096, 4_097, 59_999, 120_000, 350_000, 350_001, 700_000];
    const drafts = [...sizes, ...sizes, ...sizes].map((size) =>
      draft(world.a, { data: new Uint8Array(size) })
    );
    await enqueue(world.a, drafts);
    assert.equal((await world.keys("task")).length, drafts.length);
  },
);

testOnEach("enqueue() of many groups has room for the doorbell of each", async (world) => {
  const drafts = Array.from({ length: 900 }, (_, n) => draft(world.a, { group: `tenant ${n}` }));
  await enqueue(world.a, drafts);
  assert.equal((await world.keys("due")).length, 900);
  assert.equal((await world.keys("bell")).length, 900);
});

testOnEach("enqueue() with the longest names fits the engine's bound for keys", async (world) => {
  const drafts = Array.from(
    { length: 500 },
    (_, n) => draft(world.a, { group: "é".repeat(100), name: `${"n".repeat(190)}${n}` }),
  );
  await enqueue(world.a, drafts);
  assert.equal((await world.keys("due")).length, 500);
}, { prefix: ["p".repeat(200), "q".repeat(200)] });

testOnEach("a unique key is held by one task until it ends", async (world) => {
  const first = await world.initiate({ unique: "daily" });
  const second = draft(world.b, { unique: "daily" });
  assert.deepEqual(await enqueue(world.b, [second]), [first]);
  const other = draft(world.b, { unique: "weekly" });
  assert.deepEqual(await enqueue(world.b, [other]), [other.record.id]);
  await cancel(world.a, first);
  assert.deepEqual(await enqueue(world.b, [second]), [second.record.id]);
});

testOnEach(
  "of many who want a unique key at once, one gets it and all learn which",
  async (world) => {
    const ids = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const store = n % 2 === 0 ? world.a : world.b;
        return (await enqueue(store, [draft(store, { unique: "u" })]))[0];
      }),
    );
    assert.equal(new Set(ids).size, 1);
    assert.deepEqual((await world.keys("task")).map(([, id]) => id), [ids[0]]);
  },
);

testOnEach("a unique key among others in one call keeps all ids in their order", async (world) => {
  const held = await world.initiate({ unique: "u" });
  const drafts = [draft(world.a), draft(world.a, { unique: "u" }), draft(world.a)] as const;
  const ids = await enqueue(world.a, drafts);
  assert.deepEqual(ids, [drafts[0].record.id, held, drafts[2].record.id]);
});

testOnEach("a unique key whose holder is gone or damaged does not lock for ever", async (world) => {
  const lost = await world.initiate({ unique: "u" });
  await world.kv.atomic().delete(world.a.keys.task(lost)).commit();
  const second = await world.initiate({ unique: "u" });
  assert.notEqual(second, lost);
  await world.plant(world.a.keys.task(second), Uint8Array.of(1, 2, 3));
  assert.notEqual(await world.initiate({ unique: "u" }), second);
}, { isUnsound: true });

testOnEach("a unique key that a task from a newer version holds stays held", async (world) => {
  const holder = await world.initiate({ unique: "u" });
  const future = encodeTask(await world.record(holder));
  future[0] = 2;
  await world.plant(world.a.keys.task(holder), future);
  assert.equal(await world.initiate({ unique: "u" }), holder);
}, { isUnsound: true });

testOnEach("a unique task with large data is written once", async (world) => {
  const data = new Uint8Array(DATA_BYTES_MAX).fill(7);
  const id = await world.initiate({ unique: "u", data });
  assert.equal(await world.initiate({ unique: "u", data }), id);
  assert.deepEqual(await readPayload(world.a, id, (await world.record(id)).data), data);
  assert.deepEqual(await world.keys("sweep"), []);
});

testOnEach("enqueueWith() writes tasks and the user's data together", async (world) => {
  const drafts = [draft(world.a), draft(world.a, { data: new Uint8Array(DATA_BYTES_MAX) })];
  const writes = new Changes();
  writes.set(["order", 7], { total: 12 });
  assert.equal(await enqueueWith(world.a, drafts, writes), true);
  assert.deepEqual((await world.kv.get(["order", 7])).value, { total: 12 });
  assert.equal((await world.keys("due")).length, 2);
});

testOnEach(
  "enqueueWith() writes nothing when the user's check fails, and no late copy can",
  async (world) => {
    await world.plant(["order", 7], "there");
    const made = draft(world.a);
    const writes = new Changes();
    writes.check(["order", 7], null);
    writes.set(["order", 7], "again");
    assert.equal(await enqueueWith(world.a, [made], writes), false);
    assert.equal((await world.kv.get(["order", 7])).value, "there");
    assert.deepEqual(await world.keys("due"), []);
    assert(isTombstone((await world.kv.get(world.a.keys.task(made.record.id))).value));
  },
);

testOnEach(
  "enqueueWith() refuses what does not fit one commit, before it sends it",
  async (world) => {
    const many = Array.from({ length: 600 }, () => draft(world.a));
    await assert.rejects(enqueueWith(world.a, many, new Changes()), InvalidArgument);
    const much = Array.from({ length: 20 }, () => draft(world.a, { data: new Uint8Array(60_000) }));
    await assert.rejects(enqueueWith(world.a, much, new Changes()), InvalidArgument);
    await assert.rejects(enqueueWith(world.a, [], new Changes()), InvalidArgument);
    assert.deepEqual(await world.keys("task"), []);
  },
);

testOnEach(
  "what the engine cannot store is a typed error, and nothing is written",
  async (world) => {
    const tooLarge = new Changes();
    tooLarge.set(["big"], new Uint8Array(70_000));
    const noClone = new Changes();
    noClone.set(["function"], () => {});
    for (const writes of [tooLarge, noClone]) {
      await assert.rejects(enqueueWith(world.a, [draft(world.a)], writes), {
        code: "INVALID_ARGUMENT",
      });
    }
    assert.deepEqual(await world.keys("task"), []);
  },
);

testOnEach(
  "enqueueEnded() stores a task that was run before, and is refused by the handler's check",
  async (world) => {
    const made = draft(world.a);
    const nowMs = world.clock.now();
    const record = {
      ...made.record,
      state: "succeeded" as const,
      attempt: 1,
      startedMs: nowMs,
      endedMs: nowMs,
      expiresMs: nowMs + 1,
      result: { kind: "inline" as const, bytes: utf8("r") },
    };
    await enqueueEnded(world.a, { ...made, record }, null);
    assert.deepEqual(await world.record(record.id), {
      ...record,
      data: { kind: "inline", bytes: made.data },
    });
    const writes = new Changes();
    writes.check(["absent"], "00000000000000000000");
    await assert.rejects(enqueueEnded(world.a, draft(world.a), writes), Conflict);
  },
);

/** A store on a simulated database whose time passes by itself, for what takes pauses. */
function virtualWorld() {
  const time = new VirtualTime();
  const database = new SimDatabase({ time, dialect: "npm", faults: CALM });
  const clock = time.clock();
  const kv = database.connect({ clock });
  const driver = time.drive();
  return { time, database, clock, kv, [Symbol.dispose]: () => driver[Symbol.dispose]() };
}

const LOST = [
  { kind: "lostRequest", isRepeated: false },
  {
    kind: "lostAnswer",
    isRepeated: false,
  },
  { kind: "lostAnswer", isRepeated: true },
  { kind: "blackhole" },
  {
    kind: "blackhole",
    appliedAfterMs: 45_000,
  },
  { kind: "zombie", afterMs: 5_000 },
  { kind: "locked" },
] as const;

for (const fault of LOST) {
  for (const then of ["reads work", "the next reads fail too"]) {
    test(`a task is written once though ${JSON.stringify(fault)} comes between, and ${then}`, async () => {
      using world = virtualWorld();
      const { kv, clock } = world;
      const store = storeOn(kv, { clock, seed: "s", checksMax: 10 });
      kv.inject(fault);
      if (then !== "reads work") {
        for (let n = 0; n < 3; n++) {
          kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read" });
        }
      }
      const made = draft(store);
      assert.deepEqual(await enqueue(store, [made]), [made.record.id]);
      const entries = await Array.fromAsync(world.database.connect().list(store.keys.all()));
      assert.deepEqual(
        entries.map((entry) => store.keys.parts(entry)[0]).sort(),
        ["bell", "due", "task"],
      );
    });

    test(`user data and task are there once or not at all though ${JSON.stringify(fault)} comes between, and ${then}`, async () => {
      using world = virtualWorld();
      const { kv, clock } = world;
      const store = storeOn(kv, { clock, seed: "s", checksMax: 10 });
      kv.inject(fault);
      if (then !== "reads work") {
        for (let n = 0; n < 3; n++) {
          kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read" });
        }
      }
      const writes = new Changes();
      writes.check(["order"], null);
      writes.set(["order"], 1);
      assert.equal(await enqueueWith(store, [draft(store)], writes), true);
      assert.equal((await world.database.connect().get(["order"])).value, 1);
    });
  }
}

test("when nobody says what came of it, the error says that, with the ids, within two minutes", async () => {
  using world = virtualWorld();
  const { kv, clock } = world;
  const store = storeOn(kv, { clock, seed: "s", checksMax: 10 });
  const drafts = [draft(store), draft(store)];
  for (
    const calls of [
      () => enqueue(store, drafts),
      () => enqueueWith(store, drafts, new Changes()),
      () => enqueue(store, [draft(store, { unique: "u" })]),
    ]
  ) {
    for (let n = 0; n < 100; n++) kv.inject({ kind: "blackhole" });
    const startedMs = clock.monotonic();
    await assert.rejects(calls(), (error) => {
      assert(error instanceof OutcomeUnknown);
      assert(error.ids.length > 0);
      assert(error.cause instanceof Error);
      return true;
    });
    assert(clock.monotonic() - startedMs < 120_000);
  }
});

test("when nothing can have been sent, the error says that the database is away", async () => {
  using world = virtualWorld();
  const { kv, clock } = world;
  const store = storeOn(kv, { clock, seed: "s", checksMax: 10 });
  kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read" });
  await assert.rejects(enqueue(store, [draft(store, { unique: "u" })]), (error) => {
    assert(error instanceof KvUnavailable);
    assert.match(error.message, /^Cannot read from the database: /);
    return true;
  });
  for (let n = 0; n < 5_000; n++) kv.inject({ kind: "locked" });
  await assert.rejects(enqueue(store, [draft(store)]), (error) => {
    assert(error instanceof TaskkitError && error.code === "KV_UNAVAILABLE");
    return true;
  });
});

test("a bulk of which a commit fails is not over before its other commits are", async () => {
  const happened: string[] = [];
  const begun = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  let commits = 0;
  const kv = interfered(new SimDatabase().connect(), async (call, proceed) => {
    if (call.kind !== "commit") return await proceed();
    if (++commits === 1) {
      await begun.promise;
      throw new Error("Value too large");
    }
    begun.resolve();
    await held.promise;
    happened.push("the other commit ended");
    return await proceed();
  });
  const store = storeOn(kv, { clock: new StillClock(), seed: "s" });
  const drafts = Array.from({ length: 600 }, () => draft(store));
  const call = assert.rejects(
    enqueue(store, [...drafts, draft(store, { unique: "u" })]).finally(() =>
      happened.push("the call ended")
    ),
    InvalidArgument,
  );
  await begun.promise;
  for (let n = 0; n < 5; n++) await nextTurn(systemClock);
  held.resolve();
  await call;
  assert.deepEqual(happened, ["the other commit ended", "the call ended"]);
});

test("a sweep by a clock that is a day ahead does not take data that is being written", async () => {
  const kv = new SimDatabase().connect();
  const clock = new StillClock();
  const ahead = new StillClock(clock.now() + 86_400_000);
  const sweeper = storeOn(kv, { clock: ahead, seed: "sweeper" });
  let sweeps = 0;
  const raced = interfered(kv, async (call, proceed) => {
    // Just before the commit that makes the data a task.
    if (call.kind === "commit" && call.keys.some((key) => isKind(key, "task")) && sweeps++ === 0) {
      await sweepChunks(sweeper, 1_000);
    }
    return await proceed();
  });
  const store = storeOn(raced, { clock, seed: "s" });
  const data = new Uint8Array(DATA_BYTES_MAX).fill(9);
  const world = new World(kv, 100);
  const ids = await enqueue(store, [draft(store, { data }), draft(store)]);
  assert.equal(sweeps > 0, true);
  assert.deepEqual(
    await readPayload(store, ids[0] ?? "", (await world.record(ids[0] ?? "")).data),
    data,
  );
  await world.assertSound();
});

testOnEach(
  "what was revived holds its unique key again, or is refused while another does",
  async (world) => {
    const first = await world.initiate({ unique: "u" });
    await cancel(world.a, first);
    await revive(world.a, first);
    assert.equal(await world.initiate({ unique: "u" }), first);
    await cancel(world.a, first);
    const second = await world.initiate({ unique: "u" });
    assert.notEqual(second, first);
    await assert.rejects(revive(world.a, first), {
      code: "CONFLICT",
      message: /holds its unique key "u"/,
    });
  },
);
