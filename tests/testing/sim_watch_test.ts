import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../../src/store/port.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase, type SimDatabaseOptions } from "../../src/testing/sim_database.ts";
import { CALM, INSTANT } from "../../src/testing/sim_faults.ts";
import type { SimKv } from "../../src/testing/sim_kv.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";

const KEY = ["bell"];
const ring = (kv: SimKv, n: number) => kv.atomic().set(KEY, new Uint8Array([n])).commit();

/** Reads a watch to its end, and says what it told and how it ended. */
function listen(kv: SimKv): { told: (number | null)[]; end: string | null } {
  const heard: { told: (number | null)[]; end: string | null } = { told: [], end: null };
  (async () => {
    try {
      for await (const [entry] of kv.watch([KEY])) heard.told.push(numberIn(entry));
      heard.end = "done";
    } catch (error) {
      heard.end = String(error);
    }
  })();
  return heard;
}

function numberIn(entry: Entry | undefined): number | null {
  return entry?.value instanceof Uint8Array ? entry.value[0] ?? null : null;
}

function world(options: SimDatabaseOptions = {}) {
  const time = new VirtualTime();
  const database = new SimDatabase({ time, dialect: "npm", faults: CALM, ...options });
  return { time, database, kv: database.connect({ clock: time.clock() }) };
}

test("changes in quick succession are told as one", async () => {
  const { time, kv } = world();
  const heard = listen(kv);
  await time.advance("1s");
  for (let n = 1; n <= 50; n++) ring(kv, n);
  await time.advance("1s");
  assert.equal(heard.told[0], null);
  assert.equal(heard.told.at(-1), 50);
  assert(heard.told.length < 5, `${heard.told.length} events`);
});

test("what is not read waits in a buffer of one: an old state, with the present one behind it", async () => {
  const { time, kv } = world();
  const reader = kv.watch([KEY]).getReader();
  await time.advance("1s");
  for (let n = 1; n <= 3; n++) {
    ring(kv, n);
    await time.advance("1s");
  }
  const told: (number | null)[] = [];
  const read = () => reader.read().then(({ value }) => told.push(numberIn(value?.[0])));
  read();
  await time.advance("1s");
  read();
  read();
  await time.advance("1s");
  assert.deepEqual(told, [null, 3]);
});

test("where absence is not told, the first event is the first change", async () => {
  const { time, kv } = world({ watchesTellAbsence: false });
  const heard = listen(kv);
  await time.advance("1s");
  assert.deepEqual(heard.told, []);
  ring(kv, 1);
  await time.advance("1s");
  assert.deepEqual(heard.told, [1]);
});

test("on one file a watch sees the commits of its own process alone", async () => {
  const { time, database, kv } = world({ dialect: "deno" });
  ring(database.connect({ clock: time.clock() }), 1);
  await time.advance("1s");
  const heard = listen(kv);
  await time.advance("1s");
  assert.deepEqual(heard.told, [1], "what is there at the start is told");
  ring(database.connect({ clock: time.clock() }), 2);
  await time.advance("1s");
  assert.deepEqual(heard.told, [1]);
  ring(kv, 3);
  await time.advance("1s");
  assert.deepEqual(heard.told, [1, 3]);
});

test("a lost event is made good by the next one; a dead watch tells nothing more", async () => {
  const random = new SeededRandom(1);
  const { time, database, kv } = world({ random });
  const heard = listen(kv);
  await time.advance("1s");
  database.faults = { ...CALM, watchLost: 1 };
  ring(kv, 1);
  await time.advance("1s");
  assert.deepEqual(heard.told, [null]);
  database.faults = CALM;
  ring(kv, 2);
  await time.advance("1s");
  assert.deepEqual(heard.told, [null, 2]);
  database.faults = { ...CALM, watchDeath: 1 };
  ring(kv, 3);
  await time.advance("1s");
  database.faults = CALM;
  ring(kv, 4);
  await time.advance("1m");
  assert.deepEqual(heard, { told: [null, 2], end: null });
});

test("when the server goes down a watch fails, falls silent, or comes back, as the seed says", async () => {
  const ends = new Set<string>();
  for (let seed = 0; seed < 30; seed++) {
    const { time, database, kv } = world({ random: new SeededRandom(seed), faults: CALM });
    const heard = listen(kv);
    await time.advance("1s");
    database.stop();
    await time.advance("1s");
    database.start();
    ring(database.connect(), 7);
    await time.advance("1s");
    ends.add(heard.end ?? (heard.told.includes(7) ? "came back" : "silent"));
  }
  assert.deepEqual([...ends].sort(), ["TypeError: fetch failed", "came back", "silent"]);
});

test("what expires is told as a delete", async () => {
  const { time, kv } = world();
  kv.atomic().set(KEY, new Uint8Array([1]), { expireIn: 1_000 }).commit();
  await time.advance("1s");
  const heard = listen(kv);
  await time.advance("2m");
  assert.deepEqual(heard.told, [1, null]);
});

test("a paused process is told when it goes on", async () => {
  const { time, database } = world();
  const clock = time.clock();
  const heard = listen(database.connect({ clock }));
  await time.advance("1s");
  clock.pause();
  ring(database.connect(), 5);
  await time.advance("1m");
  assert.deepEqual(heard.told, [null]);
  clock.resume();
  await time.advance("1s");
  assert.deepEqual(heard.told, [null, 5]);
});

test("a stream is read by one reader at a time; cancelled, it is done", async () => {
  const database = new SimDatabase({ faults: INSTANT });
  const stream = database.connect().watch([KEY]);
  const reader = stream.getReader();
  assert.equal(stream.locked, true);
  assert.throws(() => stream.getReader(), TypeError);
  await assert.rejects(stream.cancel(), TypeError);
  reader.releaseLock();
  await stream.cancel();
  assert.equal((await stream.getReader().read()).done, true);
});
