/**
 * Rolling deploys: one of three workers after the other is asked to end and replaced, while tasks come in.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Breach } from "./checker.ts";
import { Fleet, idle } from "./fleet.ts";

/** What came of a run. */
export interface DeploysReport {
  readonly breaches: readonly Breach[];
  readonly replaced: number;
  readonly tasks: number;
  /** Attempts that were given back when the grace was over. */
  readonly released: number;
}

/** Replaces workers, one every `everyMs`. A grace shorter than the handlers makes workers give back what they run. */
export async function runDeploys(
  options: { replace: number; everyMs: number; graceMs: number; handlerMs: number },
): Promise<DeploysReport> {
  await using fleet = new Fleet();
  const work = { concurrency: 4, grace: `${options.graceMs}ms`, poll: "1s" };
  const workers = await Promise.all([0, 1, 2].map(() => fleet.worker(work)));
  const initiator = fleet.spawn({
    role: "initiator",
    // More than the workers can run, so that each of them is busy when it is asked to end.
    batch: 8,
    pauseMs: options.handlerMs / 2,
    handlerMs: options.handlerMs,
  });
  await initiator.ready;
  for (let n = 0; n < options.replace; n++) {
    await sleep(options.everyMs);
    // The new one first, as deploys do.
    const fresh = await fleet.worker(work);
    const old = workers.shift();
    workers.push(fresh);
    await old?.stop();
  }
  await initiator.stop();
  {
    await using open = await fleet.open();
    await idle(open.kit, 60_000);
  }
  await Promise.all(workers.map((worker) => worker.stop()));
  const events = fleet.events();
  return {
    breaches: await fleet.verify({ concurrency: 4, rescueMs: Infinity, isGraceful: true }),
    replaced: options.replace,
    tasks: events.reduce((sum, e) => sum + (e.kind === "initiated" ? e.ids.length : 0), 0),
    released: events.filter((e) => e.kind === "log" && e.event === "task.released").length,
  };
}
