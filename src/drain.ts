/**
 * Work for a bounded time: for hosts that start a process by a request, stop it when nobody asks for anything, and leave
 * it five seconds to end.
 *
 * A drain is a worker that stops by itself as soon as nothing is due, and no other worker seems to have died in the middle
 * of something; its leases are short, so that one drain can take back what an earlier one, killed on the way, left.
 *
 * @module
 */

import process from "node:process";
import { sleep } from "./core/clock.ts";
import { DRAIN_LOOK_MS, DRAIN_QUIET_MS } from "./core/limits.ts";
import { listLeases, listWorkers } from "./store/beat.ts";
import type { Store } from "./store/store.ts";
import type { Worker } from "./worker/worker.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** One drain, which others of the same Kit join. */
export class Drain {
  /** Resolves when its worker has stopped: with whether nothing was left to do. */
  readonly ended: Promise<boolean>;
  readonly #store: Store;
  #untilMs: number;
  #isEnding = false;

  constructor(store: Store, forMs: number, startWorker: () => Promise<Worker>) {
    this.#store = store;
    this.#untilMs = store.clock.monotonic() + forMs;
    this.ended = this.#run(startWorker);
  }

  /** Goes on for at least so long from now on, if there is something to do. False if it is about to end. */
  prolong(forMs: number): boolean {
    this.#untilMs = Math.max(this.#untilMs, this.#store.clock.monotonic() + forMs);
    return !this.#isEnding;
  }

  async #run(startWorker: () => Promise<Worker>): Promise<boolean> {
    const stopping = new AbortController();
    let signal: NodeJS.Signals | null = null;
    const onSignal = (name: NodeJS.Signals) => {
      signal = name;
      stopping.abort();
    };
    for (const name of SIGNALS) process.on(name, onSignal);
    try {
      const worker = await startWorker();
      void worker.finished.then(() => stopping.abort());
      const isDrained = await this.#follow(worker, stopping.signal);
      this.#isEnding = true;
      await worker.stop();
      return isDrained;
    } finally {
      for (const name of SIGNALS) process.off(name, onSignal);
      // What the signal does to a process that does not drain.
      if (signal !== null && process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    }
  }

  /** Resolves when there is nothing left to do (true), the time is over, or the worker is to stop. */
  async #follow(worker: Worker, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#store;
    let quietSince: number | null = null;
    while (!signal.aborted && clock.monotonic() < this.#untilMs) {
      if (!worker.isQuiet) quietSince = null;
      else quietSince ??= clock.monotonic();
      if (quietSince !== null && clock.monotonic() - quietSince >= DRAIN_QUIET_MS) {
        if (!await this.#hasSuspects(worker)) return true;
        quietSince = null;
      }
      await sleep(clock, DRAIN_LOOK_MS, signal);
    }
    return false;
  }

  readonly #seen = new Map<string, string>();

  /** Whether another worker holds a lease and has not beaten since it was seen first: it may be dead. */
  async #hasSuspects(worker: Worker): Promise<boolean> {
    const leases = await listLeases(this.#store);
    const others = new Set(leases.map((lease) => lease.worker));
    others.delete(worker.id);
    if (others.size === 0) return false;
    const versions = new Map(
      (await listWorkers(this.#store)).map(({ id, version }) => [id, version]),
    );
    for (const id of others) {
      const version = versions.get(id) ?? "none";
      const seen = this.#seen.get(id) ?? version;
      this.#seen.set(id, seen);
      if (seen === version) return true;
    }
    return false;
  }
}
