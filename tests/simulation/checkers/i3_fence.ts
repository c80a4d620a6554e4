/**
 * I3: what a worker changes of a running task commits only under the lease that the task runs under, and takes it out of
 * that lease.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** The checker of I3. */
export const fence: MakeChecker = (witness) => {
  const { view } = witness;
  return {
    commit({ event, by, tasks, leases }) {
      if (event.kind !== "commit") return;
      for (const { id, before, after } of tasks) {
        if (before === null || after === null || view.damaged.has(id)) continue;
        const ref = before.lease;
        if (before.state === "running" && ref !== null) {
          const lease = leases.find((change) => change.id === ref.id);
          const wasHeld = lease?.before?.tasks.includes(id) ?? false;
          const isLeft = lease !== undefined && !(lease.after?.tasks.includes(id) ?? false);
          if (!wasHeld || !isLeft) {
            witness.fail(
              "I3",
              `${by} changed task ${after.name} to ${after.state} without its lease ` +
                `(attempt ${before.attempt} of ${view.owners.get(ref.worker)})`,
            );
          }
        }
        if (after.state === "running") {
          const lease = leases.find((change) => change.id === after.lease?.id);
          if (!(lease?.before === null && lease.after?.tasks.includes(id))) {
            witness.fail("I3", `${by} claimed task ${after.name} without a lease of its own`);
          }
        }
      }
    },
  };
};
