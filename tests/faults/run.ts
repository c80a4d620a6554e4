/**
 * Runs the suites at their whole size, or at a tenth of it with `--short`, one after another; `--only` names some.
 *
 *     deno task faults [--short] [--only kills,network]
 *
 * Each prints what it counted. Closes with `N passed, N failed`, and exits with 1 if any failed.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { runBacklog } from "./backlog.ts";
import { runBadRecords } from "./bad_records.ts";
import { runCrowd } from "./crowd.ts";
import { runDeploys } from "./deploys.ts";
import { runDisk, withoutDisk } from "./disk.ts";
import { runKills } from "./kills.ts";
import { runPauses } from "./pauses.ts";
import { runDrain, runIdle, runInitiate } from "./processes.ts";
import { runBlackhole, runNetwork, runRestarts, withoutServer } from "./server.ts";

/** What a suite counted, and what of it is not as promised. */
interface Verdict {
  readonly report: object;
  readonly wrong: readonly string[];
  /**
   * What was slower than promised. It is told, and fails the whole run alone: a tenth of a run on a machine that does
   * other things too says little about speed.
   */
  readonly slow?: readonly (string | null)[];
}

interface Suite {
  readonly name: string;
  readonly skip?: string | null;
  /** `share` is 1, or 0.1. */
  run(share: number): Promise<Verdict>;
}

interface Breached {
  readonly breaches: readonly { readonly promise: string; readonly what: string }[];
}

function judge<T extends Breached>(report: T, ...wrong: (string | null)[]): Verdict {
  const { breaches, ...rest } = report;
  return {
    report: { ...rest, breaches: breaches.length },
    wrong: [
      ...breaches.map(({ promise, what }) => `${promise}: ${what}`),
      ...wrong.filter((text) => text !== null),
    ],
  };
}

/** The text if it does not hold. */
function must(holds: boolean, text: string): string | null {
  return holds ? null : text;
}

const FAULTS = ["delay", "lose request", "lose answer", "half close"] as const;

