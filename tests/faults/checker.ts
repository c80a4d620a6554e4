/**
 * One checker of what happened, whatever the faults were: from the history of all processes, and the tasks that lie in
 * the database at the end. Each rule bears the number of the promise that it checks.
 *
 * @module
 */

import type { HistoryEvent } from "./history.ts";

/** A task at the end of the run. */
export interface FinalTask {
  readonly id: string;
  readonly state: string;
  readonly attempt: number;
  /** Attempts that were given back without being used up. */
  readonly released: number;
  /** Attempts whose writes were committed with an outcome. */
  readonly effects: readonly number[];
}

/** What was promised for this run. */
export interface Expectation {
  /** Handlers at once in one process, at most. */
  readonly concurrency: number;
  /** After a worker's death what it ran must be started again, or have ended, within this. */
  readonly rescueMs: number;
  /** Whether nothing was done to any process or connection, so that every claim is a start. */
  readonly isCalm?: boolean;
  /** Whether workers were only stopped gracefully, so that no attempt is used up by it. */
  readonly isGraceful?: boolean;
  /** Whether every success writes its effect. */
  readonly hasEffects?: boolean;
}

/** A broken promise, in words. */
export interface Breach {
  readonly promise: string;
  readonly what: string;
}

const TERMINAL = new Map([
  ["task.succeeded", "succeeded"],
  ["task.failed", "failed"],
  ["task.discarded", "discarded"],
  ["task.cancelled", "cancelled"],
]);

/** Everything that is wrong with the run; nothing, if all promises were kept. */
export function checkHistory(
  events: readonly HistoryEvent[],
  tasks: readonly FinalTask[],
  expected: Expectation,
): Breach[] {
  return [
    ...checkEnds(events, tasks),
    ...checkAttempts(events, tasks),
    ...checkConcurrency(events, expected.concurrency),
    ...checkClaims(events, tasks, expected.isCalm ?? false),
    ...checkRescue(events, expected.rescueMs),
    ...checkCancels(events, tasks),
    ...(expected.hasEffects ?? true) ? checkEffects(tasks) : [],
    ...(expected.isGraceful ?? false) ? checkGrace(events, tasks) : [],
  ];
}

/** I1: what was acknowledged ends once and for all; nothing is invented; I9: success is said of what exists alone. */
function checkEnds(events: readonly HistoryEvent[], tasks: readonly FinalTask[]): Breach[] {
  const breaches: Breach[] = [];
  const found = new Map(tasks.map((task) => [task.id, task]));
  const known = new Set<string>();
  for (const event of events) {
    if (event.kind === "unknown") { for (const id of event.ids) known.add(id); }
    if (event.kind !== "initiated") continue;
    for (const id of event.ids) {
      known.add(id);
      if (!found.has(id)) {
        breaches.push({ promise: "I1", what: `task ${id} was acknowledged and is not there` });
      }
    }
  }
  for (const { id, state } of tasks) {
    if (!known.has(id)) breaches.push({ promise: "I1", what: `task ${id} was never initiated` });
    if (state === "queued" || state === "running") {
      breaches.push({ promise: "I1", what: `task ${id} is still ${state}` });
    }
  }
  const ended = new Map<string, string>();
  for (const event of events) {
    if (event.kind !== "log" || event.id === undefined) continue;
    const state = TERMINAL.get(event.event);
    if (state === undefined) continue;
    if (ended.has(event.id)) {
      breaches.push({ promise: "I1", what: `task ${event.id} ended twice, by ${event.event}` });
    }
    ended.set(event.id, state);
    const task = found.get(event.id);
    if (task === undefined) continue;
    if (task.state !== state || (state !== "cancelled" && task.attempt !== event.attempt)) {
      breaches.push({
        promise: "I1",
        what: `task ${event.id} ended as ${state} by attempt ${event.attempt}, ` +
          `and is now ${task.state} by attempt ${task.attempt}`,
      });
    }
  }
  return breaches;
}

/** I2: no two handlers are given the same attempt of a task, nor one that was never claimed. */
function checkAttempts(events: readonly HistoryEvent[], tasks: readonly FinalTask[]): Breach[] {
  const breaches: Breach[] = [];
  const last = new Map(tasks.map((task) => [task.id, task.attempt]));
  const started = new Set<string>();
  for (const event of events) {
    if (event.kind !== "start") continue;
    const name = `attempt ${event.attempt} of task ${event.id}`;
    if (started.has(name)) breaches.push({ promise: "I2", what: `${name} was started twice` });
    started.add(name);
    if (event.attempt > (last.get(event.id) ?? 0)) {
      breaches.push({ promise: "I2", what: `${name} was started and never claimed` });
    }
  }
  return breaches;
}

/** I7: in one process never more handlers at once than its concurrency. */
function checkConcurrency(events: readonly HistoryEvent[], concurrency: number): Breach[] {
  const breaches: Breach[] = [];
  const running = new Map<number, Set<string>>();
  for (const event of events) {
    if (event.kind !== "start" && event.kind !== "end") continue;
    const mine = running.get(event.pid) ?? new Set();
    running.set(event.pid, mine);
    const name = `${event.id} ${event.attempt}`;
    if (event.kind === "end") mine.delete(name);
    else if (mine.add(name).size === concurrency + 1) {
      breaches.push({
        promise: "I7",
        what: `process ${event.pid} ran ${mine.size} handlers at once`,
      });
    }
  }
  return breaches;
}

