/**
 * Kill −9 of one worker or of all at random moments, while tasks are initiated and cancelled.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Breach } from "./checker.ts";
import { Fleet, idle } from "./fleet.ts";

/** How large a run is. */
export interface KillsOptions {
  readonly tasks: number;
  readonly kills: number;
  readonly workers: number;
  /** Of the kills, every so manieth takes all workers at once. */
  readonly allEvery: number;
  readonly lease: string;
  /** After a death, its tasks run again within this. */
  readonly rescueMs: number;
  readonly handlerMs: number;
  /** Between two kills, at most. */
  readonly pauseMs: number;
  readonly kv?: string;
  readonly env?: Record<string, string>;
}

/** What came of a run. */
export interface KillsReport {
  readonly breaches: readonly Breach[];
  readonly kills: number;
  readonly tasks: number;
  readonly starts: number;
  readonly lost: number;
}

/** Kills workers until enough were killed, then lets the last ones finish. */
export async function runKills(options: KillsOptions): Promise<KillsReport> {
  await using fleet = new Fleet(options);
  const work = { concurrency: 8, lease: options.lease, poll: "500ms" };
  const initiator = fleet.spawn({
    role: "initiator",
    tasks: options.tasks,
    batch: 5,
    pauseMs: Math.max(1, options.kills * options.pauseMs / 2 / (options.tasks / 5)),
    handlerMs: options.handlerMs,
    cancels: 5,
  });
  let workers = await Promise.all(
    Array.from({ length: options.workers }, () => fleet.worker(work)),
  );
  let kills = 0;
  while (kills < options.kills) {
    await sleep(Math.random() * options.pauseMs);
    const isAll = (kills + 1) % options.allEvery === 0;
    const victims = isAll ? workers : workers.slice(0, 1);
    kills += victims.length;
    await Promise.all(victims.map((worker) => worker.kill()));
    const fresh = await Promise.all(victims.map(() => fleet.worker(work)));
    workers = [...workers.slice(victims.length), ...fresh];
  }
  await initiator.ended;
  {
    await using open = await fleet.open();
    await idle(open.kit, 60_000);
  }
  await Promise.all(workers.map((worker) => worker.stop()));
  const events = fleet.events();
  const count = (kind: string) => events.filter((event) => event.kind === kind).length;
  return {
    breaches: await fleet.verify({ concurrency: 8, rescueMs: options.rescueMs }),
    kills,
    tasks: events.reduce(
      (sum, event) => sum + (event.kind === "initiated" ? event.ids.length : 0),
      0,
    ),
    starts: count("start"),
    lost: events.filter((event) => event.kind === "log" && event.event === "task.lost").length,
  };
}
