/**
 * Why a task does not run, in words: from what the database tells of the task, its group and the workers.
 *
 * @module
 */

import { SECOND } from "@std/datetime/constants";
import { PLACE_TASKS_MAX } from "../core/limits.ts";
import type { TaskInfo, TaskPlace, WorkerInfo } from "../options.ts";
import { counted, formatMs } from "./format.ts";

/** Without a heartbeat for so long a worker is probably dead: its rescue takes no longer by default. */
const SILENT_MS = 30 * SECOND;

/** What is known. */
export interface Circumstances {
  readonly nowMs: number;
  readonly workers: readonly WorkerInfo[];
  /** What it waits behind if it is queued; null if it no longer was. */
  readonly place: TaskPlace | null;
}

/** One reason a line, with what to do about it where there is something; empty for a task that has ended. */
export function explain(task: TaskInfo, circumstances: Circumstances): string[] {
  switch (task.state) {
    case "queued":
      return explainQueued(task, circumstances);
    case "running":
      return explainRunning(task, circumstances);
    default:
      return [];
  }
}

function explainQueued(task: TaskInfo, { nowMs, workers, place }: Circumstances): string[] {
  const { group, due, error, attempt } = task;
  const name = JSON.stringify(group);
  const reasons: string[] = [];
  if (place?.pausedAll) reasons.push("all groups are paused: taskkit resume");
  if (place?.paused) reasons.push(`group ${name} is paused: taskkit resume ${group}`);

  const dueInMs = due.getTime() - nowMs;
  if (error?.code === "UNKNOWN_TASK") {
    reasons.push("the worker that took it does not know it; it waits for one whose handler does");
  } else if (attempt > 0 && error !== null && dueInMs > 0) {
    reasons.push(`attempt ${attempt} failed; the next one is due in ${formatMs(dueInMs)}`);
  } else if (dueInMs > 0) {
    reasons.push(`it is due in ${formatMs(dueInMs)}, at ${due.toISOString()}`);
  }

  const ofGroup = workers.filter((worker) => Object.hasOwn(worker.groups, group));
  const alive = ofGroup.filter((worker) => silence(worker, nowMs) === null);
  const serving = alive.filter(({ stopping }) => !stopping);
  if (ofGroup.length === 0) {
    reasons.push(`no worker works on group ${name}: taskkit worker --group ${group}`);
  } else if (alive.length === 0) {
    const last = Math.min(...ofGroup.map(({ lastBeat }) => nowMs - lastBeat.getTime()));
    reasons.push(
      `no worker of group ${name} is alive: the last heartbeat came ${formatMs(last)} ago`,
    );
  } else if (serving.length === 0) reasons.push(`every worker of group ${name} is stopping`);
  if (dueInMs > 0 || serving.length === 0 || reasons.length > 0) return reasons;

  const slots = serving.reduce((sum, { groups }) => sum + (groups[group] ?? 0), 0);
  if (place !== null && place.running >= slots) {
    reasons.push(
      `all ${
        counted(slots, "slot")
      } of the workers of group ${name} are taken: more workers, or a higher concurrency`,
    );
  }
  if (place !== null && place.ahead > 0) {
    const isAll = place.ahead < PLACE_TASKS_MAX;
    reasons.push(
      `${isAll ? "" : "at least "}${counted(place.ahead, "task")} of group ${name} ` +
        `${place.ahead === 1 ? "is" : "are"} taken before it`,
    );
  }
  return reasons.length > 0 ? reasons : ["nothing is in its way: a worker is about to take it"];
}

function explainRunning(task: TaskInfo, { nowMs, workers }: Circumstances): string[] {
  const worker = workers.find(({ id }) => id === task.worker);
  if (worker === undefined) {
    return ["its worker is gone; another one takes it back, if any runs"];
  }
  const { host, pid } = worker;
  const silentMs = silence(worker, nowMs);
  const where = `process ${pid} on ${host}`;
  if (silentMs === null) {
    return [`it runs in ${where}${worker.stopping ? ", which is stopping" : ""}`];
  }
  return [
    `its worker (${where}) has not been heard of for ${
      formatMs(silentMs)
    }; if it is dead, another one takes the ` +
    "task back, if any runs",
  ];
}

/** How long a worker has been silent, by its own clock, or null if that is no sign of anything. */
function silence({ lastBeat }: WorkerInfo, nowMs: number): number | null {
  const ms = nowMs - lastBeat.getTime();
  return ms > SILENT_MS ? ms : null;
}
