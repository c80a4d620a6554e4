/**
 * The search behind `RegularSchedule` and `CronSchedule`: the instants at which the clocks on a wall show what a pattern
 * asks for. Both compile to one {@linkcode Calendar}, so both do the same on the days when clocks are changed:
 *
 * | pattern | clocks go forward: 02:00 → 03:00 | clocks go back: 03:00 → 02:00 |
 * |---|---|---|
 * | **fixed times**: seconds, minutes and hours are all named (`hours: [2, 14], minutes: 30`) | a time that is left out fires when the gap ends: 02:30 at 03:00; several fire there once | a time that comes twice fires once, the first time |
 * | **running**: seconds, minutes or hours is `"*"` (`minutes: [0, 30]`) | fires at the times that there are: 01:30, 03:00 | fires at every time that there is: 02:00, 02:30, 02:00, 02:30 |
 *
 * So a daily task runs once a day, whatever happens to the clocks, and one that runs every ten minutes keeps doing so.
 * A field that names every value is `"*"`, however it is written; so is one with a step in cron (`0-23/2`). A day that a
 * place never had (Apia jumped over 2011-12-30 when it moved across the date line) has no points.
 *
 * This is what croner does with `fixedTimeRule: "no-wildcard"`, and Vixie cron nearly so, but for two cases. croner takes
 * `0-23` for named hours, and so fires an "every hour" of this form only 24 times in a day of 25. And where a gap ends at
 * midnight (Nuuk, at 23:00 → 24:00) croner leaves a daily 23:30 out; here it fires at midnight.
 *
 * The search goes from match to match, by calendar first and clocks second: it never steps through time, and its cost
 * does not depend on how far away the next point is.
 *
 * @module
 */

import { DAY, HOUR, MINUTE, SECOND } from "@std/datetime/constants";
import { CALENDAR_YEARS, INSTANT_MS_MAX } from "../core/limits.ts";
import type { Zone } from "./zone.ts";

const YEAR_MAX = new Date(INSTANT_MS_MAX).getUTCFullYear();
/** 1970-01-01 was a Thursday; Monday is 0. */
const WEEKDAY_OF_EPOCH = 3;
/** More than wall clocks differ from UTC and a change of clocks takes, together. */
const NEAR_MS = 2 * DAY;
/**
 * Matches that fall into gaps, one after another, until the search gives up. Only a running pattern that is made for
 * the very night of the change has more than a few: the hour after 02:00, on the last Sunday of March, in Paris.
 */
const TURNS_MAX = 60;

/** What a pattern asks for. */
export interface CalendarPattern {
  /** Each in ascending order, not empty: seconds and minutes 0–59, hours 0–23. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1–12. */
  readonly months: ReadonlySet<number>;
  /** All years if it is `null`. */
  readonly years: ReadonlySet<number> | null;
  /** Whether a day matches: its number from 1 on, its weekday from Monday = 0 on, and how many days its month has. */
  matchesDay(day: number, weekday: number, daysInMonth: number): boolean;
  /** Whether the pattern names fixed times, or runs on through changes of clocks. See the table above. */
  readonly fixed: boolean;
}

/** The instants at which wall clocks match a pattern. */
export class Calendar {
  readonly #pattern: CalendarPattern;
  /** The first matching time of a day, in milliseconds after midnight. */
  readonly #firstTimeMs: number;

  constructor(pattern: CalendarPattern) {
    this.#pattern = pattern;
    this.#firstTimeMs = this.#nextTime(0) ?? 0;
  }

  /** Whether any day of any year matches. */
  get matchesSomeDay(): boolean {
    return this.#nextDay(0) !== null;
  }

