/**
 * Many claimers for few tasks, and many tasks that are due in the same millisecond.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Kit, type RunningWorker, type Task, TaskHandler } from "../../mod.ts";
import { openConnection } from "../../src/store/connection.ts";
import type { AtomicPort, KvPort } from "../../src/store/port.ts";

/** What came of a run. */
export interface CrowdReport {
  readonly claimers: number;
  readonly tasks: number;
  /** Attempts that ran; as many as there are tasks. */
  readonly starts: number;
  /** Claims whose commit failed, since another connection was first, for each task. */
  readonly lostPerTask: number;
  readonly problems: readonly string[];
}

/** Starts workers on connections of their own to one file, and gives them tasks that are all due at one instant. */
export async function runCrowd(
  options: { claimers: number; rounds: number; tasksPerRound: number; concurrency: number },
): Promise<CrowdReport> {
  const folder = await mkdtemp(join(tmpdir(), "taskkit-crowd-"));
  let lost = 0;
  let left = 0;
  const started = new Map<string, number>();
  let done = Promise.withResolvers<void>();
  class Handler extends TaskHandler {
    override handle(task: Task): void {
      started.set(task.id, (started.get(task.id) ?? 0) + 1);
      if (--left === 0) done.resolve();
    }
  }
  const kvs: KvPort[] = [];
  const kits: Kit[] = [];
  const workers: RunningWorker[] = [];
  try {
    for (let n = 0; n <= options.claimers; n++) {
      const { kv } = await openConnection(join(folder, "tasks.db"));
      kvs.push(kv);
      kits.push(await Kit.open({ kv: counting(kv, () => lost++), handler: new Handler() }));
    }
    const [own, ...others] = kits;
    if (own === undefined) throw new Error("no Kit was opened");
    for (const kit of others) {
      workers.push(
        await kit.startWorker({
          groups: { work: options.concurrency },
          lease: "3s",
          pollInterval: "200ms",
        }),
      );
    }
    // By then each has seen the others' heartbeats, and knows its place among them.
    await sleep(1_500);
    const before = lost;
    for (let round = 0; round < options.rounds; round++) {
      left = options.tasksPerRound;
      done = Promise.withResolvers();
      const due = new Date(Date.now() + 300);
      const entry = { group: "work", name: "work", due };
      await own.initiateTasks(Array.from({ length: options.tasksPerRound }, () => entry));
      await done.promise;
    }
    const lostPerTask = (lost - before) / (options.rounds * options.tasksPerRound);
    await Promise.all(workers.map((worker) => worker.stop()));
    const { problems } = await own.check();
    return {
      claimers: options.claimers,
      tasks: options.rounds * options.tasksPerRound,
      starts: [...started.values()].reduce((sum, n) => sum + n, 0),
      lostPerTask,
      problems: problems.map(({ message }) => message),
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.stop({ grace: 0 })));
    for (const kit of kits) await kit.close();
    for (const kv of kvs) kv.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tells of every claim that another connection was before. */
function counting(kv: KvPort, onLost: () => void): KvPort {
  return {
    get: (key) => kv.get(key),
    getMany: (keys) => kv.getMany(keys),
    list: (selector, options) => kv.list(selector, options),
    // All find the task by their poll, and wait for the same instant.
    watch: () => new ReadableStream(),
    close: () => kv.close(),
    atomic() {
      const atomic: AtomicPort = kv.atomic();
      const commit = atomic.commit.bind(atomic);
      const remove = atomic.delete.bind(atomic);
      let isClaim = false;
      atomic.delete = (key) => {
        isClaim ||= key[1] === "due";
        return remove(key);
      };
      atomic.commit = async () => {
        try {
          const answer = await commit();
          if (isClaim && !answer.ok) onLost();
          return answer;
        } catch (error) {
          if (isClaim) onLost();
          throw error;
        }
      };
      return atomic;
    },
  };
}
