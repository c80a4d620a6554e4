import assert from "node:assert/strict";
import { UnreadableRecord } from "../../src/core/errors.ts";
import { scheduledTaskId } from "../../src/core/ids.ts";
import { SCHEDULE_DATA_BYTES_MAX } from "../../src/core/limits.ts";
import { decodeTask } from "../../src/store/record_codec.ts";
import {
  changeSchedule,
  fireSchedule,
  isLastTaskAlive,
  listSchedules,
  pointsPerCommit,
  readSchedule,
  removeSchedule,
  type ScheduleRecord,
  type StoredSchedule,
} from "../../src/store/schedules.ts";
import type { Store } from "../../src/store/store.ts";
import type { Draft } from "../../src/store/enqueue.ts";
import { draft, NOON, storeOn, testOnEach, utf8 } from "./world.ts";

const NAME = { scheduler: "main", key: "k" };
const NEW = { act: "note the schedule", overDamaged: true };
const RECORD: Omit<ScheduleRecord, "op"> = {
  source: "stored",
  group: "g",
  name: "n",
  data: "ZGF0YQ==",
  ttlMs: 1_000,
  priority: 5,
  timeoutMs: null,
  schedule: { kind: "interval", every: 1_000 },
  timeZone: "Asia/Tokyo",
  paused: false,
  decidedMs: NOON,
  fingerprint: "f",
  lastTask: null,
};

async function noted(store: Store, name = NAME): Promise<StoredSchedule> {
  await changeSchedule(store, name, NEW, () => RECORD);
  const stored = await readSchedule(store, name);
  assert(stored !== null);
  return stored;
}

function draftAt(store: Store, pointMs: number, data = utf8("data")): Draft {
  const { record } = draft(store, { dueMs: pointMs });
  const id = scheduledTaskId(NAME.scheduler, NAME.key, pointMs);
  return { data, record: { ...record, id, scheduledMs: pointMs } };
}

const moved = (decidedMs: number, lastTask: string | null = null) => ({
  decidedMs,
  fingerprint: "f",
  lastTask,
});

testOnEach(
  "an entry is read back as it was written, and rings the schedules' doorbell",
  async (world) => {
    const { record, ...name } = await noted(world.a);
    assert.deepEqual({ ...record, op: "" }, { ...RECORD, op: "" });
    assert.deepEqual([name.scheduler, name.key], ["main", "k"]);
    assert.deepEqual(await world.keys("bell"), [["bell", "schedule"]]);
    assert.equal(await readSchedule(world.a, { scheduler: "main", key: "other" }), null);
  },
);

testOnEach("two changes at once are both made, one after the other", async (world) => {
  await noted(world.a);
  const add = (store: Store) =>
    changeSchedule(store, NAME, NEW, (stored) => {
      const { op: _, ...record } = stored?.record ?? { ...RECORD, op: "" };
      return { ...record, ttlMs: record.ttlMs + 1 };
    });
  await Promise.all([add(world.a), add(world.b), add(world.a), add(world.b)]);
  assert.equal((await readSchedule(world.a, NAME))?.record.ttlMs, 1_004);
});

testOnEach("a change that changes nothing writes nothing", async (world) => {
  const { version } = await noted(world.a);
  await changeSchedule(world.b, NAME, NEW, () => null);
  assert.equal((await readSchedule(world.a, NAME))?.version, version);
});

testOnEach("a removed entry is gone; there is nothing to remove twice", async (world) => {
  await noted(world.a);
  assert.equal(await removeSchedule(world.b, NAME), true);
  assert.equal(await removeSchedule(world.b, NAME), false);
  assert.equal(await readSchedule(world.a, NAME), null);
});

testOnEach("firing makes the tasks and moves the entry on, in one commit", async (world) => {
  const stored = await noted(world.a);
  const drafts = [draftAt(world.a, NOON + 1), draftAt(world.a, NOON + 2)];
  const last = drafts[1]?.record.id ?? null;
  const fired = await fireSchedule(world.a, stored, moved(NOON + 2, last), drafts);
  assert.equal(fired.isOurs, true);
  assert.deepEqual(fired.made.map(({ scheduledMs }) => scheduledMs), [NOON + 1, NOON + 2]);
  const now = await readSchedule(world.b, NAME);
  assert.deepEqual(now, fired.stored);
  assert.deepEqual([now?.record.decidedMs, now?.record.lastTask], [NOON + 2, last]);
  for (const { record } of drafts) {
    const { versionstamp } = await world.kv.get(world.a.keys.task(record.id));
    assert.equal(versionstamp, now?.version);
  }
  assert.equal(await isLastTaskAlive(world.b, now as StoredSchedule), true);
  assert.deepEqual(
    (await world.keys("bell")).map((key) => key.join(" ")).sort(),
    ["bell group g", "bell schedule"],
  );
});

