/**
 * What a Kit takes and what it tells: options and views, as plain types.
 *
 * @module
 */

import type { Clock } from "./core/clock.ts";
import type { Duration, Instant } from "./core/duration.ts";
import type { StoredError } from "./core/errors.ts";
import type { TaskHandler, UserKey } from "./core/handler.ts";
import type { Log, LogLevel } from "./core/log.ts";
import type { Random } from "./core/random.ts";
import type { TaskState } from "./core/task.ts";
import type { ExecutorKind } from "./executor/executor.ts";
import type { Permissions } from "./executor/permissions.ts";
import type { Result } from "./result.ts";
import type { Schedules } from "./schedule/entry.ts";
import type { KvClient, KvSource } from "./store/connection.ts";
import type { GroupStats } from "./store/read.ts";
import type { StopReason } from "./worker/worker.ts";

/** What `Kit.open` takes. */
export interface KitOptions {
  /**
   * Where the database is: the path of a SQLite file (made if it is not there), `":memory:"`, a KV Connect URL (its token
   * comes from the environment variable `DENO_KV_ACCESS_TOKEN`), or an open KV, which then stays yours to close. Default:
   * Deno's default database.
   */
  readonly kv?: KvSource;
  /**
   * Which client speaks to a KV Connect URL: `"npm"` (the package `@deno/kv`) or, in Deno, its own (`"builtin"`).
   * Default: `"npm"`, which writes more than 1 KB much faster and gives up in time.
   */
  readonly client?: KvClient;
  /**
   * What runs tasks and encodes their data: an instance, or the URL of a module that exports one by default (or a class
   * that can be made without arguments). Threads and processes need the URL. Leave it out where tasks are only initiated
   * or looked at, with the default codec.
   */
  readonly handler?: TaskHandler | URL;
  /** The key, or key part, below which everything is stored. Kits with different prefixes share nothing. Default: `"taskkit"`. */
  readonly prefix?: string | readonly string[];
  /** Where the time comes from. For tests. Default: the machine's clock. */
  readonly clock?: Clock;
  /** Where randomness comes from. For tests. Default: the machine's source. */
  readonly random?: Random;
}

/** What `Kit.initiateTask` takes beside the data. */
export interface InitiateOptions {
  /** Not before: a `Date`, epoch milliseconds, or a duration from now such as `"10s"`. Default: now. */
  readonly due?: Instant | string;
  /** How long the outcome is kept after the end. Default: 7 days. */
  readonly ttl?: Duration;
  /** From 0 (taken first) to 9. Default: 5. */
  readonly priority?: number;
  /** How long an attempt may take. Default: what the group or the definition says, else no bound. */
  readonly timeout?: Duration;
  /** A key that only one task may hold until it ends; if one does, its result is returned and nothing is written. */
  readonly unique?: string;
  /** Runs the task here and now, and stores the outcome as if a worker had run it. Default: false. */
  readonly eager?: boolean;
}

/** One task for `Kit.initiateTasks`. */
export interface InitiateEntry extends InitiateOptions {
  /** The group whose workers take it. */
  readonly group: string;
  /** What the handler tells tasks apart by. */
  readonly name: string;
  /** What the handler is given, encoded. */
  readonly data?: unknown;
}

/** How a group is worked on by one worker. */
export interface GroupOptions {
  /** How many of its tasks run at once in this worker, 1 to 1,000. Default: 10. */
  readonly concurrency?: number;
  /**
   * Where its handlers run. Default: `"thread"` if the Kit's handler was given as a URL and the runtime has threads, else
   * `"inline"`.
   */
  readonly executor?: ExecutorKind;
  /** What its threads or processes may touch, in Deno. Default: what the worker may. */
  readonly permissions?: Permissions;
  /** The most memory one of its processes may take, in MiB. Default: no bound. */
  readonly memory?: number;
  /** How long an attempt may take, for tasks that have no timeout of their own. Default: no bound. */
  readonly timeout?: Duration;
}

/** What `Kit.startWorker` takes. */
export interface WorkerOptions {
  /** The groups to work on, each with its concurrency. Default: the groups of the definitions that the handler is made of. */
  readonly groups?: Readonly<Record<string, number | GroupOptions>>;
  /** Threads for all groups together. Default: as many as the machine has processors. */
  readonly threads?: number;
  /**
   * After so many threads that would not stop (Deno cannot end a busy loop) the worker stops, for its supervisor to start
   * it anew; `start` then resolves to `"leaked"`. Default: 3.
   */
  readonly leakedThreads?: number;
  /** How often to look without being woken. Default: 5 s. */
  readonly pollInterval?: Duration;
  /** How long a stop waits for what runs. Default: 30 s. */
  readonly grace?: Duration;
  /** After this long without a heartbeat a worker is held to be dead; it beats three times as often. Default: 15 s. */
  readonly lease?: Duration;
  /**
   * Recurring schedules to look after, by scheduler. Entries that are kept in the database are looked after beside them. A
   * worker without `maintenance` fires neither.
   */
  readonly schedules?: Schedules;
  /** The IANA time zone of schedules that have none of their own. Default: `"UTC"`. */
  readonly timeZone?: string;
  /** Whether it also rescues the tasks of dead workers, sweeps, and fires schedules. Default: true. */
  readonly maintenance?: boolean;
  /** Stops the worker when it aborts. */
  readonly signal?: AbortSignal;
  /** Told what the worker does. Default: warnings and errors go to the console. */
  readonly log?: Log;
  /** The least important level that is told. Default: `"info"` with a `log` of one's own, else `"warn"`. */
  readonly logLevel?: LogLevel;
}

