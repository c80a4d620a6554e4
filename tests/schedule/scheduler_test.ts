/**
 * The scheduler in its world: several processes, clocks that differ, deaths and faults on the way from a point to its task.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";
import type { Schedule } from "../../src/schedule/schedule.ts";
import { ScheduleStore } from "../../src/schedules.ts";
import type { Store } from "../../src/store/store.ts";
import { CALM, type Fault } from "../../src/testing/sim_faults.ts";
import {
  DAY,
  entry,
  every,
  Handler,
  HOUR,
  MINUTE,
  NOON,
  SchedulerWorld,
  SECOND,
} from "./scheduler_world.ts";

const TEN = new IntervalSchedule("10s");
const schedulesOf = (store: Store) => new ScheduleStore(store, new Handler(), () => {});

test("an entry begins now, and each of its points makes one task, at its time", async () => {
  const world = new SchedulerWorld();
  const process = await world.start([entry("e", TEN)]);
  await world.advance(60_500);
  assert.deepEqual(world.points("e"), every(10, 10, 60));
  for (const { scheduledMs, createdMs, dueMs, state } of world.tasks()) {
    assert.deepEqual([createdMs, dueMs, state], [scheduledMs, scheduledMs, "queued"]);
  }
  assert.deepEqual(process.told.map(({ what }) => what), every(10, 10, 60).map(() => "fired"));
  await world.stop();
});

test("it sleeps until the next point, and looks around every half minute", async () => {
  const world = new SchedulerWorld();
  const { clock } = await world.start([entry("e", new CronSchedule("0 13 * * *"))]);
  await world.advance(SECOND);
  const before = clock.wakes;
  await world.advance(59 * MINUTE);
  assert.ok(clock.wakes - before <= 2 * 59 * 3, `${clock.wakes - before} wakes`);
  await world.advance(MINUTE);
  assert.deepEqual(world.points("e"), [3_600]);
  await world.stop();
});

test("two schedulers whose clocks differ by 2 s fire each point once, and none is lost", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = new SchedulerWorld({ seed, dialect: seed % 2 === 0 ? "deno" : "npm" });
    const entries = [entry("a", new IntervalSchedule("1s")), entry("b", TEN)];
    await world.start(entries, { wallOffsetMs: 2_000 });
    const slow = await world.start(entries);
    await world.advance(30_500);
    const first = world.points("a")[0] ?? 0;
    assert.ok(first <= 3, `begins at ${first}`);
    assert.deepEqual(world.points("a"), every(1, first, 32));
    assert.deepEqual(world.points("b"), [10, 20, 30]);
    assert.deepEqual(slow.toldKeys("trouble"), []);
    await world.stop();
  }
});

test("two schedulers in step: each point is made by one of them, and told by that one alone", async () => {
  const world = new SchedulerWorld({ seed: 3, dialect: "npm" });
  const entries = [entry("e", new IntervalSchedule("1s"))];
  const processes = [await world.start(entries), await world.start(entries)];
  await world.advance(60_500);
  const told = processes.flatMap((process) => process.told.flatMap(({ points }) => points));
  assert.deepEqual(told.sort().map((ms) => (ms - NOON) / SECOND), every(1, 1, 60));
  await world.stop();
});

test("killed at any moment of firing, the point is fired once, by whoever comes after", async () => {
  let survived = 0;
  for (let wakes = 0; survived < 3; wakes++) {
    const world = new SchedulerWorld({ seed: wakes });
    const entries = [entry("e", TEN), entry("f", new IntervalSchedule("10s", { missed: "skip" }))];
    const dying = await world.start(entries);
    await world.advance(9_900);
    dying.clock.killAfterWakes(dying.clock.wakes + wakes);
    await world.advance(600);
    if (dying.clock.state === "running") survived++;
    dying.kill();
    const next = await world.start(entries);
    await world.advance(10_000);
    assert.deepEqual([world.points("e"), world.points("f")], [[10, 20], [10, 20]]);
    assert.deepEqual(next.toldKeys("trouble"), []);
    await world.stop();
    assert.ok(wakes < 100, "firing ends");
  }
});

test("killed at any moment of its start, an entry is noted once, and begins", async () => {
  let survived = 0;
  for (let wakes = 0; survived < 2; wakes++) {
    const world = new SchedulerWorld({ seed: wakes });
    const dying = await world.open([entry("e", TEN)]);
    dying.clock.killAfterWakes(wakes);
    let isDone = false;
    void dying.scheduler.register().then(() => isDone = true);
    await world.advance(SECOND);
    if (isDone) survived++;
    dying.kill();
    await world.start([entry("e", TEN)]);
    await world.advance(20_000);
    assert.deepEqual(world.points("e"), [10, 20]);
    await world.stop();
    assert.ok(wakes < 100, "noting ends");
  }
});

const FAULTS: readonly Fault[] = [
  { kind: "lostRequest" },
  { kind: "lostRequest", isRepeated: true },
  { kind: "lostAnswer" },
  { kind: "lostAnswer", isRepeated: true },
  { kind: "zombie", afterMs: 5 },
  { kind: "zombie", afterMs: 7_000 },
  { kind: "blackhole" },
  { kind: "blackhole", appliedAfterMs: 15_000 },
  { kind: "slow", ms: 3_000 },
  { kind: "locked" },
  { kind: "diskFull" },
];

test("whatever becomes of a call on the way from a point to its task, the point is fired once", async () => {
  for (const fault of FAULTS) {
    for (const on of ["commit", "read"] as const) {
      if (on === "read" && (fault.kind === "zombie" || fault.kind === "diskFull")) continue;
      for (let skip = 0; skip < 4; skip++) {
        const world = new SchedulerWorld({ seed: skip, dialect: "npm" });
        const { kv } = await world.start([entry("e", TEN)]);
        await world.advance(5_000);
        kv.inject(fault, { on, skip });
        await world.advance(60_500);
        assert.deepEqual(world.points("e"), every(10, 10, 60), `${JSON.stringify(fault)} ${on}`);
        await world.stop();
      }
    }
  }
});

test("while the disk is full it tries every now and then, and catches up afterwards", async () => {
  const world = new SchedulerWorld({ seed: 1 });
  const { clock, told } = await world.start([entry("e", TEN)]);
  await world.advance(9_000);
  world.database.faults = { ...CALM, diskFull: 1 };
  const before = clock.wakes;
  await world.advance(30 * SECOND);
  assert.ok(clock.wakes - before < 500, `${clock.wakes - before} wakes`);
  world.database.faults = CALM;
  await world.advance(60 * SECOND);
  assert.deepEqual(world.points("e"), every(10, 10, 90));
  assert.match(
    told.find(({ what }) => what === "trouble")?.key ?? "",
    /^schedule "main\/e": KvUnavailable: Cannot fire schedule "main\/e": the database did not take it/,
  );
  await world.stop();
});

test("without a database for a while, it goes on by itself", async () => {
  const world = new SchedulerWorld({ seed: 2, dialect: "npm" });
  await world.start([entry("e", TEN)]);
  await world.advance(15 * SECOND);
  world.database.stop();
  await world.advance(20 * SECOND);
  world.database.start();
  await world.advance(85 * SECOND);
  assert.deepEqual(world.points("e"), every(10, 10, 120));
  await world.stop();
});

test("a month's outage, by each policy", async () => {
  const hourly = (missed: "latest" | "earliest" | "all" | "skip" | { all: string }) =>
    new RegularSchedule({ minutes: 30, missed });
  const entries = [
    entry("latest", hourly("latest")),
    entry("earliest", hourly("earliest")),
    entry("all", hourly("all")),
    entry("skip", hourly("skip")),
    entry("two days", hourly({ all: "2d" })),
  ];
  for (const dialect of ["deno", "npm"] as const) {
    const world = new SchedulerWorld({ dialect });
    const before = await world.start(entries);
    await world.advance(SECOND);
    before.kill();
    await world.advance(30 * DAY);
    await world.start(entries);
    await world.advance(HOUR);
    const point = (n: number) => 1_800 + n * 3_600;
    const last = point(30 * 24);
    assert.deepEqual(world.points("latest"), [last - 3_600, last]);
    assert.deepEqual(world.points("earliest"), [point(0), last]);
    assert.deepEqual(world.points("all"), every(3_600, point(0), last));
    assert.deepEqual(world.points("skip"), [last]);
    assert.deepEqual(world.points("two days"), every(3_600, last - 48 * 3_600, last));
    await world.stop();
  }
});

test("large data and many points at once fit the commits of every connection", async () => {
  for (const dialect of ["deno", "npm"] as const) {
    for (const bytes of [0, 4_000, 29_000]) {
      const world = new SchedulerWorld({ dialect });
      const schedule = new IntervalSchedule("1s", { missed: "all" });
      const entries = [entry("e", schedule, { data: "x".repeat(bytes) })];
      const before = await world.start(entries);
      await world.advance(500);
      before.kill();
      await world.advance(200 * SECOND);
      const { told } = await world.start(entries);
      await world.advance(5 * SECOND);
      assert.deepEqual(world.points("e"), every(1, 1, 205));
      assert.deepEqual(told.filter(({ what }) => what !== "fired"), []);
      assert.equal(world.tasks()[0]?.data.kind, bytes > 4_096 ? "chunks" : "inline");
      await world.stop();
    }
  }
});

test("an entry that catches up holds up nobody", async () => {
  const calm = { ...CALM, latency: { minMs: 5, maxMs: 5, tailProbability: 0, tailMsMax: 0 } };
  const world = new SchedulerWorld({ seed: 1, dialect: "npm", faults: calm });
  const entries = [entry("all", new IntervalSchedule("1s", { missed: "all" })), entry("e", TEN)];
  const before = await world.start(entries);
  await world.advance(500);
  before.kill();
  await world.advance(HOUR);
  await world.start(entries);
  await world.advance(30 * SECOND);
  const lateness = world.tasks().filter(({ name }) => name === "e").slice(1)
    .map(({ createdMs, scheduledMs }) => createdMs - (scheduledMs ?? 0));
  assert.equal(lateness.length, 3);
  assert.ok(Math.max(...lateness) <= 100, `${lateness}`);
  await world.stop();
});

test("1,000 entries in the same minute, and two schedulers: 1,000 tasks, and a later point on time", async () => {
  const world = new SchedulerWorld({ seed: 7 });
  const minute = new CronSchedule("* * * * *");
  const entries = [
    ...Array.from({ length: 1_000 }, (_, i) => entry(`e${i}`, minute)),
    entry("later", new CronSchedule("15 1 12 * * *")),
  ];
  const processes = [await world.start(entries), await world.start(entries)];
  await world.advance(90 * SECOND);
  const tasks = world.tasks();
  assert.equal(tasks.length, 1_001);
  assert.equal(new Set(tasks.map(({ name }) => name)).size, 1_001);
  const later = tasks.find(({ name }) => name === "later");
  assert.ok((later?.createdMs ?? Infinity) - (later?.scheduledMs ?? 0) <= 100);
  for (const process of processes) assert.deepEqual(process.toldKeys("trouble"), []);
  await world.stop();
});

test("a laptop that slept fires on waking, by the policy", async () => {
  const world = new SchedulerWorld();
  const process = await world.start([
    entry("latest", new RegularSchedule({ minutes: 0 })),
    entry("all", new RegularSchedule({ minutes: 0, missed: "all" })),
    entry("skip", new RegularSchedule({ minutes: 0, missed: "skip" })),
  ]);
  await world.advance(2 * MINUTE);
  process.clock.pause();
  await world.advance(8 * HOUR);
  process.clock.resume();
  await world.advance(SECOND);
  const hours = every(3_600, 3_600, 8 * 3_600);
  assert.deepEqual(
    [world.points("latest"), world.points("all"), world.points("skip")],
    [hours.slice(-1), hours, []],
  );
  await world.stop();
});

test("a clock set forward fires by the policy, within a look", async () => {
  const world = new SchedulerWorld();
  const process = await world.start([entry("e", new RegularSchedule({ minutes: 0 }))]);
  await world.advance(MINUTE);
  process.clock.jump(3 * HOUR);
  await world.advance(30 * SECOND);
  assert.deepEqual(world.points("e"), [3 * 3_600]);
  await world.stop();
});

test("a clock set back fires nothing again, says so, and goes on when its time has come", async () => {
  const world = new SchedulerWorld();
  const process = await world.start([entry("e", new IntervalSchedule("1m"))]);
  await world.advance(10 * MINUTE + 500);
  process.clock.jump(-5 * MINUTE);
  await world.advance(4 * MINUTE);
  assert.deepEqual(world.points("e"), every(60, 60, 600));
  assert.deepEqual(process.told.filter(({ what }) => what === "ahead"), [
    { what: "ahead", key: "e", points: [NOON + 10 * MINUTE] },
  ]);
  await world.advance(3 * MINUTE);
  assert.deepEqual(world.points("e"), every(60, 60, 720));
  await world.stop();
});

test("a changed schedule of the program takes effect with its start; old points do not fire late", async () => {
  const world = new SchedulerWorld();
  const before = await world.start([entry("e", TEN)]);
  await world.advance(25 * SECOND);
  await world.during(before.scheduler.stop());
  await world.advance(100 * SECOND);
  await world.start([entry("e", new IntervalSchedule("7s", { missed: "all" }))]);
  await world.advance(20 * SECOND);
  assert.deepEqual(world.points("e"), [10, 20, 131, 138, 145].map((s) => s - shift(7, s)));
  await world.stop();

  /** Intervals are counted from 1970. */
  function shift(step: number, second: number): number {
    return second < 100 ? 0 : ((NOON / SECOND + second) % step);
  }
});

