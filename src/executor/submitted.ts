/**
 * An attempt that was given to a pool, until its outcome is known.
 *
 * @module
 */

import { ExecutorLost } from "../core/errors.ts";
import type { StoredError } from "../core/errors.ts";
import { toStoredError } from "../core/stored_error.ts";
import type { Job, JobHooks, Outcome, Run } from "./executor.ts";

/** The pool that an attempt was given to. */
export interface Keeper {
  /** Its signal was aborted before it ended. */
  onAbort(attempt: Submitted): void;
  /** Nobody waits for it any more. */
  onAbandon(attempt: Submitted): void;
}

/** An attempt in a pool. */
export class Submitted implements Run {
  readonly n: number;
  readonly job: Job;
  readonly hooks: JobHooks;
  readonly outcome: Promise<Outcome>;
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #keeper: Keeper;
  readonly #onAbort = () => this.#keeper.onAbort(this);

  constructor(keeper: Keeper, given: Pick<Submitted, "n" | "job" | "hooks">) {
    this.#keeper = keeper;
    this.n = given.n;
    this.job = given.job;
    this.hooks = given.hooks;
    this.outcome = this.#outcome.promise;
    this.hooks.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  abandon(): void {
    this.#keeper.onAbandon(this);
  }

  /** The attempt ended. */
  end(outcome: Outcome): void {
    this.hooks.signal.removeEventListener("abort", this.#onAbort);
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
