/**
 * I9: no call answers success unless it is proven, nor failure unless it is impossible for ever. In a calm run every claim
 * is the start of a handler, or was given back.
 *
 * @module
 */

import { isTerminal } from "../../../src/core/task.ts";
import type { MakeChecker } from "../witness.ts";

/** The checker of I9. */
export const answers: MakeChecker = (witness) => {
  const { view, plan } = witness;
  const refused = new Map<string, string>();
  const existed = new Set<string>();
  const ended = new Set<string>();
  const asked = new Set<string>();
  const revived = new Set<string>();
  const isCalm = plan.profile === "calm" || plan.profile === "backlog";
  let starts = 0;
  const count = new Map<string, { attempt: number; released: number }>();

  const contradict = (name: string) => {
    const why = refused.get(name);
    if (why !== undefined && existed.has(name)) {
      witness.fail("I9", `the call that initiates task ${name} failed (${why}); the task exists`);
    }
  };
  return {
    commit({ event, tasks, leases }) {
      if (event.kind === "planted") return;
      for (const { id, before, after } of tasks) {
        if (after === null) continue;
        if (before === null && after.scheduledMs === null) {
          existed.add(after.name);
          // An eager task is run before it exists.
          starts += after.attempt;
          contradict(after.name);
        }
        if (before !== null && isTerminal(before.state) && after.state === "queued") {
          revived.add(id);
        }
        if (isTerminal(after.state)) ended.add(id);
        // A claim whose task was cancelled before it was started ends as that.
        const isCancelled = after.state === "cancelled" && before?.state === "running";
        const released = after.released + (isCancelled ? 1 : 0);
        count.set(id, { attempt: after.attempt, released });
      }
      for (const { after } of leases) for (const id of after?.cancel ?? []) asked.add(id);
    },
    happened(happening) {
      switch (happening.kind) {
        case "start":
          if (view.tasks.has(happening.id)) starts++;
          break;
        case "refused":
          for (const name of happening.names) {
            refused.set(name, happening.why);
            contradict(name);
          }
          break;
        case "unknown":
          witness.cover("outcome told as unknown");
          break;
        case "undocumented":
          witness.fail("I9", `${happening.what} failed as nobody says: ${happening.error}`);
          break;
        case "answers": {
          const { what, id, answer } = happening;
          if (view.damaged.has(id)) break;
          const name = view.tasks.get(id)?.name ?? id;
          const isTrue = what === "retry"
            ? answer !== "ok" || revived.has(id)
            : answer === "requested"
            ? asked.has(id)
            : answer === "cancelled" || answer === "ended"
            ? ended.has(id)
            : true;
          if (!isTrue) {
            witness.fail("I9", `the ${what} of task ${name} was answered ${answer}; it is not so`);
          }
          break;
        }
      }
    },
    end() {
      if (!isCalm || revived.size > 0) return;
      let claims = 0;
      for (const { attempt, released } of count.values()) claims += attempt - released;
      // An attempt that was started and given back counts as a start, not as a claim.
      if (claims > starts) {
        witness.fail("I9", `${claims} claims led to ${starts} starts in a calm run`);
      }
    },
  };
};
