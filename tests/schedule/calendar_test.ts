/**
 * The table of what happens when clocks are changed, case by case; the oracle proves it at large.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";
import type { Schedule } from "../../src/schedule/schedule.ts";
import { walk } from "./oracle.ts";

/** Points between two instants, as UTC text without what is zero. */
function points(schedule: Schedule, zone: string, from: string, to: string): string[] {
  return walk(schedule, { zone, fromMs: Date.parse(from), toMs: Date.parse(to) })
    .map((point) => new Date(point).toISOString().replace(/(:00)?\.000Z$/, ""));
}

// New York: forward from 02:00 to 03:00 at 07:00 UTC on 8 March 2026; back from 02:00 to 01:00 at 06:00 UTC on
// 1 November 2026.
const GAP = ["America/New_York", "2026-03-08T05:00Z", "2026-03-08T09:00Z"] as const;
const DOUBLED = ["America/New_York", "2026-11-01T04:00Z", "2026-11-01T08:00Z"] as const;

test("calendar: a fixed time that the clocks leave out fires when the gap ends", () => {
  assert.deepEqual(points(new RegularSchedule({ hours: 2, minutes: 30 }), ...GAP), [
    "2026-03-08T07:00",
  ]);
  assert.deepEqual(points(new CronSchedule("30 2 * * *"), ...GAP), ["2026-03-08T07:00"]);
});

test("calendar: several fixed times in one gap, and one at its end, fire once", () => {
  const schedule = new RegularSchedule({ hours: [1, 2, 3], minutes: [0, 20, 40] });
  assert.deepEqual(points(schedule, ...GAP), [
    "2026-03-08T06:00",
    "2026-03-08T06:20",
    "2026-03-08T06:40",
    "2026-03-08T07:00",
    "2026-03-08T07:20",
    "2026-03-08T07:40",
  ]);
});

test("calendar: a fixed time that comes twice fires the first time", () => {
  assert.deepEqual(points(new RegularSchedule({ hours: [1, 2], minutes: 30 }), ...DOUBLED), [
    "2026-11-01T05:30",
    "2026-11-01T07:30",
  ]);
  assert.deepEqual(points(new CronSchedule("30 1,2 * * *"), ...DOUBLED), [
    "2026-11-01T05:30",
    "2026-11-01T07:30",
  ]);
});

test("calendar: asked in the second pass of a doubled hour, a fixed time has its point behind it", () => {
  const schedule = new RegularSchedule({ hours: 1, minutes: 30 });
  const inSecondPass = Date.UTC(2026, 10, 1, 6, 10);
  assert.equal(schedule.next(inSecondPass, "America/New_York"), Date.UTC(2026, 10, 2, 6, 30));
});

test("calendar: a running schedule fires at every time that the clocks show", () => {
  const schedule = new RegularSchedule({ minutes: [0, 30] });
  assert.deepEqual(points(schedule, ...GAP), [
    "2026-03-08T05:00",
    "2026-03-08T05:30",
    "2026-03-08T06:00",
    "2026-03-08T06:30",
    "2026-03-08T07:00",
    "2026-03-08T07:30",
    "2026-03-08T08:00",
    "2026-03-08T08:30",
  ]);
  assert.deepEqual(points(new CronSchedule("*/30 * * * *"), ...DOUBLED), [
    "2026-11-01T04:00",
    "2026-11-01T04:30",
    "2026-11-01T05:00",
    "2026-11-01T05:30",
    "2026-11-01T06:00",
    "2026-11-01T06:30",
    "2026-11-01T07:00",
    "2026-11-01T07:30",
  ]);
});

test("calendar: a running schedule of one hour is silent when the hour is left out, and runs twice as long", () => {
  const schedule = new RegularSchedule({ hours: [1, 2], minutes: "*", weekdays: 6 });
  assert.equal(points(schedule, ...GAP).length, 60);
  assert.equal(points(schedule, ...DOUBLED).length, 180);
});

