/**
 * `deno task sim:bugs`: for each bug the first seed that catches it, and how many it took.
 *
 * @module
 */

import process from "node:process";
import { BUGS, putIn } from "./bugs.ts";
import { makePlan } from "./plan.ts";
import { runWorld } from "./world.ts";

/** Seeds of its profile in which a bug must be caught. */
const BUDGET = 3_000;

async function main(wanted: string): Promise<number> {
  Error.stackTraceLimit = 0;
  let [passed, failed] = [0, 0];
  for (const bug of BUGS) {
    if (!bug.name.includes(wanted)) continue;
    using buggy = await putIn(bug);
    let line = `not caught in ${BUDGET} seeds`;
    let isCaught = false;
    for (let seed = 0; seed < BUDGET && !isCaught; seed++) {
      const plan = makePlan(seed, bug.profile);
      const { violation } = await runWorld(plan, { production: buggy.production });
      if (violation === null) continue;
      isCaught = bug.breaks.includes(violation.promise);
      line = `${bug.profile} ${seed}: ${violation.message}`;
      if (!isCaught) {
        line += " (another promise than was expected)";
        break;
      }
    }
    if (isCaught) passed++;
    else failed++;
    console.log(`${isCaught ? "caught" : "FAILED"}  ${bug.name}\n        ${line}`);
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv[2] ?? "");
