/**
 * Taskkit against a raw loop of the same KV operations, on the same kind of file, alternating, in one run:
 *
 *     deno task bench                          # 20,000 and 200,000 tasks, three times each
 *     deno task bench --short                  # a smoke test
 *     bun tests/bench/main.ts                  # the same in Bun
 *
 * Medians are printed, with the ratio to the raw loop where there is one. Nothing here fails for being slow.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Kit, type Task, TaskHandler } from "../../mod.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { openConnection } from "../../src/store/connection.ts";
import { measureChecks } from "../../src/store/format.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import { benchLateness } from "./lateness.ts";
import { rawDrain, rawEnqueue } from "./raw_loop.ts";

const { values: flags } = parseArgs({ options: { short: { type: "boolean", default: false } } });
const repetitions = flags.short ? 1 : 3;
const many = flags.short ? 2_000 : 20_000;
const deep = flags.short ? 0 : 200_000;
const chunk = 1_000;
const folder = mkdtempSync(join(tmpdir(), "taskkit-bench-"));
let files = 0;
let measured = 0;

/** ~100 bytes as JSON, as in the benchmarks of the field. */
const payload = (id: number) => ({ id, t: 0, kind: "noop", pad: "x".repeat(58) });

class Noop extends TaskHandler {
  static onStart: (task: Task) => void = () => {};
  override handle(task: Task): null {
    Noop.onStart(task);
    return null;
  }
}

function newFile(): string {
  return join(folder, `${files++}.db`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

function rate(count: number, ms: number): string {
  return Math.round(count / ms * 1_000).toLocaleString("en-US").padStart(9);
}

/** Measures both, alternating, and prints the medians and their ratio. */
async function compare(
  name: string,
  count: number,
  kit: () => Promise<number>,
  raw: () => Promise<number>,
): Promise<void> {
  const kitMs: number[] = [];
  const rawMs: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    rawMs.push(await raw());
    kitMs.push(await kit());
  }
  const ratio = (median(rawMs) / median(kitMs)).toFixed(2);
  console.log(
    `${name.padEnd(42)} ${rate(count, median(kitMs))}/s   raw ${
      rate(count, median(rawMs))
    }/s   ratio ${ratio}`,
  );
  measured++;
}

async function withKit<T>(work: (kit: Kit) => Promise<T>): Promise<T> {
  await using kit = await Kit.open({ kv: newFile(), handler: new Noop() });
  return await work(kit);
}

async function withRaw<T>(
  work: (kv: Awaited<ReturnType<typeof openConnection>>["kv"]) => Promise<T>,
): Promise<T> {
  const { kv } = await openConnection(newFile());
  try {
    return await work(kv);
  } finally {
    kv.close();
  }
}

async function fill(kit: Kit, count: number): Promise<void> {
  for (let i = 0; i < count; i += chunk) {
    const size = Math.min(chunk, count - i);
    await kit.initiateTasks(
      Array.from({ length: size }, (_, j) => ({ group: "a", name: "noop", data: payload(i + j) })),
    );
  }
}

/** From the worker's start to the last outcome written. */
function drain(kit: Kit, count: number, concurrency: number): Promise<number> {
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

async function benchEnqueue(): Promise<void> {
  const singles = Math.min(many, 5_000);
  await compare("enqueue, one after another", singles, () =>
    withKit((kit) =>
      timed(async () => {
        for (let i = 0; i < singles; i++) await kit.initiateTask("a", "noop", payload(i));
      })
    ), () => withRaw((kv) => timed(() => rawEnqueue(kv, singles, { batch: 1, inFlight: 1 }))));
  await compare("enqueue, 100 in flight", many, () =>
    withKit((kit) =>
      timed(async () => {
        let i = 0;
        const lane = async () => {
          while (i < many) await kit.initiateTask("a", "noop", payload(i++));
        };
        await Promise.all(Array.from({ length: 100 }, lane));
      })
    ), () => withRaw((kv) => timed(() => rawEnqueue(kv, many, { batch: 1, inFlight: 100 }))));
  await compare(
    "enqueue, bulk of 1,000",
    many,
    () => withKit((kit) => timed(() => fill(kit, many))),
    () => withRaw((kv) => timed(() => rawEnqueue(kv, many, { batch: 450, inFlight: 1 }))),
  );
}

async function benchDrain(count: number, concurrencies: readonly number[]): Promise<void> {
  for (const concurrency of concurrencies) {
    await compare(
      `drain of ${count.toLocaleString("en-US")}, concurrency ${concurrency}`,
      count,
      () =>
        withKit(async (kit) => {
          await fill(kit, count);
          const rss = process.memoryUsage().rss / 1e6;
          const ms = await drain(kit, count, concurrency);
          if (count >= 100_000) {
            console.log(`  RSS ${rss.toFixed(0)} MB with ${count.toLocaleString("en-US")} queued`);
          }
          return ms;
        }),
      () =>
        withRaw(async (kv) => {
          await rawEnqueue(kv, count, { batch: 450, inFlight: 1 });
          const checks = await measureChecks(
            { kv, clock: systemClock, random: systemRandom },
            new Keyspace(["probe"]),
          );
          return await timed(() => rawDrain(kv, checks));
        }),
    );
  }
}

async function benchLatency(): Promise<void> {
  const start: number[] = [];
  const result: number[] = [];
  await withKit(async (kit) => {
    await kit.startWorker({ groups: { a: 10 } });
    const count = flags.short ? 20 : 200;
    for (let i = -20; i < count; i++) {
      const started = Promise.withResolvers<number>();
      Noop.onStart = () => started.resolve(performance.now());
      const at = performance.now();
      const handle = await kit.initiateTask("a", "noop", payload(i));
      const got = handle.get().then(() => performance.now());
      const startedAt = await started.promise;
      const gotAt = await got;
      if (i >= 0) {
        start.push(startedAt - at);
        result.push(gotAt - at);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  Noop.onStart = () => {};
  const line = (values: number[]) =>
    `p50 ${quantile(values, 0.5).toFixed(2)} ms   p99 ${quantile(values, 0.99).toFixed(2)} ms`;
  console.log(`${"idle, initiate → handler starts".padEnd(42)} ${line(start)}`);
  console.log(`${"idle, initiate → result".padEnd(42)} ${line(result)}`);
  measured += 2;
}

try {
  const runtime = globalThis.Deno?.version === undefined
    ? `Bun ${process.versions.bun}`
    : `Deno ${Deno.version.deno}`;
  console.log(`${runtime}, one SQLite file, one process, no-op handler; medians of ${repetitions}`);
  await benchEnqueue();
  await benchDrain(many, [1, 10, 100]);
  await benchLatency();
  measured += await benchLateness(newFile, flags.short);
  if (deep > 0) await benchDrain(deep, [100]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${measured} passed, 0 failed`);
