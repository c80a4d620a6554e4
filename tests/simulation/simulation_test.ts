import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { traces } from "./hashes.ts";
import { keptPlans } from "./kept.ts";
import { makePlan, type Profile } from "./plan.ts";
import { runWorld } from "./world.ts";

/** Fixed seeds of each profile; `deno task sim` tries fresh ones. */
const SEEDS: Readonly<Record<Profile, number>> = {
  safety: 150,
  swarm: 30,
  races: 25,
  liveness: 25,
  calm: 25,
  schedules: 15,
  backlog: 4,
};

for (const { name, proved, plan } of keptPlans()) {
  test(`the kept plan ${name} keeps every promise; it proved: ${proved}`, async () => {
    const { violation } = await runWorld(plan);
    assert.equal(violation?.message, undefined);
  });
}

for (const [profile, count] of Object.entries(SEEDS)) {
  test(`${count} seeds of profile ${profile} keep every promise`, async () => {
    const broken: string[] = [];
    for (let seed = 0; seed < count; seed++) {
      const { violation } = await runWorld(makePlan(seed, profile as Profile));
      if (violation !== null) broken.push(`seed ${seed}: ${violation.message}`);
    }
    assert.deepEqual(broken, []);
  });
}

test("the same seed gives the same trace again", async () => {
  assert.deepEqual(await traces([1, 2]), await traces([1, 2]));
});

const IN_BUN = "Bun" in globalThis;

test("the same seed gives the same trace in Deno and in Bun", {
  skip: IN_BUN ? "Deno compares, since one of them has to start the other" : false,
}, async () => {
  const seeds = [1, 2, 3, 4, 5];
  const script = fileURLToPath(new URL("hashes.ts", import.meta.url));
  const { status, stdout, stderr, error } = spawnSync("bun", [script, ...seeds.map(String)], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(error, undefined);
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), await traces(seeds));
});