test("changed policies or data keep the state: what was missed fires by the new policy", async () => {
  const world = new SchedulerWorld();
  const before = await world.start([entry("e", new IntervalSchedule("1h", { missed: "skip" }))]);
  await world.advance(MINUTE);
  await world.during(before.scheduler.stop());
  await world.advance(3 * HOUR);
  await world.start([entry("e", new IntervalSchedule("1h", { missed: "all" }), { data: "new" })]);
  await world.advance(SECOND);
  assert.deepEqual(world.points("e"), [3_600, 7_200, 10_800]);
  assert.ok(world.tasks().every(({ data }) => data.kind === "inline" && data.bytes.length > 4));
  await world.stop();
});

test("in a rolling deployment each version of a program fires its own entries while it runs", async () => {
  const world = new SchedulerWorld({ seed: 4 });
  const old = await world.start([entry("e", TEN), entry("removed", TEN)]);
  await world.advance(15 * SECOND);
  await world.start([entry("e", new IntervalSchedule("15s")), entry("added", TEN)]);
  await world.advance(50 * SECOND);
  await world.during(old.scheduler.stop());
  await world.advance(60 * SECOND);
  assert.deepEqual(world.points("e"), [10, 20, 30, 40, 45, 50, 60, 75, 90, 105, 120]);
  assert.deepEqual(world.points("removed"), every(10, 10, 60));
  assert.deepEqual(world.points("added"), every(10, 20, 120));
  await world.stop();
});

