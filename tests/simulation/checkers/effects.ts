/**
 * What `context.complete` writes exists once for each success, of the attempt that succeeded, in the commit that made it
 * so; what `kit.atomic` writes exists exactly if its tasks do.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** The checker of the user's own writes. */
export const effects: MakeChecker = (witness) => {
  const { view } = witness;
  const done = new Map<string, number>();
  return {
    commit(seen) {
      if (seen.event.kind !== "commit") return;
      for (const { key, after } of seen.effects) {
        if (after === null) continue;
        const [what, id, attempt] = key;
        if (what === "effect") {
          const change = seen.tasks.find((task) => task.id === id);
          const isOwn = change?.after?.state === "succeeded" && change.after.attempt === attempt;
          const name = view.tasks.get(String(id))?.name ?? id;
          if (!isOwn) {
            witness.fail(
              "exactly once",
              `attempt ${attempt} of task ${name} wrote without succeeding`,
            );
          }
          if (done.has(String(id))) witness.fail("exactly once", `task ${name} wrote twice`);
          done.set(String(id), Number(attempt));
        } else if (what === "order") {
          const isThere = seen.tasks.some((task) =>
            task.before === null && task.after?.name === id
          );
          if (!isThere) witness.fail("exactly once", `the write beside task ${id} came without it`);
        }
      }
    },
  };
};
