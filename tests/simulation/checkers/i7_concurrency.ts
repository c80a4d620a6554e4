/**
 * I7: in one worker never more handlers of a group at once, under leases that are valid, than its concurrency.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";

/** The checker of I7. */
export const concurrency: MakeChecker = (witness) => {
  const { view, plan } = witness;
  const running = new Map<string, { by: string; id: string; attempt: number; group: string }>();
  const aborted = new Set<string>();
  return {
    happened(happening) {
      if (happening.kind === "aborted") {
        aborted.add(`${happening.by} ${happening.id} ${happening.attempt}`);
      }
      if (happening.kind !== "start" && happening.kind !== "end") return;
      const { by, id, attempt, group } = happening;
      const name = `${by} ${id} ${attempt}`;
      if (happening.kind === "end") {
        running.delete(name);
        return;
      }
      running.set(name, { by, id, attempt, group });
      const place = Number(/^worker (\d+)/.exec(by)?.[1] ?? -1);
      const most = plan.places[place]?.concurrency[group];
      if (most === undefined) return;
      let count = 0;
      for (const one of running.values()) {
        if (one.by !== by || one.group !== group) continue;
        const record = view.tasks.get(one.id);
        // What was told to stop and does not listen gives its slot away; its lease is on its way back.
        if (record?.state !== "running" || record.attempt !== one.attempt) continue;
        if (!aborted.has(`${one.by} ${one.id} ${one.attempt}`)) count++;
      }
      if (count > most) {
        witness.fail("I7", `${by} runs ${count} handlers of group ${group}; its bound is ${most}`);
      }
    },
  };
};
