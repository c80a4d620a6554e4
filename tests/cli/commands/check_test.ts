/**
 * `check`: what is wrong with a database, and its repair.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openConnection } from "../../../src/store/connection.ts";
import { Keyspace } from "../../../src/store/keyspace.ts";
import { jsonLines, World } from "../world.ts";

/** Overwrites the record of a task with what is none. */
async function damage(world: World, id: string): Promise<void> {
  const { kv } = await openConnection(world.kv);
  await kv.atomic().set(new Keyspace(["taskkit"]).task(id), Uint8Array.of(255, 1, 2))
    .commit();
  kv.close();
}

test("check: tells that nothing is wrong, or what is; repairs only when it is told to", async () => {
  using world = new World();
  {
    await using kit = await world.open();
    const { id } = await kit.initiateTask("a", "b");
    await kit.initiateTask("a", "b");
    const clean = await world.command(["check"]);
    assert.deepEqual([clean.code, clean.err], [0, ""]);
    assert.match(clean.out, /^[\d,]+ entries, 2 of them tasks: nothing is wrong\n$/);
    await damage(world, id);
  }
  const wrong = await world.command(["check"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /^wrong \["task",".*"\] the record of a task cannot be read$/m);
  assert.match(wrong.out, /: \d problems?\n$/);
  const json = await world.command(["check", "--json"]);
  assert.equal(json.code, 1);
  const [{ problems } = assert.fail()] = jsonLines(json.out);
  assert.ok(Array.isArray(problems) && problems.length > 0);

  const unasked = await world.command(["check", "--repair"]);
  assert.deepEqual([unasked.code, unasked.out], [2, ""]);
  // What is set aside by one repair is deleted by the next.
  for (let n = 0; n < 2; n++) {
    const repair = await world.command(["check", "--repair", "--yes"]);
    assert.match(repair.out, /^repaired /);
  }
  assert.equal((await world.command(["check"])).code, 0);
});
