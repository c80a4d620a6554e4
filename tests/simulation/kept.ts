/**
 * Failing plans that were kept: they run first from then on, and say what they proved.
 *
 * @module
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plan } from "./plan.ts";

const FOLDER = fileURLToPath(new URL("./seeds/", import.meta.url));

/** A plan that once broke a promise. */
export interface Kept {
  /** The name of its file. */
  readonly name: string;
  /** What it proved, in a line. */
  readonly proved: string;
  readonly plan: Plan;
}

/** All of them. */
export function keptPlans(): Kept[] {
  mkdirSync(FOLDER, { recursive: true });
  return readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort().map(readKept);
}

/** One of them, by the name of its file. */
export function readKept(name: string): Kept {
  const { proved, plan } = JSON.parse(readFileSync(FOLDER + name, "utf8"));
  return { name, proved, plan };
}

/** Keeps a plan; returns the name of its file. */
export function keep(promise: string, plan: Plan, proved: string): string {
  mkdirSync(FOLDER, { recursive: true });
  const words = promise.toLowerCase().replaceAll(" ", "_");
  const name = `${words}_${plan.profile}_${plan.seed}.json`;
  writeFileSync(FOLDER + name, `${JSON.stringify({ proved, plan }, null, 2)}\n`);
  return name;
}
