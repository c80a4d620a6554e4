import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/testing/prng.ts";
import {
  type CommitEvent,
  type RefusalEvent,
  SimDatabase,
} from "../../src/testing/sim_database.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";

const bytes = (...values: number[]) => new Uint8Array(values);
const keysOf = (database: SimDatabase) => database.entries().map(({ key }) => key);

test("an observer sees every commit at once, with what was there before and after", async () => {
  const database = new SimDatabase();
  const kv = database.connect({ name: "worker 1" });
  await kv.atomic().set(["a"], bytes(1)).commit();
  const events: CommitEvent[] = [];
  const stop = database.onCommit((event) => events.push(event));
  await kv.atomic().set(["a"], bytes(2)).delete(["a"]).set(["b"], bytes(3)).commit();
  const [event] = events;
  assert.deepEqual([event?.kind, event?.by], ["commit", "worker 1"]);
  assert.equal(event?.versionstamp, database.versionstamp);
  const changes = event?.changes.map(({ key, before, after }) => [
    key,
    before?.value ?? null,
    after?.value ?? null,
  ]);
  assert.deepEqual(changes, [
    [["a"], bytes(1), bytes(2)],
    [["a"], bytes(2), null],
    [["b"], null, bytes(3)],
  ]);
  stop();
  await kv.atomic().delete(["b"]).commit();
  assert.equal(events.length, 1);
});

test("an observer of refusals sees which check failed, and what it was to guard", async () => {
  const database = new SimDatabase();
  const kv = database.connect({ name: "worker 1" });
  const refusals: RefusalEvent[] = [];
  const stop = database.onRefusal((event) => refusals.push(event));
  const check = { key: ["lease"], versionstamp: database.versionstamp };
  const stale = () => kv.atomic().check(check).set(["a"], bytes()).delete(["b"]).commit();
  assert.deepEqual(await stale(), { ok: false });
  stop();
  await stale();
  assert.deepEqual(refusals, [{ by: "worker 1", atMs: 0, key: ["lease"], keys: [["a"], ["b"]] }]);
});

test("what a checker throws ends the run, and is no error to the program under test", async () => {
  const time = new VirtualTime();
  const database = new SimDatabase({ time, random: new SeededRandom(1) });
  const stop = database.onCommit(() => {
    throw new Error("I4 is broken");
  });
  const ends: unknown[] = [];
  const commit = () =>
    database.connect().atomic().set(["a"], bytes()).commit()
      .then(({ ok }) => ends.push(ok), (error) => ends.push(error));
  commit();
  await assert.rejects(time.run(), /I4 is broken/);
  assert.deepEqual(ends, []);
  await time.run();
  assert.deepEqual(ends, [true]);
  stop();
  commit();
  await time.run();
  assert.deepEqual(ends, [true, true]);
});

test("a checker of an instant database throws where the commit was called, if no run goes on", async () => {
  const database = new SimDatabase();
  database.onCommit(() => {
    throw new Error("I4 is broken");
  });
  await assert.rejects(database.connect().atomic().set(["a"], bytes()).commit(), /I4 is broken/);
});

test("a snapshot is a copy; entries and peek look without delay", async () => {
  const database = new SimDatabase();
  await database.connect().atomic().set(["a", 1], bytes(1)).set(["b"], bytes(2)).commit();
  const { versionstamp } = database;
  const before = database.snapshot();
  assert.deepEqual(before, [
    { key: ["a", 1], value: bytes(1), versionstamp },
    { key: ["b"], value: bytes(2), versionstamp },
  ]);
  (before[0]?.value as Uint8Array).fill(9);
  assert.deepEqual(database.peek(["a", 1])?.value, bytes(1));
  assert.deepEqual(database.entries(["a"]).map(({ key }) => key), [["a", 1]]);
  assert.equal(database.peek(["nothing"]), null);
  assert.equal(database.size, 2);
});

test("records are planted, erased and damaged from outside, each with a version of its own", async () => {
  const database = new SimDatabase();
  const kinds: string[] = [];
  database.onCommit(({ kind }) => kinds.push(kind));
  const damaged = bytes(0, 0, 0);
  database.plant(["a"], damaged);
  const planted = database.versionstamp;
  assert.equal(database.flipBit(["a"], new SeededRandom(1)), true);
  const { value } = await database.connect().get(["a"]);
  const ones = [...value as Uint8Array].map((byte) => byte.toString(2)).join("").match(/1/g);
  assert.equal(ones?.length, 1);
  assert.deepEqual(damaged, bytes(0, 0, 0));
  assert(planted < database.versionstamp);
  database.plant(["text"], "from a foreigner");
  assert.equal(database.flipBit(["text"], new SeededRandom(1)), false);
  assert.equal(database.flipBit(["nothing"], new SeededRandom(1)), false);
  assert.deepEqual([database.erase(["a"]), database.erase(["a"])], [true, false]);
  assert.deepEqual(kinds, ["planted", "planted", "planted", "planted"]);
});

