/**
 * Taskkit against a raw loop of the same KV operations on a denokv server of its own, alternating, in one run; each without
 * and with the server's `--atomic-write-batch-timeout-ms`:
 *
 *     deno task bench:remote                          # 5,000 tasks, three times each, @deno/kv
 *     deno task bench:remote --client builtin         # Deno's own client
 *     deno task bench:remote --short                  # a smoke test
 *     bun tests/bench/remote.ts                       # the same in Bun
 *
 * `--batch none,1,5` chooses the settings of the server, `--only drain` the measurements by name, `--lanes 4` how many
 * batches the raw loop claims at once. Medians are printed, with the ratio to the raw loop. Nothing here fails for being
 * slow.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { Kit } from "../../mod.ts";
import { systemClock } from "../../src/core/clock.ts";
import { CLAIMS_AT_ONCE_MAX } from "../../src/core/limits.ts";
import { systemRandom } from "../../src/core/random.ts";
import { openConnection } from "../../src/store/connection.ts";
import { measureChecks } from "../../src/store/format.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { KvPort } from "../../src/store/port.ts";
import { DenokvServer } from "../conformance/backends.ts";
import { compare, type Comparison, drain, fill, initiate, Noop, timed } from "./measure.ts";
import { rawDrainRemote, rawEnqueue } from "./raw_loop.ts";

const { values: flags } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    client: { type: "string", default: "npm" },
    batch: { type: "string", default: "none,1,5" },
    only: { type: "string", default: "" },
    lanes: { type: "string", default: String(CLAIMS_AT_ONCE_MAX) },
    count: { type: "string" },
  },
});
const client = flags.client === "builtin" ? "builtin" : "npm";
const repetitions = flags.short ? 1 : 3;
const count = Number(flags.count ?? (flags.short ? 500 : 5_000));
const lanes = Number(flags.lanes);
/** Tasks a commit of those that one call of a thousand is split into: a client may answer to sizes in leaps. */
const BULK = 334;
let measured = 0;

/** Starts a server with an empty database for one run. */
async function withServer<T>(batchMs: string, work: (url: string) => Promise<T>): Promise<T> {
  const server = await DenokvServer.start(
    batchMs === "none" ? [] : ["--atomic-write-batch-timeout-ms", batchMs],
  );
  process.env.DENO_KV_ACCESS_TOKEN = server.token;
  try {
    return await work(server.url);
  } finally {
    await server.remove();
  }
}

function withKit<T>(batchMs: string, work: (kit: Kit) => Promise<T>): Promise<T> {
  return withServer(batchMs, async (kv) => {
    await using kit = await Kit.open({ kv, client, handler: new Noop() });
    return await work(kit);
  });
}

function withRaw<T>(batchMs: string, work: (kv: KvPort) => Promise<T>): Promise<T> {
  return withServer(batchMs, async (url) => {
    const { kv } = await openConnection(url, client);
    try {
      return await work(kv);
    } finally {
      kv.close();
    }
  });
}

/** What is measured with each setting of the server. */
const MEASUREMENTS: readonly ((batchMs: string) => Comparison)[] = [
  (batchMs) => ({
    name: "enqueue, bulk of 1,000",
    count,
    kit: () => withKit(batchMs, (kit) => timed(() => fill(kit, count))),
    raw: () =>
      withRaw(batchMs, (kv) => timed(() => rawEnqueue(kv, count, { batch: BULK, inFlight: 1 }))),
  }),
  (batchMs) => ({
    name: "enqueue, 100 in flight",
    count,
    kit: () => withKit(batchMs, (kit) => timed(() => initiate(kit, count, 100))),
    raw: () =>
      withRaw(batchMs, (kv) => timed(() => rawEnqueue(kv, count, { batch: 1, inFlight: 100 }))),
  }),
  ...[10, 100].map((concurrency) => (batchMs: string) => ({
    name: `drain, concurrency ${concurrency}`,
    count,
    kit: () =>
      withKit(batchMs, async (kit) => {
        await fill(kit, count);
        return await drain(kit, count, concurrency);
      }),
    raw: () =>
      withRaw(batchMs, async (kv) => {
        await rawEnqueue(kv, count, { batch: 450, inFlight: 1 });
        const checks = await measureChecks(
          { kv, clock: systemClock, random: systemRandom },
          new Keyspace(["probe"]),
        );
        return await timed(() => rawDrainRemote(kv, checks, { lanes }));
      }),
  })),
];

const runtime = globalThis.Deno?.version === undefined
  ? `Bun ${process.versions.bun}`
  : `Deno ${Deno.version.deno}`;
console.log(
  `${runtime}, client "${client}", a denokv server on this machine, ${count} tasks, no-op handler; ` +
    `medians of ${repetitions}`,
);
const missing = DenokvServer.unavailable();
if (missing !== null) {
  console.log(`skipped: ${missing}`);
} else {
  for (const measurement of MEASUREMENTS) {
    const comparisons = flags.batch.split(",").map((batchMs) => {
      const comparison = measurement(batchMs);
      const setting = batchMs === "none" ? "no batching" : `batching ${batchMs} ms`;
      return { ...comparison, name: `${comparison.name}, ${setting}` };
    }).filter(({ name }) => name.includes(flags.only));
    await compare(comparisons, repetitions);
    measured += comparisons.length;
  }
}
console.log(`${measured} passed, 0 failed${missing === null ? "" : ", 1 skipped"}`);
