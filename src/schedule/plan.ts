/**
 * What to fire now. Pure: state, time and schedule go in; points and the next state come out. Whoever calls it commits
 * both together, checking that the state is still the one that went in, so that every point is decided once.
 *
 * The state is the last point that was decided, fired or not. It only moves forward: a clock that is set back decides
 * nothing a second time, and waits until time has caught up.
 *
 * A point that is due is **on time** while it is at most a minute old; that is longer than a slow commit or a restart of
 * the only worker takes, and shorter than what anyone calls an outage. If every due point is on time, all of them fire.
 * If one is older, nobody was there, and the schedule catches up: all due points but the newest were missed, and
 * `missed` says which of them fire; the newest fires anyway if it is on time.
 *
 * | due points at 15:00:05, hourly, after an outage since 10:30 | fires |
 * |---|---|
 * | `"latest"` | 15:00 |
 * | `"earliest"` | 11:00, 15:00 |
 * | `"all"` | 11:00, 12:00, 13:00, 14:00, 15:00 |
 * | `{ all: "2h" }` | 14:00, 15:00 |
 * | `"skip"` | 15:00 |
 *
 * The newest point is found by looking back over windows that double and then halving, so that the cost of an outage
 * grows with the logarithm of its length, never with the number of points in it.
 *
 * @module
 */

import { assert } from "@std/assert";
import { SECOND } from "@std/datetime/constants";
import { SCHEDULE_ON_TIME_MS, SCHEDULE_POINTS_MAX } from "../core/limits.ts";
import { nextPoint, readPolicies, type Schedule } from "./schedule.ts";

/** What is remembered of an entry. */
export interface EntryState {
  /** The last point that was decided, or when the entry began; epoch milliseconds. Every point up to it is done with. */
  readonly decidedMs: number;
  /** What the schedule was then; see {@linkcode fingerprintOf}. */
  readonly fingerprint: string;
}

/** What {@linkcode plan} is told about an entry. */
export interface PlanOptions {
  /** What is remembered; `null` for an entry that is new. */
  readonly state: EntryState | null;
  /** The wall clock, in epoch milliseconds. */
  readonly nowMs: number;
  /** The Kit's time zone. */
  readonly timeZone: string;
  /**
   * The most points to fire at once, at least 2.
   * @default 1000
   */
  readonly limit?: number;
}

/** What is to be done for an entry now. */
export interface Plan {
  /** The points to fire, in ascending order. */
  readonly points: readonly number[];
  /** What to remember when they are fired; the very object that went in if there is nothing to remember. */
  readonly state: EntryState;
  /** Whether more points are to be fired at once, by another plan from the new state. */
  readonly more: boolean;
  /** The first point that is not decided yet, to sleep until; `null` if there is none. */
  readonly nextMs: number | null;
}

/** Text that changes when the points of a schedule change, be it for its own sake or for the time zone's. */
export function fingerprintOf(schedule: Schedule, timeZone: string): string {
  return `${schedule.fingerprint ?? ""} ${schedule.timeZone ?? timeZone}`;
}

/**
 * What to remember of an entry when a worker starts. A new entry begins now: its first point is the first one after
 * now. So does one whose schedule was changed: what the old one left behind does not fire late. Any other goes on.
 */
export function begin(schedule: Schedule, options: PlanOptions): EntryState {
  const { state, nowMs, timeZone } = options;
  const fingerprint = fingerprintOf(schedule, timeZone);
  if (state?.fingerprint === fingerprint) return state;
  return { decidedMs: Math.max(nowMs, state?.decidedMs ?? 0), fingerprint };
}

/**
 * What to fire now.
 *
 * If the state was left by another schedule (two versions of a program run side by side during a deployment, and the
 * entry differs), points that are on time fire and missed ones do not; so each version's points fire while it runs.
 *
 * @throws {InvalidSchedule} If a schedule of the user's own breaks its contract.
 */
