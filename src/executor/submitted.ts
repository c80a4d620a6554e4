/**
 * An attempt that was given to a pool, until its outcome is known.
 *
 * @module
 */

import { ExecutorLost } from "../core/errors.ts";
import type { StoredError } from "../core/errors.ts";
import { toStoredError } from "../core/stored_error.ts";
import type { Job, JobHooks, Outcome } from "./executor.ts";

/** An attempt in a pool. */
export class Submitted {
  readonly n: number;
  readonly job: Job;
  readonly hooks: JobHooks;
  /** Resolves with the outcome; never rejects. */
  readonly outcome: Promise<Outcome>;
  readonly #outcome = Promise.withResolvers<Outcome>();
  #onAbort: (() => void) | null = null;

  constructor(n: number, job: Job, hooks: JobHooks) {
    this.n = n;
    this.job = job;
    this.hooks = hooks;
    this.outcome = this.#outcome.promise;
  }

  /** Calls back when the attempt is aborted before it ends. */
  onAbort(callback: () => void): void {
    this.#onAbort = callback;
    this.hooks.signal.addEventListener("abort", callback, { once: true });
  }

  /** The attempt ended. */
  end(outcome: Outcome): void {
    if (this.#onAbort !== null) this.hooks.signal.removeEventListener("abort", this.#onAbort);
    this.#outcome.resolve(outcome);
  }

  /** The place where the attempt ran is gone. */
  lose(error: StoredError, blame: boolean): void {
    this.end({ kind: "lost", error, blame });
  }

  /** The attempt never began, and will not here. */
  giveBack(why: string): void {
    this.lose(lost(`The attempt had not begun: ${why}`), false);
  }
}

/** The stored form of an `ExecutorLost`, without a stack: it would show the worker's code. */
export function lost(message: string): StoredError {
  const { name, code } = toStoredError(new ExecutorLost(message));
  return { name, message, ...(code === undefined ? {} : { code }) };
}
