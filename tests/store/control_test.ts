import assert from "node:assert/strict";
import { test } from "node:test";
import { readControl, say } from "../../src/store/control.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { testOnEach, World } from "./world.ts";

testOnEach(
  "what is said adds up: pauses of groups and of all, and how often a shutdown was",
  async (world) => {
    const { a, b } = world;
    assert.deepEqual(await readControl(a), {
      pausedAll: false,
      paused: [],
      shutdownAll: 0,
      shutdown: new Map(),
      op: "",
    });
    await say(a, "pause", ["x", "y"]);
    await say(b, "pause", ["y", "z"]);
    await say(a, "resume", ["x"]);
    await say(b, "shutdown", ["x"]);
    await say(a, "shutdown", ["x", "z"]);
    await say(b, "shutdown", null);
    const control = await readControl(a);
    assert.deepEqual({ ...control, op: "" }, {
      pausedAll: false,
      paused: ["y", "z"],
      shutdownAll: 1,
      shutdown: new Map([["x", 2], ["z", 1]]),
      op: "",
    });
    await say(a, "pause", null);
    assert.equal((await readControl(b)).pausedAll, true);
    await say(a, "resume", null);
    const resumed = await readControl(b);
    assert.deepEqual([resumed.pausedAll, resumed.paused, resumed.shutdownAll], [false, [], 1]);
  },
);

testOnEach("everything that is said at once is heard", async (world) => {
  const groups = Array.from({ length: 12 }, (_, n) => `g${n}`);
  await Promise.all(
    groups.map((group, n) => say(n % 2 === 0 ? world.a : world.b, "pause", [group])),
  );
  assert.deepEqual([...(await readControl(world.a)).paused].sort(), groups.sort());
});

testOnEach("groups may be called like what every object has", async (world) => {
  const names = ["constructor", "toString", "__proto__", "hasOwnProperty"];
  await say(world.a, "shutdown", names);
  await say(world.a, "shutdown", ["constructor"]);
  const { shutdown } = await readControl(world.b);
  assert.deepEqual(names.map((name) => shutdown.get(name)), [2, 1, 1, 1]);
});

testOnEach(
  "a damaged control record counts as nothing said, and is written anew",
  async (world) => {
    await world.plant(world.a.keys.control(), Uint8Array.of(1, 2, 3));
    assert.equal((await readControl(world.a)).pausedAll, false);
    await say(world.a, "pause", null);
    assert.equal((await readControl(world.b)).pausedAll, true);
  },
);

testOnEach("one from a newer version is left as it is", async (world) => {
  await world.plant(world.a.keys.control(), Uint8Array.of(2, 2, 3));
  await assert.rejects(say(world.a, "pause", null), { code: "NEWER_VERSION" });
  const { value } = await world.kv.get(world.a.keys.control());
  assert.deepEqual([...value as Uint8Array], [2, 2, 3]);
});

test("a shutdown whose answer is lost is counted once", async () => {
  const kv = new SimDatabase({ dialect: "npm" }).connect();
  const world = new World(kv, 10);
  kv.inject({ kind: "lostAnswer", isRepeated: false });
  kv.inject({ kind: "lostRequest", isRepeated: false }, { on: "read", skip: 1 });
  await say(world.a, "shutdown", null);
  assert.equal((await readControl(world.a)).shutdownAll, 1);
});
