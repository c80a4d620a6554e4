/**
 * What is fired when: policies after an outage, clocks that jump, schedules that change, and the cost of it all.
 *
 * @module
 */

import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";
import {
  begin,
  type EntryState,
  fingerprintOf,
  type Plan,
  plan,
  pointsBetween,
} from "../../src/schedule/plan.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";
import type { MissedPolicy, Schedule } from "../../src/schedule/schedule.ts";
import { DAY, full, HOUR, MINUTE, SECOND, walk } from "./oracle.ts";

const numRuns = full ? 20_000 : 1_000;
const seed = full ? {} : { seed: 5 };
const timeZone = "Europe/Berlin";
const NOON = Date.UTC(2026, 0, 5, 12);
const at = (text: string) => Date.parse(`2026-01-05T${text}Z`);
const times = (points: readonly number[]) =>
  points.map((point) => new Date(point).toISOString().slice(11, 16));

/** The state of an entry that decided its last point then. */
function since(schedule: Schedule, decidedMs: number): EntryState {
  return { decidedMs, fingerprint: fingerprintOf(schedule, timeZone) };
}

/** Fires until there is nothing more, as a worker does. */
function fireAll(schedule: Schedule, state: EntryState | null, nowMs: number): {
  points: number[];
  last: Plan;
} {
  const points: number[] = [];
  for (;;) {
    const last = plan(schedule, { state, nowMs, timeZone });
    points.push(...last.points);
    if (!last.more) return { points, last };
    state = last.state;
  }
}

test("plan: a new entry begins now, not in 1970", () => {
  const schedule = new RegularSchedule({ minutes: 0, missed: "all" });
  const { points, state, more, nextMs } = plan(schedule, {
    state: null,
    nowMs: NOON + 1,
    timeZone,
  });
  assert.deepEqual({ points, state, more, nextMs }, {
    points: [],
    state: { decidedMs: NOON + 1, fingerprint: "regular 0 0 * * * * Europe/Berlin" },
    more: false,
    nextMs: NOON + HOUR,
  });
});

test("plan: with nothing due, nothing is remembered, and the next point is known", () => {
  const schedule = new RegularSchedule({ minutes: 0 });
  const state = since(schedule, NOON);
  const result = plan(schedule, { state, nowMs: NOON + HOUR - 1, timeZone });
  assert.equal(result.state, state);
  assert.deepEqual(result, { points: [], state, more: false, nextMs: NOON + HOUR });
});

test("plan: a point fires at its time and is decided with it", () => {
  const schedule = new RegularSchedule({ minutes: 0 });
  const nowMs = NOON + HOUR;
  assert.deepEqual(plan(schedule, { state: since(schedule, NOON), nowMs, timeZone }), {
    points: [nowMs],
    state: since(schedule, nowMs),
    more: false,
    nextMs: nowMs + HOUR,
  });
});

test("plan: the table of missed policies", () => {
  const expected: [MissedPolicy, string[]][] = [
    ["latest", ["15:00"]],
    ["earliest", ["11:00", "15:00"]],
    ["all", ["11:00", "12:00", "13:00", "14:00", "15:00"]],
    [{ all: "2h" }, ["14:00", "15:00"]],
    [{ earliest: "2h" }, ["14:00", "15:00"]],
    [{ latest: "2h" }, ["15:00"]],
    ["skip", ["15:00"]],
  ];
  for (const [missed, points] of expected) {
    const schedule = new RegularSchedule({ minutes: 0, missed });
    const state = since(schedule, at("10:00"));
    const result = plan(schedule, { state, nowMs: at("15:00:05"), timeZone });
    assert.deepEqual(times(result.points), points, JSON.stringify(missed));
    assert.deepEqual(result.state, since(schedule, at("15:00")));
    assert.equal(result.nextMs, at("16:00"));
  }
});