/** I9: in a calm run every claim that was not given back is the start of a handler. */
function checkClaims(
  events: readonly HistoryEvent[],
  tasks: readonly FinalTask[],
  isCalm: boolean,
): Breach[] {
  if (!isCalm) return [];
  const starts = events.filter((event) => event.kind === "start").length;
  const claims = tasks.reduce((sum, { attempt, released }) => sum + attempt - released, 0);
  if (starts === claims) return [];
  return [{ promise: "I9", what: `${claims} claims led to ${starts} starts` }];
}

/** I10: what a killed worker ran is started again or ends in time, if another one lives. */
function checkRescue(events: readonly HistoryEvent[], rescueMs: number): Breach[] {
  const breaches: Breach[] = [];
  const running = new Map<number, Map<string, number>>();
  const up = new Set<number>();
  /** Tasks that wait for a rescue, and since when somebody could have done it. */
  const orphans = new Map<string, number>();
  const settle = (id: string, at: number) => {
    const since = orphans.get(id);
    orphans.delete(id);
    if (since !== undefined && at - since > rescueMs) {
      breaches.push({ promise: "I10", what: `task ${id} was rescued after ${at - since} ms` });
    }
  };
  for (const event of events) {
    switch (event.kind) {
      case "up":
        // While nobody lives, nobody can be late.
        if (up.size === 0) { for (const id of orphans.keys()) orphans.set(id, event.at); }
        up.add(event.pid);
        break;
      case "down":
        up.delete(event.pid);
        break;
      case "start": {
        settle(event.id, event.at);
        const mine = running.get(event.pid) ?? new Map<string, number>();
        running.set(event.pid, mine.set(event.id, event.attempt));
        break;
      }
      case "log":
        if (event.id === undefined || !event.event.startsWith("task.")) break;
        if (event.event === "task.started" || event.event === "task.log") break;
        running.get(event.pid)?.delete(event.id);
        settle(event.id, event.at);
        break;
      case "fault":
        if (event.fault !== "kill") break;
        up.delete(event.target);
        for (const id of running.get(event.target)?.keys() ?? []) orphans.set(id, event.at);
        running.delete(event.target);
        break;
    }
  }
  // What is left had been settled already, and only the word of it was lost: the end says whether that is so (I1).
  return breaches;
}

/** I12: after a cancel no new attempt starts, and what was told as cancelled is cancelled. */
function checkCancels(events: readonly HistoryEvent[], tasks: readonly FinalTask[]): Breach[] {
  const breaches: Breach[] = [];
  const states = new Map(tasks.map((task) => [task.id, task.state]));
  const asked = new Map<string, number>();
  for (const event of events) {
    if (event.kind === "cancel" && event.answer !== "ended") {
      if (!asked.has(event.id)) asked.set(event.id, event.at);
      const state = states.get(event.id);
      const fits = event.answer === "cancelled"
        ? state === "cancelled"
        : state === "cancelled" || state === "succeeded";
      if (!fits) {
        breaches.push({
          promise: "I12",
          what: `the cancel of task ${event.id} was ${event.answer}, and it is ${state}`,
        });
      }
    }
    // One that was claimed before the cancel may be entered in the same moment.
    const since = event.kind === "start" ? asked.get(event.id) : undefined;
    if (event.kind === "start" && since !== undefined && event.at > since + 100) {
      breaches.push({
        promise: "I12",
        what: `attempt ${event.attempt} of task ${event.id} started after its cancel`,
      });
    }
  }
  return breaches;
}

/** What `context.complete` writes exists once for each success, of the attempt that succeeded, and never else. */
function checkEffects(tasks: readonly FinalTask[]): Breach[] {
  const breaches: Breach[] = [];
  for (const { id, state, attempt, effects } of tasks) {
    const wanted = state === "succeeded" ? String(attempt) : "";
    if (effects.join() !== wanted) {
      breaches.push({
        promise: "exactly once",
        what:
          `task ${id} is ${state} by attempt ${attempt}; the writes of attempts [${effects}] exist`,
      });
    }
  }
  return breaches;
}

/** I11, I16: a graceful stop uses no attempt up, and nothing has to be rescued after it. */
function checkGrace(events: readonly HistoryEvent[], tasks: readonly FinalTask[]): Breach[] {
  const breaches: Breach[] = [];
  for (const { id, attempt, released } of tasks) {
    if (attempt - released > 1) {
      breaches.push({
        promise: "I16",
        what: `task ${id} used ${attempt - released} attempts up over graceful stops`,
      });
    }
  }
  for (const event of events) {
    if (event.kind === "log" && event.event === "worker.rescued") {
      breaches.push({ promise: "I16", what: event.message });
    }
  }
  return breaches;
}