  /** The first match after an instant, both in epoch milliseconds, from 1970 on; `null` if there is none. */
  next(afterMs: number, zone: Zone): number | null {
    if (!(afterMs < INSTANT_MS_MAX)) return null;
    let fromMs = Math.max(0, Math.floor(afterMs / SECOND) * SECOND + SECOND);
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const { startMs, endMs, offsetMs, previousOffsetMs } = zone.stretchAt(fromMs);
      // What wall clocks would have shown at the change: before it lies what they showed already, or would have shown.
      const untouchedMs = startMs + previousOffsetMs;
      let wallMs = fromMs + offsetMs;
      if (this.#pattern.fixed) {
        if (fromMs === startMs && this.#matchesInGap(untouchedMs, wallMs)) return fromMs;
        wallMs = Math.max(wallMs, untouchedMs);
      }
      const matchMs = this.#nextWall(wallMs);
      if (matchMs === null) return null;
      if (matchMs - offsetMs < endMs) return matchMs - offsetMs;
      // Nothing matches up to shortly before `matchMs`, unless the clocks are about to be set back to times that were
      // already passed by.
      fromMs = endMs - fromMs < NEAR_MS ? endMs : Math.max(endMs, matchMs - NEAR_MS);
    }
    return null;
  }

  /** Whether a time that the clocks leave out matches. A gap of a day is a day that never was. */
  #matchesInGap(gapStartMs: number, gapEndMs: number): boolean {
    if (gapEndMs <= gapStartMs || gapEndMs - gapStartMs >= DAY) return false;
    const matchMs = this.#nextWall(gapStartMs);
    return matchMs !== null && matchMs < gapEndMs;
  }

  /** The first match at or after a time on the wall, both as if the wall hung at UTC. */
  #nextWall(wallMs: number): number | null {
    const today = Math.floor(wallMs / DAY);
    const day = this.#nextDay(today);
    if (day === today) {
      const timeMs = this.#nextTime(wallMs - today * DAY);
      if (timeMs !== null) return today * DAY + timeMs;
    }
    const later = day === today ? this.#nextDay(today + 1) : day;
    return later === null ? null : later * DAY + this.#firstTimeMs;
  }

  /** The first matching time of day at or after one, in milliseconds after midnight. */
  #nextTime(timeMs: number): number | null {
    const { seconds, minutes, hours } = this.#pattern;
    for (const hour of hours) {
      const hourMs = hour * HOUR;
      if (hourMs + HOUR <= timeMs) continue;
      for (const minute of minutes) {
        const minuteMs = hourMs + minute * MINUTE;
        if (minuteMs + MINUTE <= timeMs) continue;
        for (const second of seconds) {
          if (minuteMs + second * SECOND >= timeMs) return minuteMs + second * SECOND;
        }
      }
    }
    return null;
  }

  /** The first matching day at or after one, counted from 1970-01-01. */
  #nextDay(from: number): number | null {
    const { months, years } = this.#pattern;
    const date = new Date(from * DAY);
    const yearLast = years === null
      ? Math.min(date.getUTCFullYear() + CALENDAR_YEARS, YEAR_MAX)
      : YEAR_MAX;
    let month = date.getUTCMonth() + 1;
    let day = date.getUTCDate();
    for (let year = date.getUTCFullYear(); year <= yearLast; year++) {
      if (years === null || years.has(year)) {
        for (; month <= 12; month++) {
          if (months.has(month)) {
            const match = this.#dayInMonth(year, month, day);
            if (match !== null) return match;
          }
          day = 1;
        }
      }
      [month, day] = [1, 1];
    }
    return null;
  }

  /** The first matching day of a month, from one of its days on, counted from 1970-01-01. */
  #dayInMonth(year: number, month: number, fromDay: number): number | null {
    const first = Date.UTC(year, month - 1, 1) / DAY;
    const daysInMonth = Date.UTC(year, month, 1) / DAY - first;
    for (let day = fromDay; day <= daysInMonth; day++) {
      const weekday = (first + day - 1 + WEEKDAY_OF_EPOCH) % 7;
      if (this.#pattern.matchesDay(day, weekday, daysInMonth)) return first + day - 1;
    }
    return null;
  }
}
