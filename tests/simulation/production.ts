/**
 * The code under test: the project's own, or a copy of it with a bug put in. The simulation takes nothing else from there.
 *
 * @module
 */

import { TaskHandler } from "../../src/core/handler.ts";
import { DiscardTask, OutcomeUnknown } from "../../src/core/errors.ts";
import { Kit } from "../../src/kit.ts";
import { IntervalSchedule } from "../../src/schedule/interval.ts";

/** What the simulation drives. */
export interface Production {
  readonly Kit: typeof Kit;
  readonly TaskHandler: typeof TaskHandler;
  readonly DiscardTask: typeof DiscardTask;
  readonly OutcomeUnknown: typeof OutcomeUnknown;
  readonly IntervalSchedule: typeof IntervalSchedule;
}

/** The project's own code. */
export const OWN: Production = { Kit, TaskHandler, DiscardTask, OutcomeUnknown, IntervalSchedule };