test("what expires is there until it is collected, up to a minute late, and told to observers", async () => {
  const time = new VirtualTime();
  const database = new SimDatabase({ time });
  const expired: unknown[] = [];
  database.onCommit(({ kind, changes }) => {
    if (kind === "expiry") expired.push(changes.map(({ key, after }) => [key, after]));
  });
  const kv = database.connect();
  await kv.atomic().set(["a"], bytes(), { expireIn: 1_000 }).set(["b"], bytes()).commit();
  await time.advance(60_999);
  assert.deepEqual(keysOf(database), [["a"], ["b"]]);
  const check = { key: ["a"], versionstamp: null };
  assert.deepEqual(await kv.atomic().check(check).commit(), { ok: false });
  await time.advance(1);
  assert.deepEqual(keysOf(database), [["b"]]);
  assert.deepEqual(expired, [[[["a"], null]]]);
  assert.equal((await kv.atomic().check(check).commit()).ok, true);
  assert.equal(await time.run(), "idle");
});

test("how late is the seed's choice, and no key goes early", async () => {
  const lateMs: number[] = [];
  for (let seed = 0; seed < 40; seed++) {
    const time = new VirtualTime();
    const database = new SimDatabase({
      time,
      random: new SeededRandom(seed),
      faults: new SimDatabase().faults,
    });
    database.onCommit(({ kind, atMs }) => kind === "expiry" && lateMs.push(atMs - 5_000));
    await database.connect().atomic().set(["a"], bytes(), { expireIn: 5_000 }).commit();
    await time.advance("2m");
  }
  assert.equal(lateMs.length, 40);
  assert(lateMs.every((ms) => ms >= 0 && ms <= 60_000));
  assert(Math.min(...lateMs) < 10_000 && Math.max(...lateMs) > 50_000);
});

test("a later set without expireIn clears it, one with it moves it, a delete forgets it", async () => {
  const time = new VirtualTime();
  const database = new SimDatabase({ time });
  const kv = database.connect();
  const expireIn = 1_000;
  for (const key of ["cleared", "moved", "deleted", "kept"]) {
    await kv.atomic().set([key], bytes(), { expireIn }).commit();
  }
  await kv.atomic().set(["cleared"], bytes()).set(["moved"], bytes(), { expireIn: 3_600_000 })
    .delete(["deleted"]).commit();
  await kv.atomic().set(["deleted"], bytes()).commit();
  await time.advance("5m");
  assert.deepEqual(keysOf(database), [["cleared"], ["deleted"], ["moved"]]);
  await time.advance("2h");
  assert.deepEqual(keysOf(database), [["cleared"], ["deleted"]]);
});

test("what expires soon is not kept waiting by what expires late", async () => {
  const time = new VirtualTime();
  const database = new SimDatabase({ time });
  const kv = database.connect();
  await kv.atomic().set(["week"], bytes(), { expireIn: 7 * 86_400_000 }).commit();
  await kv.atomic().set(["second"], bytes(), { expireIn: 1_000 }).commit();
  await time.advance("61s");
  assert.deepEqual(keysOf(database), [["week"]]);
});

test("expireIn is counted by the writer's wall clock, as in reality", async () => {
  const time = new VirtualTime();
  const database = new SimDatabase({ time });
  const behind = database.connect({ clock: time.clock({ wallOffsetMs: -86_400_000 }) });
  const right = database.connect({ clock: time.clock() });
  const expireIn = 3_600_000;
  await behind.atomic().set(["by one a day behind"], bytes(), { expireIn }).commit();
  await right.atomic().set(["by one who is right"], bytes(), { expireIn }).commit();
  await time.advance("1m");
  assert.deepEqual(keysOf(database), [["by one who is right"]]);
});

test("versionstamps grow by 1 to 9 with a seed, and by 1 without", async () => {
  const steps = async (database: SimDatabase) => {
    const kv = database.connect();
    const stamps: bigint[] = [];
    for (let n = 0; n < 200; n++) {
      const result = await kv.atomic().set(["a"], bytes()).commit();
      assert(result.ok);
      stamps.push(BigInt(`0x${result.versionstamp}`) >> 16n);
    }
    return new Set(stamps.slice(1).map((stamp, n) => Number(stamp - (stamps[n] ?? 0n))));
  };
  const seeded = new SimDatabase({
    random: new SeededRandom(5),
    faults: new SimDatabase().faults,
  });
  assert.deepEqual(await steps(new SimDatabase()), new Set([1]));
  assert.deepEqual([...await steps(seeded)].sort(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
