/**
 * I11: a crash uses up an attempt; three lost leases in a row fail the task as poison; a graceful stop uses none.
 *
 * @module
 */

import { LOST_LEASES_MAX } from "../../../src/core/limits.ts";
import type { MakeChecker } from "../witness.ts";

/** The checker of I11. */
export const blame: MakeChecker = (witness) => {
  const { view, plan } = witness;
  /** Leases lost in a row, counted anew. */
  const lost = new Map<string, number>();
  const retries = new Map<string, number>();
  return {
    commit({ event, by, tasks }) {
      if (event.kind !== "commit") return;
      for (const { id, before, after } of tasks) {
        if (before?.state !== "running" || after === null || before.lease === null) continue;
        if (view.damaged.has(id)) continue;
        const { name } = after;
        const owner = view.owners.get(before.lease.worker);
        const isOthers = owner !== undefined && owner !== by;
        const isBack = after.state === "queued";
        const isGivenBack = after.released === before.released + 1;
        if (after.released !== before.released && !(isBack && isGivenBack)) {
          witness.fail(
            "I11",
            `task ${name} has ${after.released} releases after ${before.released}`,
          );
        }
        // Under an id of its own that was declared dead, a worker may rescue itself.
        const isLost = isBack && !isGivenBack && after.lost > 0 && after.error === before.error ||
          after.error?.code === "TASK_POISONED";
        const isRescue = isOthers && after.state !== "cancelled" || after.lost > before.lost;
        if (isRescue) {
          const now = (lost.get(id) ?? 0) + 1;
          lost.set(id, now);
          if (isGivenBack) witness.fail("I11", `task ${name} was rescued without blame`);
          if (after.lost !== now) {
            witness.fail(
              "I11",
              `task ${name} lost ${now} leases in a row; its record says ${after.lost}`,
            );
          }
          if ((now >= LOST_LEASES_MAX) !== (after.state === "failed")) {
            witness.fail("I11", `task ${name} lost ${now} leases in a row and is ${after.state}`);
          }
          if (after.state === "failed") {
            witness.cover("poison");
            if (after.error?.code !== "TASK_POISONED") {
              witness.fail("I11", `task ${name} lost ${now} leases and does not say so`);
            }
          }
        } else {
          if (isLost) {
            witness.fail("I11", `task ${name} was held to have lost its lease by its owner`);
          }
          // A task that is given back has proven nothing; one that came to an end of its own has.
          if (!isGivenBack) lost.delete(id);
          if (isBack) {
            if (after.lost !== (lost.get(id) ?? 0)) {
              witness.fail("I11", `task ${name} came back with ${after.lost} lost leases`);
            }
            if (isGivenBack) witness.cover("attempt given back");
            else {
              retries.set(id, (retries.get(id) ?? 0) + 1);
              witness.cover("retry");
            }
          }
        }
      }
      for (const { id, before, after } of tasks) {
        // An eager task that is to be retried begins with one.
        if (before === null && after?.state === "queued") retries.set(id, after.attempt);
        // Started anew: everything is forgiven.
        if (before !== null && before.endedMs !== null && after?.state === "queued") {
          lost.delete(id);
          retries.set(id, Math.max(0, after.attempt - after.released));
        }
      }
    },
    end() {
      if (plan.profile !== "calm" && plan.profile !== "backlog") return;
      for (const [id, { name, attempt, released, lost }] of view.tasks) {
        if (view.damaged.has(id)) continue;
        if (lost > 0) witness.fail("I11", `task ${name} lost a lease in a calm run`);
        const used = attempt - released - (retries.get(id) ?? 0);
        if (used > 1) {
          witness.fail("I11", `graceful stops used ${used - 1} attempts of task ${name} up`);
        }
      }
    },
  };
};
