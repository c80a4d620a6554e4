import assert from "node:assert/strict";
import { ORPHAN_MS, SWEEP_PAGE_MAX } from "../../src/core/limits.ts";
import { enqueue, writeChunksAhead } from "../../src/store/enqueue.ts";
import { cancel } from "../../src/store/operate.ts";
import { encodeTask } from "../../src/store/record_codec.ts";
import { readPayload } from "../../src/store/records.ts";
import { sweepChunks } from "../../src/store/sweep.ts";
import { draft, StillClock, storeOn, testOnEach, utf8 } from "./world.ts";

const LARGE = new Uint8Array(130_000).fill(1);
const HOUR = 3_600_000;

testOnEach("chunks of an ended task go with its record, not before", async (world) => {
  const id = await world.initiate({ data: LARGE, ttlMs: HOUR });
  await cancel(world.a, id);
  world.clock.advance(HOUR - 1);
  await sweepChunks(world.a, 1_000);
  assert.equal((await world.keys("data")).length, 3);
  world.clock.advance(2);
  // The record is still there: the engine collects late.
  await sweepChunks(world.a, 1_000);
  assert.equal((await world.keys("data")).length, 3);
  await world.kv.atomic().delete(world.a.keys.task(id)).commit();
  await sweepChunks(world.a, 1_000);
  assert.deepEqual([await world.keys("data"), await world.keys("sweep")], [[], []]);
});

testOnEach(
  "data that was written ahead for a task that never came is swept after an hour",
  async (world) => {
    const { record } = draft(world.a);
    await writeChunksAhead(world.a, record.id, 0, new Uint8Array(1_048_576));
    world.clock.advance(ORPHAN_MS);
    await sweepChunks(world.a, 1_000);
    assert.equal((await world.keys("data")).length, 18);
    world.clock.advance(1);
    await sweepChunks(world.a, 1_000);
    assert.deepEqual(await world.entries(), []);
  },
);

testOnEach("what a lost attempt left goes while another attempt's result stays", async (world) => {
  const id = await world.initiate({ data: LARGE, ttlMs: 10 * HOUR });
  await writeChunksAhead(world.a, id, 1, LARGE);
  const lease = await world.claimLease("w");
  const { payload } = await writeChunksAhead(world.a, id, 2, LARGE);
  world.clock.advance(ORPHAN_MS + 1);
  // While the task runs nobody knows which result it will have.
  await sweepChunks(world.b, 1_000);
  assert.equal((await world.keys("data")).length, 9);
  await world.settle(lease, { kind: "succeed", result: payload, writes: null });
  world.clock.advance(ORPHAN_MS + 1);
  await sweepChunks(world.b, 1_000);
  const parts = new Set((await world.keys("data")).map(([, , part]) => part));
  assert.deepEqual(parts, new Set([0, 2]));
  assert.deepEqual(await readPayload(world.a, id, payload), LARGE);
});

testOnEach(
  "one call sweeps many pages, and marks that nobody can deal with do not stop it",
  async (world) => {
    const { prefix } = world.a.keys;
    const future = await world.initiate({ data: LARGE });
    const bytes = encodeTask(await world.record(future));
    bytes[0] = 2;
    await world.plant(world.a.keys.task(future), bytes);
    for (let n = 0; n < SWEEP_PAGE_MAX + 5; n++) {
      await world.plant([...prefix, "sweep", n, "x", n], utf8(""));
      await world.plant([...prefix, "sweep", n, 5], utf8(""));
      await world.plant(world.a.keys.sweep(n, future), utf8(""));
    }
    const drafts = [];
    for (let n = 0; n < 2 * SWEEP_PAGE_MAX; n++) drafts.push(draft(world.a).record.id);
    for (const id of drafts) await writeChunksAhead(world.a, id, 0, utf8("x".repeat(5_000)));
    world.clock.advance(ORPHAN_MS + 1);
    assert.equal(await sweepChunks(world.a, 60_000), true);
    const left = new Set((await world.keys("data")).map(([, id]) => id));
    assert.deepEqual(left, new Set([future]));
  },
  { isUnsound: true },
);

testOnEach(
  "a sweep stops after its time, and says that it did not come to the end",
  async (world) => {
    for (let n = 0; n <= SWEEP_PAGE_MAX; n++) {
      await writeChunksAhead(world.a, draft(world.a).record.id, 0, utf8("x".repeat(5_000)));
    }
    world.clock.advance(ORPHAN_MS + 1);
    assert.equal(await sweepChunks(world.a, 0), false);
    assert.equal(await sweepChunks(world.a, 0), true);
    assert.deepEqual(await world.keys("sweep"), []);
  },
);

testOnEach("a clock that is a day ahead sweeps nothing that can still be read", async (world) => {
  const [id] = await enqueue(world.a, [draft(world.a, { data: LARGE, ttlMs: HOUR })]);
  const lease = await world.claimLease("w");
  await world.settle(lease, {
    kind: "succeed",
    result: { kind: "inline", bytes: utf8("r") },
    writes: null,
  });
  const ahead = storeOn(world.kv, {
    clock: new StillClock(world.clock.now() + 24 * HOUR),
    seed: "ahead",
    checksMax: world.checksMax,
  });
  await sweepChunks(ahead, 1_000);
  assert.deepEqual(
    await readPayload(world.a, id ?? "", (await world.record(id ?? "")).data),
    LARGE,
  );
});