test("entries of the database: added, changed, paused, resumed and removed while workers run", async () => {
  for (const isTold of [true, false]) {
    const world = new SchedulerWorld({ seed: 5, dialect: "npm" });
    const { store } = await world.open();
    const schedules = schedulesOf(store);
    const workers = [await world.start([], { isTold }), await world.start([], { isTold })];
    await world.advance(SECOND);
    await world.during(schedules.set(entry("e", TEN)));
    await world.advance(94 * SECOND);
    assert.deepEqual(world.points("e"), every(10, 10, 90));
    // Who is told of nothing finds it when it looks around.
    const firstLateMs = Math.max(
      ...world.tasks().slice(0, 1).map(({ createdMs, dueMs }) => createdMs - dueMs),
    );
    assert.equal(firstLateMs < 100, isTold, `${firstLateMs} ms late`);

    await world.during(schedules.set(entry("e", new IntervalSchedule("20s"))));
    await world.advance(90 * SECOND);
    assert.deepEqual(world.points("e"), [...every(10, 10, 90), ...every(20, 100, 180)]);

    await world.during(schedules.pause("e"));
    await world.advance(60 * SECOND);
    await world.during(schedules.resume("e"));
    await world.advance(60 * SECOND);
    const soFar = [...every(10, 10, 90), ...every(20, 100, 180), ...every(20, 260, 300)];
    assert.deepEqual(world.points("e"), soFar);

    assert.equal(await world.during(schedules.remove("e")), true);
    await world.advance(60 * SECOND);
    assert.deepEqual(world.points("e"), soFar);
    for (const worker of workers) assert.deepEqual(worker.toldKeys("trouble"), []);
    await world.stop();
  }
});

