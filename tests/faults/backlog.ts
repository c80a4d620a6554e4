/**
 * A large backlog: the last tasks of it are claimed as fast as the first, in as much memory.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Kit, TaskHandler } from "../../mod.ts";
import { fill } from "./processes.ts";

/** What came of a run. */
export interface BacklogReport {
  readonly tasks: number;
  /** Tasks a second in each tenth of the backlog. */
  readonly perSecond: readonly number[];
  /** Memory of the process after each tenth, in MB. */
  readonly rssMb: readonly number[];
}

/** Fills a group, then drains it in this process. */
export async function runBacklog(options: { tasks: number }): Promise<BacklogReport> {
  const folder = await mkdtemp(join(tmpdir(), "taskkit-backlog-"));
  const tenth = options.tasks / 10;
  const perSecond: number[] = [];
  const rssMb: number[] = [];
  const done = Promise.withResolvers<void>();
  let count = 0;
  let since = 0;
  class Handler extends TaskHandler {
    override handle(): null {
      if (++count % tenth === 0) {
        const now = performance.now();
        perSecond.push(Math.round(tenth / (now - since) * 1_000));
        since = now;
        rssMb.push(Math.round(process.memoryUsage().rss / 2 ** 20));
        if (count === options.tasks) done.resolve();
      }
      return null;
    }
  }
  try {
    await using kit = await Kit.open({ kv: join(folder, "tasks.db"), handler: new Handler() });
    await fill(kit, options.tasks);
    since = performance.now();
    await using _worker = await kit.startWorker({ groups: { work: 50 } });
    await done.promise;
    return { tasks: options.tasks, perSecond, rssMb };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
