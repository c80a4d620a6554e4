/**
 * The points of many patterns, in 24 zones over 10 years, are those of an enumeration that is obviously right. The
 * short version takes the year in which Apia lost a day; `TASKKIT_ORACLE=full` takes 2010 to 2020.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { RegularSchedule } from "../../src/schedule/regular.ts";
import type { Schedule } from "../../src/schedule/schedule.ts";
import {
  DAY,
  difference,
  Enumeration,
  type Expectation,
  full,
  MINUTE,
  type Range,
  SECOND,
  walk,
  WallClock,
  type WallDay,
  wallMatches,
  ZONES,
} from "./oracle.ts";

const FROM = full ? Date.UTC(2010, 0, 1) : Date.UTC(2011, 2, 1);
const TO = full ? Date.UTC(2020, 0, 1) : Date.UTC(2012, 2, 1);

const always = () => true;
const at = (...times: readonly string[]): Expectation["time"] => {
  const wanted = new Set(times.map((time) => time.length === 5 ? `${time}:00` : time));
  const two = (n: number) => String(n).padStart(2, "0");
  return (hour, minute, second) => wanted.has(`${two(hour)}:${two(minute)}:${two(second)}`);
};
const nthWeekday = ({ day }: WallDay) => Math.ceil(day / 7);
const isWorkingDay = ({ weekday }: WallDay) => weekday < 5;
/** The working day nearest to a day of the month, found by looking at ever more distant ones. */
const nearestWorkingDay = (today: WallDay, wanted: number): number => {
  for (const distance of [0, -1, 1, -2, 2]) {
    const day = wanted + distance;
    const weekday = (((today.weekday + day - today.day) % 7) + 7) % 7;
    if (day >= 1 && day <= today.daysInMonth && weekday < 5) return day;
  }
  return -1;
};

interface Case {
  readonly name: string;
  readonly schedule: Schedule;
  readonly expected: Expectation;
}
const regular = (
  name: string,
  fields: ConstructorParameters<typeof RegularSchedule>[0],
  expected: Expectation,
): Case => ({ name, schedule: new RegularSchedule(fields), expected });
const cron = (pattern: string, expected: Expectation): Case => ({
  name: `cron ${pattern}`,
  schedule: new CronSchedule(pattern),
  expected,
});

const BY_MINUTE: readonly Case[] = [
  // Fixed times
  ...["00:00", "00:01", "00:30", "01:30", "02:00", "02:15", "02:30", "03:00", "12:00", "23:30"].map(
    (time) =>
      regular(`daily ${time}`, {
        hours: Number(time.slice(0, 2)),
        minutes: Number(time.slice(3)),
      }, { fixed: true, day: always, time: at(time) }),
  ),
  regular("twice a night and at noon", { hours: [1, 2, 12], minutes: [15, 45] }, {
    fixed: true,
    day: always,
    time: at("01:15", "01:45", "02:15", "02:45", "12:15", "12:45"),
  }),
  regular("every named hour but one", {
    hours: Array.from({ length: 23 }, (_, hour) => hour),
    minutes: 0,
  }, { fixed: true, day: always, time: (hour, minute) => hour !== 23 && minute === 0 }),
  regular("Sundays 02:30", { weekdays: 6, hours: 2, minutes: 30 }, {
    fixed: true,
    day: ({ weekday }) => weekday === 6,
    time: at("02:30"),
  }),
  regular("30 and 31 of the month, 00:30", { days: new Set([30, 31]), hours: 0, minutes: 30 }, {
    fixed: true,
    day: ({ day }) => day >= 30,
    time: at("00:30"),
  }),
  regular("29 February 02:30", { days: 29, months: 2, hours: 2, minutes: 30 }, {
    fixed: true,
    day: ({ day, month }) => day === 29 && month === 2,
    time: at("02:30"),
  }),
  regular("Friday the 13th, 13:13", { days: 13, weekdays: 4, hours: 13, minutes: 13 }, {
    fixed: true,
    day: ({ day, weekday }) => day === 13 && weekday === 4,
    time: at("13:13"),
  }),
  cron("30 2 * * *", { fixed: true, day: always, time: at("02:30") }),
  cron("0 4,16 1 * MON", {
    fixed: true,
    day: ({ day, weekday }) => day === 1 || weekday === 0,
    time: at("04:00", "16:00"),
  }),
  cron("0 4 1-7 * +MON", {
    fixed: true,
    day: ({ day, weekday }) => day <= 7 && weekday === 0,
    time: at("04:00"),
  }),
  cron("15 1 L * *", {
    fixed: true,
    day: ({ day, daysInMonth }) => day === daysInMonth,
    time: at("01:15"),
  }),
  cron("15 1 L 2 *", {
    fixed: true,
    day: ({ day, month, daysInMonth }) => month === 2 && day === daysInMonth,
    time: at("01:15"),
  }),
  cron("15 1 LW * *", {
    fixed: true,
    day: (today) => {
      const rest = Array.from({ length: today.daysInMonth - today.day }, (_, i) => i + 1);
      return isWorkingDay(today) && rest.every((ahead) => (today.weekday + ahead) % 7 >= 5);
    },
    time: at("01:15"),
  }),
  ...[1, 15, 31].map((wanted) =>
    cron(`0 9 ${wanted}W * *`, {
      fixed: true,
      day: (today) => today.daysInMonth >= wanted && today.day === nearestWorkingDay(today, wanted),
      time: at("09:00"),
    })
  ),
  cron("30 2 * 3,10 SUN#L", {
    fixed: true,
    day: ({ day, weekday, month, daysInMonth }) =>
      (month === 3 || month === 10) && weekday === 6 && day + 7 > daysInMonth,
    time: at("02:30"),
  }),
  cron("30 2 * * SUN#2,WED#5", {
    fixed: true,
    day: (today) =>
      (today.weekday === 6 && nthWeekday(today) === 2) ||
      (today.weekday === 2 && nthWeekday(today) === 5),
    time: at("02:30"),
  }),
  cron("@monthly", { fixed: true, day: ({ day }) => day === 1, time: at("00:00") }),
  // Running
  regular("twice an hour", { minutes: [0, 30] }, {
    fixed: false,
    day: always,
    time: (_, minute) => minute % 30 === 0,
  }),
  regular("minutes 7 and 59, every third day", { minutes: [7, 59], days: [3, 6, 9, 27, 30] }, {
    fixed: false,
    day: ({ day }) => [3, 6, 9, 27, 30].includes(day),
    time: (_, minute) => minute === 7 || minute === 59,
  }),
  regular("all of the hours 0 to 2, Sundays", { hours: [0, 1, 2], minutes: "*", weekdays: 6 }, {
    fixed: false,
    day: ({ weekday }) => weekday === 6,
    time: (hour) => hour <= 2,
  }),
  cron("*/15 * * * *", { fixed: false, day: always, time: (_, minute) => minute % 15 === 0 }),
  cron("0 */2 * * MON-FRI", {
    fixed: false,
    day: isWorkingDay,
    time: (hour, minute) => hour % 2 === 0 && minute === 0,
  }),
  cron("20 0-23 * * *", { fixed: false, day: always, time: (_, minute) => minute === 20 }),
];