test("many entries that are added in a row are looked for a few times, not once each", async () => {
  const world = new SchedulerWorld({ seed: 5, dialect: "npm" });
  const { store } = await world.open();
  const { kv } = await world.start();
  await world.advance(SECOND);
  let looks = 0;
  const list = kv.list.bind(kv);
  kv.list = (selector, options) => {
    looks++;
    return list(selector, options);
  };
  const startedMs = world.nowMs;
  const add = async () => {
    for (let i = 0; i < 500; i++) await schedulesOf(store).set(entry(`e${i}`, TEN));
  };
  await world.during(add());
  const tookMs = world.nowMs - startedMs;
  assert.ok(looks <= 2 + tookMs / 200, `${looks} looks in ${tookMs} ms`);
  await world.advance(10 * SECOND);
  assert.equal(new Set(world.tasks().map(({ name }) => name)).size, 500);
  await world.stop();
});

test("an entry that is removed or changed at any moment of firing fires whole, or not at all", async () => {
  for (let ms = -2; ms < 12; ms++) {
    const world = new SchedulerWorld({ seed: ms + 2, dialect: "npm" });
    const { store } = await world.open();
    const schedules = schedulesOf(store);
    const { told } = await world.start();
    await world.during(schedules.set(entry("gone", TEN)));
    await world.during(schedules.set(entry("changed", TEN)));
    const aheadMs = world.nowMs - NOON;
    await world.advance(10 * SECOND + ms - aheadMs);
    const done = Promise.all([
      schedules.remove("gone"),
      schedules.set(entry("changed", new IntervalSchedule("1h"))),
    ]);
    await world.during(done);
    await world.advance(60 * SECOND);
    for (const key of ["gone", "changed"]) {
      const points = world.points(key);
      assert.ok(points.length === 0 || points[0] === 10 && points.length === 1, `${points}`);
    }
    assert.deepEqual(told.filter(({ what }) => what === "trouble"), []);
    assert.equal(await world.record("gone"), undefined);
    await world.stop();
  }
});

