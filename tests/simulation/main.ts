/**
 * `deno task sim`: simulates worlds from seeds until the time is over, or one is told.
 *
 * ```sh
 * deno task sim --for 60s                          # fresh seeds of all profiles
 * deno task sim --for 10m --profile swarm
 * deno task sim --profile safety --seed 51 --story # one world, and what happens in it
 * deno task sim --file i1_safety_51.json --story   # a plan that was kept
 * ```
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { toMilliseconds } from "../../src/core/duration.ts";
import { RARE } from "./coverage.ts";
import { keep, keptPlans, readKept } from "./kept.ts";
import { makePlan, type Plan, type Profile, PROFILES } from "./plan.ts";
import { shrink, tell } from "./shrink.ts";
import { runWorld, type Verdict } from "./world.ts";

/** Worlds that turn in one thread at once: one goes on while the other's microtasks are drained. */
const LANES = 4;
/** How much of the time each profile gets. */
const SHARES: Readonly<Record<Profile, number>> = {
  safety: 0.3,
  swarm: 0.25,
  races: 0.1,
  schedules: 0.1,
  liveness: 0.1,
  calm: 0.1,
  backlog: 0.05,
};
/** A run over all profiles of so many turns must have met every rare event; an idle core makes them in two minutes. */
const LONG_TURNS = 6_000_000;

/** What came of the seeds of one profile. */
interface Tally {
  readonly profile: Profile;
  readonly failures: { plan: Plan; verdict: Verdict }[];
  seeds: number;
  first: number;
  turns: number;
  virtualMs: number;
  /** Of the processor, so that other work on the machine does not count. */
  cpuMs: number;
}

async function runProfile(
  profile: Profile,
  { first, untilMs, seedsMax, coverage }: {
    first: number;
    untilMs: number;
    seedsMax: number;
    coverage: Map<string, number>;
  },
): Promise<Tally> {
  const cpu = process.cpuUsage();
  const tally: Tally = {
    profile,
    failures: [],
    seeds: 0,
    first,
    turns: 0,
    virtualMs: 0,
    cpuMs: 0,
  };
  let next = first;
  const lane = async () => {
    while (performance.now() < untilMs && next < first + seedsMax && tally.failures.length < 3) {
      const plan = makePlan(next++, profile);
      const verdict = await runWorld(plan, { coverage });
      tally.seeds++;
      tally.turns += verdict.turns;
      tally.virtualMs += verdict.virtualMs;
      if (verdict.violation !== null) tally.failures.push({ plan, verdict });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const { user, system } = process.cpuUsage(cpu);
  tally.cpuMs = (user + system) / 1_000;
  return tally;
}

/** Shrinks a failing plan, tells its story and keeps it. */
async function report(plan: Plan, verdict: Verdict, isKept: boolean): Promise<void> {
  const { violation } = verdict;
  if (violation === null) return;
  console.log(`\n── profile ${plan.profile}, seed ${plan.seed} broke ${violation.message} ──`);
  const small = await shrink(plan, violation.promise);
  const steps = `${small.steps.length} of ${plan.steps.length} steps are left`;
  console.log(`shrunk: ${steps}, ${small.places.length} of ${plan.places.length} workers\n`);
  console.log((await tell(small)).join("\n"));
  console.log(`\nreplay: deno task sim --profile ${plan.profile} --seed ${plan.seed} --story`);
  if (!isKept) return;
  const name = keep(violation.promise, small, violation.message);
  console.log(`kept as tests/simulation/seeds/${name}: say there what it proved`);
}

function rateOf({ seeds, cpuMs }: Tally): string {
  return `${Math.round(seeds / cpuMs * 60_000).toLocaleString("en")} a minute and core`;
}

async function main(): Promise<number> {
  // An error's stack is never looked at here, and costs more than all else an attempt does.
  Error.stackTraceLimit = 0;
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      for: { type: "string", default: "30s" },
      profile: { type: "string" },
      file: { type: "string" },
      story: { type: "boolean", default: false },
      keep: { type: "boolean", default: true },
    },
    allowNegative: true,
  });
  const profile = PROFILES.find((one) => one === values.profile);
  if (values.profile !== undefined && profile === undefined) {
    console.error(`There is no profile "${values.profile}"; there are ${PROFILES.join(", ")}`);
    return 2;
  }
  if (values.file !== undefined || values.seed !== undefined && values.seeds === undefined) {
    const plan = values.file === undefined
      ? makePlan(Number(values.seed), profile ?? "safety")
      : readKept(values.file).plan;
    return await runOne(plan, values.story);
  }

  let [passed, failed] = [0, 0];
  for (const { name, plan, proved } of keptPlans()) {
    const verdict = await runWorld(plan);
    if (verdict.violation === null) passed++;
    else {
      failed++;
      console.log(`${name} (${proved}) broke ${verdict.violation.message}`);
      await report(plan, verdict, false);
    }
  }
  console.log(`${passed + failed} kept plans: ${failed === 0 ? "none" : failed} failed`);

  const forMs = toMilliseconds(values.for, "--for");
  const seedsMax = values.seeds === undefined ? Infinity : Number(values.seeds);
  const first = values.seed === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(values.seed);
  const coverage = new Map<string, number>();
  const profiles = profile === undefined ? PROFILES : [profile];
  const shares = profiles.reduce((sum, one) => sum + SHARES[one], 0);
  let turns = 0;
  for (const one of profiles) {
    const shareMs = seedsMax === Infinity ? forMs * SHARES[one] / shares : Infinity;
    const untilMs = performance.now() + shareMs;
    const tally = await runProfile(one, { first, untilMs, seedsMax, coverage });
    turns += tally.turns;
    const last = first + tally.seeds - 1;
    console.log(
      `${one.padEnd(10)} seeds ${first}–${last} (${tally.seeds}, ${rateOf(tally)}): ` +
        `${Math.round(tally.turns / tally.seeds)} turns and ` +
        `${Math.round(tally.virtualMs / tally.seeds / 1_000)} virtual seconds each, ` +
        `${tally.failures.length} failed`,
    );
    if (tally.failures.length === 0) passed++;
    else failed++;
    for (const { plan, verdict } of tally.failures) await report(plan, verdict, values.keep);
  }

  console.log("\nrare events:");
  const rare = RARE.map((event): [string, number] => [event, coverage.get(event) ?? 0]);
  for (const [event, count] of rare) console.log(`${String(count).padStart(8)}  ${event}`);
  const missed = rare.filter(([, count]) => count === 0).map(([event]) => event);
  if (missed.length > 0) {
    const isLong = profile === undefined && turns >= LONG_TURNS;
    console.log(
      `never met: ${missed.join("; ")}${isLong ? "" : " (the run was too short to say)"}`,
    );
    if (isLong) failed++;
  } else passed++;
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

async function runOne(plan: Plan, isTold: boolean): Promise<number> {
  const verdict = await runWorld(plan, isTold ? { onEvent: (line) => console.log(line) } : {});
  const { violation, hash, turns, virtualMs, tasks } = verdict;
  console.log(
    `profile ${plan.profile}, seed ${plan.seed}: ${tasks} tasks, ${turns} turns, ` +
      `${Math.round(virtualMs / 1_000)} virtual seconds, trace ${hash}`,
  );
  console.log(violation === null ? "every promise was kept" : `broke ${violation.message}`);
  if (violation !== null && !isTold) await report(plan, verdict, false);
  console.log(violation === null ? "\n1 passed, 0 failed" : "\n0 passed, 1 failed");
  return violation === null ? 0 : 1;
}

process.exitCode = await main();
