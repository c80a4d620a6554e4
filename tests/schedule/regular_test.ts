/**
 * What a RegularSchedule takes and refuses; the oracle tests when it fires.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { RegularSchedule, type RegularScheduleOptions } from "../../src/schedule/regular.ts";

/** The message with which a schedule is refused. */
function refusal(options: unknown): string {
  try {
    new RegularSchedule(options as RegularScheduleOptions);
  } catch (error) {
    assert.ok(error instanceof InvalidSchedule, String(error));
    assert.equal(error.code, "INVALID_SCHEDULE");
    return error.message;
  }
  assert.fail("it was not refused");
}

test("RegularSchedule: without fields it fires every minute", () => {
  const schedule = new RegularSchedule();
  assert.equal(schedule.next(0, "UTC"), 60_000);
  assert.equal(schedule.next(60_000, "UTC"), 120_000);
  assert.equal(schedule.next(59_999, "UTC"), 60_000);
});

test("RegularSchedule: twice an hour in Tokyo, whatever the time zone of the Kit", () => {
  const schedule = new RegularSchedule({ minutes: [0, 30], timeZone: "Asia/Tokyo" });
  const noon = Date.UTC(2026, 5, 1, 12);
  assert.equal(schedule.next(noon, "America/New_York"), noon + 1_800_000);
  assert.equal(schedule.next(noon + 1_800_000, "America/New_York"), noon + 3_600_000);
});

test("RegularSchedule: weekday 0 is Monday", () => {
  const schedule = new RegularSchedule({ weekdays: 0, hours: 0, minutes: 0 });
  assert.equal(schedule.next(Date.UTC(2026, 0, 1), "UTC"), Date.UTC(2026, 0, 5));
});

test("RegularSchedule: days and weekdays must both match", () => {
  const schedule = new RegularSchedule({ days: 13, weekdays: 4, hours: 0, minutes: 0 });
  assert.equal(schedule.next(Date.UTC(2026, 3, 1), "UTC"), Date.UTC(2026, 10, 13));
});

test("RegularSchedule: a number, an array in any order and a set mean the same", () => {
  const forms = [30, [30], new Set([30]), [30, 30]];
  const fingerprints = forms.map((minutes) => new RegularSchedule({ minutes }).fingerprint);
  assert.deepEqual(new Set(fingerprints), new Set(["regular 0 30 * * * *"]));
  assert.equal(
    new RegularSchedule({ hours: [5, 3, 4, 3] }).fingerprint,
    new RegularSchedule({ hours: new Set([3, 4, 5]) }).fingerprint,
  );
  assert.equal(
    new RegularSchedule({ weekdays: [6, 5, 4, 3, 2, 1, 0] }).fingerprint,
    new RegularSchedule().fingerprint,
  );
});

test("RegularSchedule: values out of range are refused with the list of valid ones", () => {
  const valid: [keyof RegularScheduleOptions, number[], string][] = [
    ["seconds", [-1, 60, 0.5, NaN], '"*" and the numbers 0 to 59'],
    ["minutes", [-1, 60, Infinity], '"*" and the numbers 0 to 59'],
    ["hours", [-1, 24], '"*" and the numbers 0 to 23'],
    ["days", [0, 32], '"*" and the numbers 1 to 31'],
    ["weekdays", [-1, 7], '"*" and the numbers 0 to 6 (0 is Monday)'],
    ["months", [0, 13], '"*" and the numbers 1 to 12'],
  ];
  for (const [field, values, list] of valid) {
    for (const value of values) {
      const message = `Cannot create a RegularSchedule: ${field} has ${value}; valid are ${list}`;
      assert.equal(refusal({ [field]: value }), message);
      assert.equal(refusal({ [field]: [1, value] }), message);
      assert.equal(refusal({ [field]: new Set([value, 1]) }), message);
    }
  }
});

test("RegularSchedule: every second from 0 to 59 is valid", () => {
  for (let second = 0; second < 60; second++) {
    assert.equal(new RegularSchedule({ seconds: second }).next(-1, "UTC"), second * 1_000);
  }
});

test("RegularSchedule: what is no field is refused", () => {
  const start = "Cannot create a RegularSchedule: minutes ";
  assert.ok(refusal({ minutes: [] }).startsWith(`${start}lists no value`));
  assert.ok(refusal({ minutes: new Set() }).startsWith(`${start}lists no value`));
  assert.ok(refusal({ minutes: "5" }).startsWith(`${start}is "5"`));
  assert.ok(refusal({ minutes: null }).startsWith(`${start}is null`));
  assert.ok(refusal({ minutes: { length: 1, 0: 1 } }).startsWith(`${start}is an object`));
  assert.ok(refusal({ minutes: ["1"] }).startsWith(`${start}has "1"`));
  assert.ok(
    refusal({ minutes: new Array(1e6).fill(1) }).startsWith(`${start}lists 1000000 values`),
  );
});

test("RegularSchedule: a day that no month has is refused, 29 February is not", () => {
  assert.equal(
    refusal({ days: [30, 31], months: 2 }),
    "Cannot create a RegularSchedule: it would never fire, for no month of 2 has a day 30,31",
  );
  assert.match(refusal({ days: 31, months: [2, 4, 6, 9, 11] }), /would never fire/);
  assert.equal(
    new RegularSchedule({ days: 29, months: 2, hours: 0, minutes: 0 }).next(0, "UTC"),
    Date.UTC(1972, 1, 29),
  );
});

test("RegularSchedule: a misspelled option is refused, for it would fire far too often", () => {
  assert.equal(
    refusal({ hours: 4, minute: 30 }),
    'Cannot create a RegularSchedule: there is no option "minute"; valid are seconds, minutes, ' +
      "hours, days, weekdays, months, timeZone, missed, overlap, jitter",
  );
  assert.match(refusal(null), /its options are null, not an object/);
});

test("RegularSchedule: what it hands out cannot change it", () => {
  const minutes = [0, 30];
  const schedule = new RegularSchedule({ minutes });
  minutes.push(45);
  assert.throws(() => (schedule.toJSON().minutes as number[]).push(15), TypeError);
  assert.deepEqual(schedule.toJSON().minutes, [0, 30]);
  assert.equal(schedule.next(Date.UTC(2026, 0, 1, 0, 30), "UTC"), Date.UTC(2026, 0, 1, 1));
});
