/**
 * Makes a failing plan smaller: what can be left out, and the same promise still breaks, is left out. And tells what
 * happens in it.
 *
 * @module
 */

import { CALM } from "./ground.ts";
import type { Plan, Step } from "./plan.ts";
import type { Production } from "./production.ts";
import { runWorld } from "./world.ts";

/** Runs of smaller plans that are tried at most. */
const TRIES_MAX = 250;
/** Lines of a story that are told: its end says most. */
const LINES_MAX = 80;

/** The smallest plan that was found to break the same promise. */
export async function shrink(
  plan: Plan,
  promise: string,
  production?: Production,
): Promise<Plan> {
  let smallest = plan;
  let tries = 0;
  const accept = async (smaller: Plan): Promise<boolean> => {
    if (++tries > TRIES_MAX) return false;
    const { violation } = await runWorld(smaller, production === undefined ? {} : { production });
    if (violation?.promise !== promise) return false;
    smallest = smaller;
    return true;
  };
  await accept({ ...smallest, faults: CALM });
  for (let size = smallest.steps.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < smallest.steps.length && tries <= TRIES_MAX;) {
      const steps = smallest.steps.filter((_, i) => i < at || i >= at + size);
      if (!(await accept({ ...smallest, steps }))) at += size;
    }
  }
  for (let i = smallest.places.length - 1; i > 0; i--) {
    await accept({ ...smallest, places: smallest.places.filter((_, at) => at !== i) });
  }
  for (let i = smallest.schedules.length - 1; i >= 0; i--) {
    await accept({ ...smallest, schedules: smallest.schedules.filter((_, at) => at !== i) });
  }
  for (let i = 0; i < smallest.steps.length; i++) {
    const step = smallest.steps[i];
    if (step?.kind !== "initiate") continue;
    for (let n = step.tasks.length - 1; n >= 0; n--) {
      const now = smallest.steps[i];
      if (now?.kind !== "initiate" || now.tasks.length < 2) break;
      const fewer: Step = { ...now, tasks: now.tasks.filter((_, at) => at !== n) };
      await accept({ ...smallest, steps: smallest.steps.with(i, fewer) });
    }
  }
  for (const fault of ["zombie", "blackhole", "lostAnswer", "lostRequest", "diskFull"] as const) {
    if (smallest.faults[fault] === 0) continue;
    await accept({ ...smallest, faults: { ...smallest.faults, [fault]: 0 } });
  }
  return smallest;
}

/** Who did what in which order, up to the breach. */
export async function tell(plan: Plan, production?: Production): Promise<string[]> {
  const lines: string[] = [];
  await runWorld(plan, {
    ...(production === undefined ? {} : { production }),
    onEvent: (line) => lines.push(line.replaceAll("\0", "·")),
  });
  const left = lines.length - LINES_MAX;
  return left > 0 ? [`… ${left} lines before`, ...lines.slice(left)] : lines;
}
