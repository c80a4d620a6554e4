import assert from "node:assert/strict";
import { enqueue } from "../../src/store/enqueue.ts";
import { cancel } from "../../src/store/operate.ts";
import {
  countAhead,
  countRunning,
  countTasks,
  listTasks,
  readProgress,
} from "../../src/store/read.ts";
import { encodeJson } from "../../src/store/record_codec.ts";
import { draft, testOnEach, utf8, type World } from "./world.ts";

async function idsOf(
  world: World,
  filter: Parameters<typeof listTasks>[1],
  limit = 1_000,
): Promise<string[]> {
  const { records } = await listTasks(world.a, filter, { limit, cursor: null });
  return records.map(({ id }) => id);
}

testOnEach(
  "tasks are listed from the newest to the oldest, by group, state and name",
  async (world) => {
    const a = await world.initiate({ group: "g", name: "x" });
    const b = await world.initiate({ group: "h", name: "x" });
    const c = await world.initiate({ group: "g", name: "y" });
    await cancel(world.a, c);
    assert.deepEqual(await idsOf(world, {}), [c, b, a]);
    assert.deepEqual(await idsOf(world, { group: "g" }), [c, a]);
    assert.deepEqual(await idsOf(world, { name: "x" }), [b, a]);
    assert.deepEqual(await idsOf(world, { state: "cancelled" }), [c]);
    assert.deepEqual(await idsOf(world, { group: "g", state: "queued", name: "x" }), [a]);
    assert.deepEqual(await idsOf(world, { group: "none" }), []);
  },
);

testOnEach(
  "pages follow one another without gap or repeat, until the cursor is null",
  async (world) => {
    const ids = await enqueue(world.a, Array.from({ length: 250 }, () => draft(world.a)));
    for (const limit of [1, 7, 250, 1_000]) {
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof listTasks>> = await listTasks(world.a, {}, {
          limit,
          cursor,
        });
        assert(page.records.length <= limit);
        seen.push(...page.records.map(({ id }) => id));
        ({ cursor } = page);
      } while (cursor !== null);
      assert.deepEqual(seen, [...ids].reverse());
    }
  },
);

testOnEach(
  "what cannot be read, is foreign or has expired is left out, and hides none",
  async (world) => {
    const sound = await world.initiate();
    const damaged = await world.initiate();
    const expired = await world.initiate({ ttlMs: 5 });
    const last = await world.initiate();
    await world.plant(world.a.keys.task(damaged), Uint8Array.of(1, 2, 3));
    await cancel(world.a, expired);
    world.clock.advance(5);
    const { prefix } = world.a.keys;
    for (const parts of [[5], ["zzz"], ["0"], [true], [sound, "more"], [last, 0, 1]]) {
      await world.plant([...prefix, "task", ...parts], utf8("foreign"));
    }
    for (let n = 0; n < 600; n++) await world.plant([...prefix, "task", n], utf8("foreign"));
    assert.deepEqual(await idsOf(world, {}), [last, sound]);
    assert.deepEqual(await idsOf(world, {}, 1), [last]);
    const { cursor } = await listTasks(world.a, {}, { limit: 1, cursor: null });
    assert.deepEqual(
      (await listTasks(world.a, {}, { limit: 5, cursor })).records.map(({ id }) => id),
      [sound],
    );
    assert.deepEqual([...(await countTasks(world.a)).keys()], ["g"]);
  },
  { isUnsound: true },
);

testOnEach("numbers are counted by group and state, over many pages", async (world) => {
  const nowMs = world.clock.now();
  await enqueue(
    world.a,
    Array.from({ length: 2_500 }, () => draft(world.a, { group: "many", dueMs: nowMs - 7 })),
  );
  await world.initiate({ group: "many", dueMs: nowMs + 5 });
  await world.initiate({ group: "__proto__" });
  const gone = await world.initiate({ group: "g" });
  await cancel(world.a, gone);
  const claimed = await world.claim("w", { group: "many", max: 5 });
  assert(claimed.leases.length > 0);
  const counted = await countTasks(world.a);
  const none = {
    queued: 0,
    due: 0,
    running: 0,
    oldestDueMs: null,
    succeeded: 0,
    failed: 0,
    discarded: 0,
    cancelled: 0,
  };
  assert.deepEqual(
    Object.fromEntries(counted),
    Object.fromEntries([
      ["many", { ...none, queued: 2_496, due: 2_495, oldestDueMs: 7, running: 5 }],
      ["__proto__", { ...none, queued: 1, due: 1, oldestDueMs: 0 }],
      ["g", { ...none, cancelled: 1 }],
    ]),
  );
});

testOnEach(
  "progress is that of the current attempt; what cannot be read is none",
  async (world) => {
    const id = await world.initiate();
    await world.claimLease("w");
    const record = await world.record(id);
    const key = world.a.keys.progress(id);
    assert.equal(await readProgress(world.a, record), null);
    const progress = { fraction: 0.5, message: "half", attempt: 1 };
    await world.plant(key, encodeJson(progress));
    assert.deepEqual(await readProgress(world.a, record), progress);
    assert.equal(await readProgress(world.a, { ...record, attempt: 2 }), null);
    assert.equal(await readProgress(world.a, { ...record, state: "succeeded" }), null);
    for (
      const bad of [{ ...progress, fraction: 2 }, { ...progress, message: 5 }, { fraction: 0 }]
    ) {
      await world.plant(key, encodeJson(bad));
      assert.equal(await readProgress(world.a, record), null);
    }
    await world.plant(key, utf8("x"));
    assert.equal(await readProgress(world.a, record), null);
  },
);

testOnEach(
  "what a queued task waits behind: due tasks that are taken before it, and what runs",
  async (world) => {
    const nowMs = world.clock.now();
    const ahead = async (id: string) => countAhead(world.a, await world.record(id));
    const first = await world.initiate({ dueMs: nowMs - 9 });
    const second = await world.initiate({ dueMs: nowMs - 8 });
    const urgent = await world.initiate({ priority: 1 });
    const later = await world.initiate({ dueMs: nowMs + 1 });
    await world.initiate({ priority: 0, dueMs: nowMs + 1 });
    await world.initiate({ priority: 9, dueMs: 0 });
    await world.initiate({ group: "other", priority: 0 });
    const counted = await Promise.all([urgent, first, second, later].map(ahead));
    assert.deepEqual(counted, [0, 1, 2, 3]);

    await world.claim("w", { max: 2 });
    await world.claim("w", { group: "other", max: 1 });
    assert.deepEqual([await ahead(second), await ahead(later)], [0, 1]);
    assert.equal(await countRunning(world.a, "g"), 2);
    assert.equal(await countRunning(world.a, "other"), 1);
    assert.equal(await countRunning(world.a, "none"), 0);
  },
);

testOnEach("what a task waits behind is counted up to 1,000", async (world) => {
  await enqueue(world.a, Array.from({ length: 1_100 }, () => draft(world.a)));
  const last = await world.initiate();
  assert.equal(await countAhead(world.a, await world.record(last)), 1_000);
});
