import assert from "node:assert/strict";
import { test } from "node:test";
import { BUGS, planFor, putIn } from "./bugs.ts";
import { runWorld } from "./world.ts";

/**
 * Seeds from the one that caught a bug last time, in which it must be caught again: every change of the code makes a seed
 * another story.
 */
const BUDGET = 1_500;

for (const bug of BUGS) {
  test(`caught: ${bug.name} (${bug.profile}, seed ${bug.seed})`, async (t) => {
    using buggy = await putIn(bug);
    for (let seed = bug.seed; seed < bug.seed + BUDGET; seed++) {
      const plan = planFor(bug, seed);
      const { violation } = await runWorld(plan, { production: buggy.production });
      if (violation === null) continue;
      t.diagnostic(`seed ${seed}: ${violation.message}`);
      assert.ok(bug.breaks.includes(violation.promise), violation.message);
      return;
    }
    assert.fail(`not caught in ${BUDGET} seeds; look for one with deno task sim:bugs`);
  });
}
