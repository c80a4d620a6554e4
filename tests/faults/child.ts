/**
 * One process of a run with faults: a worker, or a program that initiates. What it is to do comes as JSON in the first
 * argument; what happens is noted in its history; what it has counted is printed as a last line of JSON.
 *
 * @module
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Kit, type LogEntry, type Task, type TaskContext, TaskHandler } from "../../mod.ts";
import { OutcomeUnknown, TaskkitError } from "../../mod.ts";
import { HistoryWriter } from "./history.ts";

/** Data of a task whose first attempt ends only when its signal is aborted. */
const HANGS = -1;

/** What a child is to do. */
export interface ChildOptions {
  readonly role: "worker" | "initiator";
  readonly kv: string;
  /** The folder of the histories. */
  readonly history: string;
  readonly group?: string;
  readonly concurrency?: number;
  readonly lease?: string;
  readonly grace?: string;
  readonly poll?: string;
  /** Whether each attempt is noted, with a write that commits with its success; else only what goes wrong. Default: true. */
  readonly notes?: boolean;
  /** For an initiator: how many tasks, in calls of how many, with which pause between the calls. */
  readonly tasks?: number;
  readonly batch?: number;
  readonly pauseMs?: number;
  /** How long a handler takes, at most; half of them a tenth of it. */
  readonly handlerMs?: number;
  /** Of 100 tasks of an initiator, how many it cancels at once. */
  readonly cancels?: number;
  /** Instead of a number of tasks: initiate for so long. */
  readonly forMs?: number;
}

/** What a child prints when it ends well. */
export interface ChildCounts {
  readonly done: number;
  readonly refused: number;
  readonly unknown: number;
  /** Times of the calls of an initiator, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const options: ChildOptions = JSON.parse(process.argv[2] ?? "{}");
const { group = "work", notes = true } = options;
const history = new HistoryWriter(options.history);
let done = 0;

class Handler extends TaskHandler {
  override async handle(task: Task, context: TaskContext): Promise<unknown> {
    const { id, attempt } = task;
    if (!notes) {
      done++;
      return null;
    }
    history.note({ kind: "start", id, attempt });
    try {
      const data = this.decodeData<number>(task);
      const ms = data === HANGS ? (attempt === 1 ? 600_000 : 0) : data;
      if (ms > 0) await sleep(ms, undefined, { signal: context.signal }).catch(() => {});
      context.signal.throwIfAborted();
      done++;
      return context.complete(attempt, (atomic) => atomic.set(["effect", id, attempt], true));
    } finally {
      history.note({ kind: "end", id, attempt, aborted: codeOf(context.signal.reason) });
    }
  }

  override getRetryInterval(): number {
    return 50;
  }
}

function codeOf(reason: unknown): string | null {
  if (reason === undefined) return null;
  return reason instanceof TaskkitError ? reason.code : String(reason);
}

function log({ level, event, message, task, attempt }: LogEntry): void {
  history.note({
    kind: "log",
    level,
    event,
    message,
    ...(task === undefined ? {} : { id: task }),
    ...(attempt === undefined ? {} : { attempt }),
  });
}

async function work(kit: Kit): Promise<ChildCounts> {
  const worker = await kit.startWorker({
    groups: { [group]: options.concurrency ?? 4 },
    lease: options.lease ?? "15s",
    grace: options.grace ?? "30s",
    pollInterval: options.poll ?? "5s",
    log,
    logLevel: notes ? "info" : "warn",
  });
  history.note({ kind: "up" });
  const stop = () => void worker.stop();
  process.on("SIGTERM", stop);
  console.log("ready");
  await worker.finished;
  process.off("SIGTERM", stop);
  history.note({ kind: "down" });
  return { done, refused: 0, unknown: 0, p50: 0, p99: 0, max: 0 };
}

async function initiate(kit: Kit): Promise<ChildCounts> {
  const { tasks = Infinity, batch = 1, pauseMs = 0, handlerMs = 0, cancels = 0 } = options;
  console.log("ready");
  const times: number[] = [];
  let refused = 0;
  let unknown = 0;
  let isStopped = false;
  process.on("SIGTERM", () => isStopped = true);
  const startedAt = performance.now();
  for (let n = 0; n < tasks && !isStopped; n += batch) {
    if (options.forMs !== undefined && performance.now() - startedAt > options.forMs) break;
    const calledAt = performance.now();
    try {
      const entries = Array.from({ length: Math.min(batch, tasks - n) }, () => ({
        group,
        name: "work",
        data: handlerMs * (Math.random() < 0.5 ? 0.1 : Math.random()),
      }));
      const results = await kit.initiateTasks(entries);
      times.push(performance.now() - calledAt);
      done += results.length;
      history.note({ kind: "initiated", ids: results.map(({ id }) => id) });
      for (const { id } of results) {
        if (Math.random() * 100 >= cancels) continue;
        await sleep(Math.random() * 2 * handlerMs);
        history.note({ kind: "cancel", id, answer: await kit.cancel(id) });
      }
    } catch (error) {
      if (error instanceof OutcomeUnknown) {
        unknown++;
        history.note({ kind: "unknown", ids: error.ids });
      } else if (error instanceof TaskkitError) {
        refused++;
        history.note({ kind: "refused", code: error.code });
      } else throw error;
    }
    if (pauseMs > 0) await sleep(pauseMs);
  }
  times.sort((a, b) => a - b);
  const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? 0;
  return { done, refused, unknown, p50: at(0.5), p99: at(0.99), max: at(1) };
}

{
  await using kit = await Kit.open({ kv: options.kv, handler: new Handler() });
  const counts = options.role === "worker" ? await work(kit) : await initiate(kit);
  console.log(JSON.stringify(counts));
}
history.close();
// A client may keep the process alive by a connection of its own.
process.exit(0);
