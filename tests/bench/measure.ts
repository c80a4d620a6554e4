/**
 * What the benchmarks against a raw loop share: tasks, ways to initiate and drain them, and medians of runs that
 * alternate.
 *
 * @module
 */

import { type Kit, type Task, TaskHandler } from "../../mod.ts";

const CHUNK = 1_000;

/** ~100 bytes as JSON, as in the benchmarks of the field. */
export const payload = (id: number) => ({ id, t: 0, kind: "noop", pad: "x".repeat(58) });

/** Does nothing. */
export class Noop extends TaskHandler {
  static onStart: (task: Task) => void = () => {};
  override handle(task: Task): null {
    Noop.onStart(task);
    return null;
  }
}

/** The milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The value that so much of the others lies below. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

/** Two ways to do the same, each of which returns the milliseconds it took. */
export interface Comparison {
  readonly name: string;
  /** How many tasks. */
  readonly count: number;
  readonly kit: () => Promise<number>;
  readonly raw: () => Promise<number>;
}

/** Measures all of them, alternating, and prints the medians and their ratios. */
export async function compare(
  comparisons: readonly Comparison[],
  repetitions: number,
): Promise<void> {
  const times = comparisons.map((comparison) => ({ ...comparison, kitMs: [0], rawMs: [0] }));
  for (const time of times) time.kitMs.length = time.rawMs.length = 0;
  for (let i = 0; i < repetitions; i++) {
    for (const { kit, raw, kitMs, rawMs } of times) {
      rawMs.push(await raw());
      kitMs.push(await kit());
    }
  }
  for (const { name, count, kitMs, rawMs } of times) {
    const [kit, raw] = [quantile(kitMs, 0.5), quantile(rawMs, 0.5)];
    console.log(
      `${name.padEnd(42)} ${rate(count, kit)}/s   raw ${rate(count, raw)}/s   ratio ${
        (raw / kit).toFixed(2)
      }`,
    );
  }
}

function rate(count: number, ms: number): string {
  return Math.round(count / ms * 1_000).toLocaleString("en-US").padStart(9);
}

/** Initiates in calls of a thousand. */
export async function fill(kit: Kit, count: number): Promise<void> {
  for (let i = 0; i < count; i += CHUNK) {
    const size = Math.min(CHUNK, count - i);
    await kit.initiateTasks(
      Array.from({ length: size }, (_, j) => ({ group: "a", name: "noop", data: payload(i + j) })),
    );
  }
}

/** Initiates one by one, so many calls at once. */
export async function initiate(kit: Kit, count: number, inFlight: number): Promise<void> {
  let i = 0;
  const lane = async () => {
    while (i < count) await kit.initiateTask("a", "noop", payload(i++));
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/** From the worker's start to the last outcome written. */
export function drain(kit: Kit, count: number, concurrency: number): Promise<number> {
  return timed(async () => {
    let left = count;
    const drained = Promise.withResolvers<void>();
    const worker = await kit.startWorker({
      groups: { a: concurrency },
      log: ({ event }) => {
        if (event === "task.succeeded" && --left === 0) drained.resolve();
      },
    });
    await drained.promise;
    void worker;
  });
}