test("plan: half an hour later, the newest point was missed too", () => {
  const expected: [MissedPolicy, string[]][] = [
    ["latest", ["15:00"]],
    ["earliest", ["11:00"]],
    ["all", ["11:00", "12:00", "13:00", "14:00", "15:00"]],
    [{ all: "2h" }, ["14:00", "15:00"]],
    [{ earliest: "2h" }, ["14:00"]],
    [{ latest: "10m" }, []],
    [{ earliest: "10m" }, []],
    [{ all: "10m" }, []],
    ["skip", []],
  ];
  for (const [missed, points] of expected) {
    const schedule = new RegularSchedule({ minutes: 0, missed });
    const state = since(schedule, at("10:00"));
    const result = plan(schedule, { state, nowMs: at("15:30"), timeZone });
    assert.deepEqual(times(result.points), points, JSON.stringify(missed));
    assert.deepEqual(result.state, since(schedule, at("15:00")), "all of them are decided");
  }
});

test("plan: a point at most a minute old fires under every policy and in every window", () => {
  for (const missed of ["latest", "earliest", "all", "skip", { all: 0 }, { latest: 0 }] as const) {
    const schedule = new RegularSchedule({ minutes: 0, missed });
    const state = since(schedule, NOON);
    const fired = (nowMs: number) => plan(schedule, { state, nowMs, timeZone }).points;
    assert.deepEqual(fired(NOON + HOUR + MINUTE), [NOON + HOUR], JSON.stringify(missed));
  }
});

test("plan: an evaluation a few seconds late fires every point of a schedule of seconds", () => {
  const schedule = new IntervalSchedule("1s", { missed: "latest" });
  const state = since(schedule, NOON);
  const { points } = plan(schedule, { state, nowMs: NOON + 3_500, timeZone });
  assert.deepEqual(points, [NOON + 1_000, NOON + 2_000, NOON + 3_000]);
});

test("plan: an outage of a month, of a schedule that fires every second", () => {
  const nowMs = NOON + 30 * DAY + 500;
  const fired = (missed: MissedPolicy) => {
    const schedule = new RegularSchedule({ seconds: "*", missed });
    return fireAll(schedule, since(schedule, NOON), nowMs).points;
  };
  const newest = nowMs - 500;
  assert.deepEqual(fired("latest"), [newest]);
  assert.deepEqual(fired("skip"), [newest]);
  assert.deepEqual(fired("earliest"), [NOON + SECOND, newest]);
  const lastTwoHours = fired({ all: "2h" });
  assert.equal(lastTwoHours.length, 7_200);
  assert.equal(lastTwoHours[0], newest - 2 * HOUR + SECOND);
  assert.equal(fired("all").length, 30 * 86_400);
});

test("plan: catching up goes by pages, each from where the last one ended", () => {
  const schedule = new RegularSchedule({ missed: "all" });
  const nowMs = NOON + 25 * MINUTE;
  const pages: number[] = [];
  let state = since(schedule, NOON);
  const points: number[] = [];
  for (let more = true; more;) {
    const page = plan(schedule, { state, nowMs, timeZone, limit: 10 });
    assert.equal(page.more, page.nextMs !== null && page.nextMs <= nowMs);
    pages.push(page.points.length);
    points.push(...page.points);
    ({ state, more } = page);
  }
  assert.deepEqual(pages, [10, 10, 5]);
  assert.deepEqual(points, Array.from({ length: 25 }, (_, i) => NOON + (i + 1) * MINUTE));
});

test("plan: what it costs grows with the logarithm of the outage", () => {
  const always = new RegularSchedule({ seconds: "*" });
  const oneHourADay = new RegularSchedule({ seconds: "*", minutes: "*", hours: 3 });
  const oneHourInJanuary = new RegularSchedule({ seconds: "*", hours: 3, days: 9, months: 1 });
  for (const schedule of [always, oneHourADay, oneHourInJanuary]) {
    for (const missed of ["latest", "earliest", "skip", { all: "10s" }] as const) {
      let calls = 0;
      const counting: Schedule = {
        missed,
        next(after, zone) {
          calls++;
          return schedule.next(after, zone);
        },
      };
      plan(counting, { state: since(counting, NOON), nowMs: NOON + 366 * DAY, timeZone });
      assert.ok(calls < 100, `${calls} calls for ${JSON.stringify(missed)}`);
    }
  }
});

