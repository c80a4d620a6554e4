/**
 * I12: after a cancel commits no new attempt starts, and a running one ends as cancelled unless it succeeds first.
 *
 * @module
 */

import { isTerminal } from "../../../src/core/task.ts";
import type { MakeChecker } from "../witness.ts";

/** The checker of I12. */
export const cancel: MakeChecker = (witness) => {
  const { view } = witness;
  const asked = new Map<string, number>();
  return {
    commit({ event, tasks, leases }) {
      if (event.kind === "planted") return;
      for (const { after, before } of leases) {
        for (const id of after?.cancel ?? []) {
          if (before?.cancel.includes(id)) continue;
          asked.set(id, event.atMs);
          witness.cover("cancel of a running task");
        }
      }
      for (const { id, before, after } of tasks) {
        if (after === null || before === null || view.damaged.has(id)) continue;
        if (isTerminal(before.state)) {
          asked.delete(id);
          continue;
        }
        if (before.state === "queued" && after.state === "cancelled") {
          witness.cover("cancel of a queued task");
        }
        if (!asked.has(id)) continue;
        if (after.state === "running") {
          witness.fail("I12", `task ${after.name} was claimed after its cancel`);
        }
        if (after.state === "succeeded") witness.cover("cancel, then success");
        else if (after.state === "cancelled") witness.cover("cancel, then end");
        else witness.fail("I12", `task ${after.name} is ${after.state} after its cancel`);
      }
    },
    happened(happening) {
      if (happening.kind === "answers" && happening.what === "cancel") {
        if (happening.answer === "ended") witness.cover("end, then cancel");
      }
      if (happening.kind !== "aborted" || !asked.has(happening.id)) return;
      witness.cover("cancel reaches the handler");
    },
  };
};
