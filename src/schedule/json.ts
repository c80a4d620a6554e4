/**
 * Schedules as plain data, for entries that are kept in the database and for the command line.
 *
 * @module
 */

import { shown } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { CronSchedule } from "./cron.ts";
import { IntervalSchedule, type IntervalScheduleOptions } from "./interval.ts";
import { RegularSchedule, type RegularScheduleOptions } from "./regular.ts";
import type { SchedulePolicies } from "./schedule.ts";

/** What `toJSON()` of the schedules gives. */
export type ScheduleJSON =
  | ({ readonly kind: "regular" } & RegularScheduleOptions)
  | ({ readonly kind: "cron"; readonly pattern: string } & SchedulePolicies)
  | ({ readonly kind: "interval"; readonly every: number | string } & IntervalScheduleOptions);

/**
 * Builds the schedule that plain data describes. The data may come from anywhere: all of it is checked.
 *
 * @throws {InvalidSchedule} If it describes none.
 */
export function scheduleFromJSON(
  json: ScheduleJSON,
): RegularSchedule | CronSchedule | IntervalSchedule {
  if (typeof json !== "object" || json === null) {
    throw new InvalidSchedule(`Cannot read a schedule: ${shown(json)} is no object`);
  }
  switch (json.kind) {
    case "regular": {
      const { kind: _, ...options } = json;
      return new RegularSchedule(options);
    }
    case "cron": {
      const { kind: _, pattern, ...options } = json;
      return new CronSchedule(pattern, options);
    }
    case "interval": {
      const { kind: _, every, ...options } = json;
      return new IntervalSchedule(every, options);
    }
    default: {
      const { kind }: { kind?: unknown } = json;
      throw new InvalidSchedule(
        `Cannot read a schedule: its kind is ${shown(kind)}; ` +
          `valid are "regular", "cron" and "interval"`,
      );
    }
  }
}