export function plan(schedule: Schedule, options: PlanOptions): Plan {
  const { nowMs, timeZone, limit = SCHEDULE_POINTS_MAX } = options;
  assert(limit >= 2, "a plan may fire the two points that a policy can name");
  const state = options.state ?? begin(schedule, options);
  const firstMs = nextPoint(schedule, state.decidedMs, timeZone);
  if (firstMs === null || firstMs > nowMs) {
    return { points: [], state, more: false, nextMs: firstMs };
  }

  const lastMs = lastPoint(schedule, { firstMs, nowMs, timeZone });
  const fingerprint = fingerprintOf(schedule, timeZone);
  const chosen = choose(schedule, { firstMs, lastMs, nowMs, timeZone, limit }, {
    changed: state.fingerprint !== fingerprint,
  });
  const decidedMs = chosen.more ? chosen.points[chosen.points.length - 1] ?? lastMs : lastMs;
  return {
    ...chosen,
    state: { decidedMs, fingerprint },
    nextMs: nextPoint(schedule, decidedMs, timeZone),
  };
}

/** The due points of an entry, from the first to the last. */
interface Due {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly nowMs: number;
  readonly timeZone: string;
  readonly limit: number;
}

/** Which of the due points fire. */
function choose(
  schedule: Schedule,
  due: Due,
  { changed }: { changed: boolean },
): Pick<Plan, "points" | "more"> {
  const { firstMs, lastMs, nowMs, timeZone, limit } = due;
  const onTimeMs = nowMs - SCHEDULE_ON_TIME_MS;
  const from = (fromMs: number) =>
    pointsBetween(schedule, { afterMs: fromMs - 1, untilMs: lastMs, timeZone, limit });
  if (firstMs >= onTimeMs) return from(firstMs);

  const { missed, windowMs } = readPolicies(schedule, "use a schedule");
  const horizonMs = Math.max(firstMs, Math.min(onTimeMs, nowMs - windowMs));
  const newest = lastMs >= onTimeMs ? [lastMs] : [];
  switch (changed ? "skip" : missed) {
    case "latest":
      return { points: lastMs >= horizonMs ? [lastMs] : [], more: false };
    case "earliest": {
      const { points } = pointsBetween(schedule, {
        afterMs: horizonMs - 1,
        untilMs: lastMs,
        timeZone,
        limit: 1,
      });
      return { points: [...new Set([...points, ...newest])], more: false };
    }
    case "all":
      return from(horizonMs);
    case "skip":
      return { points: newest, more: false };
  }
}

/** A stretch of time whose points are asked for. */
export interface PointsOptions {
  /** Points strictly after this; epoch milliseconds. */
  readonly afterMs: number;
  /** Points up to and including this. */
  readonly untilMs: number;
  /** The Kit's time zone. */
  readonly timeZone: string;
  /**
   * The most points to return.
   * @default 1000
   */
  readonly limit?: number;
}

/** The points in a stretch of time, in ascending order, and whether there are more of them than the limit. */
export function pointsBetween(
  schedule: Schedule,
  options: PointsOptions,
): Pick<Plan, "points" | "more"> {
  const { afterMs, untilMs, timeZone, limit = SCHEDULE_POINTS_MAX } = options;
  const points: number[] = [];
  let point = nextPoint(schedule, afterMs, timeZone);
  while (point !== null && point <= untilMs) {
    if (points.length >= limit) return { points, more: true };
    points.push(point);
    point = nextPoint(schedule, point, timeZone);
  }
  return { points, more: false };
}

/** The last point up to now, given one of them. */
function lastPoint(
  schedule: Schedule,
  { firstMs, nowMs, timeZone }: Pick<Due, "firstMs" | "nowMs" | "timeZone">,
): number {
  // Always: `knownMs` is a point, and no point lies after `emptyMs` up to now.
  let knownMs = firstMs;
  let emptyMs = nowMs;
  const lookAfter = (afterMs: number): boolean => {
    const point = nextPoint(schedule, afterMs, timeZone);
    if (point === null || point > nowMs) {
      emptyMs = afterMs;
      return false;
    }
    knownMs = point;
    return true;
  };
  for (let windowMs = SECOND; nowMs - windowMs > knownMs; windowMs *= 2) {
    lookAfter(nowMs - windowMs);
  }
  while (knownMs < emptyMs && lookAfter(knownMs)) {
    const middleMs = Math.floor((knownMs + emptyMs) / 2);
    if (middleMs > knownMs) lookAfter(middleMs);
  }
  return knownMs;
}
