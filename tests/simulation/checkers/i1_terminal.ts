/**
 * I1: a task whose initiation was acknowledged reaches exactly one terminal state; a terminal record never changes but by
 * its ttl or an operator's retry; no task is invented, and none is lost.
 *
 * @module
 */

import { isTerminal, type TaskRecord } from "../../../src/core/task.ts";
import type { TaskChange } from "../view.ts";
import type { MakeChecker } from "../witness.ts";

/** The checker of I1. */
export const terminal: MakeChecker = (witness) => {
  const { view } = witness;
  const called = new Map<string, { isEager: boolean }>();
  const created = new Set<string>();
  const retried = new Set<string>();
  const acknowledged = new Map<string, string>();

  const appear = (id: string, after: TaskRecord) => {
    if (created.has(id)) witness.fail("I1", `task ${after.name} exists a second time`);
    created.add(id);
    const call = called.get(after.name);
    if (after.scheduledMs === null && call === undefined) {
      witness.fail("I1", `task ${after.name} was initiated by nobody`);
    }
    const isEager = call?.isEager ?? false;
    const isFresh = after.state === "queued" && after.attempt === 0;
    if (!isFresh && !(isEager && after.attempt === 1)) {
      witness.fail("I1", `task ${after.name} began as ${after.state}, attempt ${after.attempt}`);
    }
  };
  const move = ({ id }: TaskChange, before: TaskRecord, after: TaskRecord) => {
    if (isTerminal(before.state)) {
      const isRevived = after.state === "queued" && retried.has(id) && before.state !== "succeeded";
      if (!isRevived) {
        witness.fail("I1", `task ${after.name} was ${before.state} and became ${after.state}`);
      }
      witness.cover("failed task started anew");
      return;
    }
    const isLegal = before.state === "queued"
      ? after.state === "running" || after.state === "cancelled"
      : after.state !== "running";
    if (!isLegal) {
      witness.fail("I1", `task ${after.name} went from ${before.state} to ${after.state}`);
    }
    const isSame = before.name === after.name && before.group === after.group &&
      before.createdMs === after.createdMs && before.priority === after.priority &&
      before.unique === after.unique && before.ttlMs === after.ttlMs;
    if (!isSame) witness.fail("I1", `task ${after.name} is not what it was`);
  };

  return {
    commit({ event, tasks }) {
      if (event.kind === "planted") return;
      for (const change of tasks) {
        const { id, before, after } = change;
        if (view.damaged.has(id)) continue;
        if (before === null && after !== null) appear(id, after);
        else if (before !== null && after !== null) move(change, before, after);
        else if (before !== null && (event.kind !== "expiry" || !isTerminal(before.state))) {
          witness.fail("I1", `task ${before.name} is lost: it was ${before.state}`);
        }
      }
    },
    happened(happening) {
      switch (happening.kind) {
        case "calls":
          for (const name of happening.names) called.set(name, happening);
          break;
        case "asks":
          if (happening.what === "retry") retried.add(happening.id);
          break;
        case "initiated":
          for (const [i, id] of happening.ids.entries()) {
            const name = happening.names[i] ?? "";
            acknowledged.set(id, name);
            if (!created.has(id) && !view.damaged.has(id)) {
              witness.fail("I1", `task ${name} was acknowledged and does not exist`);
            }
          }
          break;
      }
    },
    end() {
      for (const [id, record] of view.tasks) {
        const isOver = isTerminal(record.state) || view.damaged.has(id) || witness.isWaiting(id);
        if (!isOver && record.scheduledMs === null) {
          witness.fail("I1", `task ${record.name} never ended: it is ${record.state}`);
        }
      }
    },
  };
};
