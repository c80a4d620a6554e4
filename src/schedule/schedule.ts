/**
 * What a schedule is: something that names its points, one after another, and says what becomes of points that
 * nobody fired in time. `RegularSchedule`, `CronSchedule` and `IntervalSchedule` are schedules; so is any object with
 * a `next()` that keeps the contract.
 *
 * @module
 */

import { type Duration, shown, toMilliseconds } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { INSTANT_MS_MAX } from "../core/limits.ts";
import { zoneOf } from "./zone.ts";

/**
 * What becomes of the points that were missed because no worker ran:
 *
 * | policy | fires |
 * |---|---|
 * | `"latest"` | the newest of them, once |
 * | `"earliest"` | the oldest of them, once |
 * | `"all"` | every one of them |
 * | `"skip"` | none |
 *
 * `{ all: "2d" }` (or `latest`, `earliest`) looks back no further than its window; older points are dropped. A point
 * that is at most a minute old is on time, not missed: it fires under every policy and in every window.
 */
export type MissedPolicy =
  | "latest"
  | "earliest"
  | "all"
  | "skip"
  | { readonly latest: Duration }
  | { readonly earliest: Duration }
  | { readonly all: Duration };

/**
 * What happens at a point while the task of an earlier point of the entry has not ended: `"allow"` initiates one more
 * beside it, `"skip"` leaves the point out.
 */
export type OverlapPolicy = "allow" | "skip";

/** What every kind of schedule may say beside its points. */
export interface SchedulePolicies {
  /**
   * What becomes of missed points.
   * @default "latest"
   */
  readonly missed?: MissedPolicy;
  /**
   * What happens while the previous task has not ended.
   * @default "allow"
   */
  readonly overlap?: OverlapPolicy;
  /**
   * Each task becomes due a random time after its point, up to this long, so that many entries with the same point do
   * not start at once. Milliseconds or text.
   * @default 0
   */
  readonly jitter?: Duration;
  /**
   * The IANA time zone whose clocks it follows.
   * @default the `timeZone` that the worker (or `kit.schedules.set`) was given, else UTC
   */
  readonly timeZone?: string;
}

/**
 * Something that recurs.
 *
 * @example A schedule of one's own: full hours whose number is a power of two
 * ```ts
 * import type { Schedule } from "@taskkit/taskkit";
 *
 * const HOUR = 3_600_000;
 * const schedule: Schedule = {
 *   missed: "skip",
 *   next(after) {
 *     for (let point = HOUR; point < 2 ** 53; point *= 2) if (point > after) return point;
 *     return null;
 *   },
 * };
 * console.log(schedule.next(3 * HOUR, "UTC")); // 14400000
 * ```
 */
export interface Schedule extends SchedulePolicies {
  /**
   * The first point strictly after `after`, both in whole epoch milliseconds; `null` if there is none. `timeZone` is
   * the Kit's, for a schedule without one of its own. The answer depends on the arguments alone, and a later `after`
   * never gives an earlier point.
   */
  next(after: number, timeZone: string): number | null;
  /**
   * Text that names the points: it differs where the points do. When it changes, the entry begins anew at that moment
   * instead of firing what the old schedule left behind.
   * @default ""
   */
  readonly fingerprint?: string;
}

/** Policies of a schedule with defaults filled in and durations in milliseconds. */
export interface ReadPolicies {
  /** Which of the missed points fire. */
  readonly missed: "latest" | "earliest" | "all" | "skip";
  /** How far back missed points are looked for; `Infinity` without a window. */
  readonly windowMs: number;
  readonly overlap: OverlapPolicy;
  readonly jitterMs: number;
}

/**
 * Reads the policies of a schedule. `act` begins the messages, such as `create a RegularSchedule`.
 *
 * @throws {InvalidSchedule} If one of them is none, or the time zone does not exist.
 */
export function readPolicies(policies: SchedulePolicies, act: string): ReadPolicies {
  const { missed = "latest", overlap = "allow", jitter = 0, timeZone } = policies;
  if (overlap !== "allow" && overlap !== "skip") {
    throw new InvalidSchedule(
      `Cannot ${act}: overlap is ${shown(overlap)}; valid are "allow" and "skip"`,
    );
  }
  if (timeZone !== undefined) zoneOf(timeZone);
  const jitterMs = readDuration(jitter, act, "jitter");
  return { ...readMissed(missed, act), overlap, jitterMs };
}

function readMissed(policy: MissedPolicy, act: string): Pick<ReadPolicies, "missed" | "windowMs"> {
  if (policy === "latest" || policy === "earliest" || policy === "all" || policy === "skip") {
    return { missed: policy, windowMs: Infinity };
  }
  const entries: [string, Duration][] = typeof policy === "object" && policy !== null
    ? Object.entries(policy)
    : [];
  const [kind, window] = entries[0] ?? ["", 0];
  if (entries.length !== 1 || (kind !== "latest" && kind !== "earliest" && kind !== "all")) {
    throw new InvalidSchedule(
      `Cannot ${act}: missed is ${shown(policy)}; ` +
        `valid are "latest", "earliest", "all", "skip", and a window such as { all: "2d" }`,
    );
  }
  return { missed: kind, windowMs: readDuration(window, act, `missed.${kind}`) };
}

/** Milliseconds of a duration that belongs to a schedule. */
export function readDuration(duration: Duration, act: string, what: string): number {
  try {
    return toMilliseconds(duration, what);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidSchedule(`Cannot ${act}: ${reason}`, { cause });
  }
}

/** Refuses options that are not known: a misspelled field would else count as left out, and fire far too often. */
export function refuseUnknown(options: object, known: readonly string[], act: string): void {
  if (typeof options !== "object" || options === null) {
    throw new InvalidSchedule(`Cannot ${act}: its options are ${shown(options)}, not an object`);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new InvalidSchedule(
      `Cannot ${act}: there is no option ${shown(key)}; valid are ${known.join(", ")}`,
    );
  }
}

/**
 * The first point after `afterMs`, checked: a schedule of the user's own may return anything.
 *
 * @throws {InvalidSchedule} If what it returns is no whole number of milliseconds after `afterMs`.
 */
export function nextPoint(schedule: Schedule, afterMs: number, timeZone: string): number | null {
  const point: unknown = schedule.next(afterMs, timeZone);
  if (point === null) return null;
  if (typeof point !== "number" || !Number.isSafeInteger(point) || point <= afterMs) {
    throw new InvalidSchedule(
      `Cannot use a schedule: its next point after ${afterMs} is ${shown(point)}; ` +
        `it must be null or a whole number of epoch milliseconds after that`,
    );
  }
  return point <= INSTANT_MS_MAX ? point : null;
}
