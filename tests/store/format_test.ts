import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFormat, measureChecks } from "../../src/store/format.ts";
import { encodeJson } from "../../src/store/record_codec.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { testOnEach, World } from "./world.ts";

testOnEach("a new database gets a format, which is there for the next to find", async (world) => {
  await checkFormat(world.a, world.a.keys);
  const entries = await world.entries();
  assert.deepEqual(entries.map((entry) => world.a.keys.parts(entry)), [["format"]]);
  await checkFormat(world.b, world.b.keys);
  assert.deepEqual(await world.entries(), entries);
});

testOnEach("two who open a new database at once both find it good", async (world) => {
  await Promise.all([checkFormat(world.a, world.a.keys), checkFormat(world.b, world.b.keys)]);
  assert.equal((await world.entries()).length, 1);
});

testOnEach(
  "a database that a newer version laid out is refused, and left as it is",
  async (world) => {
    const future = encodeJson({ format: 1 });
    future[0] = 2;
    for (const value of [encodeJson({ format: 2 }), future]) {
      await world.plant(world.a.keys.format(), value);
      await assert.rejects(checkFormat(world.a, world.a.keys), {
        code: "NEWER_VERSION",
        message: /; update (Taskkit|this process)$/,
      });
      assert.deepEqual([...(await world.kv.get(world.a.keys.format())).value as Uint8Array], [
        ...value,
      ]);
    }
  },
);

testOnEach("a format that is damaged is refused", async (world) => {
  await world.plant(world.a.keys.format(), encodeJson({ format: -1 }));
  await assert.rejects(checkFormat(world.a, world.a.keys), { code: "CORRUPT_RECORD" });
});

test("the checks that a connection takes are found out, and nothing is written for it", async () => {
  for (const [dialect, checksMax] of [["deno", 100], ["npm", 10]] as const) {
    const world = new World(new SimDatabase({ dialect }).connect(), checksMax);
    assert.equal(await measureChecks(world.a, world.a.keys), checksMax);
    assert.deepEqual(await world.entries(), []);
  }
});

test("a file that another process locks for a moment takes as many checks as ever", async () => {
  const kv = new SimDatabase().connect();
  const world = new World(kv, 100);
  kv.inject({ kind: "locked" });
  assert.equal(await measureChecks(world.a, world.a.keys), 100);
  kv.inject({ kind: "locked" });
  await checkFormat(world.a, world.a.keys);
  assert.equal((await world.entries()).length, 1);
});
