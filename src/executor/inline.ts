/**
 * The inline executor: handlers run in the worker's own thread. Cheapest, and right for handlers that wait for I/O.
 *
 * @module
 */

import type { TaskHandler } from "../core/handler.ts";
import type { Executor, Job, JobHooks, Run } from "./executor.ts";
import { runHandler } from "./run_handler.ts";

/** Nothing can stop code in one's own thread; what is left of it finds its signal aborted and its outcome unwanted. */
function abandon(): void {}

/** Runs the handlers of one group in the thread of the caller. */
export class InlineExecutor implements Executor {
  readonly kind = "inline";
  readonly #handler: TaskHandler;

  constructor(handler: TaskHandler) {
    this.#handler = handler;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  run(job: Job, hooks: JobHooks): Run {
    hooks.onBegin?.();
    return { outcome: runHandler(this.#handler, job, hooks), abandon };
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}
