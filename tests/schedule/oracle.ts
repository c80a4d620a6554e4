/**
 * An enumeration of schedule points that is slow and obviously right, and shares nothing with `src/schedule`: it walks
 * through time step by step, reads what a clock on the wall shows, and asks a predicate whether that matches.
 *
 * `ZONES` are those whose clocks do something that others do not, between 2010 and 2020 and since.
 *
 * @module
 */

import { env } from "node:process";

/** The whole oracle with `TASKKIT_ORACLE=full` (about a minute a runtime); else a short one. */
export const full: boolean = env.TASKKIT_ORACLE === "full";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const ZONES: readonly string[] = [
  "UTC",
  "America/New_York",
  "America/St_Johns", // half-hour offset; changed at 00:01 until 2011
  "America/Sao_Paulo", // changed at midnight, until 2019
  "America/Santiago", // changes at midnight, moved its dates often
  "America/Havana", // forward at midnight, back at 01:00
  "America/Caracas", // -04:30, and -04:00 since 2016
  "America/Asuncion", // midnight, southern summer
  "Europe/London",
  "Europe/Berlin",
  "Europe/Moscow", // forward for good in 2011, back for good in 2014
  "Europe/Istanbul", // postponed changes, and none since 2016
  "Africa/Casablanca", // suspends its summer time in Ramadan
  "Africa/Cairo", // four changes in 2014
  "Asia/Gaza", // changes at 00:01 and at midnight, suspended it in Ramadan
  "Asia/Tehran", // midnight, half-hour offset
  "Asia/Amman", // midnight, no winter time in 2012
  "Asia/Kathmandu", // +05:45
  "Asia/Tokyo",
  "Asia/Pyongyang", // half an hour back in 2015, forward in 2018
  "Australia/Lord_Howe", // changes by half an hour
  "Pacific/Apia", // had no 30 December 2011
  "Pacific/Chatham", // +12:45, changes at 02:45
  "Antarctica/Troll", // changes by two hours
];

/** What a calendar on the wall shows. */
export interface WallDay {
  readonly year: number;
  /** 1–12 */
  readonly month: number;
  /** 1–31 */
  readonly day: number;
  /** Monday is 0. */
  readonly weekday: number;
  readonly daysInMonth: number;
}

/** What a schedule should do, said in another way than the schedule says it. */
export interface Expectation {
  readonly fixed: boolean;
  day(day: WallDay): boolean;
  time(hour: number, minute: number, second: number): boolean;
}

export function wallDay(date: Date): WallDay {
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + 1];
  return {
    year,
    month,
    day: date.getUTCDate(),
    weekday: (date.getUTCDay() + 6) % 7,
    daysInMonth: new Date(Date.UTC(year, month, 0)).getUTCDate(),
  };
}

/** What wall clocks show, minute for minute. */
export class WallClock {
  readonly zone: string;
  readonly fromMs: number;
  /** Minutes that the clocks are ahead of UTC, for each minute from `fromMs` on. */
  readonly ahead: Int16Array;

  constructor(zone: string, fromMs: number, toMs: number) {
    this.zone = zone;
    this.fromMs = fromMs;
    this.ahead = new Int16Array((toMs - fromMs) / MINUTE);
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    const read = (atMs: number): number => {
      const [month = 0, day, year = 0, hour, minute, second] =
        format.format(atMs).match(/\d+/g)?.map(Number) ?? [];
      const minutes = (Date.UTC(year, month - 1, day, hour, minute, second) - atMs) / MINUTE;
      if (!Number.isInteger(minutes)) throw new Error(`${zone} is off by parts of a minute`);
      return minutes;
    };
    // No clocks are changed twice in an hour: where both its ends agree, so do its minutes.
    let begin = read(fromMs);
    for (let hour = 0; hour < this.ahead.length; hour += 60) {
      const end = read(fromMs + (hour + 60) * MINUTE);
      for (let minute = hour; minute < hour + 60; minute++) {
        this.ahead[minute] = begin === end ? begin : read(fromMs + minute * MINUTE);
      }
      begin = end;
    }
  }

  aheadMs(atMs: number): number {
    return (this.ahead[Math.floor((atMs - this.fromMs) / MINUTE)] ?? NaN) * MINUTE;
  }

  /** The instants at which the clocks were changed. */
  changes(): number[] {
    const changes: number[] = [];
    for (let minute = 1; minute < this.ahead.length; minute++) {
      if (this.ahead[minute] !== this.ahead[minute - 1]) {
        changes.push(this.fromMs + minute * MINUTE);
      }
    }
    return changes;
  }
}

/** A range of time in steps. */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
}

