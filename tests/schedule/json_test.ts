/**
 * Schedules as plain data, there and back.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";
import { scheduleFromJSON, type ScheduleJSON } from "../../src/schedule/json.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";

test("json: every kind of schedule comes back as it was", () => {
  const schedules = [
    new RegularSchedule(),
    new RegularSchedule({
      seconds: "*",
      minutes: [0, 30],
      hours: new Set([3]),
      days: 29,
      weekdays: [0, 6],
      months: 2,
      timeZone: "Asia/Tokyo",
      missed: { all: "2d" },
      overlap: "skip",
      jitter: "30s",
    }),
    new CronSchedule("30 4 * * MON", { timeZone: "Europe/Berlin", missed: "earliest" }),
    new CronSchedule("@daily", { jitter: 500 }),
    new IntervalSchedule("90s", { anchor: 17_000, missed: "skip", overlap: "skip" }),
  ];
  for (const schedule of schedules) {
    const text = JSON.stringify(schedule);
    const back = scheduleFromJSON(JSON.parse(text));
    assert.equal(back.constructor, schedule.constructor);
    assert.equal(JSON.stringify(back), text);
    assert.equal(back.fingerprint, schedule.fingerprint);
    assert.equal(back.next(1.7e12, "UTC"), schedule.next(1.7e12, "UTC"));
  }
});

test("json: what describes no schedule is refused", () => {
  for (
    const json of [
      null,
      "regular",
      5,
      {},
      { kind: "cron" },
      { kind: "hourly" },
      { kind: "regular", minute: 5 },
      { kind: "regular", minutes: [60] },
      { kind: "cron", pattern: "x" },
      { kind: "cron", pattern: "* * * * *", every: 5 },
      { kind: "interval" },
      { kind: "interval", every: "1h", timeZone: "UTC" },
      JSON.parse('{ "kind": "regular", "__proto__": { "minutes": 5 } }'),
    ]
  ) assert.throws(() => scheduleFromJSON(json as ScheduleJSON), InvalidSchedule);
});