test("plan: a clock that is set back fires nothing again, and waits for its time", () => {
  const schedule = new RegularSchedule({ minutes: 0, missed: "all" });
  const { state } = plan(schedule, { state: since(schedule, NOON), nowMs: at("14:00"), timeZone });
  for (const nowMs of [at("13:00"), at("13:30"), at("12:00") - DAY, at("14:00")]) {
    const result = plan(schedule, { state, nowMs, timeZone });
    assert.deepEqual(result, { points: [], state, more: false, nextMs: at("15:00") });
    assert.equal(begin(schedule, { state, nowMs, timeZone }), state);
  }
});

test("plan: two workers whose clocks differ by two seconds fire each point once", () => {
  const schedule = new IntervalSchedule("5s");
  let state: EntryState | null = null;
  const fired: number[] = [];
  for (let nowMs = NOON; nowMs < NOON + MINUTE; nowMs += 700) {
    for (const skewMs of [-1_000, 1_000]) {
      const result: Plan = plan(schedule, { state, nowMs: nowMs + skewMs, timeZone });
      fired.push(...result.points);
      state = result.state;
    }
  }
  assert.deepEqual(fired, walk(schedule, { zone: "UTC", fromMs: NOON, toMs: NOON + MINUTE + 1 }));
});

test("begin: an entry whose schedule was changed begins anew; the old points do not fire late", () => {
  const old = new RegularSchedule({ hours: 4, minutes: 0, missed: "all" });
  const changed = new RegularSchedule({ hours: 10, minutes: 0, missed: "all" });
  const state = begin(changed, { state: since(old, at("03:00")), nowMs: at("15:00"), timeZone });
  assert.deepEqual(state, since(changed, at("15:00")));
  const { points, nextMs } = plan(changed, { state, nowMs: at("15:00"), timeZone });
  assert.deepEqual(points, []);
  assert.equal(nextMs, at("09:00") + DAY); // 10:00 in Berlin
});

test("begin: a changed schedule does not fire what was fired by a clock that ran ahead", () => {
  const schedule = new RegularSchedule({ minutes: 0 });
  const state = since(new RegularSchedule({ minutes: [0, 30] }), at("15:00"));
  const begun = begin(schedule, { state, nowMs: at("13:10"), timeZone });
  assert.deepEqual(begun, since(schedule, at("15:00")));
});

test("begin: another time zone is another schedule; other policies and other words are not", () => {
  const schedule = new RegularSchedule({ hours: 4 });
  const state = since(schedule, NOON);
  const nowMs = NOON + DAY;
  const moved = begin(schedule, { state, nowMs, timeZone: "Asia/Tokyo" });
  assert.equal(moved.decidedMs, nowMs);
  for (
    const same of [
      new RegularSchedule({ hours: [4], missed: "all", overlap: "skip", jitter: "5s" }),
      new RegularSchedule({ hours: new Set([4]), seconds: 0, timeZone }),
    ]
  ) assert.equal(begin(same, { state, nowMs, timeZone }), state);
});

test("plan: two versions of an entry side by side each fire while they run, and nothing twice", () => {
  const old = new RegularSchedule({ minutes: [0, 30] });
  const changed = new RegularSchedule({ minutes: [0, 15] });
  let state = since(old, at("12:00"));
  state = begin(changed, { state, nowMs: at("12:10"), timeZone });
  const fired: string[] = [];
  for (let nowMs = at("12:10"); nowMs <= at("14:00"); nowMs += MINUTE) {
    for (const schedule of [old, changed]) {
      const result = plan(schedule, { state, nowMs, timeZone });
      fired.push(...times(result.points));
      state = result.state;
    }
  }
  assert.deepEqual(fired, ["12:15", "12:30", "13:00", "13:15", "13:30", "14:00"]);
});

