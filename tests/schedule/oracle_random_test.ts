/**
 * Random fields in random zones at random times, against the enumeration of the oracle; and random cron patterns
 * against croner's own search. `TASKKIT_ORACLE=full` tries ten times as many.
 *
 * @module
 */

import { Cron } from "croner";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { RegularSchedule, type ScheduleField } from "../../src/schedule/regular.ts";
import {
  DAY,
  difference,
  Enumeration,
  full,
  MINUTE,
  SECOND,
  walk,
  WallClock,
  wallMatches,
  ZONES,
} from "./oracle.ts";

const numRuns = full ? 2_000 : 200;
/** The short version is the same every time; the full one is another every time, and names its seed when it fails. */
const seed = full ? {} : { seed: 5 };
const options = { timeout: 120_000 };
const FIRST_DAY = Date.UTC(2010, 0, 1) / DAY;
const LAST_DAY = Date.UTC(2036, 0, 1) / DAY;

const anyZone = fc.constantFrom(...ZONES);
const anyDay = fc.integer({ min: FIRST_DAY, max: LAST_DAY }).map((day) => day * DAY);

/** A zone and an instant: anywhere, or on the day before one on which its clocks are changed. */
const anyPlace = fc.tuple(anyZone, anyDay, fc.boolean()).map(([zone, day, atChange]) => {
  const change = atChange ? new WallClock(zone, day, day + 200 * DAY).changes()[0] : undefined;
  return { zone, fromMs: change === undefined ? day : Math.floor(change / DAY) * DAY - DAY };
});

function anyField(min: number, max: number): fc.Arbitrary<ScheduleField> {
  const value = fc.integer({ min, max });
  return fc.oneof(
    fc.constant("*" as const),
    value,
    fc.uniqueArray(value, { minLength: 1, maxLength: max - min + 1, size: "max" }),
    fc.uniqueArray(value, { minLength: 1, maxLength: 3 }).map((values) => new Set(values)),
  );
}
function has(field: ScheduleField, value: number): boolean {
  if (field === "*") return true;
  return typeof field === "number" ? field === value : [...field].includes(value);
}
function isNamed(field: ScheduleField, count: number): boolean {
  return field !== "*" && (typeof field === "number" || [...field].length < count);
}

test(
  "oracle: the points of random fields, minute by minute, in a random 40 days of a random zone",
  options,
  () => {
    const fields = fc.record({
      minutes: anyField(0, 59),
      hours: anyField(0, 23),
      days: anyField(1, 28),
      weekdays: anyField(0, 6),
      months: anyField(1, 12),
    });
    fc.assert(
      fc.property(
        fields,
        anyPlace,
        ({ minutes, hours, days, weekdays, months }, { zone, fromMs }) => {
          const range = { fromMs, toMs: fromMs + 40 * DAY, stepMs: MINUTE };
          const matches = wallMatches({
            fixed: false,
            day: ({ day, weekday, month }) =>
              has(days, day) && has(weekdays, weekday) && has(months, month),
            time: (hour, minute) => has(hours, hour) && has(minutes, minute),
          }, range);
          const enumeration = new Enumeration(new WallClock(zone, range.fromMs, range.toMs), range);
          const fixed = isNamed(minutes, 60) && isNamed(hours, 24);
          const schedule = new RegularSchedule({
            minutes,
            hours,
            days,
            weekdays,
            months,
            timeZone: zone,
          });
          assert.equal(
            difference(
              walk(schedule, { zone: "UTC", ...range }),
              enumeration.points(matches, { fixed }),
            ),
            null,
          );
        },
      ),
      { numRuns, ...seed },
    );
  },
);

test(
  "oracle: the points of random fields, second by second, in a random 3 days of a random zone",
  options,
  () => {
    const fields = fc.record({
      seconds: anyField(0, 59),
      minutes: anyField(0, 59),
      hours: anyField(0, 23),
    });
    fc.assert(
      fc.property(fields, anyPlace, ({ seconds, minutes, hours }, { zone, fromMs }) => {
        const range = { fromMs, toMs: fromMs + 3 * DAY, stepMs: SECOND };
        const matches = wallMatches({
          fixed: false,
          day: () => true,
          time: (hour, minute, second) =>
            has(hours, hour) && has(minutes, minute) && has(seconds, second),
        }, range);
        const enumeration = new Enumeration(new WallClock(zone, range.fromMs, range.toMs), range);
        const fixed = isNamed(seconds, 60) && isNamed(minutes, 60) && isNamed(hours, 24);
        const schedule = new RegularSchedule({ seconds, minutes, hours });
        assert.equal(
          difference(walk(schedule, { zone, ...range }), enumeration.points(matches, { fixed })),
          null,
        );
      }),
      { numRuns: numRuns / 5, ...seed },
    );
  },
);

/** One field of a cron pattern. A range over all values is left out: croner takes its hours for named ones. */
function anyCronField(min: number, max: number): fc.Arbitrary<string> {
  const value = fc.integer({ min, max });
  const item = fc.oneof(
    { weight: 3, arbitrary: value.map(String) },
    fc.tuple(value, value).filter(([a, b]) => Math.abs(a - b) < max - min)
      .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    fc.tuple(value, value, fc.integer({ min: 2, max: 7 })).map(([a, b, step]) =>
      `${Math.min(a, b)}-${Math.max(a, b)}/${step}`
    ),
    fc.integer({ min: 2, max: max - min }).map((step) => `*/${step}`),
  );
  return fc.oneof(
    fc.constant("*"),
    item,
    fc.array(value.map(String), { minLength: 1, maxLength: 4 }).map((items) => items.join(",")),
  );
}
const anyCronDay = fc.oneof(
  { weight: 3, arbitrary: anyCronField(1, 31) },
  fc.constantFrom("L", "LW", "1W", "15W", "30W,2", "L,13"),
);
const anyCronWeekday = fc.tuple(
  fc.constantFrom("", "", "+"),
  fc.oneof(
    { weight: 3, arbitrary: anyCronField(0, 7).filter((field) => !field.startsWith("0-")) },
    fc.constantFrom("MON", "SUN#1", "FRI#L", "MON-FRI", "TUE#5", "2#2,4#4"),
  ),
).map(([and, field]) => and + field);
const anyCron = fc.tuple(
  fc.oneof({ weight: 3, arbitrary: fc.constant("0") }, anyCronField(0, 59)),
  anyCronField(0, 59),
  anyCronField(0, 23),
  anyCronDay,
  anyCronField(1, 12),
  anyCronWeekday,
).map((fields) => fields.join(" "));

test("oracle: the points of random cron patterns are those of croner", options, () => {
  let compared = 0;
  fc.assert(
    fc.property(anyCron, anyPlace, (pattern, { zone, fromMs }) => {
      const cron = new Cron(pattern, { timezone: zone, fixedTimeRule: "no-wildcard" });
      const expected = cron.nextRuns(20, new Date(fromMs)).map((run) => run.getTime());
      let schedule;
      try {
        schedule = new CronSchedule(pattern);
      } catch {
        assert.deepEqual(expected, [], "a pattern that croner finds points for was refused");
        return;
      }
      const actual: number[] = [];
      for (let at: number | null = fromMs; actual.length < expected.length;) {
        at = schedule.next(at, zone);
        if (at === null) break;
        actual.push(at);
      }
      compared += actual.length;
      assert.equal(difference(actual, expected), null, `${pattern} in ${zone}`);
    }),
    { numRuns, ...seed },
  );
  assert.ok(compared > numRuns * 5, `only ${compared} points were compared`);
});
