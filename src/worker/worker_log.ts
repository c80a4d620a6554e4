/**
 * What a worker tells of itself and its tasks: every event that it logs, its level and its words.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { guarded, type Log, LOG_LEVELS, type LogEntry, type LogLevel } from "../core/log.ts";
import type { TaskRecord } from "../core/task.ts";
import type { Executor } from "../executor/executor.ts";
import type { ReadEntry } from "../schedule/entry.ts";
import type { Settlement } from "../store/settle.ts";
import type { AttemptHost } from "./attempt.ts";

/** How many tasks or points are named in one entry; those beyond are counted. */
const NAMED_MAX = 10;

/** The log of one worker, from one level on. */
export class WorkerLog {
  readonly #log: Log;
  readonly #levelMin: number;
  readonly #clock: Clock;

  constructor(log: Log, level: LogLevel, clock: Clock) {
    this.#log = guarded(log);
    this.#levelMin = LOG_LEVELS.indexOf(level);
    this.#clock = clock;
  }

  started(
    worker: string,
    groups: ReadonlyMap<string, { readonly concurrency: number; readonly executor: Executor }>,
  ): void {
    const on = [...groups].map(([name, { concurrency, executor }]) =>
      `"${name}" (${concurrency} at once, ${executor.kind})`
    ).join(", ");
    this.#tell("info", "worker.started", `Worker "${worker}" works on ${on}`);
  }

  shutdown(worker: string): void {
    this.#tell("info", "worker.shutdown", `Worker "${worker}" was told to shut down`);
  }

  stopping(worker: string, running: number): void {
    this.#tell("info", "worker.stopping", `Worker "${worker}" stops; ${running} running`);
  }

  aborted(attempts: number): void {
    this.#tell(
      "warn",
      "worker.aborted",
      `${attempts} running attempts were aborted and are given back`,
    );
  }

  stopped(worker: string): void {
    this.#tell("info", "worker.stopped", `Worker "${worker}" has stopped`);
  }

  fenced(worker: string, why: string): void {
    this.#tell("warn", "worker.fenced", `Worker "${worker}" stops what it runs: ${why}`);
  }

  rescued(dead: string, tasks: readonly TaskRecord[]): void {
    this.#tell(
      "warn",
      "worker.rescued",
      `Worker "${dead}" is dead; ${tasks.length} tasks were taken back`,
      { tasks: tasks.map(({ id }) => id).slice(0, NAMED_MAX) },
    );
  }

  trouble(what: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#tell("warn", "worker.trouble", `Trouble with the ${what}, trying again: ${why}`);
  }

  fired(entry: ReadEntry, points: readonly number[]): void {
    this.#points("info", "schedule.fired", "fired", entry, points);
  }

  skipped(entry: ReadEntry, points: readonly number[]): void {
    const what = "skipped, since its last task has not ended";
    this.#points("warn", "schedule.skipped", what, entry, points);
  }

  ahead({ scheduler, key }: ReadEntry, decidedMs: number): void {
    const until = new Date(decidedMs).toISOString();
    this.#tell(
      "warn",
      "schedule.ahead",
      `Schedule "${scheduler}/${key}" fires nothing until ${until}: ` +
        "a clock that ran ahead decided its points up to then; remove the entry to begin anew",
      { scheduler, key },
    );
  }

  /** An entry about one task. */
  readonly task: AttemptHost["log"] = (level, event, message, record, more = {}) => {
    const { id: task, group, name, attempt } = record;
    this.#put({ level, event, message, task, group, name, attempt, ...more });
  };

  attemptStarted(record: TaskRecord): void {
    this.task("debug", "task.started", "started", record);
  }

  outcomeLost(record: TaskRecord): void {
    const message = "its outcome was refused: the lease was lost, another worker has it";
    this.task("warn", "task.lost", message, record);
  }

  /** What became of a task: `now` is its record as it was settled. */
  outcome({ record, ending }: Settlement, now: TaskRecord): void {
    const ms = record.startedMs === null ? 0 : this.#clock.now() - record.startedMs;
    const tell = (level: LogLevel, event: string, message: string) =>
      this.task(level, event, message, record, { ms });
    switch (now.state) {
      case "succeeded":
        return tell("info", "task.succeeded", "succeeded");
      case "failed":
        return tell("error", "task.failed", `failed: ${now.error?.message}`);
      case "discarded":
        return tell("warn", "task.discarded", `discarded: ${now.error?.message}`);
      case "cancelled":
        return tell("info", "task.cancelled", "cancelled");
      case "queued": {
        const due = new Date(now.dueMs).toISOString();
        if (ending.kind === "retry") {
          const message = `failed, due again at ${due}: ${now.error?.message}`;
          return tell("warn", "task.retried", message);
        }
        // The attempt has told that it is parked.
        if (ending.kind === "release" && ending.error?.code === "UNKNOWN_TASK") return;
        const why = now.error === null ? "" : `: ${now.error.message}`;
        return tell("info", "task.released", `given back, due at ${due}${why}`);
      }
    }
  }

  #points(
    level: LogLevel,
    event: string,
    what: string,
    { scheduler, key }: ReadEntry,
    points: readonly number[],
  ): void {
    const times = points.slice(0, NAMED_MAX).map((ms) => new Date(ms).toISOString());
    const more = points.length > times.length ? ` and ${points.length - times.length} more` : "";
    const message = `Schedule "${scheduler}/${key}" ${what}: ${times.join(", ")}${more}`;
    this.#tell(level, event, message, { scheduler, key });
  }

  #tell(level: LogLevel, event: string, message: string, fields?: Record<string, unknown>): void {
    this.#put({ level, event, message, ...(fields === undefined ? {} : { fields }) });
  }

  #put(entry: Omit<LogEntry, "at">): void {
    if (LOG_LEVELS.indexOf(entry.level) < this.#levelMin) return;
    const { level, event, message, ...more } = entry;
    this.#log({ level, event, message, at: this.#clock.now(), ...more });
  }
}
