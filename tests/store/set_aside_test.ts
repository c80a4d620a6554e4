import assert from "node:assert/strict";
import { encodeTask, isTombstone } from "../../src/store/record_codec.ts";
import { setAside } from "../../src/store/set_aside.ts";
import { isKind, testOnEach, type World } from "./world.ts";

const DAMAGED = Uint8Array.of(1, 2, 3);

async function dueEntry(world: World) {
  const [entry] = (await world.entries()).filter(({ key }) => isKind(key, "due"));
  assert(entry !== undefined);
  const key = world.a.keys.readDue(entry);
  assert(key !== null);
  return { entry, key };
}

testOnEach(
  "the task behind a damaged entry is given, if it waits under this very key",
  async (world) => {
    const id = await world.initiate();
    const { entry, key } = await dueEntry(world);
    await world.plant(entry.key, DAMAGED);
    const found = await setAside(world.a, { ...entry, value: DAMAGED }, key);
    const { versionstamp } = await world.kv.get(world.a.keys.task(id));
    assert.deepEqual(found, { key, record: await world.record(id), version: versionstamp });
    assert.deepEqual(await world.keys("aside"), []);
  },
  { isUnsound: true },
);

testOnEach(
  "an entry whose task is elsewhere is set aside; the task is left alone",
  async (world) => {
    const id = await world.initiate();
    const { entry } = await dueEntry(world);
    const { keys } = world.a;
    const stray = keys.due("g", 5, world.clock.now() + 1, id);
    await world.plant(stray, entry.value);
    const planted = await world.kv.get(stray);
    const key = keys.readDue(planted);
    assert(key !== null);
    assert.equal(await setAside(world.a, planted, key), null);
    assert.deepEqual(await world.keys("aside"), [[
      "aside",
      "due",
      "g",
      5,
      world.clock.now() + 1,
      id,
    ]]);
    assert.equal((await world.record(id)).state, "queued");
  },
);

testOnEach(
  "an entry and a record that are both damaged are set aside whole, and a tombstone stands in their place",
  async (world) => {
    const id = await world.initiate();
    const { entry, key } = await dueEntry(world);
    await world.plant(entry.key, DAMAGED);
    await world.plant(world.a.keys.task(id), Uint8Array.of(0xff, 1));
    assert.equal(await setAside(world.a, await world.kv.get(entry.key), key), null);
    const aside = (await world.entries()).filter(({ key: found }) => isKind(found, "aside"));
    assert.deepEqual(aside.map(({ key: found, value }) => [found[2], [...value as Uint8Array]]), [
      ["due", [...DAMAGED]],
      ["task", [0xff, 1]],
    ]);
    assert.deepEqual(await world.keys("due"), []);
    // So that a late copy of the commit that made the task cannot make it anew.
    assert(isTombstone((await world.kv.get(world.a.keys.task(id))).value));
  },
);

testOnEach("a record from a newer version is left as it is, and so is its entry", async (world) => {
  const id = await world.initiate();
  const future = encodeTask(await world.record(id));
  future[0] = 2;
  const { entry, key } = await dueEntry(world);
  await world.plant(entry.key, DAMAGED);
  await world.plant(world.a.keys.task(id), future);
  const before = await world.entries();
  assert.equal(await setAside(world.a, await world.kv.get(entry.key), key), null);
  assert.deepEqual(await world.entries(), before);
}, { isUnsound: true });

testOnEach("what changed since it was read is not set aside", async (world) => {
  await world.initiate();
  const { entry, key } = await dueEntry(world);
  await world.plant(entry.key, DAMAGED);
  const read = await world.kv.get(entry.key);
  await world.plant(entry.key, Uint8Array.of(1, 2, 3, 4));
  await world.kv.atomic().delete(world.a.keys.task(key.id)).commit();
  assert.equal(await setAside(world.a, read, key), null);
  assert.deepEqual(await world.keys("aside"), []);
}, { isUnsound: true });
