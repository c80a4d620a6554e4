/**
 * Makes the executors of a worker's groups, which share threads where they may.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { InvalidArgument, Unsupported } from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import { PROCESSES_MAX, THREADS_MAX } from "../core/limits.ts";
import { guarded, type Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import type { Executor, ExecutorKind } from "./executor.ts";
import { InlineExecutor } from "./inline.ts";
import { isRestricted, type Permissions } from "./permissions.ts";
import { ProcessExecutor } from "./process.ts";
import { hasProcesses, hasThreads, hasWorkerOptions, IS_DENO, isDeploy } from "./runtime.ts";
import { SharedPool, ThreadExecutor } from "./thread.ts";
import { ThreadPool } from "./thread_pool.ts";

/** What all executors of a worker have in common. */
export interface ExecutorsOptions {
  /** The handler, for what runs inline. */
  readonly handler: TaskHandler;
  /** Its module, for threads and processes; null if the handler was given as an instance. */
  readonly handlerUrl: URL | null;
  /** Threads a pool has at most. Default: as many as the machine has processors. */
  readonly threads?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told, each time one more thread turns out not to end, how many of them there are. */
  readonly onLeak?: (leaked: number) => void;
}

/** What a group asks for. */
export interface GroupExecutorOptions {
  /** The group's name, for messages. */
  readonly group: string;
  readonly kind: ExecutorKind;
  /** Attempts that run at once; also the number of processes. */
  readonly concurrency: number;
  /** What its threads or processes may touch. Default: what the worker may. Deno alone. */
  readonly permissions?: Permissions;
  /** The most memory one of its processes may take, in MiB. Default: no bound. */
  readonly memoryMb?: number;
}

/** The executor of a group that does not name one: threads if the handler has a URL and there are threads, else inline. */
export function defaultExecutorKind(handlerUrl: URL | null): ExecutorKind {
  return handlerUrl !== null && hasThreads() ? "thread" : "inline";
}

/** How many threads a pool has where nothing is said: as many as the machine has processors. */
export function defaultThreads(): number {
  return Math.min(Math.max(1, globalThis.navigator?.hardwareConcurrency ?? 1), THREADS_MAX);
}

/** A pool, and how many attempts its groups may run at once. */
interface PoolOfGroups {
  readonly shared: SharedPool;
  concurrency: number;
}

/** The executors of one worker. */
export class Executors {
  readonly #options: ExecutorsOptions;
  readonly #log: Log;
  readonly #threads: number;
  /** One pool for each set of permissions. */
  readonly #pools = new Map<string, PoolOfGroups>();
  #hasToldOfInline = false;

  /** Sets up; nothing runs before an executor is started. */
  constructor(options: ExecutorsOptions) {
    const { threads = defaultThreads() } = options;
    if (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX) {
      throw new InvalidArgument(
        `Cannot start ${threads} threads: the number is an integer from 1 to ${THREADS_MAX}`,
      );
    }
    this.#options = options;
    this.#threads = threads;
    this.#log = guarded(options.log);
  }

  /** Threads that were terminated and still run. */
  get leaked(): number {
    return [...this.#pools.values()].reduce((sum, { shared }) => sum + shared.leaked, 0);
  }

  /**
   * The executor of a group.
   *
   * @throws {InvalidArgument} If it asks for threads or processes and the handler has no URL.
   * @throws {Unsupported} If the runtime has no processes, or no permissions to restrict.
   */
  create(group: GroupExecutorOptions): Executor {
    const kind = this.#possibleKind(group);
    if (kind === "inline") return new InlineExecutor(this.#options.handler);
    const { handlerUrl } = this.#options;
    if (handlerUrl === null) {
      throw new InvalidArgument(
        `Cannot run group "${group.group}" in a ${kind}: the handler was given as an instance, which cannot leave ` +
          `its thread; give the URL of its module instead: new URL("./handler.ts", import.meta.url)`,
      );
    }
    if (isRestricted(group.permissions) && !IS_DENO) {
      throw new Unsupported(
        `Cannot restrict the permissions of group "${group.group}": Deno alone has permissions`,
      );
    }
    return kind === "thread"
      ? this.#createThread(group, handlerUrl)
      : this.#createProcess(group, handlerUrl);
  }

  /** Where there are no threads, handlers that would run in them run inline; that is said once. */
  #possibleKind({ group, kind }: GroupExecutorOptions): ExecutorKind {
    const where = isDeploy() ? "Deno Deploy" : "this runtime";
    if (kind === "process" && !hasProcesses()) {
      throw new Unsupported(
        `Cannot run group "${group}" in processes: ${where} cannot start any${
          where === "this runtime" ? " (nor can a compiled program)" : ""
        }`,
      );
    }
    if (kind !== "thread" || hasThreads()) return kind;
    if (!this.#hasToldOfInline) {
      this.#hasToldOfInline = true;
      this.#log({
        level: "warn",
        event: "executor.inline",
        message: `${where} has no threads: handlers run inline`,
        at: this.#options.clock.now(),
      });
    }
    return "inline";
  }

  #createThread({ group, concurrency, permissions }: GroupExecutorOptions, url: URL): Executor {
    const { clock, random, onLeak } = this.#options;
    const isOwn = isRestricted(permissions);
    const name = isOwn ? JSON.stringify(permissions) : "inherit";
    const entry: PoolOfGroups = this.#pools.get(name) ?? {
      concurrency: 0,
      shared: new SharedPool(async () => {
        if (isOwn && !await hasWorkerOptions()) {
          throw new Unsupported(
            `Cannot restrict the permissions of the threads of group "${group}": ` +
              `Deno was started without --unstable-worker-options (or "unstable": ["worker-options"] in deno.json), ` +
              `or may not start a process to find out; executor: "process" needs no flag`,
          );
        }
        return new ThreadPool({
          handlerUrl: url,
          // More threads than attempts would idle.
          size: Math.min(this.#threads, entry.concurrency),
          ...(isOwn ? { permissions } : {}),
          clock,
          random,
          log: this.#log,
          onLeak: () => onLeak?.(this.leaked),
        });
      }),
    };
    entry.concurrency += concurrency;
    this.#pools.set(name, entry);
    return new ThreadExecutor(entry.shared);
  }

  #createProcess(options: GroupExecutorOptions, url: URL): Executor {
    const { group, concurrency, permissions = "inherit", memoryMb = null } = options;
    const { clock, random } = this.#options;
    if (concurrency > PROCESSES_MAX) {
      throw new InvalidArgument(
        `Cannot run group "${group}" in ${concurrency} processes: the bound is ${PROCESSES_MAX}; lower its concurrency`,
      );
    }
    if (memoryMb !== null && !(Number.isInteger(memoryMb) && memoryMb > 0)) {
      throw new InvalidArgument(
        `Cannot bound the memory of group "${group}": ${memoryMb} is no positive number of MiB`,
      );
    }
    return new ProcessExecutor({
      handlerUrl: url,
      size: concurrency,
      permissions,
      memoryMb,
      clock,
      random,
      log: this.#log,
    });
  }
}
