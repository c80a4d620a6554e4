/**
 * Several processes on one SQLite file: they share the work fairly, nobody hears of a lock, a process that only
 * initiates is not held up, and an idle worker starts what another process initiated at once.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Kit } from "../../mod.ts";
import type { Child } from "./fleet.ts";
import { Fleet } from "./fleet.ts";

/** How a drain by some workers went. */
export interface DrainReport {
  readonly workers: number;
  readonly perSecond: number;
  /** The smallest share of a worker, of the mean. */
  readonly fairness: number;
  /** What reached the user at level warn or above. */
  readonly warnings: readonly string[];
}

/** Lets some workers drain one group together for a while. */
export async function runDrain(
  options: { workers: number; forMs: number; tasks: number },
): Promise<DrainReport> {
  await using fleet = new Fleet();
  await using open = await fleet.open();
  await open.kit.pause(["work"]);
  await fill(open.kit, options.tasks);
  const children = await Promise.all(
    Array.from({ length: options.workers }, () => fleet.worker({ notes: false, concurrency: 50 })),
  );
  await open.kit.resume(["work"]);
  const startedAt = performance.now();
  await sleep(options.forMs);
  // What they do after they were asked to stop is to give back what they had claimed ahead.
  const seconds = (performance.now() - startedAt) / 1_000;
  const counts = await Promise.all(children.map((child) => child.stop()));
  const done = counts.map((count) => count.done);
  const sum = done.reduce((a, b) => a + b, 0);
  if (sum >= options.tasks) throw new Error(`${options.tasks} tasks were not enough`);
  const { problems } = await open.kit.check();
  return {
    workers: options.workers,
    perSecond: sum / seconds,
    fairness: Math.min(...done) / (sum / done.length),
    warnings: [...warningsOf(fleet), ...problems.map(({ message }) => message)],
  };
}

/** Initiates tasks that do nothing. */
export async function fill(kit: Kit, tasks: number): Promise<void> {
  for (let n = 0; n < tasks; n += 5_000) {
    const entries = Array.from({ length: Math.min(5_000, tasks - n) }, () => ({
      group: "work",
      name: "work",
      data: 0,
    }));
    await kit.initiateTasks(entries);
  }
}

function warningsOf(fleet: Fleet): string[] {
  return fleet.events().flatMap((event) =>
    event.kind === "log" && (event.level === "warn" || event.level === "error")
      ? [event.message]
      : []
  );
}

/** How long initiating took in a process that does nothing else, while another one drains. */
export interface InitiateReport {
  readonly calls: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly drained: number;
  readonly warnings: readonly string[];
}

/** Initiates one by one in one process while a worker drains at full speed in another. */
export async function runInitiate(
  options: { forMs: number; tasks: number },
): Promise<InitiateReport> {
  await using fleet = new Fleet();
  await using open = await fleet.open();
  await fill(open.kit, options.tasks);
  const worker = await fleet.worker({ notes: false, concurrency: 50 });
  const web = fleet.spawn({ role: "initiator", forMs: options.forMs, pauseMs: 3 });
  const counts = await web.ended;
  const { done } = await worker.stop();
  if (counts === null) throw new Error("the initiating process was killed");
  if (done >= options.tasks) throw new Error(`${options.tasks} tasks were not enough`);
  const { p50, p99, max } = counts;
  return { calls: counts.done, p50, p99, max, drained: done, warnings: warningsOf(fleet) };
}

/** How soon an idle worker starts what another process initiates, and what it costs while nothing happens. */
export interface IdleReport {
  readonly p50: number;
  readonly p90: number;
  /** Of one core, while idle. */
  readonly cpuPercent: number | null;
  /** Bytes written to the database's log while idle, each second. */
  readonly bytesPerSecond: number;
}

/** Initiates single tasks for an idle worker in another process. */
export async function runIdle(
  options: { starts: number; idleMs: number; lease?: string },
): Promise<IdleReport> {
  await using fleet = new Fleet();
  await using kit = await Kit.open({ kv: fleet.kv });
  const worker = await fleet.worker({ lease: options.lease ?? "15s" });
  await sleep(300);
  const before = { cpu: cpuMs(worker), bytes: writtenBy(worker) };
  await sleep(options.idleMs);
  const after = { cpu: cpuMs(worker), bytes: writtenBy(worker) };
  const initiated = new Map<string, number>();
  for (let n = 0; n < options.starts; n++) {
    const at = Date.now();
    const { id } = await kit.initiateTask("work", "work", 0);
    initiated.set(id, at);
    await sleep(40 + Math.random() * 40);
  }
  await worker.stop();
  const waits = fleet.events().flatMap((event) =>
    event.kind === "start" ? [event.at - (initiated.get(event.id) ?? NaN)] : []
  ).sort((a, b) => a - b);
  if (waits.length !== options.starts) throw new Error(`${waits.length} tasks were started`);
  const at = (part: number) => waits[Math.floor((waits.length - 1) * part)] ?? NaN;
  return {
    p50: at(0.5),
    p90: at(0.9),
    cpuPercent: before.cpu === null || after.cpu === null
      ? null
      : 100 * (after.cpu - before.cpu) / options.idleMs,
    bytesPerSecond: 1_000 * (after.bytes - before.bytes) / options.idleMs,
  };
}

/** Time on the processor so far, where the system tells (in ticks of 10 ms). */
function cpuMs({ pid }: Child): number | null {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return null;
  const fields = readFileSync(path, "utf8").split(") ")[1]?.split(" ") ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

function writtenBy({ pid }: Child): number {
  const path = `/proc/${pid}/io`;
  if (!existsSync(path)) return 0;
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(path, "utf8"))?.[1]);
}
