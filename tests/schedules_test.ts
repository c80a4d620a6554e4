/**
 * `kit.schedules`: entries of the database at run time.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Conflict,
  CronSchedule,
  defineTask,
  IntervalSchedule,
  InvalidArgument,
  InvalidData,
  InvalidSchedule,
  Kit,
  KitClosed,
  RegularSchedule,
  type Schedule,
  type ScheduleEntry,
  tasks,
} from "@taskkit/taskkit";
import { SimDatabase } from "../src/testing/sim_database.ts";
import { VirtualTime } from "../src/testing/virtual_clock.ts";

const HOUR = 3_600_000;
const NOON = Date.UTC(2026, 0, 1, 12);

const double = defineTask({ group: "math", name: "double", run: (n: number) => 2 * n });
const strict = defineTask({
  group: "math",
  name: "strict",
  schema: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        typeof value === "number" ? { value } : { issues: [{ message: "is no number" }] },
    },
  },
  run: (n: number) => n,
});

/** A Kit whose clock stands still at noon unless it is told to go on. */
async function open(): Promise<{ kit: Kit; time: VirtualTime; database: SimDatabase }> {
  const time = new VirtualTime({ wallStartMs: NOON });
  const database = new SimDatabase({ time });
  const kit = await Kit.open({
    kv: database.connect(),
    clock: time.clock(),
    handler: tasks([double, strict]),
  });
  return { kit, time, database };
}

const hourly = (key: string, more: Partial<ScheduleEntry> = {}): ScheduleEntry =>
  ({
    key,
    group: "math",
    name: "double",
    data: 21,
    schedule: new RegularSchedule({ minutes: 0 }),
    ...more,
  }) as ScheduleEntry;

test("an entry is listed with its next points, in its zone", async () => {
  const { kit } = await open();
  await kit.schedules.set(hourly("a"));
  await kit.schedules.set({
    key: "b",
    task: double,
    data: 1,
    schedule: new CronSchedule("30 4 * * 1"),
  }, { scheduler: "other", timeZone: "Asia/Tokyo" });
  const [a, b] = await kit.schedules.list({ next: 2 });
  assert.deepEqual(a, {
    scheduler: "main",
    key: "a",
    group: "math",
    name: "double",
    source: "stored",
    schedule: a?.schedule,
    timeZone: "UTC",
    paused: false,
    decided: new Date(NOON),
    next: [new Date(NOON + HOUR), new Date(NOON + 2 * HOUR)],
    lastTask: null,
    error: null,
  });
  assert.deepEqual([b?.scheduler, b?.key, b?.group, b?.name], ["other", "b", "math", "double"]);
  // Monday, 04:30 in Tokyo.
  assert.deepEqual(b?.next, [new Date("2026-01-04T19:30Z"), new Date("2026-01-11T19:30Z")]);
  const other = await kit.schedules.list({ scheduler: "other", next: 0 });
  assert.deepEqual(other.map(({ key, next }) => [key, next]), [["b", []]]);
  await assert.rejects(kit.schedules.list({ next: 101 }), InvalidArgument);
  await assert.rejects(kit.schedules.list({ scheduler: "" }), InvalidArgument);
  await kit.close();
  await assert.rejects(kit.schedules.list(), KitClosed);
});

test("what cannot be used or kept is refused, and nothing is written", async () => {
  const { kit } = await open();
  const set = (entry: unknown, options = {}) => kit.schedules.set(entry as ScheduleEntry, options);
  const own: Schedule = { next: () => null };
  const withJson = { ...own, toJSON: () => ({ kind: "interval", every: 1_000 }) };
  class Shifted extends IntervalSchedule {
    override next(after: number): number {
      return super.next(after) + 1;
    }
  }
  for (
    const [entry, kind] of [
      [hourly("a", { schedule: own }), InvalidSchedule],
      [hourly("a", { schedule: withJson }), InvalidSchedule],
      [hourly("a", { schedule: new Shifted("1h") }), InvalidSchedule],
      [{ ...hourly("a"), schedule: "0 * * * *" }, InvalidSchedule],
      [{ ...hourly("a"), schedule: undefined }, InvalidSchedule],
      [hourly(""), InvalidArgument],
      [hourly("a".repeat(201)), InvalidArgument],
      [{ ...hourly("a"), group: undefined }, InvalidArgument],
      [{ ...hourly("a"), task: double }, InvalidArgument],
      [{ ...hourly("a"), piority: 1 }, InvalidArgument],
      [hourly("a", { priority: 10 }), InvalidArgument],
      [hourly("a", { ttl: "soon" as never }), InvalidArgument],
      [hourly("a", { data: "x".repeat(30_001) }), InvalidArgument],
      [hourly("a", { data: () => {} }), InvalidData],
      [{ key: "a", task: strict, data: "1", schedule: new IntervalSchedule("1h") }, InvalidData],
    ] as const
  ) await assert.rejects(set(entry), (error) => error instanceof kind || assert.fail(`${error}`));
  await assert.rejects(set(hourly("a"), { timeZone: "Mars/Phobos" }), InvalidSchedule);
  await assert.rejects(set(hourly("a"), { scheduler: "" }), InvalidArgument);
  assert.deepEqual(await kit.schedules.list(), []);
  await kit.close();
});

