/**
 * I2: attempts of a task grow by one a claim; no two commits make the same (task, attempt); no two handlers are given it.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** The checker of I2. */
export const attempts: MakeChecker = (witness) => {
  const { view } = witness;
  const claimed = new Map<string, string>();
  const started = new Set<string>();
  return {
    commit({ event, by, tasks }) {
      if (event.kind === "planted") return;
      for (const { id, before, after } of tasks) {
        if (after === null || before === null || view.damaged.has(id)) continue;
        const isClaim = before.state === "queued" && after.state === "running";
        const wanted = isClaim ? before.attempt + 1 : before.attempt;
        if (after.attempt !== wanted) {
          witness.fail(
            "I2",
            `attempt ${before.attempt} of task ${after.name} became ${after.attempt} when it went ` +
              `from ${before.state} to ${after.state}`,
          );
        }
        if (!isClaim) continue;
        const name = `${id} ${after.attempt}`;
        if (claimed.has(name)) {
          witness.fail("I2", `attempt ${after.attempt} of task ${after.name} was claimed twice`);
        }
        claimed.set(name, by);
      }
    },
    happened(happening) {
      if (happening.kind !== "start") return;
      const { by, id, attempt, work } = happening;
      const name = `${id} ${attempt}`;
      if (started.has(name)) {
        witness.fail("I2", `attempt ${attempt} of task t${work.n} was started twice`);
      }
      started.add(name);
      // An eager task is run before it exists.
      if (view.tasks.get(id) === undefined) return;
      if (claimed.get(name) !== by && !view.damaged.has(id)) {
        witness.fail(
          "I2",
          `${by} runs attempt ${attempt} of task t${work.n}, which it never claimed`,
        );
      }
    },
  };
};
