/**
 * The handler of tests/bench/executors.ts: work that computes, work that does nothing, and ways to misbehave.
 *
 * @module
 */

import process from "node:process";
import { type Task, type TaskContext, TaskHandler } from "../../mod.ts";

/** Steps of integer arithmetic that no engine leaves out. */
export function compute(steps: number): number {
  let x = 123_456_789;
  for (let i = 0; i < steps; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
  }
  return x;
}

/** The work and the mischief, by the task's name. */
export default class Handler extends TaskHandler {
  override async handle(task: Task, context: TaskContext): Promise<unknown> {
    switch (task.name) {
      case "compute":
        return compute(this.decodeData<number>(task));
      case "pid":
        return process.pid;
      case "flood the log":
        for (let i = 0; i < 200_000; i++) context.log.info("x".repeat(200), { i });
        return null;
      case "flood progress":
        for (let i = 0; i < 1_000_000; i++) context.progress(i / 1_000_000);
        return null;
      case "return 100 MB":
        return new Uint8Array(100_000_000);
      case "exit":
        process.exit(1);
        break;
      case "reject and forget":
        void Promise.reject(new Error("forgotten"));
        return await new Promise(() => {});
      case "compute until abandoned": {
        const end = performance.now() + 3_000;
        while (performance.now() < end) compute(1_000);
        return null;
      }
    }
    return null;
  }
}
