/**
 * When an IntervalSchedule fires, and what it refuses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { IntervalSchedule, type IntervalScheduleOptions } from "../../src/schedule/interval.ts";

function refusal(every: unknown, options?: unknown): string {
  try {
    new IntervalSchedule(every as number, options as IntervalScheduleOptions);
  } catch (error) {
    assert.ok(error instanceof InvalidSchedule, String(error));
    return error.message;
  }
  assert.fail(`${every} was not refused`);
}

test("IntervalSchedule: its points are the multiples of the interval, so all workers agree", () => {
  const schedule = new IntervalSchedule("90s");
  assert.equal(schedule.next(-1), 0);
  assert.equal(schedule.next(0), 90_000);
  assert.equal(schedule.next(89_999), 90_000);
  assert.equal(schedule.next(90_000), 180_000);
});

test("IntervalSchedule: the anchor is a point, and others lie before and after it", () => {
  const anchor = new Date("2026-01-01T12:00:00Z");
  const schedule = new IntervalSchedule("2w", { anchor });
  const fortnight = 14 * 86_400_000;
  assert.equal(schedule.next(anchor.getTime() - 1), anchor.getTime());
  assert.equal(schedule.next(anchor.getTime()), anchor.getTime() + fortnight);
  assert.equal(schedule.next(anchor.getTime() - fortnight - 1), anchor.getTime() - fortnight);
  assert.equal(schedule.next(-1e15), anchor.getTime() % fortnight);
});

test("IntervalSchedule: anchors a whole number of intervals apart make the same schedule", () => {
  const fingerprints = [7_000, 17_000, 1_000_007_000].map((anchor) =>
    new IntervalSchedule("10s", { anchor }).fingerprint
  );
  assert.deepEqual(new Set(fingerprints), new Set(["interval 10000 7000"]));
});

test("IntervalSchedule: what it cannot use is refused", () => {
  assert.equal(refusal(99), "Cannot create an IntervalSchedule: 99 is shorter than 100 ms");
  assert.match(refusal("0s"), /"0s" is shorter than 100 ms/);
  assert.match(refusal("often"), /^Cannot create an IntervalSchedule: .*"often" is no duration/);
  assert.match(refusal(-1), /is not between 0 and 100 years/);
  assert.match(refusal(NaN), /^Cannot create an IntervalSchedule: /);
  assert.match(refusal("1h", { anchor: new Date(NaN) }), /an invalid Date is no valid instant/);
  assert.match(refusal("1h", { timeZone: "UTC" }), /there is no option "timeZone"/);
});
