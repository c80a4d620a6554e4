/**
 * A denokv server that is killed and started again, and a network before it that loses requests and answers.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import process from "node:process";
import { DenokvServer } from "../conformance/backends.ts";
import type { Breach } from "./checker.ts";
import { Fleet, idle } from "./fleet.ts";
import type { NetworkFault } from "./tcp_proxy.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** Why there can be no server here, or null. */
export function withoutServer(): string | null {
  return DenokvServer.unavailable();
}

/** The environment by which this process and its children reach the server. */
function access({ token }: DenokvServer): Record<string, string> {
  process.env.DENO_KV_ACCESS_TOKEN = token;
  return { DENO_KV_ACCESS_TOKEN: token };
}

/** How large a run is. */
export interface RestartsOptions {
  readonly kills: number;
  /** The server is away for so long, at most. */
  readonly awayMs: number;
  /** Between its return and the next kill. */
  readonly upMs: number;
  readonly leaseMs: number;
}

/** What came of a run. */
export interface RestartsReport {
  readonly breaches: readonly Breach[];
  readonly kills: number;
  readonly tasks: number;
  readonly unknown: number;
  /** Times from the server's return to the next start of a handler. */
  readonly recoveryMs: readonly number[];
  /** Times from the server's return to the next initiation that was acknowledged. */
  readonly initiateMs: readonly number[];
}

/** Kills the server mid-commit and starts it again on the same port and file, while two workers drain. */
export async function runRestarts(options: RestartsOptions): Promise<RestartsReport> {
  const server = await DenokvServer.start();
  try {
    await using fleet = new Fleet({ kv: server.url, env: access(server) });
    const work = { concurrency: 4, lease: `${options.leaseMs}ms`, poll: "1s" };
    const workers = await Promise.all([0, 1].map(() => fleet.worker(work)));
    const initiator = fleet.spawn({ role: "initiator", batch: 2, pauseMs: 40, handlerMs: 100 });
    await initiator.ready;
    const returns: number[] = [];
    for (let n = 0; n < options.kills; n++) {
      await sleep(options.upMs * (0.5 + Math.random()));
      await server.kill();
      await sleep(Math.random() * options.awayMs);
      await server.start();
      returns.push(Date.now());
    }
    await sleep(options.upMs);
    await initiator.stop();
    {
      await using open = await fleet.open();
      await idle(open.kit, 60_000);
    }
    await Promise.all(workers.map((worker) => worker.stop()));
    const events = fleet.events();
    const after = (kind: string) =>
      returns.map((at) => (events.find((e) => e.kind === kind && e.at >= at)?.at ?? Infinity) - at);
    return {
      breaches: await fleet.verify({ concurrency: 4, rescueMs: Infinity }),
      kills: options.kills,
      tasks: events.reduce((sum, e) => sum + (e.kind === "initiated" ? e.ids.length : 0), 0),
      unknown: events.filter((e) => e.kind === "unknown").length,
      recoveryMs: after("start"),
      initiateMs: after("initiated"),
    };
  } finally {
    await server.remove();
  }
}

/** How large a run is. */
export interface NetworkOptions {
  readonly tasks: number;
  /** Of all requests, those to which something happens. */
  readonly loss: number;
  readonly faults: readonly NetworkFault[];
  readonly leaseMs: number;
}

/** What came of a run. */
export interface NetworkReport {
  readonly breaches: readonly Breach[];
  readonly tasks: number;
  readonly unknown: number;
  readonly refused: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly maxMs: number;
}

/** Initiates and drains through a network that loses, delays and cuts. */
export async function runNetwork(options: NetworkOptions): Promise<NetworkReport> {
  const server = await DenokvServer.start();
  const proxy = await TcpProxy.start(server.port);
  try {
    await using fleet = new Fleet({ kv: proxy.url, env: access(server) });
    const work = { concurrency: 8, lease: `${options.leaseMs}ms`, poll: "1s" };
    const workers = await Promise.all([0, 1].map(() => fleet.worker(work)));
    const initiator = fleet.spawn({
      role: "initiator",
      tasks: options.tasks,
      batch: 1,
      handlerMs: 20,
      cancels: 2,
    });
    await initiator.ready;
    proxy.choose(() => {
      if (Math.random() >= options.loss) return null;
      return options.faults[Math.floor(Math.random() * options.faults.length)] ?? null;
    });
    const counts = await initiator.ended;
    await sleep(1_000);
    proxy.choose(() => null);
    {
      await using open = await fleet.open();
      await idle(open.kit, 90_000);
    }
    await Promise.all(workers.map((worker) => worker.stop()));
    return {
      breaches: await fleet.verify({ concurrency: 8, rescueMs: Infinity }),
      tasks: counts?.done ?? 0,
      unknown: counts?.unknown ?? 0,
      refused: counts?.refused ?? 0,
      faults: Object.fromEntries(proxy.counts),
      maxMs: counts?.max ?? NaN,
    };
  } finally {
    await proxy.stop();
    await server.remove();
  }
}

/** The server does not answer any more, although every connection still stands; then it does again. */
export async function runBlackhole(
  options: { awayMs: number; leaseMs: number },
): Promise<{ breaches: readonly Breach[]; recoveryMs: number; fenced: number }> {
  const server = await DenokvServer.start();
  const proxy = await TcpProxy.start(server.port);
  try {
    await using fleet = new Fleet({ kv: proxy.url, env: access(server) });
    await using direct = await new Fleet({ kv: server.url }).open();
    const worker = await fleet.worker({ lease: `${options.leaseMs}ms`, poll: "1s" });
    await fleet.hang(direct.kit);
    proxy.isBlackhole = true;
    await sleep(options.awayMs);
    proxy.isBlackhole = false;
    proxy.cut();
    const returnedAt = Date.now();
    const { id } = await direct.kit.initiateTask("work", "work", 0);
    fleet.history.note({ kind: "initiated", ids: [id] });
    await idle(direct.kit, 60_000);
    await worker.stop();
    const events = fleet.events();
    const start = events.find((e) => e.kind === "start" && e.id === id);
    return {
      breaches: await fleet.verify({ concurrency: 4, rescueMs: Infinity }),
      recoveryMs: (start?.at ?? Infinity) - returnedAt,
      fenced: events.filter((e) => e.kind === "log" && e.event === "worker.fenced").length,
    };
  } finally {
    await proxy.stop();
    await server.remove();
  }
}
