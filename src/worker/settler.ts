/**
 * Gathers the outcomes of ended attempts and writes them in batches, while the next batch is already being claimed.
 * Settles of one lease follow one another, since each changes the version that the next one checks; over a network,
 * settles of different leases overlap.
 *
 * @module
 */

import { SETTLE_BATCH_MAX, SETTLES_REMOTE_MAX } from "../core/limits.ts";
import type { HeldLease } from "../store/claim.ts";
import { settle, type Settled, type Settlement } from "../store/settle.ts";
import type { Store } from "../store/store.ts";

/** Told what became of a settlement. What it returns belongs to the settlement: until then it is not written. */
export type OnSettled = (settlement: Settlement, settled: Settled) => Promise<void> | void;

/** Writes outcomes for one worker. */
export class Settler {
  readonly #store: Store;
  readonly #onSettled: OnSettled;
  readonly #giveUp = new AbortController();
  readonly #busy = new Set<HeldLease>();
  #queue: Settlement[] = [];
  #underWay = 0;
  #isDue = false;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(store: Store, onSettled: OnSettled) {
    this.#store = store;
    this.#onSettled = onSettled;
  }

  /** How many outcomes are not written yet. */
  get pending(): number {
    return this.#queue.length + this.#underWay;
  }

  /** Takes an outcome to be written. Those that end in the same turn of the event loop share a commit. */
  add(settlement: Settlement): void {
    this.#queue.push(settlement);
    this.#schedule();
  }

  /** Resolves when everything is written, or known to be lost. */
  flush(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  /** Ends the tries; what is not written by then is left to a rescue. */
  giveUp(): void {
    this.#giveUp.abort();
    this.#queue = [];
    this.#checkIdle();
  }

  #schedule(): void {
    if (this.#isDue || this.#giveUp.signal.aborted) return;
    this.#isDue = true;
    this.#store.clock.soon(() => {
      this.#isDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    const commitsMax = this.#store.remote ? SETTLES_REMOTE_MAX : 1;
    while (this.#commits < commitsMax) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      void this.#write(batch);
    }
  }

  #commits = 0;

  /** The oldest outcomes whose leases no settle is working on. */
  #nextBatch(): Settlement[] {
    const batch: Settlement[] = [];
    const leases = new Set<HeldLease>();
    const rest: Settlement[] = [];
    for (const settlement of this.#queue) {
      const { lease } = settlement;
      const fits = batch.length < SETTLE_BATCH_MAX && !this.#busy.has(lease) &&
        (leases.has(lease) || leases.size < this.#store.checksMax);
      if (!fits) {
        rest.push(settlement);
        continue;
      }
      leases.add(lease);
      batch.push(settlement);
    }
    this.#queue = rest;
    for (const lease of leases) this.#busy.add(lease);
    return batch;
  }

  async #write(batch: readonly Settlement[]): Promise<void> {
    this.#commits++;
    this.#underWay += batch.length;
    const settled = await settle(this.#store, batch, this.#giveUp.signal);
    this.#commits--;
    for (const { lease } of batch) this.#busy.delete(lease);
    const rest = batch.filter((settlement) => !settled.has(settlement));
    if (!this.#giveUp.signal.aborted) this.#queue.unshift(...rest);
    const followUps: Promise<void>[] = [];
    for (const [settlement, outcome] of settled) {
      const followUp = this.#onSettled(settlement, outcome);
      if (followUp !== undefined) followUps.push(followUp);
    }
    if (this.#queue.length > 0) this.#schedule();
    if (followUps.length > 0) await Promise.all(followUps);
    this.#underWay -= batch.length;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.pending > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }
}