test("plan: what another version of the entry missed does not fire late", () => {
  const old = new RegularSchedule({ minutes: 0, missed: "all" });
  const changed = new RegularSchedule({ minutes: 15, missed: "all" });
  const state = since(old, at("12:00"));
  const later = plan(changed, { state, nowMs: at("15:20"), timeZone });
  assert.deepEqual(later.points, []);
  assert.deepEqual(later.state, since(changed, at("15:15")));
  assert.deepEqual(times(plan(changed, { state, nowMs: at("15:15:30"), timeZone }).points), [
    "15:15",
  ]);
});

test("plan: a schedule that has ended has no next point", () => {
  const schedule = new CronSchedule("0 0 0 1 1 * 2026");
  const state = begin(schedule, { state: null, nowMs: NOON, timeZone });
  assert.deepEqual(plan(schedule, { state, nowMs: NOON + DAY, timeZone }), {
    points: [],
    state,
    more: false,
    nextMs: null,
  });
});

test("plan: a thousand entries with the same point all fire it", () => {
  const schedules = Array.from(
    { length: 1_000 },
    (_, i) => new CronSchedule(`0 13 * * ${i % 2 === 0 ? "*" : "MON"}`, { timeZone }),
  );
  const points = schedules.flatMap((schedule) =>
    plan(schedule, { state: since(schedule, NOON - HOUR), nowMs: NOON, timeZone }).points
  );
  assert.deepEqual(points, schedules.map(() => NOON));
});

test("plan: a schedule of the user's own that breaks its contract is refused, not believed", () => {
  for (
    const next of [() => 5, () => NaN, (after: number) => after, (after: number) => after + 0.5]
  ) {
    const state = since({ next }, NOON);
    assert.throws(() => plan({ next }, { state, nowMs: NOON + 5, timeZone }), InvalidSchedule);
  }
});

test("plan: a schedule of the user's own that goes back and forth still ends", () => {
  const unsteady: Schedule = {
    missed: "latest",
    next: (after) => after + 1 + Math.abs(Math.round(Math.sin(after) * 1e6)),
  };
  const result = plan(unsteady, { state: since(unsteady, NOON), nowMs: NOON + 30 * DAY, timeZone });
  assert.ok(result.points.every((point) => point > NOON && point <= NOON + 30 * DAY));
});

test("pointsBetween: after one end, up to and with the other, no more than the limit", () => {
  const schedule = new IntervalSchedule("1h");
  const range = { afterMs: NOON, untilMs: NOON + 3 * HOUR, timeZone };
  assert.deepEqual(pointsBetween(schedule, range), {
    points: [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR],
    more: false,
  });
  assert.deepEqual(pointsBetween(schedule, { ...range, limit: 2 }), {
    points: [NOON + HOUR, NOON + 2 * HOUR],
    more: true,
  });
});

const anyMissed: fc.Arbitrary<MissedPolicy> = fc.oneof(
  fc.constantFrom("latest" as const, "earliest" as const, "all" as const, "skip" as const),
  fc.tuple(fc.constantFrom("latest", "earliest", "all"), fc.integer({ min: 0, max: 40 * DAY })).map(
    ([kind, window]) => ({ [kind]: window }) as MissedPolicy,
  ),
);
const anyPoints = fc.uniqueArray(fc.integer({ min: 1, max: 90 * MINUTE }), {
  maxLength: 60,
  size: "max",
});

/** A schedule of exactly these points, seconds to hours apart. */
function scheduleOf(
  offsets: readonly number[],
  missed: MissedPolicy,
): Schedule & { all: number[] } {
  const all = offsets.map((offset) => NOON + offset).sort((a, b) => a - b);
  return { all, missed, next: (after) => all.find((point) => point > after) ?? null };
}

