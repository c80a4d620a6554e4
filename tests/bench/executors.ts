/**
 * What it costs to run handlers inline, in threads and in processes, and what one that misbehaves costs the others:
 *
 *     deno run -A tests/bench/executors.ts             # about a minute
 *     deno run -A tests/bench/executors.ts --short     # a smoke test
 *     bun tests/bench/executors.ts                     # the same in Bun
 *
 * Nothing here fails for being slow.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { decodeValue, encodeValue } from "../../src/core/value_codec.ts";
import { Executors } from "../../src/executor/create.ts";
import type { Executor, ExecutorKind, Job, Outcome, Run } from "../../src/executor/executor.ts";
import Handler, { compute } from "./executor_handler.ts";

const { values: flags } = parseArgs({ options: { short: { type: "boolean", default: false } } });
const repetitions = flags.short ? 1 : 3;
const KINDS: readonly ExecutorKind[] = ["inline", "thread", "process"];
const COMPUTE_MS = 20;
let lastId = 0;
let measured = 0;

function newJob(name: string, data: Uint8Array): Job {
  return {
    task: {
      id: `task-${++lastId}`,
      group: "bench",
      name,
      data,
      dueMs: 0,
      createdMs: 0,
      scheduledMs: null,
      attempt: 1,
      retryCount: 0,
      ttlMs: 0,
      priority: 5,
    },
  };
}

async function open(kind: ExecutorKind, concurrency: number, threads = 1): Promise<Executor> {
  const executor = new Executors({
    handler: new Handler(),
    handlerUrl: new URL("./executor_handler.ts", import.meta.url),
    threads,
    clock: systemClock,
    random: systemRandom,
    log: () => {},
  }).create({ group: "bench", kind, concurrency });
  await executor.start();
  return executor;
}

const signal = new AbortController().signal;

function begin(executor: Executor, job: Job): Run {
  return executor.run(job, { signal, onProgress() {}, onLog() {} });
}

function run(executor: Executor, job: Job): Promise<Outcome> {
  return begin(executor, job).outcome;
}

/** Runs so many tasks, so many at once, and gives the milliseconds it took. */
async function drain(
  executor: Executor,
  count: number,
  atOnce: number,
  name: string,
  data: Uint8Array,
): Promise<number> {
  let left = count;
  const startMs = performance.now();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) await run(executor, newJob(name, data));
  }));
  return performance.now() - startMs;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

function print(name: string, ...columns: string[]): void {
  measured++;
  console.log(`  ${name.padEnd(34)}${columns.map((column) => column.padStart(15)).join("")}`);
}

/** How many steps take about so many milliseconds here: by the fastest of several tries, since others may use the machine. */
function stepsFor(ms: number): number {
  const steps = 2_000_000;
  const tries = Array.from({ length: 20 }, () => {
    const startMs = performance.now();
    compute(steps);
    return performance.now() - startMs;
  });
  return Math.round(steps * ms / Math.min(...tries));
}

/** Does a second thread do a second thread's work? */
async function measureScaling(): Promise<void> {
  const data = encodeValue(stepsFor(COMPUTE_MS), "steps");
  const count = flags.short ? 20 : 150;
  console.log(
    `\nHandlers that compute ~${COMPUTE_MS} ms, tasks/s (${navigator.hardwareConcurrency} processors)`,
  );
  for (const kind of ["thread", "process"] as const) {
    const ratios: number[] = [];
    const rates: number[][] = [[], []];
    for (let i = 0; i < repetitions; i++) {
      const pair: number[] = [];
      for (const size of [1, 2]) {
        const executor = await open(kind, size, size);
        await drain(executor, 4, size, "compute", data);
        const ms = await drain(executor, count, size, "compute", data);
        await executor.stop();
        pair.push(count / ms * 1_000);
        rates[size - 1]?.push(count / ms * 1_000);
      }
      ratios.push((pair[1] ?? NaN) / (pair[0] ?? NaN));
    }
    const [one = [], two = []] = rates;
    print(
      kind,
      `one ${quantile(one, 0.5).toFixed(1)}`,
      `two ${quantile(two, 0.5).toFixed(1)}`,
      `ratio ${quantile(ratios, 0.5).toFixed(2)}`,
    );
  }
}

