import assert from "node:assert/strict";
import { test } from "node:test";
import { WATCH_RENEW_MS } from "../../src/core/limits.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Bells, type Hints } from "../../src/store/bells.ts";
import { openConnection } from "../../src/store/connection.ts";
import type { Key, KvPort } from "../../src/store/port.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { interfered, utf8 } from "./world.ts";

const A: Key = ["t", "a"];
const B: Key = ["t", "b"];

function world(hints: Partial<Hints>, around: (kv: KvPort) => KvPort = (kv) => kv) {
  const time = new VirtualTime();
  const database = new SimDatabase({ time });
  const kv = database.connect();
  const bells = new Bells(around(kv), time.clock(), {
    watchFile: () => null,
    canWatch: false,
    ...hints,
  });
  const rung: string[] = [];
  return {
    time,
    database,
    kv,
    bells,
    rung,
    listen: (key: Key, name: string) => bells.listen([key], () => rung.push(name)),
    async set(key: Key) {
      await kv.atomic().set(key, utf8("x")).commit();
    },
  };
}

test("who listens to a key is woken when it is rung in this process, until they stop", () => {
  const { bells, rung, listen } = world({});
  const first = listen(A, "first");
  listen(A, "second");
  listen(B, "other");
  bells.ring([A]);
  first.stop();
  first.stop();
  bells.ring([A, ["t", "nobody"]]);
  assert.deepEqual(rung, ["first", "second", "second"]);
});

test("one who listens to several keys is woken for each, and none is left when they stop", () => {
  const { bells, rung } = world({});
  const listener = bells.listen([A, B], () => rung.push("both"));
  bells.ring([A]);
  bells.ring([B]);
  listener.stop();
  bells.ring([A, B]);
  assert.deepEqual(rung, ["both", "both"]);
});

/** A file whose changes a test tells. */
function fakeFile() {
  const file = {
    changed: (): void => {},
    watches: 0,
    unwatched: 0,
    watchFile: (onChange: () => void) => {
      file.changed = onChange;
      file.watches++;
      return () => void file.unwatched++;
    },
  };
  return file;
}

test("a change of the file wakes those whose key has changed, also when it is seen late", async () => {
  const file = fakeFile();
  const { time, rung, listen, set } = world({ watchFile: file.watchFile });
  listen(A, "a");
  listen(B, "b");
  file.changed();
  await time.advance(50);
  rung.length = 0;
  await set(A);
  file.changed();
  await time.advance(50);
  assert.deepEqual(rung, ["a"]);
  file.changed();
  await time.advance(1);
  await set(B);
  await time.advance(50);
  assert.deepEqual(rung, ["a", "b"]);
  assert.equal(time.pending, 0);
});

test("the file is watched while somebody listens, and no longer", async () => {
  const file = fakeFile();
  const { time, listen } = world({ watchFile: file.watchFile });
  const [a, b] = [listen(A, "a"), listen(B, "b")];
  a.stop();
  file.changed();
  b.stop();
  assert.deepEqual([file.watches, file.unwatched], [1, 1]);
  await time.settle();
  assert.equal(time.pending, 0);
  listen(A, "again").stop();
  assert.deepEqual([file.watches, file.unwatched], [2, 2]);
});

test("who begins to listen while the last look of another is under way misses nothing", async () => {
  const file = fakeFile();
  let hold: Promise<unknown> = Promise.resolve();
  const { time, rung, listen, set } = world(
    { watchFile: file.watchFile },
    (kv) =>
      interfered(kv, async (call, proceed) => {
        if (call.kind === "getMany") await hold;
        return await proceed();
      }),
  );
  const first = listen(A, "first");
  const held = Promise.withResolvers<void>();
  hold = held.promise;
  file.changed();
  first.stop();
  listen(B, "second");
  hold = Promise.resolve();
  await set(B);
  file.changed();
  await time.advance(20);
  assert(rung.includes("second"));
  held.resolve();
  await time.advance(50);
  assert.equal(time.pending, 0);
});

test("where there is no file, the connection is watched, renewed after a while, and ended with the listener", async () => {
  let watches = 0;
  const { time, rung, listen, set, bells } = world({ canWatch: true }, (kv) => ({
    ...interfered(kv, (_, proceed) => proceed()),
    watch: (keys) => {
      watches++;
      return kv.watch(keys);
    },
  }));
  const listener = listen(A, "a");
  await time.settle();
  rung.length = 0;
  await set(A);
  await time.settle();
  assert.deepEqual(rung, ["a"]);
  await time.advance(WATCH_RENEW_MS + 1);
  assert.equal(watches, 2);
  listener.stop();
  await time.settle();
  assert.equal(time.pending, 0);
  listen(A, "b");
  bells.close();
  await time.settle();
  assert.equal(time.pending, 0);
});

test("a watch that fails is tried again after a pause, not in a hurry", async () => {
  let watches = 0;
  const { time, listen } = world({ canWatch: true }, (kv) => ({
    ...interfered(kv, (_, proceed) => proceed()),
    watch: () => {
      watches++;
      throw new TypeError("closed");
    },
  }));
  const listener = listen(A, "a");
  await time.advance(10_000);
  assert(watches > 5 && watches < 15, `${watches}`);
  listener.stop();
  await time.settle();
  assert.equal(time.pending, 0);
});

test("of thousands who wait for tasks a few watch over the connection", async () => {
  let watches = 0;
  const { time, bells } = world({ canWatch: true }, (kv) => ({
    ...interfered(kv, (_, proceed) => proceed()),
    watch: (keys) => {
      watches++;
      return kv.watch(keys);
    },
  }));
  const listeners = Array.from(
    { length: 1_000 },
    (_, n) => bells.listenForTask(["t", n], () => {}),
  );
  await time.settle();
  assert.equal(watches, 50);
  for (const listener of listeners) listener.stop();
  await time.settle();
  assert.equal(time.pending, 0);
});

test("a change of a real database wakes those alone whose key has changed", async () => {
  const { kv } = await openConnection(":memory:");
  let change = () => {};
  const watchFile = (onChange: () => void) => {
    change = onChange;
    return () => {};
  };
  const bells = new Bells(kv, systemClock, { watchFile, canWatch: false });
  const wakes = { a: 0, b: 0 };
  let woken = Promise.withResolvers<void>();
  bells.listen([["a"]], () => {
    wakes.a++;
    woken.resolve();
  });
  bells.listen([["b"]], () => wakes.b++);
  // What was never read counts as changed.
  change();
  await woken.promise;
  assert.deepEqual(wakes, { a: 1, b: 1 });

  woken = Promise.withResolvers();
  await kv.atomic().set(["c"], 1).commit();
  change();
  await kv.atomic().set(["a"], 1).commit();
  change();
  await woken.promise;
  bells.close();
  kv.close();
  assert.deepEqual(wakes, { a: 2, b: 1 });
});
