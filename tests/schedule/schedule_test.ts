/**
 * The policies of schedules, and what a schedule of the user's own may answer.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { nextPoint, readPolicies, type SchedulePolicies } from "../../src/schedule/schedule.ts";

test("policies: the defaults are latest, allow, no jitter", () => {
  assert.deepEqual(readPolicies({}, "test"), {
    missed: "latest",
    windowMs: Infinity,
    overlap: "allow",
    jitterMs: 0,
  });
});

test("policies: durations are read", () => {
  assert.deepEqual(
    readPolicies({ missed: { earliest: "1h 30m" }, overlap: "skip", jitter: "2s" }, "test"),
    { missed: "earliest", windowMs: 5_400_000, overlap: "skip", jitterMs: 2_000 },
  );
});

test("policies: what is none is refused", () => {
  for (
    const policies of [
      { missed: "last" },
      { missed: null },
      { missed: {} },
      { missed: { skip: "2d" } },
      { missed: { all: "2d", latest: "2d" } },
      { missed: { all: "soon" } },
      { missed: ["all", "2d"] },
      { overlap: true },
      { jitter: -1 },
      { jitter: "a little" },
      { timeZone: "Nowhere" },
    ]
  ) {
    assert.throws(() => readPolicies(policies as SchedulePolicies, "test a schedule"), (error) => {
      assert.ok(error instanceof InvalidSchedule);
      assert.match(error.message, /^Cannot (test a schedule: |use time zone "Nowhere")/);
      return true;
    });
  }
});

test("nextPoint: a point of the user's own schedule is a whole number after the instant, or null", () => {
  const answer = (point: unknown) => nextPoint({ next: () => point as number }, 1_000, "UTC");
  assert.equal(answer(1_001), 1_001);
  assert.equal(answer(null), null);
  assert.equal(answer(Date.UTC(10_000, 0, 1)), null);
  for (const point of [1_000, 999, 1_000.5, NaN, Infinity, undefined, "2000", new Date(2_000)]) {
    assert.throws(() => answer(point), InvalidSchedule);
  }
});