/** The way there and back, with a handler that does nothing and 100 bytes of data. */
async function measureRoundTrips(): Promise<void> {
  const data = encodeValue("x".repeat(95), "data");
  console.log("\nA handler that does nothing, tasks/s, by how many run at once");
  for (const kind of KINDS) {
    const columns: string[] = [];
    for (const atOnce of kind === "process" ? [1, 2] : [1, 8, 100]) {
      const executor = await open(kind, atOnce);
      const count = flags.short ? 500 : kind === "process" ? 5_000 : 50_000;
      await drain(executor, count / 10, atOnce, "nothing", data);
      const ms = await drain(executor, count, atOnce, "nothing", data);
      await executor.stop();
      columns.push(`${atOnce}: ${Math.round(count / ms * 1_000).toLocaleString("en-US")}`);
    }
    print(kind, ...columns);
  }
}

function memoryMb(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/Pss:\s+(\d+) kB/.exec(text)?.[1] ?? NaN) / 1_024;
  } catch {
    return NaN;
  }
}

/** What one more thread or process costs; memory as its share of what is resident (PSS), where the system tells. */
async function measureStart(): Promise<void> {
  console.log("\nStart, with the handler module loaded");
  for (const kind of ["thread", "process"] as const) {
    const alone: number[] = [];
    for (let i = 0; i < repetitions; i++) {
      const startMs = performance.now();
      const executor = await open(kind, 1);
      alone.push(performance.now() - startMs);
      await executor.stop();
    }
    const size = 4;
    const beforeMb = memoryMb(process.pid);
    const executor = await open(kind, size, size);
    let mb = (memoryMb(process.pid) - beforeMb) / size;
    if (kind === "process") {
      const pids = await Promise.all(Array.from({ length: size }, async () => {
        const outcome = await run(executor, newJob("pid", new Uint8Array()));
        return outcome.kind === "succeeded" ? Number(decodeValue(outcome.result, "pid")) : 0;
      }));
      mb = memoryMb(pids[0] ?? 0);
    }
    await executor.stop();
    print(kind, `${quantile(alone, 0.5).toFixed(0)} ms`, `${mb.toFixed(0)} MB each`);
  }
}

/** How long small tasks of others take, once a millisecond, while a handler misbehaves ten times a second. */
async function measureMischief(): Promise<void> {
  console.log(
    "\nRound trip of others' small tasks in ms, while a handler misbehaves again and again",
  );
  const data = encodeValue("x".repeat(95), "data");
  const mischief = [
    "nothing",
    "flood the log",
    "flood progress",
    "return 100 MB",
    "exit",
    "reject and forget",
    "compute until abandoned",
  ];
  const lastMs = flags.short ? 200 : 3_000;
  for (const kind of ["thread", "process"] as const) {
    for (const name of mischief) {
      const executor = await open(kind, 3, 2);
      const trips: number[] = [];
      let given = 0;
      let times = 0;
      const endMs = performance.now() + lastMs;
      const others = async () => {
        while (performance.now() < endMs) {
          const startMs = performance.now();
          // What was given back is run again, as its worker would.
          while ((await run(executor, newJob("nothing", data))).kind !== "succeeded") given++;
          trips.push(performance.now() - startMs);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      };
      const culprit = async () => {
        while (performance.now() < endMs) {
          times++;
          const attempt = begin(executor, newJob(name, data));
          if (name === "compute until abandoned") {
            const wait = new Promise((resolve) => setTimeout(resolve, 250));
            await Promise.race([attempt.outcome, wait]);
            attempt.abandon();
          }
          await attempt.outcome;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      await Promise.all([others(), others(), culprit()]);
      await executor.stop();
      print(
        `${kind}: ${name}`,
        `p50 ${quantile(trips, 0.5).toFixed(2)}`,
        `p99 ${quantile(trips, 0.99).toFixed(2)}`,
        `max ${quantile(trips, 1).toFixed(1)}`,
        `${given} given back`,
        `${times} times`,
      );
    }
  }
}

console.log(
  `${"Bun" in globalThis ? "Bun" : "Deno"} ${process.versions.bun ?? process.versions.deno ?? ""}`,
);
await measureScaling();
await measureRoundTrips();
await measureStart();
await measureMischief();
console.log(`\n${measured} passed, 0 failed`);
// Threads of Deno that compute cannot be stopped otherwise.
process.exit(0);