testOnEach(
  "of two that fire the same point one is first; the other finds what is there now",
  async (world) => {
    const stored = await noted(world.a);
    const fire = (store: Store) =>
      fireSchedule(store, stored, moved(NOON + 1), [draftAt(store, NOON + 1)]);
    const fired = await Promise.all([fire(world.a), fire(world.b)]);
    assert.deepEqual(fired.map(({ isOurs }) => isOurs).sort(), [false, true]);
    assert.deepEqual(fired.map(({ made }) => made.length).sort(), [0, 1]);
    assert.equal(fired[0]?.stored?.version, fired[1]?.stored?.version);
    assert.equal((await world.keys("task")).length, 1);
  },
);

testOnEach("a task that exists is left as it is; the entry moves on", async (world) => {
  const stored = await noted(world.a);
  const first = await fireSchedule(world.a, stored, moved(NOON), [draftAt(world.a, NOON + 1)]);
  assert(first.stored !== null);
  const id = first.made[0]?.id ?? "";
  const [before] = await world.records([id]);
  const second = await fireSchedule(world.b, first.stored, moved(NOON + 2), [
    draftAt(world.b, NOON + 1, utf8("other")),
    draftAt(world.b, NOON + 2),
  ]);
  assert.deepEqual(second.made.map(({ scheduledMs }) => scheduledMs), [NOON + 2]);
  assert.deepEqual((await world.records([id]))[0], before);
});

testOnEach("an entry that was removed or changed meanwhile does not fire", async (world) => {
  const stored = await noted(world.a);
  await changeSchedule(world.b, NAME, NEW, () => ({ ...RECORD, paused: true }));
  const refused = await fireSchedule(world.a, stored, moved(NOON + 1), [
    draftAt(world.a, NOON + 1),
  ]);
  assert.deepEqual([refused.isOurs, refused.stored?.record.paused], [false, true]);
  await removeSchedule(world.b, NAME);
  const gone = await fireSchedule(world.a, stored, moved(NOON + 1), [draftAt(world.a, NOON + 1)]);
  assert.deepEqual(gone, { stored: null, isOurs: false, made: [] });
  assert.deepEqual(await world.keys("task"), []);
});

testOnEach(
  "as many points as one commit takes, however large their data, are taken",
  async (world) => {
    const long = "ü".repeat(100);
    for (const bytes of [0, 4_096, 4_097, SCHEDULE_DATA_BYTES_MAX]) {
      const key = `k${bytes}`;
      const stored = await noted(world.a, { scheduler: "main", key });
      const count = pointsPerCommit(world.a, bytes);
      assert.ok(count >= 2 && count < world.checksMax);
      const drafts = Array.from({ length: count }, (_, i) => {
        const made = draftAt(world.a, NOON + bytes * 1_000 + i, new Uint8Array(bytes));
        return { ...made, record: { ...made.record, group: long, name: long } };
      });
      const fired = await fireSchedule(world.a, stored, moved(NOON), drafts);
      assert.deepEqual([fired.isOurs, fired.made.length], [true, count]);
      for (const { id } of fired.made) {
        decodeTask(
          (await world.kv.get(world.a.keys.task(id))).value,
        );
      }
    }
  },
);

testOnEach(
  "records that cannot be read are told, and only the damaged ones written over",
  async (world) => {
    await noted(world.a);
    const keyOf = (key: string) => world.a.keys.schedule("main", key);
    const damaged = new Uint8Array([1, 2, 3]);
    await world.plant(keyOf("damaged"), damaged);
    await world.plant(keyOf("newer"), new Uint8Array([2, 3]));
    await world.plant([...keyOf("k"), "more"], damaged);
    const unreadable: string[] = [];
    const all = await listSchedules(world.a, undefined, ({ key, error }) => {
      unreadable.push(`${key} ${error.code}`);
    });
    assert.deepEqual(all.map(({ key }) => key), ["k"]);
    assert.deepEqual(unreadable, ["damaged CORRUPT_RECORD", "newer NEWER_VERSION"]);

    const change = (key: string, overDamaged: boolean) =>
      changeSchedule(
        world.a,
        { scheduler: "main", key },
        { act: "set", overDamaged },
        () => RECORD,
      );
    await assert.rejects(change("newer", true), UnreadableRecord);
    await assert.rejects(change("damaged", false), UnreadableRecord);
    await change("damaged", true);
    const { value } = await world.kv.get(world.a.keys.aside(keyOf("damaged")));
    assert.deepEqual(new Uint8Array(value as Uint8Array), damaged);
    assert.equal((await listSchedules(world.a)).length, 2);
    // Either can be removed.
    assert.equal(await removeSchedule(world.a, { scheduler: "main", key: "newer" }), true);
  },
);

testOnEach("2,500 entries of two schedulers are listed, page by page", async (world) => {
  const store = storeOn(world.kv, { clock: world.clock, seed: "x", checksMax: world.checksMax });
  for (const scheduler of ["a", "b"]) {
    const names = Array.from({ length: 1_250 }, (_, i) => ({ scheduler, key: `${i}` }));
    await Promise.all(names.map((name) => changeSchedule(store, name, NEW, () => RECORD)));
  }
  assert.equal((await listSchedules(store)).length, 2_500);
  assert.equal((await listSchedules(store, "b")).length, 1_250);
  assert.equal((await listSchedules(store, "c")).length, 0);
});
