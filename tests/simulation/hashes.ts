/**
 * Prints what stands for everything that happens in some worlds, as JSON: the same in every runtime.
 *
 * @module
 */

import process from "node:process";
import { makePlan, PROFILES } from "./plan.ts";
import { runWorld } from "./world.ts";

/** The traces of some seeds of every profile. */
export async function traces(seeds: readonly number[]): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const profile of PROFILES) {
    for (const seed of seeds) {
      hashes[`${profile} ${seed}`] = (await runWorld(makePlan(seed, profile))).hash;
    }
  }
  return hashes;
}

if (import.meta.main) console.log(JSON.stringify(await traces(process.argv.slice(2).map(Number))));
