/**
 * I6: a schedule point makes at most one task; the state of an entry only moves forward; in health, every point fires
 * (or is skipped since the task before it has not ended).
 *
 * @module
 */

import { decodeJson, isCount, must } from "../../../src/store/record_codec.ts";
import type { MakeChecker } from "../witness.ts";

/** Points of the last part of a run may not have fired yet. */
const LATE_MS = 30_000;

/** The checker of I6. */
export const points: MakeChecker = (witness) => {
  const { view, plan } = witness;
  const made = new Map<string, Set<number>>();
  const decided = new Map<string, number>();
  const damaged = new Set<string>();
  let healthyAtMs = Infinity;
  return {
    commit({ event, tasks, schedules }) {
      if (event.kind === "planted") {
        // An entry whose record is damaged begins anew with the next start of a worker.
        for (const { parts } of schedules) damaged.add(String(parts[1]));
        return;
      }
      for (const { before, after } of tasks) {
        if (before !== null || after === null || after.scheduledMs === null) continue;
        const points = made.get(after.name) ?? new Set();
        made.set(after.name, points);
        if (points.has(after.scheduledMs)) {
          witness.fail("I6", `schedule ${after.name} fired twice at ${after.scheduledMs}`);
        }
        points.add(after.scheduledMs);
      }
      for (const { parts, after } of schedules) {
        const key = String(parts[1]);
        if (after === null || damaged.has(key)) continue;
        const ms = decodeJson(
          after.value,
          "schedule record",
          (fields) => must(fields.decidedMs, isCount),
        );
        const last = decided.get(key) ?? 0;
        if (ms < last) witness.fail("I6", `schedule ${key} went back from ${last} to ${ms}`);
        decided.set(key, ms);
      }
    },
    happened({ kind }) {
      if (kind === "healthy") healthyAtMs = witness.nowMs();
    },
    end() {
      const { database } = view;
      const nowMs = database.wallMs;
      // With skewed clocks a point is fired when the fastest clock says so, or late where the slow ones are alone.
      const isSkewed = plan.places.some((place) => place.wallOffsetMs !== 0) ||
        plan.steps.some((step) => step.kind === "jump");
      const fromMs = database.time.wallStartMs + healthyAtMs + LATE_MS;
      for (const { key, everyMs, overlap } of plan.schedules) {
        if (damaged.has(key)) continue;
        const decidedMs = decided.get(key);
        if (decidedMs === undefined) witness.fail("I6", `schedule ${key} was never noted`);
        else if (!isSkewed && nowMs - LATE_MS > fromMs && decidedMs < nowMs - LATE_MS - everyMs) {
          witness.fail("I6", `schedule ${key} stands still since ${nowMs - decidedMs} ms`);
        }
        if (isSkewed || overlap === "skip") continue;
        const points = made.get(key) ?? new Set();
        for (
          let point = Math.ceil(fromMs / everyMs) * everyMs;
          point < nowMs - LATE_MS;
          point += everyMs
        ) {
          if (!points.has(point)) {
            witness.fail("I6", `schedule ${key} did not fire at ${point}, on a good day`);
            break;
          }
        }
      }
    },
  };
};