/** What {@linkcode Kit.drain} takes. */
export interface DrainOptions
  extends Omit<WorkerOptions, "pollInterval" | "maintenance" | "signal" | "threads"> {
  /** For how long it works, at most; what runs at its end has the grace on top. Default: 20 s. */
  readonly for?: Duration;
}

/** A running worker, as `Kit.startWorker` returns it. */
export interface RunningWorker extends AsyncDisposable {
  /** The id of this start; another one after the worker was declared dead. */
  readonly id: string;
  /** Resolves when the worker has stopped, for whatever reason. */
  readonly finished: Promise<StopReason>;
  /**
   * Stops: no new claims; what runs may finish within the grace, is then aborted and given back without using an attempt.
   * A second call with a grace of 0 cuts the first one short.
   */
  stop(options?: { grace?: Duration }): Promise<void>;
}

/** A task as an onlooker sees it. */
export interface TaskInfo {
  /** Its id. */
  readonly id: string;
  /** Its group. */
  readonly group: string;
  /** Its name. */
  readonly name: string;
  /** Where it is in its life. */
  readonly state: TaskState;
  /** 0 (taken first) to 9. */
  readonly priority: number;
  /** Not before this instant. */
  readonly due: Date;
  /** When it was initiated. */
  readonly created: Date;
  /** When its current or last attempt was claimed. */
  readonly started: Date | null;
  /** When it ended. */
  readonly ended: Date | null;
  /** When its outcome is forgotten. */
  readonly expires: Date | null;
  /** The schedule point that made it. */
  readonly scheduled: Date | null;
  /** Runs so far, the current one included. */
  readonly attempt: number;
  /** Of those before the current one, how many count as tries. */
  readonly retryCount: number;
  /** How long the outcome is kept after the end, in milliseconds. */
  readonly ttl: number;
  /** How long an attempt may take, in milliseconds. */
  readonly timeout: number | null;
  /** The unique key it holds or held. */
  readonly unique: string | null;
  /** The worker that runs it. */
  readonly worker: string | null;
  /** What the last attempt that did not succeed left. */
  readonly error: StoredError | null;
}

/** What `Kit.listTasks` takes. */
export interface ListOptions {
  /** Only of this group. */
  readonly group?: string;
  /** Only in this state. */
  readonly state?: TaskState;
  /** Only of this name. */
  readonly name?: string;
  /** At most so many, 1 to 1,000. Default: 100. */
  readonly limit?: number;
  /** Where the page before ended. */
  readonly cursor?: string | null;
}

/** A worker as an onlooker sees it. */
export interface WorkerInfo {
  /** Its id. */
  readonly id: string;
  /** The host it runs on. */
  readonly host: string;
  /** Its process id. */
  readonly pid: number;
  /** Its runtime and version. */
  readonly runtime: string;
  /** When it was started, by its own clock. */
  readonly started: Date;
  /** When it last beat, by its own clock. */
  readonly lastBeat: Date;
  /** Its groups, with their concurrency. */
  readonly groups: Readonly<Record<string, number>>;
  /** How many attempts ran at its last beat. */
  readonly running: number;
  /** Whether it is stopping. */
  readonly stopping: boolean;
}

/** What a queued task waits behind. Both numbers are counted up to 1,000. */
export interface TaskPlace {
  /** Due tasks of its group that are taken before it. */
  readonly ahead: number;
  /** Tasks of its group that workers have claimed. */
  readonly running: number;
  /** Whether its group is paused. */
  readonly paused: boolean;
  /** Whether all groups are paused. */
  readonly pausedAll: boolean;
}

/** Numbers of the whole database. */
export interface Stats {
  /** By group. */
  readonly groups: Readonly<Record<string, Readonly<GroupStats>>>;
  /** Whether all groups are paused. */
  readonly pausedAll: boolean;
  /** The groups that are paused. */
  readonly paused: readonly string[];
}

/** The user's own writes and tasks that commit together, or not at all; made by `Kit.atomic`. */
export interface KitAtomic {
  /** Refuses the whole commit unless the key is still at this version (null: absent). */
  check(key: UserKey, versionstamp: string | null): KitAtomic;
  /** Writes a value that Deno KV can store; `expireIn` in milliseconds. */
  set(key: UserKey, value: unknown, options?: { expireIn?: number }): KitAtomic;
  /** Deletes a key. */
  delete(key: UserKey): KitAtomic;
  /** Initiates a task with the commit. `eager` and `unique` are not to be had here. */
  initiateTask(group: string, name: string, data?: unknown, options?: InitiateOptions): KitAtomic;
  /**
   * Commits. `ok` is false, and nothing was written, if a check failed.
   *
   * @throws {InvalidArgument} If there are more than 200 writes, or a key lies below Taskkit's own prefix.
   * @throws {Conflict} If there is no task in it: that is the database's own `atomic()`'s to do.
   * @throws {OutcomeUnknown} If the database did not say in time whether it was written; `ids` has a task's.
   */
  commit(): Promise<{ ok: true; results: Result[] } | { ok: false }>;
}