test("overlap `skip` leaves points out while the last task has not ended; they are told once", async () => {
  const world = new SchedulerWorld({ seed: 6, dialect: "npm" });
  const entries = [entry("e", new IntervalSchedule("1s", { overlap: "skip" }))];
  const processes = [await world.start(entries), await world.start(entries)];
  let looks = 0;
  world.database.onCommit(({ changes }) => {
    if (changes.some(({ key }) => key[1] === "bell" && key[2] === "schedule")) looks++;
  });
  await world.advance(20_500);
  assert.deepEqual(world.points("e"), [1]);
  const skipped = processes.flatMap(({ told }) => told.filter(({ what }) => what === "skipped"));
  assert.deepEqual(
    skipped.flatMap(({ points }) => points).sort(),
    every(1, 2, 20).map((second) => NOON + second * SECOND),
  );
  assert.equal(looks, 0, "an entry that only moved on makes nobody look at all of them");
  // It ends: the next point fires.
  for (const { key } of world.database.entries(["taskkit", "task"])) world.database.erase(key);
  await world.advance(SECOND);
  assert.deepEqual(world.points("e"), [21]);
  await world.stop();
});

test("overlap `skip` makes one task of all that was missed", async () => {
  const world = new SchedulerWorld();
  const schedule = new IntervalSchedule("1h", { missed: "all", overlap: "skip" });
  const before = await world.start([entry("e", schedule)]);
  await world.during(before.scheduler.stop());
  await world.advance(5 * HOUR);
  const { told } = await world.start([entry("e", schedule)]);
  await world.advance(SECOND);
  assert.deepEqual(world.points("e"), [3_600]);
  const skipped = every(1, 2, 5).map((n) => NOON + n * HOUR);
  assert.deepEqual(told.map(({ what, points }) => [what, points]), [
    ["fired", [NOON + HOUR]],
    ["skipped", skipped],
  ]);
  await world.stop();
});

