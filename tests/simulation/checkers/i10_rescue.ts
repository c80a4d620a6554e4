/**
 * I10: nobody takes tasks from a worker while its beats commit in time, and a worker whose beats do not commit in time runs
 * nothing. After a worker dies its tasks run again, or end, within 30 s with the default lease, if any worker lives.
 *
 * @module
 */

import { isTerminal } from "../../../src/core/task.ts";
import type { MakeChecker } from "../witness.ts";

/** Clocks that run up to a hundredth fast or slow. */
const RATE = 1.02;
const RESCUE_MS_MAX = 30_000;

/** The checker of I10. */
export const rescue: MakeChecker = (witness) => {
  const { view, plan } = witness;
  const isLive = plan.profile === "liveness";
  const orphans = new Map<string, number>();
  /** Since when each living worker works. */
  const up = new Map<string, number>();

  const settled = (id: string) => {
    const since = orphans.get(id);
    orphans.delete(id);
    if (since === undefined || view.damaged.has(id)) return;
    // While nobody lives, nobody can be late; and who was just started has to look for a lease's time first.
    const ms = witness.nowMs() - Math.max(since, Math.min(...up.values()));
    if (ms > RESCUE_MS_MAX) {
      const name = view.tasks.get(id)?.name ?? id;
      witness.fail("I10", `task ${name} was taken back ${ms} ms after its worker died`);
    }
  };

  return {
    commit({ event, by, tasks }) {
      for (const { id, before, after } of tasks) {
        if (orphans.has(id) && (after === null || before?.state === "running")) settled(id);
        if (event.kind !== "commit" || before?.state !== "running" || before.lease === null) {
          continue;
        }
        const owner = view.owners.get(before.lease.worker);
        if (owner === undefined || owner === by || view.damaged.has(id)) continue;
        witness.cover("rescue");
        const worker = view.workers.get(before.lease.worker);
        if (worker === undefined) {
          witness.cover("rescue of an orphan");
          continue;
        }
        const silentMs = event.atMs - worker.beatAtMs;
        if (silentMs * RATE < plan.leaseMs) {
          witness.fail(
            "I10",
            `${by} took task ${before.name} from ${owner}, whose last beat was ${silentMs} ms ago`,
          );
        }
      }
    },
    happened(happening) {
      switch (happening.kind) {
        case "up":
        case "resumed":
          up.set(happening.by, witness.nowMs());
          break;
        case "suspended":
        case "stopping":
          up.delete(happening.by);
          break;
        case "killed":
          up.delete(happening.by);
          if (!isLive) break;
          for (const [id, record] of view.tasks) {
            if (record.lease === null) continue;
            if (view.owners.get(record.lease.worker) === happening.by) {
              orphans.set(id, witness.nowMs());
            }
          }
          break;
        case "start": {
          const { by, id, work } = happening;
          const record = view.tasks.get(id);
          if (record === undefined || isTerminal(record.state) || record.lease === null) break;
          if (view.owners.get(record.lease.worker) !== by) break;
          if (record.attempt !== happening.attempt) break;
          const worker = view.workers.get(record.lease.worker);
          const silentMs = worker === undefined ? Infinity : witness.nowMs() - worker.beatAtMs;
          if (silentMs > plan.leaseMs * RATE) {
            witness.fail("I10", `${by} runs task t${work.n}, and last beat ${silentMs} ms ago`);
          }
          break;
        }
      }
    },
    end() {
      for (const id of orphans.keys()) settled(id);
    },
  };
};
