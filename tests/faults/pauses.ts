/**
 * SIGSTOP of a worker for a part of its lease or several leases' time, while others go on.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Breach } from "./checker.ts";
import { Fleet, idle } from "./fleet.ts";

/** How large a run is. */
export interface PausesOptions {
  readonly cycles: number;
  readonly leaseMs: number;
  /** A pause lasts between these many leases. */
  readonly leasesMin: number;
  readonly leasesMax: number;
  readonly kv?: string;
  readonly env?: Record<string, string>;
}

/** What came of a run. */
export interface PausesReport {
  readonly breaches: readonly Breach[];
  readonly cycles: number;
  readonly tasks: number;
  /** Handlers that were told, on waking or later, that their lease was lost. */
  readonly aborted: number;
  /** Outcomes of attempts that were overtaken, and refused. */
  readonly refused: number;
  /** Times that a worker was declared dead. */
  readonly rescues: number;
}

/** A lease's time without a heartbeat, found out in two sweeps of a third of it. */
const LEASES_DEADLY = 1.8;

/** Suspends one of three workers again and again; each time it wakes among others that took its tasks. */
export async function runPauses(options: PausesOptions): Promise<PausesReport> {
  const { leaseMs, cycles } = options;
  await using fleet = new Fleet(options);
  const work = { concurrency: 4, lease: `${leaseMs}ms`, poll: "500ms" };
  const workers = await Promise.all([0, 1, 2].map(() => fleet.worker(work)));
  const meanMs = leaseMs * (options.leasesMin + options.leasesMax) / 2 + 200;
  const initiator = fleet.spawn({
    role: "initiator",
    forMs: cycles * meanMs,
    batch: 2,
    pauseMs: leaseMs / 4,
    // Some would end while their worker sleeps, some after the fence has fallen.
    handlerMs: 1.6 * leaseMs,
  });
  await initiator.ready;
  await using open = await fleet.open();
  for (let n = 0; n < cycles; n++) {
    const leases = options.leasesMin + Math.random() * (options.leasesMax - options.leasesMin);
    // Long enough to be declared dead: then one handler at least is still there to be told on waking.
    const victim = leases > LEASES_DEADLY ? await fleet.hang(open.kit) : workers[n % 3];
    await sleep(Math.random() * 100);
    victim?.suspend();
    await sleep(leases * leaseMs);
    victim?.resume();
  }
  await initiator.ended;
  await idle(open.kit, 60_000);
  await Promise.all(workers.map((worker) => worker.stop()));
  const events = fleet.events();
  return {
    // Nobody died, and what was suspended is late by the pause itself: nothing to be said of the rescue.
    breaches: await fleet.verify({ concurrency: 4, rescueMs: Infinity }),
    cycles,
    tasks: events.reduce((sum, e) => sum + (e.kind === "initiated" ? e.ids.length : 0), 0),
    aborted: events.filter((e) => e.kind === "end" && e.aborted === "LEASE_LOST").length,
    refused: events.filter((e) => e.kind === "log" && e.event === "task.lost").length,
    rescues: events.filter((e) => e.kind === "log" && e.event === "worker.rescued").length,
  };
}
