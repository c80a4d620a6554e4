import assert from "node:assert/strict";
import { test } from "node:test";
import { Conflict, KvUnavailable, OutcomeUnknown } from "../../src/core/errors.ts";
import { DOUBT_MS_MAX, DOUBT_TRIES_MAX } from "../../src/core/limits.ts";
import { Changes } from "../../src/store/commit.ts";
import { tries, untilKnown } from "../../src/store/tries.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { storeOn } from "./world.ts";

const ABOUT = { act: "do it", ids: ["a", "b"] };

function stage() {
  const time = new VirtualTime();
  const clock = time.clock();
  const kv = new SimDatabase({ time, dialect: "npm" }).connect();
  const driver = time.drive();
  return {
    time,
    clock,
    kv,
    store: storeOn(kv, { clock, seed: "tries", checksMax: 10 }),
    [Symbol.dispose]: () => driver[Symbol.dispose](),
  };
}

function oneSet(): Changes {
  const changes = new Changes();
  changes.set(["k"], Uint8Array.of(1));
  return changes;
}

test("the first two tries come at once, later ones after pauses that double, and they end", async () => {
  using world = stage();
  const atMs: number[] = [];
  for await (const n of tries(world.store)) {
    assert.equal(n, atMs.length);
    atMs.push(world.clock.monotonic());
  }
  assert.equal(atMs.length, DOUBT_TRIES_MAX);
  assert.deepEqual(atMs.slice(0, 2), [0, 0]);
  assert(atMs.every((ms, n) => n < 3 || ms > (atMs[n - 1] ?? 0)));
  assert((atMs.at(-1) ?? 0) < 40_000);
});

test("no try begins when those before it took too long", async () => {
  using world = stage();
  let count = 0;
  for await (const _ of tries(world.store)) {
    count++;
    await new Promise<void>((resolve) => world.clock.timer(DOUBT_MS_MAX / 3, resolve));
  }
  assert.equal(count, 3);
});

test("what is known is the answer, also if it is false", async () => {
  using world = stage();
  assert.equal(await untilKnown(world.store, ABOUT, () => Promise.resolve(false)), false);
  let turns = 0;
  const known = await untilKnown(
    world.store,
    ABOUT,
    () => Promise.resolve(++turns < 5 ? null : turns),
  );
  assert.equal(known, 5);
});

test("before anything doubtful was sent, an error is what it says", async () => {
  using world = stage();
  for (const error of [new KvUnavailable("away"), new Conflict("no"), new TypeError("bug")]) {
    let turns = 0;
    await assert.rejects(
      untilKnown(world.store, ABOUT, () => {
        turns++;
        return Promise.reject(error);
      }),
      (thrown) => thrown === error,
    );
    assert.equal(turns, 1);
  }
});

test("after that a database that is away is no answer, but others are", async () => {
  using world = stage();
  let turns = 0;
  world.kv.inject({ kind: "lostAnswer", isRepeated: false });
  const known = await untilKnown(world.store, ABOUT, async (send) => {
    if (++turns === 1) await send(oneSet());
    if (turns < 6) throw new KvUnavailable("away");
    return "known";
  });
  assert.deepEqual([known, turns], ["known", 6]);
  world.kv.inject({ kind: "lostAnswer", isRepeated: false });
  await assert.rejects(
    untilKnown(world.store, ABOUT, async (send) => {
      await send(oneSet());
      throw new Conflict("it is decided");
    }),
    Conflict,
  );
});

test("what stays doubtful is unknown, with its ids and the last reason", async () => {
  using world = stage();
  const away = new KvUnavailable("away");
  world.kv.inject({ kind: "lostAnswer", isRepeated: false });
  await assert.rejects(
    untilKnown(world.store, ABOUT, async (send) => {
      await send(oneSet());
      throw away;
    }),
    (error) => {
      assert(error instanceof OutcomeUnknown);
      assert.deepEqual([error.ids, error.cause], [["a", "b"], away]);
      return true;
    },
  );
});

test("a connection that is closed meanwhile is not asked again", async () => {
  using world = stage();
  let turns = 0;
  world.kv.inject({ kind: "lostAnswer", isRepeated: false });
  await assert.rejects(
    untilKnown(world.store, ABOUT, async (send) => {
      turns++;
      await send(oneSet());
      world.kv.close();
      await send(oneSet());
      return null;
    }),
    OutcomeUnknown,
  );
  assert.equal(turns, 1);
});