test("overlap `skip` minds a task that a backfill made at its own point", async () => {
  const world = new SchedulerWorld({ seed: 6 });
  const entries = [entry("e", new IntervalSchedule("10s", { overlap: "skip" }))];
  const { store } = await world.open();
  const before = await world.start(entries);
  await world.advance(SECOND);
  before.kill();
  await world.advance(11 * SECOND);
  assert.equal(await world.during(schedulesOf(store).backfill("e", NOON, world.nowMs)), 2);
  await world.start(entries);
  await world.advance(20 * SECOND);
  assert.deepEqual(world.points("e"), [0, 10]);
  await world.stop();
});

test("jitter puts off when a task is due, not when it is made, and not beyond its length", async () => {
  const world = new SchedulerWorld({ seed: 8 });
  await world.start([entry("e", new IntervalSchedule("10s", { jitter: "5s" }))]);
  await world.advance(200_500);
  const delays = world.tasks().map(({ dueMs, scheduledMs }) => dueMs - (scheduledMs ?? 0));
  assert.equal(delays.length, 20);
  assert.ok(delays.every((ms) => ms >= 0 && ms < 5_000), `${delays}`);
  assert.ok(new Set(delays).size > 10);
  await world.stop();
});

test("a schedule of the user's own that fails is refused at the start, and never stops others later", async () => {
  const world = new SchedulerWorld();
  const breaking = (next: () => unknown): Schedule => ({ next: next as Schedule["next"] });
  const bad = [
    () => NaN,
    () => 1.5,
    () => NOON - 1,
    () => undefined,
    () => Promise.resolve(null),
    () => {
      throw new Error("no");
    },
  ];
  for (const next of bad) {
    const { scheduler } = await world.open([entry("own", breaking(next))]);
    await assert.rejects(world.during(scheduler.register()), (error) => {
      assert.ok(error instanceof InvalidSchedule);
      assert.match(error.message, /^Cannot use entry "own": its schedule fails: /);
      return true;
    });
  }
  // One that fails after its first point.
  const failing: Schedule = {
    next(after) {
      if (after >= NOON + 10 * SECOND) throw new Error("no more");
      return NOON + 10 * SECOND;
    },
  };
  const { told } = await world.start([
    entry("own", failing),
    entry("e", new IntervalSchedule("1s")),
  ]);
  await world.advance(10 * MINUTE + 500);
  assert.deepEqual(world.points("e"), every(1, 1, 600));
  const troubles = told.filter(({ what }) => what === "trouble");
  assert.equal(troubles[0]?.key, 'schedule "main/own": Error: no more');
  assert.ok(troubles.length < 25, `${troubles.length} warnings in 10 minutes`);
  await world.stop();
});

test("a schedule that has ended, or whose next point is far, is no trouble", async () => {
  const world = new SchedulerWorld();
  const once: Schedule = { next: (after) => after < NOON + SECOND ? NOON + SECOND : null };
  const { told } = await world.start([
    entry("once", once),
    entry("leap day", new CronSchedule("0 0 29 2 *")),
  ]);
  await world.advance(MINUTE);
  assert.deepEqual(told.map(({ what, key }) => [what, key]), [["fired", "once"]]);
  await world.stop();
});

