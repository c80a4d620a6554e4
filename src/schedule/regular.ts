/**
 * Schedules by fields: which seconds, minutes, hours, days, weekdays and months match.
 *
 * @module
 */

import type { Duration } from "../core/duration.ts";
import { shown } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { Calendar } from "./calendar.ts";
import {
  type MissedPolicy,
  type OverlapPolicy,
  readPolicies,
  refuseUnknown,
  type Schedule,
  type SchedulePolicies,
} from "./schedule.ts";
import { zoneOf } from "./zone.ts";

/** Which values of a field match: all of them (`"*"`), one, or each that is listed. */
export type ScheduleField = "*" | number | readonly number[] | ReadonlySet<number>;

/** Which instants a {@linkcode RegularSchedule} names: those at which every field matches. */
export interface RegularScheduleFields {
  /**
   * 0–59
   * @default 0
   */
  readonly seconds?: ScheduleField;
  /**
   * 0–59
   * @default "*"
   */
  readonly minutes?: ScheduleField;
  /**
   * 0–23
   * @default "*"
   */
  readonly hours?: ScheduleField;
  /**
   * Days of the month, 1–31; months without such a day are passed over.
   * @default "*"
   */
  readonly days?: ScheduleField;
  /**
   * 0–6, from Monday to Sunday. (In cron, 0 is Sunday.)
   * @default "*"
   */
  readonly weekdays?: ScheduleField;
  /**
   * 1–12
   * @default "*"
   */
  readonly months?: ScheduleField;
}

/** The fields and policies of a {@linkcode RegularSchedule}. */
export interface RegularScheduleOptions extends RegularScheduleFields, SchedulePolicies {}

/** Least and greatest value of each field, and what it is when left out. */
const FIELDS = {
  seconds: { min: 0, max: 59, initial: 0 },
  minutes: { min: 0, max: 59, initial: "*" },
  hours: { min: 0, max: 23, initial: "*" },
  days: { min: 1, max: 31, initial: "*" },
  weekdays: { min: 0, max: 6, initial: "*" },
  months: { min: 1, max: 12, initial: "*" },
} as const;
type FieldName = keyof typeof FIELDS;

const OPTIONS = [...Object.keys(FIELDS), "timeZone", "missed", "overlap", "jitter"];
const ACT = "create a RegularSchedule";

/**
 * A schedule by fields. A point is an instant at which *every* field matches (cron joins days and weekdays with "or").
 *
 * When clocks are changed, a schedule of fixed times (seconds, minutes and hours all named) fires each time once: one
 * that is left out fires when the gap ends, one that comes twice fires the first time. A schedule with `"*"` seconds,
 * minutes or hours runs on: it fires at every matching time that the clocks show, both times if it comes twice.
 *
 * @example Twice an hour, and at 04:30 on the first Monday of a quarter
 * ```ts
 * import { RegularSchedule } from "@taskkit/taskkit";
 *
 * const halfHours = new RegularSchedule({ minutes: [0, 30], timeZone: "Asia/Tokyo" });
 * const quarters = new RegularSchedule({
 *   minutes: 30,
 *   hours: 4,
 *   days: [1, 2, 3, 4, 5, 6, 7],
 *   weekdays: 0,
 *   months: [1, 4, 7, 10],
 *   missed: "all",
 * });
 * console.log(halfHours.next(Date.UTC(2026, 0, 1), "UTC") === Date.UTC(2026, 0, 1, 0, 30)); // true
 * console.log(quarters.next(Date.UTC(2026, 0, 1), "UTC") === Date.UTC(2026, 0, 5, 4, 30)); // true
 * ```
 */
export class RegularSchedule implements Schedule {
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
  readonly #fields: Required<RegularScheduleFields>;
  readonly #calendar: Calendar;

  /**
   * Builds the schedule; without options it fires every minute.
   *
   * @throws {InvalidSchedule} If a field has a value that it cannot have, if no day ever matches (February 31), or if a
   * policy, the time zone or the name of an option is wrong.
   */
  constructor(options: RegularScheduleOptions = {}) {
    refuseUnknown(options, OPTIONS, ACT);
    readPolicies(options, ACT);
    const { missed = "latest", overlap = "allow", jitter = 0, timeZone } = options;
    this.missed = missed;
    this.overlap = overlap;
    this.jitter = jitter;
    if (timeZone !== undefined) this.timeZone = timeZone;

    const fields = {
      seconds: readField("seconds", options.seconds),
      minutes: readField("minutes", options.minutes),
      hours: readField("hours", options.hours),
      days: readField("days", options.days),
      weekdays: readField("weekdays", options.weekdays),
      months: readField("months", options.months),
    };
    const [days, weekdays] = [valuesOf("days", fields.days), valuesOf("weekdays", fields.weekdays)];
    this.#calendar = new Calendar({
      seconds: valuesOf("seconds", fields.seconds),
      minutes: valuesOf("minutes", fields.minutes),
      hours: valuesOf("hours", fields.hours),
      months: new Set(valuesOf("months", fields.months)),
      years: null,
      matchesDay: (day, weekday) => days.includes(day) && weekdays.includes(weekday),
      fixed: fields.seconds !== "*" && fields.minutes !== "*" && fields.hours !== "*",
    });
    if (!this.#calendar.matchesSomeDay) {
      throw new InvalidSchedule(
        `Cannot ${ACT}: it would never fire, for no month of ${fields.months} has a day ${fields.days}`,
      );
    }
    this.#fields = fields;
    this.fingerprint = `regular ${Object.values(fields).join(" ")}`;
  }

  /** The first point strictly after `after`, in epoch milliseconds. */
  next(after: number, timeZone: string): number | null {
    return this.#calendar.next(after, zoneOf(this.timeZone ?? timeZone));
  }

  /** The schedule as plain data: how the database keeps it. */
  toJSON(): { kind: "regular" } & RegularScheduleOptions {
    const { missed, overlap, jitter, timeZone } = this;
    const zone = timeZone === undefined ? {} : { timeZone };
    return { kind: "regular", ...this.#fields, missed, overlap, jitter, ...zone };
  }
}

/** Checks a field; equal sets come out equal, and the set of all values comes out as `"*"`. */
function readField(
  name: FieldName,
  field: ScheduleField = FIELDS[name].initial,
): "*" | readonly number[] {
  if (field === "*") return field;
  const { min, max } = FIELDS[name];
  const count = max - min + 1;
  const refuse = (what: string): never => {
    const days = name === "weekdays" ? " (0 is Monday)" : "";
    throw new InvalidSchedule(
      `Cannot ${ACT}: ${name} ${what}; valid are "*" and the numbers ${min} to ${max}${days}`,
    );
  };
  const listed = typeof field === "number" ? [field] : field;
  const size = Array.isArray(listed) ? listed.length : listed instanceof Set ? listed.size : -1;
  if (size < 0) return refuse(`is ${shown(field)}`);
  if (size === 0) return refuse("lists no value");
  if (size > count) return refuse(`lists ${size} values`);
  const values = new Set<number>();
  for (const value of listed) {
    if (!Number.isInteger(value) || value < min || value > max) refuse(`has ${shown(value)}`);
    values.add(value);
  }
  return values.size === count ? "*" : Object.freeze([...values].sort((a, b) => a - b));
}

function valuesOf(name: FieldName, field: "*" | readonly number[]): readonly number[] {
  const { min, max } = FIELDS[name];
  return field === "*" ? Array.from({ length: max - min + 1 }, (_, i) => min + i) : field;
}