test("a new schedule begins anew; new data keeps what is decided", async () => {
  const { kit, time } = await open();
  await kit.schedules.set(hourly("a"));
  await time.advance(HOUR / 2);
  await kit.schedules.set(hourly("a", { data: 4 }));
  const [same] = await kit.schedules.list();
  assert.deepEqual(same?.decided, new Date(NOON));
  await kit.schedules.set(hourly("a", { schedule: new IntervalSchedule("7m") }));
  const [anew] = await kit.schedules.list();
  assert.deepEqual(anew?.decided, new Date(NOON + HOUR / 2));
  await kit.close();
});

test("a paused entry has no next points, stays so when it is set, and begins again when resumed", async () => {
  const { kit, time } = await open();
  await kit.schedules.set(hourly("a"));
  await kit.schedules.pause("a");
  await kit.schedules.pause("a");
  await time.advance(3 * HOUR);
  await kit.schedules.set(hourly("a", { data: 5 }));
  const [paused] = await kit.schedules.list();
  assert.deepEqual([paused?.paused, paused?.next, paused?.decided], [true, [], new Date(NOON)]);
  await kit.schedules.resume("a");
  await time.advance(HOUR / 2);
  await kit.schedules.resume("a");
  const [resumed] = await kit.schedules.list();
  assert.deepEqual(
    [resumed?.paused, resumed?.next, resumed?.decided],
    [false, [new Date(NOON + 4 * HOUR)], new Date(NOON + 3 * HOUR)],
  );
  await kit.close();
});

test("trigger initiates a task now, paused or not, and moves nothing", async () => {
  const { kit, time } = await open();
  await kit.schedules.set(hourly("a", { priority: 2, timeout: "1m" }));
  await kit.schedules.pause("a");
  await time.advance(1_000);
  const ids = [await kit.schedules.trigger("a"), await kit.schedules.trigger("a")];
  assert.notEqual(ids[0], ids[1]);
  const task = await kit.getTask(ids[0] ?? "");
  assert.deepEqual(
    [task.group, task.name, task.priority, task.timeout, task.due, task.scheduled],
    ["math", "double", 2, 60_000, new Date(NOON + 1_000), null],
  );
  const [info] = await kit.schedules.list();
  assert.deepEqual([info?.decided, info?.lastTask], [new Date(NOON), null]);
  await kit.close();
});

test("backfill creates what would have fired, once, and leaves the entry where it is", async () => {
  const { kit, database } = await open();
  await kit.schedules.set(hourly("a"));
  const [from, to] = [new Date(NOON - 250 * HOUR), new Date(NOON)];
  assert.equal(await kit.schedules.backfill("a", from, to), 251);
  assert.equal(await kit.schedules.backfill("a", from, to), 0);
  assert.equal(await kit.schedules.backfill("a", new Date(NOON - 252 * HOUR), to), 2);
  const { tasks } = await kit.listTasks({ limit: 1_000 });
  assert.deepEqual(
    tasks.map(({ scheduled }) => scheduled?.getTime()).sort(),
    Array.from({ length: 253 }, (_, i) => NOON - (252 - i) * HOUR),
  );
  assert.ok(tasks.every(({ due, scheduled }) => due.getTime() === scheduled?.getTime()));
  const [info] = await kit.schedules.list();
  assert.deepEqual([info?.decided, info?.lastTask], [new Date(NOON), null]);
  void database;
  await kit.close();
});

