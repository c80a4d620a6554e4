/**
 * Schedules by cron pattern. This is the only file that knows croner.
 *
 * croner reads the pattern; the search is {@linkcode Calendar}'s. So cron patterns and fields do the same when clocks are
 * changed, a pattern that never matches is found out when it is written, and a schedule keeps some hundred bytes
 * instead of the 100 KB of a croner job (its table of years alone has 10,000 places).
 *
 * @module
 */

import { CronPattern } from "croner";
import type { Duration } from "../core/duration.ts";
import { shown } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { CRON_PATTERN_CHARS_MAX } from "../core/limits.ts";
import { Calendar, type CalendarPattern } from "./calendar.ts";
import {
  type MissedPolicy,
  type OverlapPolicy,
  readPolicies,
  refuseUnknown,
  type Schedule,
  type SchedulePolicies,
} from "./schedule.ts";
import { zoneOf } from "./zone.ts";

const ACT = "create a CronSchedule";
const OPTIONS = ["timeZone", "missed", "overlap", "jitter"];
const [SATURDAY, SUNDAY] = [5, 6];
/** How croner notes `5L`, the last Friday of a month, beside the bits of the first five. */
const LAST_BIT = 32;

/**
 * A schedule by cron pattern: five fields (minute, hour, day, month, weekday), six with seconds in front, seven with
 * years behind. Lists, ranges, steps and names (`MON`, `JAN`); `L` (last day, `FRI#L` last Friday), `15W` (nearest
 * working day), `MON#2` (second Monday), `@daily`, `@hourly`, `@weekly`, `@monthly`, `@yearly`. Weekdays are cron's: 0
 * and 7 are Sunday. Where both day and weekday are named, either is enough; with `+` before the weekday, both must match.
 *
 * When clocks are changed it does the same as a `RegularSchedule`; `*` and steps run on, named times fire once.
 *
 * @example Mondays at 04:30 in Berlin, and the last working day of each month
 * ```ts
 * import { CronSchedule } from "@taskkit/taskkit";
 *
 * const mondays = new CronSchedule("30 4 * * MON", { timeZone: "Europe/Berlin" });
 * const payday = new CronSchedule("0 9 LW * *", { missed: { latest: "2d" } });
 * console.log(mondays.next(Date.UTC(2026, 0, 1), "UTC") === Date.UTC(2026, 0, 5, 3, 30)); // true
 * console.log(payday.next(Date.UTC(2026, 0, 1), "UTC") === Date.UTC(2026, 0, 30, 9)); // true
 * ```
 */
export class CronSchedule implements Schedule {
  /** The pattern, with one space between its fields. */
  readonly pattern: string;
  /** What becomes of missed points. */
  readonly missed: MissedPolicy;
  /** What happens while the previous task has not ended. */
  readonly overlap: OverlapPolicy;
  /** The most that a task becomes due after its point. */
  readonly jitter: Duration;
  /** The zone whose clocks it follows; the Kit's if it is left out. */
  readonly timeZone?: string;
  /** Names the points. */
  readonly fingerprint: string;
  readonly #calendar: Calendar;

  /**
   * Builds the schedule.
   *
   * @throws {InvalidSchedule} If the pattern cannot be read or never matches (`0 0 31 2 *`), or if a policy, the time
   * zone or the name of an option is wrong.
   */
  constructor(pattern: string, options: SchedulePolicies = {}) {
    refuseUnknown(options, OPTIONS, ACT);
    readPolicies(options, ACT);
    const { missed = "latest", overlap = "allow", jitter = 0, timeZone } = options;
    this.missed = missed;
    this.overlap = overlap;
    this.jitter = jitter;
    if (timeZone !== undefined) this.timeZone = timeZone;

    this.#calendar = new Calendar(compile(readPattern(pattern)));
    if (!this.#calendar.matchesSomeDay) {
      throw new InvalidSchedule(
        `Cannot ${ACT}: ${shown(pattern)} would never fire, for no day matches it`,
      );
    }
    this.pattern = pattern.trim().split(/\s+/).join(" ");
    this.fingerprint = `cron ${this.pattern}`;
  }

