/**
 * `deno task sim:bugs`: for each bug a seed that catches it, looked for from the one that did last time.
 *
 * ```sh
 * deno task sim:bugs                # all
 * deno task sim:bugs fence          # those with that in their name
 * deno task sim:bugs fence --keep   # and keep the shrunk plan of each, for a bug that was real
 * ```
 *
 * @module
 */

import process from "node:process";
import { BUGS, planFor, putIn } from "./bugs.ts";
import { keep } from "./kept.ts";
import { shrink } from "./shrink.ts";
import { runWorld } from "./world.ts";

/** Seeds of its profile in which a bug must be caught. */
const BUDGET = 3_000;

async function main(wanted: string, isKept: boolean): Promise<number> {
  Error.stackTraceLimit = 0;
  let [passed, failed] = [0, 0];
  for (const bug of BUGS) {
    if (!bug.name.includes(wanted)) continue;
    using buggy = await putIn(bug);
    let line = `not caught in ${BUDGET} seeds`;
    let isCaught = false;
    let promise = "";
    let seed = bug.seed;
    for (; seed < bug.seed + BUDGET; seed++) {
      const plan = planFor(bug, seed);
      const { violation } = await runWorld(plan, { production: buggy.production });
      if (violation === null) continue;
      isCaught = bug.breaks.includes(violation.promise);
      line = `${bug.profile} ${seed}: ${violation.message}`;
      promise = violation.promise;
      if (!isCaught) line += " (another promise than was expected)";
      break;
    }
    if (isCaught && isKept) {
      const plan = planFor(bug, seed);
      const small = await shrink(plan, promise, buggy.production);
      console.log(`kept as ${keep(promise, small, `${bug.name} (a bug that was real)`)}`);
    }
    if (isCaught) passed++;
    else failed++;
    console.log(`${isCaught ? "caught" : "FAILED"}  ${bug.name}\n        ${line}`);
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

const args = process.argv.slice(2);
process.exitCode = await main(
  args.find((arg) => !arg.startsWith("--")) ?? "",
  args.includes("--keep"),
);
