import assert from "node:assert/strict";
import { test } from "node:test";
import { defineTask } from "../../src/core/define.ts";
import { TTL_MS_DEFAULT } from "../../src/core/limits.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import {
  fromStored,
  readEntry,
  readSchedules,
  type ScheduleEntry,
  toStoredJSON,
} from "../../src/schedule/entry.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";
import { fingerprintOf } from "../../src/schedule/plan.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";
import { describe } from "../../src/schedule/scheduler.ts";
import { Handler, NOON } from "./scheduler_world.ts";

const handler = new Handler();
const SCHEDULES = [
  new RegularSchedule({ minutes: new Set([0, 30]), weekdays: [0, 4], timeZone: "Asia/Tokyo" }),
  new CronSchedule("30 4 L * MON#2", { missed: { all: "2d" }, overlap: "skip", jitter: "3s" }),
  new IntervalSchedule("90s", { anchor: new Date(NOON + 1), missed: "earliest" }),
];

test("an entry is read with its defaults", async () => {
  const schedule = new IntervalSchedule("90s");
  const entry = { key: "k", group: "g", name: "n", data: { a: 1 }, schedule };
  const read = await readEntry("main", entry, "Asia/Tokyo", handler);
  assert.deepEqual(read, {
    scheduler: "main",
    key: "k",
    group: "g",
    name: "n",
    data: handler.encodeData("g", "n", { a: 1 }),
    ttlMs: TTL_MS_DEFAULT,
    priority: 5,
    timeoutMs: null,
    schedule,
    timeZone: "Asia/Tokyo",
  });
});

test("an entry of a definition has its group and name; its timeout comes when it runs, unless it has its own", async () => {
  const task = defineTask({ group: "g", name: "n", timeout: "1m", run: (n: number) => n });
  const schedule = new IntervalSchedule("90s");
  const read = await readEntry("main", { key: "k", task, data: 1, schedule }, "UTC", handler);
  assert.deepEqual([read.group, read.name, read.timeoutMs], ["g", "n", null]);
  const entry: ScheduleEntry = { key: "k", task, data: 1, schedule, timeout: "2m", ttl: "1h" };
  const own = await readEntry("main", entry, "UTC", handler);
  assert.deepEqual([own.timeoutMs, own.ttlMs], [120_000, 3_600_000]);
});

test("what is stored of an entry is the entry again, for every kind of schedule", async () => {
  for (const schedule of SCHEDULES) {
    const entry = { key: "k", group: "g", name: "n", data: new Uint8Array(5_000), schedule };
    const read = await readEntry("main", entry, "Asia/Tokyo", handler);
    const state = { paused: false, decidedMs: NOON, fingerprint: "", lastTask: null, op: "" };
    const record = JSON.parse(JSON.stringify({ ...describe(read, "stored"), ...state }));
    const again = fromStored({ scheduler: "main", key: "k", version: "0", record });
    assert.ok(again !== null);
    assert.deepEqual({ ...again, schedule: null }, { ...read, schedule: null });
    assert.equal(fingerprintOf(again.schedule, "UTC"), fingerprintOf(schedule, "UTC"));
    assert.deepEqual(toStoredJSON(again.schedule), toStoredJSON(schedule));
    let after = NOON;
    for (let n = 0; n < 20; n++) {
      const next: number = schedule.next(after, "Asia/Tokyo") ?? Infinity;
      assert.equal(again.schedule.next(after, "Asia/Tokyo"), next);
      after = next;
    }
  }
});

test("a schedule of the user's own is not kept, whatever it says of itself", () => {
  class Own extends IntervalSchedule {}
  assert.equal(toStoredJSON({ next: () => null }), null);
  assert.equal(toStoredJSON(new Own("1h")), null);
  assert.equal(toStoredJSON(Object.assign(Object.create(null), { next: () => null })), null);
});

test("entries of all schedulers are read; keys are refused twice within one alone", async () => {
  const entry = (key: string) => ({
    key,
    group: "g",
    name: "n",
    schedule: new IntervalSchedule("1h"),
  });
  const read = await readSchedules(
    { a: [entry("x"), entry("y")], b: [entry("x")] },
    "UTC",
    handler,
  );
  assert.deepEqual(read.map(({ scheduler, key }) => `${scheduler}/${key}`), ["a/x", "a/y", "b/x"]);
  assert.deepEqual(await readSchedules({}, "UTC", handler), []);
  await assert.rejects(
    readSchedules({ a: [entry("x"), entry("x")] }, "UTC", handler),
    /^InvalidSchedule: Cannot use scheduler "a": it has two entries with the key "x"$/,
  );
  await assert.rejects(readSchedules({}, "Mars/Phobos", handler), /^InvalidSchedule: /);
});
