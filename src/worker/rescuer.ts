/**
 * Finds dead workers and takes their tasks back. Every worker does this for all others; two at once do no harm.
 *
 * A worker is dead when the version of its heartbeat has stood still for a lease's time on this worker's own monotonic
 * clock, or when there is a lease but no heartbeat at all. The time is the one that the heartbeat names, by which the dead
 * worker fenced itself. Observations that are older than they look, since this process was suspended or the database was
 * away, are begun anew: then everybody had no chance to beat.
 *
 * @module
 */

import { CHUNK_SWEEP_MS, LEASE_MS_DEFAULT } from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { listLeases, listWorkers, type StoredWorker } from "../store/beat.ts";
import { buryWorker, type Death, rescueLease } from "../store/rescue.ts";
import type { Store } from "../store/store.ts";
import { sweepChunks } from "../store/sweep.ts";

/** What the rescuer tells its worker. */
export interface RescuerHost {
  readonly sweepMs: number;
  /** This worker's own id. */
  id(): string;
  onWorkers(workers: readonly StoredWorker[]): void;
  onRescued(worker: string, tasks: readonly TaskRecord[]): void;
  onTrouble(error: unknown): void;
}

interface Observation {
  version: string;
  since: number;
}

/** Looks after the other workers. */
export class Rescuer {
  readonly #store: Store;
  readonly #host: RescuerHost;
  readonly #seen = new Map<string, Observation>();
  #sweptAt: number | null = null;
  #chunksAt = -Infinity;

  constructor(store: Store, host: RescuerHost) {
    this.#store = store;
    this.#host = host;
  }

  /** One look at everybody. Returns how long to wait for the next, in milliseconds. */
  async sweep(): Promise<number> {
    const { clock, random } = this.#store;
    const before = clock.monotonic();
    // Leases first: a worker that is not in the later list of workers cannot have made them after its goodbye.
    const leases = await listLeases(this.#store);
    const workers = await listWorkers(this.#store);
    this.#host.onWorkers(workers);
    const dead = this.#observe(workers, before);
    const known = new Map(workers.map(({ id, version }) => [id, version]));
    for (const lease of leases) {
      const version = known.get(lease.worker) ?? null;
      if (version !== null && !dead.has(lease.worker)) continue;
      if (lease.worker === this.#host.id()) continue;
      await this.#careful(() => this.#rescue({ worker: lease.worker, version }, lease.id));
    }
    for (const id of dead) {
      await this.#careful(() => this.#bury({ worker: id, version: known.get(id) ?? null }));
    }
    if (clock.monotonic() - this.#chunksAt >= CHUNK_SWEEP_MS) {
      // What one turn does not finish is gone on with in the next.
      const isDone = await sweepChunks(this.#store, this.#host.sweepMs / 2);
      if (isDone) this.#chunksAt = clock.monotonic();
    }
    return this.#host.sweepMs * (0.9 + 0.2 * random.next());
  }

  /** One that cannot be rescued must not keep the others waiting. */
  async #careful(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#host.onTrouble(error);
    }
  }

  async #rescue(death: Death, leaseId: string): Promise<void> {
    const rescued = await rescueLease(this.#store, death, leaseId);
    if (rescued.length > 0) this.#host.onRescued(death.worker, rescued);
  }

  async #bury(death: Death): Promise<void> {
    const left = await listLeases(this.#store, death.worker);
    if (left.length === 0) await buryWorker(this.#store, death);
  }

  /** The workers whose heartbeat has stood still for too long. */
  #observe(workers: readonly StoredWorker[], before: number): Set<string> {
    const now = this.#store.clock.monotonic();
    const gapMs = before - (this.#sweptAt ?? before) + (now - before);
    this.#sweptAt = now;
    if (gapMs > 3 * this.#host.sweepMs) this.#seen.clear();
    const dead = new Set<string>();
    for (const { id, version, record } of workers) {
      const seen = this.#seen.get(id);
      if (seen?.version !== version) this.#seen.set(id, { version, since: now });
      else if (
        now - seen.since >= (record?.leaseMs ?? LEASE_MS_DEFAULT) && id !== this.#host.id()
      ) dead.add(id);
    }
    for (const id of [...this.#seen.keys()]) {
      if (!workers.some((worker) => worker.id === id)) this.#seen.delete(id);
    }
    return dead;
  }
}
