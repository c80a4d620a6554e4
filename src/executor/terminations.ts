/**
 * Threads that were terminated. In Deno one that computes goes on until it comes to wait: those that have not ended in time
 * count as leaked, until they end after all.
 *
 * @module
 */

import { type Clock, sleep } from "../core/clock.ts";
import { THREAD_END_MS } from "../core/limits.ts";
import type { Log, LogLevel } from "../core/log.ts";
import type { Thread } from "./thread_handle.ts";

/** What terminations need. */
export interface TerminationsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Told, each time one more has leaked, how many have. */
  readonly onLeak: (leaked: number) => void;
}

/** The terminations of a pool. */
export class Terminations {
  readonly #options: TerminationsOptions;
  /** Those that may yet end in time. */
  readonly #ending = new Set<Thread>();
  /** Those that did not. */
  readonly #leaked = new Set<Thread>();

  constructor(options: TerminationsOptions) {
    this.#options = options;
  }

  /** How many threads were terminated and still run, though they should not. */
  get leaked(): number {
    return this.#leaked.size;
  }

  /** Terminates a thread, if it has not ended. */
  begin(thread: Thread): void {
    if (thread.isGone) return;
    const timer = this.#options.clock.timer(THREAD_END_MS, () => this.#leak(thread));
    this.#ending.add(thread);
    thread.gone.then(() => {
      timer.cancel();
      this.#ending.delete(thread);
      if (!this.#leaked.delete(thread)) return;
      this.#tell("info", "thread.unleaked", "A thread that was terminated has ended after all");
    });
    thread.terminate();
  }

  /** Resolves when all have ended, or have shown that they cannot be ended. Nothing is heard of those any more. */
  async finish(): Promise<void> {
    const allGone = new AbortController();
    await Promise.race([
      Promise.all([...this.#ending].map((thread) => thread.gone)),
      sleep(this.#options.clock, THREAD_END_MS, allGone.signal),
    ]);
    allGone.abort();
    for (const thread of [...this.#ending, ...this.#leaked]) thread.forget();
  }

  #leak(thread: Thread): void {
    this.#ending.delete(thread);
    this.#leaked.add(thread);
    this.#tell(
      "error",
      "thread.leaked",
      `A thread was terminated and still computes; ${this.leaked} of them keep a core busy until this process ends`,
    );
    this.#options.onLeak(this.leaked);
  }

  #tell(level: LogLevel, event: string, message: string): void {
    const { clock, log } = this.#options;
    log({ level, event, message, at: clock.now() });
  }
}
