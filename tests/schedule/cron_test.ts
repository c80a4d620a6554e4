/**
 * What a CronSchedule takes and refuses; the oracle tests when it fires.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import type { SchedulePolicies } from "../../src/schedule/schedule.ts";

function refusal(pattern: unknown, options?: unknown): string {
  try {
    new CronSchedule(pattern as string, options as SchedulePolicies);
  } catch (error) {
    assert.ok(error instanceof InvalidSchedule, String(error));
    assert.equal(error.code, "INVALID_SCHEDULE");
    return error.message;
  }
  assert.fail(`${pattern} was not refused`);
}
const next = (pattern: string, after: string) => {
  const point = new CronSchedule(pattern).next(Date.parse(after), "UTC");
  return point === null ? null : new Date(point).toISOString().replace(".000Z", "");
};

test("CronSchedule: five, six and seven fields, names and nicknames", () => {
  const after = "2026-01-01T00:00:00Z"; // a Thursday
  assert.equal(next("30 4 * * 1", after), "2026-01-05T04:30:00");
  assert.equal(next("30 4 * * MON", after), "2026-01-05T04:30:00");
  assert.equal(next("15 30 4 * * *", after), "2026-01-01T04:30:15");
  assert.equal(next("0 0 0 1 JUL * 2030", after), "2030-07-01T00:00:00");
  assert.equal(next("@hourly", after), "2026-01-01T01:00:00");
  assert.equal(next("@daily", after), "2026-01-02T00:00:00");
  assert.equal(next("@midnight", after), "2026-01-02T00:00:00");
  assert.equal(next("@weekly", after), "2026-01-04T00:00:00");
  assert.equal(next("@monthly", after), "2026-02-01T00:00:00");
  assert.equal(next("@yearly", after), "2027-01-01T00:00:00");
});

test("CronSchedule: 0 and 7 are Sunday, as in cron", () => {
  const sunday = "2026-01-04T00:00:00";
  for (const weekday of ["0", "7", "SUN", "sun"]) {
    assert.equal(next(`0 0 * * ${weekday}`, "2026-01-01T00:00:00Z"), sunday);
  }
});

test("CronSchedule: last days, nearest working days and nth weekdays", () => {
  const after = "2026-01-01T12:00:00Z";
  assert.equal(next("0 0 L 2 *", after), "2026-02-28T00:00:00");
  assert.equal(next("0 0 LW * *", after), "2026-01-30T00:00:00");
  assert.equal(next("0 0 1W 8 *", after), "2026-08-03T00:00:00");
  assert.equal(next("0 0 15W 8 *", after), "2026-08-14T00:00:00");
  assert.equal(next("0 0 31W 5 *", after), "2026-05-29T00:00:00");
  assert.equal(next("0 0 * * FRI#2", after), "2026-01-09T00:00:00");
  assert.equal(next("0 0 * * FRI#L", after), "2026-01-30T00:00:00");
  assert.equal(next("0 0 * * 5L", after), "2026-01-30T00:00:00");
});

test("CronSchedule: days and weekdays are joined by or, with a plus by and", () => {
  const after = "2026-01-01T12:00:00Z";
  assert.equal(next("0 0 13 * FRI", after), "2026-01-02T00:00:00");
  assert.equal(next("0 0 13 * +FRI", after), "2026-02-13T00:00:00");
});

test("CronSchedule: a pattern that never matches is refused", () => {
  for (
    const pattern of [
      "0 0 31 2 *",
      "0 0 30 2 *",
      "0 0 31 2,4,6,9,11 *",
      "0 0 31 2,4,6,9,11 * *",
      "0 0 31W 2 *",
      "0 0 29 2 +MON 2026",
      "0 0 0 29 2 * 2026",
      "0 0 0 29 2 +MON 2028",
      "0 0 0 30 2 * 2026-9999",
    ]
  ) assert.ok(refusal(pattern).length > 0);
  assert.equal(
    refusal("0 0 31 2,4,6,9,11 *"),
    'Cannot create a CronSchedule: "0 0 31 2,4,6,9,11 *" would never fire, for no day matches it',
  );
  assert.equal(next("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00");
  assert.equal(next("0 0 * 2 MON#5", "2026-01-01T00:00:00Z"), "2044-02-29T00:00:00");
});

test("CronSchedule: a pattern of years gone by is valid and has no next point", () => {
  assert.equal(next("0 0 0 1 1 * 2020", "2026-01-01T00:00:00Z"), null);
});

test("CronSchedule: what croner cannot read is refused in our words, with its reason", () => {
  assert.equal(
    refusal("61 * * * *"),
    'Cannot create a CronSchedule: in "61 * * * *", Invalid value for minute: 61',
  );
  for (
    const pattern of [
      "",
      "*",
      "* * * *",
      "* * * * * * * *",
      "a * * * *",
      "*/0 * * * *",
      "*/61 * * * *",
      "5-1 * * * *",
      "1,,2 * * * *",
      "* 24 * * *",
      "* * 0 * *",
      "* * 32 * *",
      "* * * 13 *",
      "* * * * 8",
      "* * * * MON#6",
      "* * W * *",
      "0-99999999999999999999 * * * *",
      "@reboot",
      "@never",
      "2026-01-01T00:00:00",
      "* * * * *".padEnd(2_000),
      `${"1,".repeat(600)}1 * * * *`,
      undefined,
      null,
      5,
      {},
    ]
  ) assert.match(refusal(pattern), /^Cannot create a CronSchedule: /);
});

test("CronSchedule: spaces make no other schedule", () => {
  const schedule = new CronSchedule("  30 4\t*  * MON ");
  assert.equal(schedule.pattern, "30 4 * * MON");
  assert.equal(schedule.fingerprint, new CronSchedule("30 4 * * MON").fingerprint);
});

test("CronSchedule: its own time zone goes before the Kit's", () => {
  const schedule = new CronSchedule("0 9 * * *", { timeZone: "Asia/Tokyo" });
  assert.equal(schedule.next(0, "America/New_York"), 86_400_000);
  assert.equal(new CronSchedule("0 9 * * *").next(0, "America/New_York"), 14 * 3_600_000);
});

test("CronSchedule: wrong options are refused", () => {
  assert.match(refusal("* * * * *", { timezone: "UTC" }), /there is no option "timezone"/);
  assert.match(
    refusal("* * * * *", { timeZone: "Asia/Tokio" }),
    /Cannot use time zone "Asia\/Tokio"/,
  );
});