const BY_SECOND: readonly Case[] = [
  regular("every 20 seconds", { seconds: [0, 20, 40] }, {
    fixed: false,
    day: always,
    time: (_hour, _minute, second) => second % 20 === 0,
  }),
  regular("all seconds of two minutes", { seconds: "*", minutes: 30, hours: [1, 2] }, {
    fixed: false,
    day: always,
    time: (hour, minute) => (hour === 1 || hour === 2) && minute === 30,
  }),
  regular("seconds 1 and 59 of fixed minutes", {
    seconds: [1, 59],
    minutes: [0, 1, 29, 30, 59],
    hours: [0, 1, 2, 3, 23],
  }, {
    fixed: true,
    day: always,
    time: (hour, minute, second) =>
      [0, 1, 2, 3, 23].includes(hour) && [0, 1, 29, 30, 59].includes(minute) &&
      (second === 1 || second === 59),
  }),
  cron("*/30 59 * * * *", {
    fixed: false,
    day: always,
    time: (_, minute, second) => minute === 59 && second % 30 === 0,
  }),
];

const range = { fromMs: FROM, toMs: TO, stepMs: MINUTE };
const byMinute = BY_MINUTE.map((pattern) => ({
  ...pattern,
  matches: wallMatches(pattern.expected, range),
}));

/** Days around a change of clocks, second by second, for the last changes of a range. */
function daysOfChange(clock: WallClock, count: number): Range[] {
  return clock.changes().slice(-count).map((change) => {
    const day = Math.floor(change / DAY) * DAY;
    return { fromMs: day - DAY, toMs: day + 2 * DAY, stepMs: SECOND };
  });
}

for (const zone of ZONES) {
  test(`oracle: the points of ${BY_MINUTE.length + BY_SECOND.length} patterns in ${zone}`, () => {
    const clock = new WallClock(zone, FROM, TO);
    const enumeration = new Enumeration(clock, range);
    for (const { name, schedule, expected: { fixed }, matches } of byMinute) {
      const expected = enumeration.points(matches, { fixed });
      const actual = walk(schedule, { zone, ...range });
      assert.equal(difference(actual, expected), null, `${name} in ${zone}`);
    }
    for (const range of daysOfChange(clock, full ? 5 : 1)) {
      const enumeration = new Enumeration(new WallClock(zone, range.fromMs, range.toMs), range);
      for (const { name, schedule, expected } of BY_SECOND) {
        const { fixed } = expected;
        const points = enumeration.points(wallMatches(expected, range), { fixed });
        const actual = walk(schedule, { zone, ...range });
        const from = new Date(range.fromMs).toISOString();
        assert.equal(difference(actual, points), null, `${name} in ${zone} from ${from}`);
      }
    }
  });
}

test("oracle: it saw what it is there for", () => {
  const changes = ZONES.flatMap((zone) => {
    const clock = new WallClock(zone, FROM, TO);
    return clock.changes().map((change) => clock.aheadMs(change) - clock.aheadMs(change - 1));
  });
  const kinds = new Set(changes.map((change) => change / MINUTE));
  for (const minutes of [60, -60, 30, -30, 24 * 60]) assert.ok(kinds.has(minutes), `${minutes}`);
  assert.ok(changes.length >= (full ? 280 : 20), `${changes.length} changes of clocks`);
});
