/**
 * I15: everything makes progress. Its proof is the end of every run: in health all that lives ends (I1), and no stop, call
 * or loop hangs; here is what the world tells of those.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** A stop takes its grace, the handler's grace, two answers of the database, and what is left of a lease. */
const STOP_SLACK_MS = 130_000;

/** The checker of I15 and I16. */
export const progress: MakeChecker = (witness) => {
  const stopping = new Map<string, number>();
  const stopped = new Set<string>();
  return {
    happened(happening) {
      switch (happening.kind) {
        case "stopping":
          stopping.set(happening.by, witness.nowMs() + (happening.graceMs ?? 0) + STOP_SLACK_MS);
          break;
        case "stopped": {
          const untilMs = stopping.get(happening.by) ?? Infinity;
          stopped.add(happening.by);
          stopping.delete(happening.by);
          if (witness.nowMs() > untilMs) {
            witness.fail("I16", `${happening.by} stopped ${witness.nowMs() - untilMs} ms too late`);
          }
          break;
        }
        case "suspended":
        case "killed":
          stopping.delete(happening.by);
          break;
        case "start":
          if (stopped.has(happening.by)) {
            witness.fail("I16", `${happening.by} has stopped and runs task t${happening.work.n}`);
          }
          break;
      }
    },
    end() {
      for (const [by, untilMs] of stopping) {
        if (witness.nowMs() > untilMs) witness.fail("I16", `${by} never stopped`);
      }
    },
  };
};
