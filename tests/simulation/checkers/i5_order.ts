/**
 * I5: oldest due first in a group and priority, but for what other claimers may hold at the same time: a claim passes over
 * at most as many tasks that could have been claimed as all claimers together may take.
 *
 * Only where nothing goes wrong, since a claim whose answer is late looks as if it passed over what came meanwhile.
 *
 * @module
 */

import { AHEAD_TASKS_MAX } from "../../../src/core/limits.ts";
import type { MakeChecker } from "../witness.ts";

/** A claim commits at most so long after its listing in a calm database. */
const CALM_CLAIM_MS = 50;

/** The checker of I5. */
export const order: MakeChecker = (witness) => {
  const { view, plan } = witness;
  if (plan.profile !== "calm" && plan.profile !== "backlog") return {};
  const since = new Map<string, number>();
  return {
    commit({ event, dues, tasks }) {
      for (const { parts, after } of dues) {
        if (after !== null) since.set(String(parts[3]), event.atMs);
      }
      let oldest: { priority: number; dueMs: number; group: string; name: string } | null = null;
      for (const { before, after } of tasks) {
        if (before?.state !== "queued" || after?.state !== "running") continue;
        const { priority, dueMs, group, name } = before;
        if (oldest === null || priority > oldest.priority || dueMs > oldest.dueMs) {
          oldest = { priority, dueMs, group, name };
        }
      }
      if (oldest === null) return;
      const { group, priority, dueMs, name } = oldest;
      let passed = 0;
      for (const [id, entries] of view.dues) {
        const record = view.tasks.get(id);
        if (record === undefined || entries.length === 0 || view.damaged.has(id)) continue;
        if (record.group !== group || record.priority !== priority || record.dueMs >= dueMs) {
          continue;
        }
        if ((since.get(id) ?? 0) + CALM_CLAIM_MS < event.atMs) passed++;
      }
      const claimers = plan.places.length;
      const each = Math.max(...plan.places.map((place) => place.concurrency[group] ?? 0));
      const most = claimers * (each + AHEAD_TASKS_MAX);
      if (passed > most) {
        witness.fail("I5", `the claim of task ${name} passed over ${passed} older ones`);
      }
      if (passed > 0) witness.cover("claim from another window");
    },
  };
};