  /** The first point strictly after `after`, in epoch milliseconds. */
  next(after: number, timeZone: string): number | null {
    return this.#calendar.next(after, zoneOf(this.timeZone ?? timeZone));
  }

  /** The schedule as plain data: how the database keeps it. */
  toJSON(): { kind: "cron"; pattern: string } & SchedulePolicies {
    const { pattern, missed, overlap, jitter, timeZone } = this;
    const zone = timeZone === undefined ? {} : { timeZone };
    return { kind: "cron", pattern, missed, overlap, jitter, ...zone };
  }
}

function readPattern(pattern: string): CronPattern {
  if (typeof pattern !== "string" || pattern.length > CRON_PATTERN_CHARS_MAX) {
    throw new InvalidSchedule(
      `Cannot ${ACT}: the pattern ${shown(pattern)} is no text of at most ` +
        `${CRON_PATTERN_CHARS_MAX} characters`,
    );
  }
  try {
    return new CronPattern(pattern, undefined, { fixedTimeRule: "no-wildcard" });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const reason = message.replace(/^CronPattern: /, "").replace(/\.$/, "");
    throw new InvalidSchedule(`Cannot ${ACT}: in ${shown(pattern)}, ${reason}`, { cause });
  }
}

function compile(pattern: CronPattern): CalendarPattern {
  const [seconds, minutes, hours] = [
    marked(pattern.second),
    marked(pattern.minute),
    marked(pattern.hour),
  ];
  return {
    seconds,
    minutes,
    hours,
    months: new Set(marked(pattern.month, 1)),
    years: pattern.starYear ? null : new Set(marked(pattern.year)),
    matchesDay: dayMatcher(pattern),
    fixed: pattern.isFixedTime && seconds.length < 60 && minutes.length < 60 && hours.length < 24,
  };
}

function dayMatcher(pattern: CronPattern): CalendarPattern["matchesDay"] {
  const { starDOM, starDOW, useAndLogic, lastDayOfMonth, lastWeekday } = pattern;
  const days = new Set(marked(pattern.day, 1));
  const nearest = marked(pattern.nearestWeekdays, 1);
  // croner's weeks begin on Sunday.
  const weekdayBits = [...pattern.dayOfWeek.slice(1, 7), ...pattern.dayOfWeek.slice(0, 1)];

  const matchesDayOfMonth = (day: number, weekday: number, daysInMonth: number): boolean => {
    const nearestTo = (wanted: number) => nearestWorkingDay(wanted, day, weekday, daysInMonth);
    return days.has(day) || (lastDayOfMonth && day === daysInMonth) ||
      (lastWeekday && day === nearestTo(daysInMonth)) ||
      nearest.some((wanted) => wanted <= daysInMonth && day === nearestTo(wanted));
  };
  const matchesWeekday = (day: number, weekday: number, daysInMonth: number): boolean => {
    const bits = weekdayBits[weekday] ?? 0;
    const nth = Math.floor((day - 1) / 7);
    return (bits & (1 << nth)) !== 0 || ((bits & LAST_BIT) !== 0 && day + 7 > daysInMonth);
  };
  return (day, weekday, daysInMonth) => {
    const inMonth = matchesDayOfMonth(day, weekday, daysInMonth);
    if (starDOW) return inMonth;
    const inWeek = matchesWeekday(day, weekday, daysInMonth);
    return useAndLogic || starDOM ? inMonth && inWeek : inMonth || inWeek;
  };
}

/** The working day nearest to a wanted day of the same month as `day`, whose weekday is known. */
function nearestWorkingDay(
  wanted: number,
  day: number,
  weekday: number,
  daysInMonth: number,
): number {
  switch ((weekday + wanted - day + 35) % 7) {
    case SATURDAY:
      return wanted === 1 ? wanted + 2 : wanted - 1;
    case SUNDAY:
      return wanted === daysInMonth ? wanted - 2 : wanted + 1;
    default:
      return wanted;
  }
}

/** The values that croner marked, where the first place of its table stands for `first`. */
function marked(table: readonly number[], first = 0): readonly number[] {
  return table.flatMap((mark, i) => mark ? [i + first] : []);
}