const SUITES: readonly Suite[] = [
  {
    name: "kills",
    async run(share) {
      return judge(
        await runKills({
          tasks: 2_000 * share,
          kills: 200 * share,
          workers: 4,
          allEvery: 10,
          lease: "2s",
          rescueMs: 10_000,
          handlerMs: 100,
          pauseMs: 600,
        }),
      );
    },
  },
  {
    name: "pauses",
    async run(share) {
      const report = await runPauses({
        cycles: 100 * share,
        leaseMs: 800,
        leasesMin: 0.5,
        leasesMax: 5,
      });
      return judge(report, must(report.refused > 0, "no stale outcome was refused"));
    },
  },
  {
    name: "processes",
    async run(share) {
      const report = await runDrain({
        workers: 8,
        forMs: 30_000 * share,
        tasks: 1_000_000 * share,
      });
      const wrong = [...report.warnings];
      const slow = [must(report.fairness >= 0.6, `fairness ${report.fairness}`)];
      return { report: { ...report, warnings: report.warnings.length }, wrong, slow };
    },
  },
  {
    name: "initiating beside a drain",
    async run(share) {
      const report = await runInitiate({ forMs: 30_000 * share, tasks: 1_000_000 * share });
      return { report: { ...report, warnings: report.warnings.length }, wrong: report.warnings };
    },
  },
  {
    name: "idle",
    async run(share) {
      const report = await runIdle({ starts: 200 * share, idleMs: 12_000 });
      const isQuiet = report.bytesPerSecond < 50_000;
      return { report, wrong: isQuiet ? [] : ["an idle worker writes more than its heartbeats"] };
    },
  },
  {
    name: "restarts of the server",
    skip: withoutServer(),
    async run(share) {
      const report = await runRestarts({
        kills: 50 * share,
        awayMs: 10_000,
        upMs: 2_000,
        leaseMs: 3_000,
      });
      const sorted = (times: readonly number[]) => [...times].sort((a, b) => a - b);
      const recovery = sorted(report.recoveryMs).at(-1) ?? 0;
      const verdict = judge({
        ...report,
        recoveryMs: recovery,
        initiateMs: sorted(report.initiateMs).at(-1) ?? 0,
      });
      return {
        ...verdict,
        slow: [must(recovery < 5_000, `a worker recovered after ${recovery} ms`)],
      };
    },
  },
  {
    name: "network",
    skip: withoutServer(),
    async run(share) {
      return judge(
        await runNetwork({ tasks: 5_000 * share, loss: 0.2, leaseMs: 5_000, faults: FAULTS }),
      );
    },
  },
  {
    name: "blackhole",
    skip: withoutServer(),
    async run(share) {
      const report = await runBlackhole({ awayMs: 60_000 * share, leaseMs: 3_000 });
      const slow = [must(report.recoveryMs < 5_000, `recovered in ${report.recoveryMs} ms`)];
      return { ...judge(report), slow };
    },
  },
  {
    name: "disk",
    skip: withoutDisk(),
    async run(share) {
      return judge(await runDisk({ fills: 20 * share, fullMs: 1_000 }));
    },
  },
  {
    name: "bad records",
    async run(share) {
      const report = await runBadRecords({ tasks: 3_000 * share, damages: 500 * share });
      const wrong = [...report.left];
      if (report.harmed > 0) wrong.push(`${report.harmed} other tasks have not succeeded`);
      return { report, wrong };
    },
  },
  {
    name: "64 claimers of one task",
    async run(share) {
      const rounds = 50 * share;
      const report = await runCrowd({ claimers: 64, rounds, tasksPerRound: 1, concurrency: 1 });
      return judgeCrowd(report);
    },
  },
  {
    name: "10000 due at once",
    async run(share) {
      const report = await runCrowd({
        claimers: 8,
        rounds: 1,
        tasksPerRound: 10_000 * share,
        concurrency: 20,
      });
      return judgeCrowd(report);
    },
  },
  {
    name: "rolling deploys",
    async run(share) {
      return judge(
        await runDeploys({ replace: 12 * share, everyMs: 5_000, graceMs: 3_000, handlerMs: 500 }),
      );
    },
  },
  {
    name: "rolling deploys without grace",
    async run(share) {
      return judge(
        await runDeploys({ replace: 12 * share, everyMs: 2_000, graceMs: 50, handlerMs: 1_000 }),
      );
    },
  },
  {
    name: "backlog",
    async run(share) {
      const report = await runBacklog({ tasks: 1_000_000 * share });
      const { perSecond } = report;
      const first = perSecond[0] ?? 0;
      const last = perSecond.at(-1) ?? 0;
      const slow = [must(last >= 0.8 * first, `from ${first} to ${last} tasks a second`)];
      return { report, wrong: [], slow };
    },
  },
];

function judgeCrowd(report: Awaited<ReturnType<typeof runCrowd>>): Verdict {
  const wrong = [...report.problems];
  if (report.starts !== report.tasks) wrong.push(`${report.starts} starts`);
  const slow = [must(report.lostPerTask <= 3, `${report.lostPerTask} lost claims a task`)];
  return { report, wrong, slow };
}

const { values } = parseArgs({
  options: { short: { type: "boolean", default: false }, only: { type: "string" } },
});
const only = values.only?.split(",");
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const { name, skip, run } of SUITES) {
  if (only !== undefined && !only.includes(name)) continue;
  if (typeof skip === "string") {
    counts.skipped++;
    console.log(`${name} ... skipped: ${skip}`);
    continue;
  }
  const startedAt = performance.now();
  const verdict = await run(values.short ? 0.1 : 1).catch((error): Verdict => ({
    report: {},
    wrong: [String(error)],
  }));
  const { report } = verdict;
  const slow = (verdict.slow ?? []).filter((text) => text !== null);
  const wrong = values.short ? verdict.wrong : [...verdict.wrong, ...slow];
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const isOk = wrong.length === 0;
  counts[isOk ? "passed" : "failed"]++;
  console.log(`${name} ... ${isOk ? "ok" : "FAILED"} (${seconds} s) ${JSON.stringify(report)}`);
  for (const text of wrong.slice(0, 20)) console.log(`  ${text}`);
  if (values.short) {
    for (const text of slow) console.log(`  slow, on this machine and now: ${text}`);
  }
}
const { passed, failed, skipped } = counts;
const end = skipped > 0 ? `, ${skipped} skipped` : "";
console.log(`\n${passed} passed, ${failed} failed${end}`);
process.exit(failed === 0 ? 0 : 1);
