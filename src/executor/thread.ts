/**
 * The thread executor: handlers of one group run in the threads of a pool that groups share.
 *
 * @module
 */

import type { Executor, Job, JobHooks, Run } from "./executor.ts";
import type { ThreadPool } from "./thread_pool.ts";

/** A pool that starts with the first group that uses it and stops with the last. */
export class SharedPool {
  readonly #make: () => Promise<ThreadPool>;
  #pool: ThreadPool | null = null;
  #started: Promise<ThreadPool> | null = null;
  #users = 0;

  constructor(make: () => Promise<ThreadPool>) {
    this.#make = make;
  }

  /** Threads of the pool that were terminated and still run. */
  get leaked(): number {
    return this.#pool?.leaked ?? 0;
  }

  /** One user more; the first one starts the pool, the others wait for that. */
  start(): Promise<ThreadPool> {
    this.#users++;
    this.#started ??= this.#start();
    return this.#started;
  }

  /** One user less; the last one stops the pool. */
  async stop(): Promise<void> {
    if (--this.#users === 0) await this.#pool?.stop();
  }

  async #start(): Promise<ThreadPool> {
    this.#pool = await this.#make();
    await this.#pool.start();
    return this.#pool;
  }
}

/** Runs the handlers of one group in threads. */
export class ThreadExecutor implements Executor {
  readonly kind = "thread";
  readonly #shared: SharedPool;
  #pool: ThreadPool | null = null;
  #isUser = false;

  constructor(shared: SharedPool) {
    this.#shared = shared;
  }

  async start(): Promise<void> {
    this.#isUser = true;
    this.#pool = await this.#shared.start();
  }

  run(job: Job, hooks: JobHooks): Run {
    if (this.#pool === null) throw new TypeError("Cannot run in threads: they were not started");
    return this.#pool.run(job, hooks);
  }

  async stop(): Promise<void> {
    if (!this.#isUser) return;
    this.#isUser = false;
    await this.#shared.stop();
  }
}