test("calendar: the second pass is not lost when the next match of the calendar is far away", () => {
  const schedule = new RegularSchedule({ hours: 1, minutes: "*", days: 1, months: 11 });
  const lastOfFirstPass = Date.UTC(2026, 10, 1, 5, 59);
  assert.equal(schedule.next(lastOfFirstPass, "America/New_York"), Date.UTC(2026, 10, 1, 6, 0));
});

test("calendar: a field with every value is the same as a star", () => {
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  for (
    const schedule of [
      new RegularSchedule({ hours, minutes: 0 }),
      new RegularSchedule({ minutes: 0 }),
      new CronSchedule("0 0-23 * * *"),
      new CronSchedule("@hourly"),
    ]
  ) assert.equal(points(schedule, ...DOUBLED).length, 4);
});

test("calendar: half an hour is left out and doubled in Lord Howe", () => {
  const daily = new RegularSchedule({ hours: 2, minutes: 15 });
  // Forward from 02:00 to 02:30, back from 02:00 to 01:30.
  assert.deepEqual(
    points(daily, "Australia/Lord_Howe", "2026-10-02T00:00Z", "2026-10-05T00:00Z"),
    ["2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"],
  );
  const night = new RegularSchedule({ hours: 1, minutes: 45 });
  assert.deepEqual(
    points(night, "Australia/Lord_Howe", "2026-04-03T12:00Z", "2026-04-05T12:00Z"),
    ["2026-04-03T14:45", "2026-04-04T14:45"],
  );
});

test("calendar: a gap that ends at midnight fires at midnight", () => {
  // Nuuk, 28 March 2026: from 23:00 straight to midnight.
  const daily = new RegularSchedule({ hours: 23, minutes: 30 });
  assert.deepEqual(points(daily, "America/Nuuk", "2026-03-28T00:00Z", "2026-03-30T12:00Z"), [
    "2026-03-28T01:30",
    "2026-03-29T01:00",
    "2026-03-30T00:30",
  ]);
});

test("calendar: a day that Apia never had has no points", () => {
  const range = ["Pacific/Apia", "2011-12-29T10:00Z", "2012-01-01T09:00Z"] as const;
  assert.deepEqual(points(new RegularSchedule({ hours: 12, minutes: 0 }), ...range), [
    "2011-12-29T22:00",
    "2011-12-30T22:00",
    "2011-12-31T22:00",
  ]);
  const thirtieth = new RegularSchedule({ days: 30, months: 12, hours: 12, minutes: 0 });
  assert.deepEqual(points(thirtieth, ...range), []);
});

test("calendar: an interval knows no clocks on walls", () => {
  assert.deepEqual(points(new IntervalSchedule("2h"), ...GAP), [
    "2026-03-08T06:00",
    "2026-03-08T08:00",
  ]);
});

test("calendar: a running pattern made for nothing but gaps has no points, and says so", () => {
  const schedule = new CronSchedule("* 2 25-31 3 +SUN", { timeZone: "Europe/Paris" });
  assert.equal(schedule.next(Date.UTC(2026, 0, 1), "UTC"), null);
});

test("calendar: 29 February comes every four years, but not in 2100, and on a Monday every 28", () => {
  const leap = new RegularSchedule({ days: 29, months: 2, hours: 2, minutes: 30 });
  const monday = new RegularSchedule({ days: 29, months: 2, weekdays: 0, hours: 2, minutes: 30 });
  const inNewYork = (year: number) => Date.UTC(year, 1, 29, 7, 30);
  assert.equal(leap.next(inNewYork(2024), "America/New_York"), inNewYork(2028));
  assert.equal(leap.next(inNewYork(2096), "America/New_York"), inNewYork(2104));
  assert.equal(monday.next(inNewYork(2016), "America/New_York"), inNewYork(2044));
});

test("calendar: there are no points before 1970 and after 9999", () => {
  const schedule = new RegularSchedule({ hours: 0, minutes: 0 });
  assert.equal(schedule.next(-1e15, "UTC"), 0);
  assert.equal(schedule.next(Date.UTC(9999, 11, 31), "UTC"), null);
  assert.equal(schedule.next(8.64e15, "UTC"), null);
  assert.equal(schedule.next(NaN, "UTC"), null);
});
