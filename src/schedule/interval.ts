/**
 * Schedules by interval: every so many milliseconds of real time.
 *
 * @module
 */

import { type Duration, type Instant, shown, toEpochMs } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { SCHEDULE_INTERVAL_MS_MIN } from "../core/limits.ts";
import {
  type MissedPolicy,
  type OverlapPolicy,
  readDuration,
  readPolicies,
  refuseUnknown,
  type Schedule,
  type SchedulePolicies,
} from "./schedule.ts";

const ACT = "create an IntervalSchedule";
const OPTIONS = ["anchor", "missed", "overlap", "jitter"];

/** The anchor and policies of an {@linkcode IntervalSchedule}. It has no time zone: real time has none. */
export interface IntervalScheduleOptions extends Omit<SchedulePolicies, "timeZone"> {
  /**
   * One of the points; the others lie whole intervals before and after it.
   * @default 0, the start of 1970 in UTC: `"1h"` fires on the full hours of UTC
   */
  readonly anchor?: Instant;
}

/**
 * A schedule with a point every so many milliseconds, from 100 ms on, untouched by changes of clocks. The points hang on
 * the anchor, not on when a worker started, so all workers agree on them.
 *
 * @example Every 90 seconds, and every other Thursday at noon in UTC
 * ```ts
 * import { IntervalSchedule } from "@taskkit/taskkit";
 *
 * const beat = new IntervalSchedule("90s");
 * const fortnight = new IntervalSchedule("2w", { anchor: new Date("2026-01-01T12:00:00Z") });
 * console.log(beat.next(0)); // 90000
 * console.log(fortnight.next(Date.UTC(2026, 0, 2)) === Date.UTC(2026, 0, 15, 12)); // true
 * ```
 */
export class IntervalSchedule implements Schedule {
  /** From one point to the next, in milliseconds. */
  readonly everyMs: number;
  /** The first point since 1970, in epoch milliseconds. */
  readonly phaseMs: number;
  /** What becomes of missed points. */
  readonly missed: MissedPolicy;
  /** What happens while the previous task has not ended. */
  readonly overlap: OverlapPolicy;
  /** The most that a task becomes due after its point. */
  readonly jitter: Duration;
  /** Names the points. */
  readonly fingerprint: string;

  /**
   * Builds the schedule.
   *
   * @throws {InvalidSchedule} If `every` is no duration or shorter than 100 ms, or the anchor, a policy or the name of an
   * option is wrong.
   */
  constructor(every: Duration, options: IntervalScheduleOptions = {}) {
    refuseUnknown(options, OPTIONS, ACT);
    readPolicies(options, ACT);
    const { missed = "latest", overlap = "allow", jitter = 0, anchor = 0 } = options;
    this.missed = missed;
    this.overlap = overlap;
    this.jitter = jitter;

    this.everyMs = readDuration(every, ACT, "its interval");
    if (this.everyMs < SCHEDULE_INTERVAL_MS_MIN) {
      throw new InvalidSchedule(
        `Cannot ${ACT}: ${shown(every)} is shorter than ${SCHEDULE_INTERVAL_MS_MIN} ms`,
      );
    }
    this.phaseMs = readAnchor(anchor) % this.everyMs;
    this.fingerprint = `interval ${this.everyMs} ${this.phaseMs}`;
  }

  /** The first point strictly after `after`, in epoch milliseconds; the same in every time zone. */
  next(after: number, _timeZone?: string): number {
    const { everyMs, phaseMs } = this;
    return Math.max(phaseMs, (Math.floor((after - phaseMs) / everyMs) + 1) * everyMs + phaseMs);
  }

  /** The schedule as plain data: how the database keeps it. */
  toJSON(): { kind: "interval"; every: number } & IntervalScheduleOptions {
    const { everyMs, phaseMs, missed, overlap, jitter } = this;
    return { kind: "interval", every: everyMs, anchor: phaseMs, missed, overlap, jitter };
  }
}

function readAnchor(anchor: Instant): number {
  try {
    return toEpochMs(anchor, "its anchor");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidSchedule(`Cannot ${ACT}: ${reason}`, { cause });
  }
}