test("backfill refuses a stretch that is none, too long, or to come", async () => {
  const { kit } = await open();
  await kit.schedules.set(hourly("a"));
  const backfill = (from: number, to: number) => kit.schedules.backfill("a", from, to);
  await assert.rejects(backfill(NOON, NOON - 1), /ends before it begins/);
  await assert.rejects(backfill(NOON, NOON + HOUR), /ends in the future/);
  await assert.rejects(backfill(NOON - 1_000 * HOUR, NOON), /more than 1000 points/);
  await assert.rejects(backfill(NaN, NOON), InvalidArgument);
  assert.equal(await backfill(NOON - HOUR + 1, NOON - 1), 0);
  assert.equal((await kit.listTasks()).tasks.length, 0);
  await kit.close();
});

test("an entry that is not there, or goes meanwhile", async () => {
  const { kit } = await open();
  for (
    const act of [
      () => kit.schedules.pause("no"),
      () => kit.schedules.resume({ scheduler: "main", key: "no" }),
      () => kit.schedules.trigger("no"),
      () => kit.schedules.backfill("no", NOON - HOUR, NOON),
    ]
  ) await assert.rejects(act(), /^InvalidArgument: Cannot find a schedule with the key "no"$/);
  assert.equal(await kit.schedules.remove("no"), false);
  await kit.schedules.set(hourly("a"));
  assert.equal(await kit.schedules.remove("a"), true);
  assert.deepEqual(await kit.schedules.list(), []);
  await kit.close();
});

test("an entry of a program stands in the list, can be steered, and is not to be set", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([double]) });
  const own: Schedule = { next: (after) => after + HOUR };
  const worker = await kit.startWorker({
    schedules: { main: [hourly("a"), hourly("own", { schedule: own })] },
    timeZone: "Asia/Tokyo",
  });
  const [a, theirs] = await kit.schedules.list();
  assert.deepEqual([a?.source, a?.timeZone, a?.next.length], ["code", "Asia/Tokyo", 1]);
  assert.deepEqual([theirs?.source, theirs?.schedule, theirs?.next], ["code", null, []]);
  await assert.rejects(kit.schedules.set(hourly("a")), Conflict);
  await assert.rejects(kit.schedules.backfill("own", 0, 1), /only the program/);
  await kit.schedules.pause("own");
  const id = await kit.schedules.trigger("own");
  assert.equal(await (await kit.getResult(id)).get({ timeout: "10s" }), 42);
  await worker.stop();
});

test("a worker without maintenance fires no schedules", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([double]) });
  const worker = await kit.startWorker({ maintenance: false, schedules: { main: [hourly("a")] } });
  assert.deepEqual(await kit.schedules.list(), []);
  await worker.stop();
});

test("entries of a program that cannot be used are refused before anything starts", async () => {
  await using kit = await Kit.open({ kv: ":memory:", handler: tasks([double]) });
  const start = (main: unknown) =>
    kit.startWorker({ schedules: { main: main as readonly ScheduleEntry[] } });
  await assert.rejects(start([hourly("a"), hourly("a")]), /two entries with the key "a"/);
  await assert.rejects(start({}), InvalidArgument);
  await assert.rejects(start([hourly("a", { schedule: { next: () => 1.5 } })]), InvalidSchedule);
  assert.deepEqual(await kit.schedules.list(), []);
  // The same key in two schedulers means two entries.
  const worker = await kit.startWorker({
    schedules: { main: [hourly("a")], other: [hourly("a")] },
  });
  assert.equal((await kit.schedules.list()).length, 2);
  await worker.stop();
});

test("10,000 entries are listed with their next points", async () => {
  const { kit, database } = await open();
  await kit.schedules.set(hourly("a"));
  const [stored] = database.entries(["taskkit", "schedule"]);
  for (let i = 0; i < 9_999; i++) {
    database.plant(["taskkit", "schedule", "main", `b${i}`], stored?.value);
  }
  const all = await kit.schedules.list({ next: 1 });
  assert.equal(all.length, 10_000);
  assert.ok(all.every(({ next }) => next[0]?.getTime() === NOON + HOUR));
  await kit.close();
});
