/**
 * I8: a result that is read is the result of the attempt that succeeded; "not found" is said of what is not there.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** The checker of I8. */
export const results: MakeChecker = (witness) => {
  const { view } = witness;
  /** The states that a task has ended in, with the attempt. Retries make it several. */
  const ends = new Map<string, Set<string>>();
  const goneAtMs = new Map<string, number>();
  const revived = new Set<string>();
  return {
    commit({ event, tasks }) {
      for (const { id, before, after } of tasks) {
        if (before !== null && before.endedMs !== null && after?.state === "queued") {
          revived.add(id);
        }
        if (after === null) goneAtMs.set(id, event.atMs);
        else if (after.endedMs !== null) {
          const seen = ends.get(id) ?? new Set();
          const isSuccess = after.state === "succeeded";
          ends.set(id, seen.add(isSuccess ? `succeeded ${after.attempt}` : after.state));
        }
      }
    },
    happened(happening) {
      if (happening.kind !== "result") return;
      const { id, answer, value, askedAtMs } = happening;
      if (view.damaged.has(id)) return;
      const record = view.tasks.get(id);
      const name = record?.name ?? id;
      // Who asks has a clock that is right.
      const { wallMs } = view.database;
      const expiresMs = record?.expiresMs ?? Infinity;
      if (answer === "not found") {
        if (record !== undefined && !goneAtMs.has(id) && wallMs < expiresMs) {
          witness.fail("I8", `the result of task ${name} was not found while the task is there`);
        }
        witness.cover("result not found after its ttl");
        return;
      }
      if (askedAtMs + view.database.time.wallStartMs > expiresMs && !revived.has(id)) {
        witness.fail("I8", `the result of task ${name} was read after its ttl`);
      }
      if (answer === "timed out") return;
      const attempt = typeof value === "object" && value !== null
        ? Reflect.get(value, "attempt")
        : undefined;
      const end = answer === "succeeded" ? `succeeded ${attempt}` : answer;
      if (!ends.get(id)?.has(end)) {
        witness.fail(
          "I8",
          `the result of task ${name} was read as ${end}; it ended as ` +
            `${[...ends.get(id) ?? []].join(", ") || "nothing yet"}`,
        );
      }
    },
  };
};