test("a stored schedule that is none is told once, and stops nobody", async () => {
  const world = new SchedulerWorld({ seed: 9 });
  const { store } = await world.open();
  const schedules = schedulesOf(store);
  await world.during(schedules.set(entry("bad", TEN)));
  await world.during(schedules.set(entry("e", TEN)));
  const key = store.keys.schedule("main", "bad");
  const text = new TextDecoder().decode(world.database.peek(key)?.value as Uint8Array);
  world.database.plant(key, new TextEncoder().encode(text.replace('"interval"', '"lunar"')));
  const { told } = await world.start();
  await world.advance(100 * SECOND);
  assert.deepEqual(world.points("e"), every(10, 10, 100));
  const troubles = told.filter(({ what }) => what === "trouble");
  assert.equal(troubles.length, 1);
  assert.match(troubles[0]?.key ?? "", /schedule "main\/bad": InvalidSchedule: .*"lunar"/);
  const [bad, good] = await world.during(schedules.list());
  assert.match(bad?.error ?? "", /"lunar"/);
  assert.deepEqual([bad?.next, good?.error, good?.next.length], [[], null, 1]);
  await world.stop();
});

test("a damaged record of the program's entry is set aside and written anew; one from the future is left", async () => {
  const world = new SchedulerWorld({ seed: 10 });
  const entries = [entry("damaged", TEN), entry("newer", TEN), entry("e", TEN)];
  const before = await world.start(entries);
  await world.during(before.scheduler.stop());
  const keyOf = (key: string) => before.store.keys.schedule("main", key);
  const damaged = new Uint8Array([1, 2, 3]);
  const newer = new Uint8Array([2, 123, 125]);
  world.database.plant(keyOf("damaged"), damaged);
  world.database.plant(keyOf("newer"), newer);
  // Not an entry at all.
  world.database.plant([...keyOf("e"), 1], damaged);
  const { told } = await world.start(entries);
  await world.advance(100 * SECOND);
  assert.deepEqual(world.points("e"), every(10, 10, 100));
  assert.deepEqual(world.points("damaged"), every(10, 10, 100));
  assert.deepEqual(world.points("newer"), []);
  assert.deepEqual(world.database.peek(keyOf("newer"))?.value, newer);
  assert.deepEqual(
    world.database.peek(before.store.keys.aside(keyOf("damaged")))?.value,
    damaged,
  );
  const troubles = told.filter(({ what }) => what === "trouble").map(({ key }) => key);
  assert.equal(troubles.length, 1);
  assert.match(troubles[0] ?? "", /^schedule "main\/newer": .* newer version/);
  await world.stop();
});

test("a start with entries that are known writes nothing", async () => {
  const world = new SchedulerWorld();
  const entries = [
    entry("regular", new RegularSchedule({ minutes: new Set([0, 30]), timeZone: "Asia/Tokyo" })),
    entry("cron", new CronSchedule("30 4 * * 1", { missed: { all: "2d" } }), { data: { a: [1] } }),
    entry("interval", new IntervalSchedule("90s", { anchor: new Date(NOON), jitter: "5s" })),
    entry("own", { next: () => null }),
  ];
  await world.start(entries);
  const { versionstamp } = world.database;
  await world.start(entries);
  assert.equal(world.database.versionstamp, versionstamp);
  await world.stop();
});

test("it is quiet once every point that was due has its task, and not before", async () => {
  const world = new SchedulerWorld({ seed: 11, dialect: "npm" });
  const entries = Array.from(
    { length: 20 },
    (_, i) => entry(`e${i}`, new IntervalSchedule("1h", { missed: "all" })),
  );
  const before = await world.start(entries);
  await world.during(before.scheduler.stop());
  await world.advance(100 * HOUR);
  const { scheduler } = await world.start(entries);
  assert.equal(scheduler.isQuiet, false);
  await world.time.run({ until: () => scheduler.isQuiet });
  assert.equal(world.tasks().length, 2_000);
  await world.stop();
});

test("a stop ends all of it, in the middle of firing too", async () => {
  for (let ms = 0; ms < 8; ms++) {
    const world = new SchedulerWorld({ seed: ms, dialect: "npm" });
    const entries = Array.from({ length: 20 }, (_, i) => entry(`e${i}`, TEN));
    const process = await world.start(entries);
    await world.advance(10 * SECOND + ms);
    await world.stop();
    const made = world.tasks().length;
    const { wakes } = process.clock;
    await world.advance(MINUTE);
    assert.equal(world.tasks().length, made);
    assert.equal(process.clock.wakes, wakes);
  }
});