/** The policies, told once more without haste: every due point is looked at. */
function expectedPoints(all: readonly number[], missed: MissedPolicy, nowMs: number): number[] {
  const due = all.filter((point) => point <= nowMs);
  const isOnTime = (point: number) => nowMs - point <= MINUTE;
  if (due.every(isOnTime)) return due;
  const newest = due.slice(-1);
  const [kind, window] = typeof missed === "string"
    ? [missed, Infinity]
    : (Object.entries(missed)[0] ?? ["", 0]);
  const within = due.filter((point) => isOnTime(point) || nowMs - point <= Number(window));
  switch (kind) {
    case "latest":
      return within.slice(-1);
    case "earliest":
      return [...new Set([...within.slice(0, 1), ...newest.filter(isOnTime)])];
    case "all":
      return within;
    default:
      return newest.filter(isOnTime);
  }
}

test("plan: any points, any policy, any outage: what fires is what the table says", () => {
  fc.assert(
    fc.property(
      anyPoints,
      anyMissed,
      fc.integer({ min: 0, max: 2 * HOUR }),
      (offsets, missed, age) => {
        const schedule = scheduleOf(offsets, missed);
        const nowMs = NOON + age;
        const result = plan(schedule, { state: since(schedule, NOON), nowMs, timeZone });
        assert.deepEqual(result.points, expectedPoints(schedule.all, missed, nowMs));
        assert.equal(result.more, false);
        assert.equal(
          result.state.decidedMs,
          schedule.all.filter((point) => point <= nowMs).at(-1) ?? NOON,
        );
        assert.equal(result.nextMs, schedule.all.find((point) => point > nowMs) ?? null);
      },
    ),
    { numRuns, ...seed },
  );
});

test("plan: whatever the clock does, no point fires twice, and with `all` every one fires", () => {
  const steps = fc.array(fc.integer({ min: -20 * MINUTE, max: 30 * MINUTE }), {
    maxLength: 40,
    size: "max",
  });
  fc.assert(
    fc.property(anyPoints, anyMissed, steps, (offsets, missed, jumps) => {
      const schedule = scheduleOf(offsets, missed);
      let nowMs = NOON;
      let latestMs = NOON;
      let state = begin(schedule, { state: null, nowMs, timeZone });
      const fired: number[] = [];
      for (const jump of jumps) {
        nowMs += jump;
        latestMs = Math.max(latestMs, nowMs);
        const result = plan(schedule, { state, nowMs, timeZone, limit: 7 });
        assert.ok(result.state.decidedMs >= state.decidedMs, "the state moved back");
        assert.ok(result.points.every((point) => point > state.decidedMs && point <= nowMs));
        fired.push(...result.points);
        state = result.state;
      }
      if (missed === "all") {
        const rest = fireAll(schedule, state, latestMs).points;
        assert.deepEqual([...fired, ...rest], schedule.all.filter((point) => point <= latestMs));
      }
      assert.deepEqual(fired, [...new Set(fired)].sort((a, b) => a - b));
    }),
    { numRuns, ...seed },
  );
});

test("plan: the newest point of a real schedule is found however long the outage was", () => {
  const anySchedule = fc.oneof(
    fc.integer({ min: 100, max: 40 * DAY }).map((every) => new IntervalSchedule(every)),
    fc.record({
      minutes: fc.integer({ min: 0, max: 59 }),
      hours: fc.oneof(fc.constant("*" as const), fc.integer({ min: 0, max: 23 })),
      days: fc.oneof(fc.constant("*" as const), fc.integer({ min: 1, max: 28 })),
    }).map((fields) => new RegularSchedule(fields)),
  );
  fc.assert(
    fc.property(anySchedule, fc.integer({ min: 0, max: 400 * DAY }), (schedule, age) => {
      const nowMs = NOON + age;
      const { state, nextMs } = plan(schedule, { state: since(schedule, NOON), nowMs, timeZone });
      assert.ok(state.decidedMs <= nowMs);
      assert.ok(nextMs !== null && nextMs > nowMs);
      // The newest: nothing lies between it and now.
      assert.equal(schedule.next(state.decidedMs, timeZone), nextMs);
      const before = schedule.next(Math.max(NOON, state.decidedMs - 1), timeZone);
      assert.equal(before, state.decidedMs === NOON ? nextMs : state.decidedMs);
    }),
    { numRuns, ...seed },
  );
});
