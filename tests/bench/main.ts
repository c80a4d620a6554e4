/**
 * Taskkit against a raw loop of the same KV operations, on the same kind of file, alternating, in one run:
 *
 *     deno task bench                          # 20,000 and 200,000 tasks, three times each
 *     deno task bench --short                  # a smoke test
 *     bun tests/bench/main.ts                  # the same in Bun
 *
 * Each is warmed up first. Medians are printed, with the ratio to the raw loop where there is one. Nothing here fails for being slow.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Kit } from "../../mod.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { openConnection } from "../../src/store/connection.ts";
import { measureChecks } from "../../src/store/format.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import { benchLateness } from "./lateness.ts";
import { benchMemory } from "./memory.ts";
import {
  compare,
  type Comparison,
  drain,
  fill,
  initiate,
  Noop,
  payload,
  quantile,
  timed,
} from "./measure.ts";
import { rawDrain, rawEnqueue } from "./raw_loop.ts";

const { values: flags } = parseArgs({ options: { short: { type: "boolean", default: false } } });
const repetitions = flags.short ? 1 : 3;
const many = flags.short ? 2_000 : 20_000;
const deep = flags.short ? 0 : 200_000;
const folder = mkdtempSync(join(tmpdir(), "taskkit-bench-"));
let files = 0;
let measured = 0;

function newFile(): string {
  return join(folder, `${files++}.db`);
}

/** Measures both, alternating, and prints the medians and their ratio. */
async function compareOne(comparison: Comparison): Promise<void> {
  await compare([comparison], repetitions);
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

async function benchEnqueue(): Promise<void> {
  const singles = Math.min(many, 5_000);
  await compareOne({
    name: "enqueue, one after another",
    count: singles,
    kit: () => withKit((kit) => timed(() => initiate(kit, singles, 1))),
    raw: () => withRaw((kv) => timed(() => rawEnqueue(kv, singles, { batch: 1, inFlight: 1 }))),
  });
  await compareOne({
    name: "enqueue, 100 in flight",
    count: many,
    kit: () => withKit((kit) => timed(() => initiate(kit, many, 100))),
    raw: () => withRaw((kv) => timed(() => rawEnqueue(kv, many, { batch: 1, inFlight: 100 }))),
  });
  await compareOne({
    name: "enqueue, bulk of 1,000",
    count: many,
    kit: () => withKit((kit) => timed(() => fill(kit, many))),
    raw: () => withRaw((kv) => timed(() => rawEnqueue(kv, many, { batch: 450, inFlight: 1 }))),
  });
}

async function benchDrain(count: number, concurrencies: readonly number[]): Promise<void> {
  for (const concurrency of concurrencies) {
    await compareOne({
      name: `drain of ${count.toLocaleString("en-US")}, concurrency ${concurrency}`,
      count,
      kit: () =>
        withKit(async (kit) => {
          await fill(kit, count);
          return await drain(kit, count, concurrency);
        }),
      raw: () =>
        withRaw(async (kv) => {
          await rawEnqueue(kv, count, { batch: 450, inFlight: 1 });
          const checks = await measureChecks(
            { kv, clock: systemClock, random: systemRandom },
            new Keyspace(["probe"]),
          );
          return await timed(() => rawDrain(kv, checks));
        }),
    });
  }
}

/** What is compiled while it is first used would count for whoever comes first. */
async function warmUp(): Promise<void> {
  const count = Math.min(many, 10_000);
  await withKit(async (kit) => {
    await fill(kit, count);
    await drain(kit, count, 10);
  });
  await withRaw(async (kv) => {
    await rawEnqueue(kv, count, { batch: 450, inFlight: 1 });
    await rawDrain(kv, 10);
  });
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
  await warmUp();
  await benchEnqueue();
  await benchDrain(many, [1, 10, 100]);
  await benchLatency();
  measured += await benchLateness(newFile, flags.short);
  if (deep > 0) {
    await benchDrain(deep, [1, 10, 100]);
    measured += benchMemory(newFile());
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${measured} passed, 0 failed`);