/** The wall-clock times that may show in a range, anywhere on earth: two days more on either side, in whole days. */
function wallRange({ fromMs, toMs, stepMs }: Range): { wallFromMs: number; steps: number } {
  const wallFromMs = (Math.floor(fromMs / DAY) - 2) * DAY;
  return { wallFromMs, steps: ((Math.ceil(toMs / DAY) + 2) * DAY - wallFromMs) / stepMs };
}

/** Which wall-clock times of a range match, step by step. Independent of any zone. */
export function wallMatches(expectation: Expectation, range: Range): Uint8Array {
  const { wallFromMs, steps } = wallRange(range);
  const perDay = DAY / range.stepMs;
  const time = new Uint8Array(perDay);
  for (let i = 0; i < perDay; i++) {
    const seconds = (i * range.stepMs) / SECOND;
    const [hour, minute] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
    time[i] = expectation.time(hour, minute, seconds % 60) ? 1 : 0;
  }
  const matches = new Uint8Array(steps);
  for (let day = 0; day * perDay < steps; day++) {
    if (expectation.day(wallDay(new Date(wallFromMs + day * DAY)))) {
      matches.set(time, day * perDay);
    }
  }
  return matches;
}

/**
 * The points in a range of time, in one zone. A running schedule fires at every step whose wall-clock time matches. A
 * schedule of fixed times fires, for every wall-clock time that matches, at the first step that shows it; if none does,
 * at the first step that shows a later one, unless no step shows any time of that day.
 */
export class Enumeration {
  readonly #range: Range;
  /** What each step shows, as an index of wall-clock times. */
  readonly #shown: Int32Array;
  /** The step at which a schedule of fixed times fires for each wall-clock time; -1 where it does not. */
  readonly #firesAt: Int32Array;

  constructor(clock: WallClock, range: Range) {
    this.#range = range;
    const { wallFromMs, steps } = wallRange(range);
    this.#shown = new Int32Array((range.toMs - range.fromMs) / range.stepMs);
    for (let step = 0; step < this.#shown.length; step++) {
      const atMs = range.fromMs + step * range.stepMs;
      this.#shown[step] = (atMs + clock.aheadMs(atMs) - wallFromMs) / range.stepMs;
    }

    const first = new Int32Array(steps).fill(-1);
    for (let step = this.#shown.length - 1; step >= 0; step--) {
      first[this.#shown[step] ?? -1] = step;
    }
    const perDay = DAY / range.stepMs;
    const dayWas = new Set<number>();
    for (const wall of this.#shown) dayWas.add(Math.floor(wall / perDay));
    this.#firesAt = new Int32Array(steps).fill(-1);
    const wallFirst = first.findIndex((step) => step !== -1);
    const wallLast = first.findLastIndex((step) => step !== -1);
    let nextShown = -1;
    for (let wall = wallLast; wall >= wallFirst; wall--) {
      if (first[wall] !== -1) nextShown = first[wall] ?? -1;
      if (dayWas.has(Math.floor(wall / perDay))) this.#firesAt[wall] = nextShown;
    }
  }

  /** The points of a schedule, by what {@linkcode wallMatches} gives for it in the same range. */
  points(matches: Uint8Array, { fixed }: { fixed: boolean }): number[] {
    const { fromMs, stepMs } = this.#range;
    const points: number[] = [];
    if (!fixed) {
      for (let step = 0; step < this.#shown.length; step++) {
        if (matches[this.#shown[step] ?? -1] === 1) points.push(fromMs + step * stepMs);
      }
      return points;
    }
    for (let wall = 0; wall < matches.length; wall++) {
      const step = this.#firesAt[wall] ?? -1;
      if (matches[wall] === 1 && step !== -1) points.push(fromMs + step * stepMs);
    }
    return [...new Set(points)].sort((a, b) => a - b);
  }
}

/** All points of a schedule in [fromMs, toMs), one after another. */
export function walk(
  schedule: { next(after: number, timeZone: string): number | null },
  { zone, fromMs, toMs }: { zone: string; fromMs: number; toMs: number },
): number[] {
  const points: number[] = [];
  let point = schedule.next(fromMs - 1, zone);
  while (point !== null && point < toMs) {
    points.push(point);
    point = schedule.next(point, zone);
  }
  return points;
}

/** The first place where two ascending lists of instants differ, for a message; `null` if they are the same. */
export function difference(actual: readonly number[], expected: readonly number[]): string | null {
  const length = Math.max(actual.length, expected.length);
  for (let i = 0; i < length; i++) {
    const [a, e] = [actual[i], expected[i]];
    if (a === e) continue;
    const shown = (ms: number | undefined) =>
      ms === undefined ? "nothing" : new Date(ms).toISOString();
    return `point ${i} of ${actual.length}/${expected.length}: ${shown(a)}, expected ${shown(e)}`;
  }
  return null;
}
