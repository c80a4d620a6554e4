/**
 * The worker's heartbeat: proof of life for others, and for itself the proof that its leases still stand.
 *
 * Nobody compares clocks. A rescuer declares a worker dead when the *version* of its heartbeat has not changed for a
 * lease's time on the rescuer's own monotonic clock. So a worker may act only as long as its own last successful beat was
 * **sent** less than a lease's time ago on its own monotonic clock: it fences itself before anybody can declare it dead.
 * After that it runs nothing until a beat succeeds; if its key was taken away meanwhile it goes on under a new id.
 *
 * @module
 */

import { sleep } from "../core/clock.ts";
import { SERVICE_PAUSE_FIRST_MS, SERVICE_PAUSE_MS_MAX } from "../core/limits.ts";
import { beat, goodbye, listLeases, type StoredLease } from "../store/beat.ts";
import type { WorkerRecord } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { Waker } from "../core/waker.ts";

/** What the heartbeat tells its worker. */
export interface HeartbeatHost {
  readonly beatMs: number;
  readonly leaseMs: number;
  about(): Omit<WorkerRecord, "op" | "beatMs">;
  /** The leases as they lie in the database: requests to cancel, leases that are gone, leases nobody here knows. */
  onLeases(leases: readonly StoredLease[], heldBefore: ReadonlySet<string>): void;
  /** The ids of the leases that the worker holds. */
  heldLeases(): ReadonlySet<string>;
  /** The lease's time is over without a successful beat, or (`dead`) the worker was declared dead under its old id. */
  onFenced(why: string): void;
  /** A beat succeeded after a time without: the worker may go on. */
  onProven(): void;
  onTrouble(error: unknown): void;
}

/** Beats for one worker. */
export class Heartbeat {
  readonly #store: Store;
  readonly #host: HeartbeatHost;
  readonly #waker: Waker;
  readonly #stopping = new AbortController();
  #id: string;
  #version: string | null = null;
  #provenAt = -Infinity;
  /** When the beats were sent that have not been answered, by their tokens: a late copy may be found in the database. */
  readonly #sent = new Map<string, number>();
  #isFenced = true;
  #loop: Promise<void> = Promise.resolve();

  constructor(store: Store, host: HeartbeatHost) {
    this.#store = store;
    this.#host = host;
    this.#waker = new Waker(store.clock);
    this.#id = store.ids.next();
  }

  /** The worker's id; another one after it was declared dead. */
  get id(): string {
    return this.#id;
  }

  /** Whether the last successful beat was sent less than a lease's time ago. */
  get isAlive(): boolean {
    return this.#store.clock.monotonic() - this.#provenAt < this.#host.leaseMs;
  }

  /** Beats for the first time, and from then on until `stop`. Rejects if the first beat fails. */
  async start(): Promise<void> {
    await this.#beat();
    this.#loop = this.#run();
  }

  /** Looks at the worker's own leases soon, and beats. */
  wake(): void {
    this.#waker.ring();
  }

  /** The version of the worker's key at the last successful beat. */
  get workerVersion(): string | null {
    return this.#version;
  }

  /** Ends the beats and takes the worker's key away; a lease that it still holds is then an orphan and rescued at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waker.ring();
    await this.#loop;
    try {
      await goodbye(this.#store, this.#id);
    } catch (error) {
      // The database is away; the worker will be found dead.
      this.#host.onTrouble(error);
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#store;
    let pauseMs = SERVICE_PAUSE_FIRST_MS;
    while (!this.#stopping.signal.aborted) {
      await this.#waker.wait(Math.max(0, this.#nextBeatAt - clock.monotonic()));
      if (this.#stopping.signal.aborted) return;
      this.#checkFence();
      try {
        await this.#beat();
        pauseMs = SERVICE_PAUSE_FIRST_MS;
      } catch (error) {
        this.#host.onTrouble(error);
        this.#checkFence();
        await sleep(clock, pauseMs * (0.5 + this.#store.random.next()), this.#stopping.signal);
        pauseMs = Math.min(2 * pauseMs, SERVICE_PAUSE_MS_MAX);
      }
    }
  }

  #nextBeatAt = 0;

  async #beat(): Promise<void> {
    const { clock } = this.#store;
    const sentAt = clock.monotonic();
    const fence = clock.timer(
      Math.max(0, this.#provenAt + this.#host.leaseMs - sentAt),
      () => this.#checkFence(),
    );
    try {
      const op = this.#store.ids.token();
      this.#sent.set(op, sentAt);
      const about = { ...this.#host.about(), op };
      const isOurs = (token: string) => this.#sent.has(token);
      const found = await beat(this.#store, this.#id, this.#version, about, isOurs);
      if (found.kind === "dead") {
        this.#isFenced = true;
        this.#host.onFenced(`worker "${this.#id}" was declared dead by another one`);
        this.#id = this.#store.ids.next();
        this.#version = null;
        this.#sent.clear();
        return await this.#beat();
      }
      this.#version = found.version;
      this.#provenAt = this.#sent.get(found.op) ?? sentAt;
      this.#sent.clear();
      if (this.#isFenced) this.#host.onProven();
      this.#isFenced = false;
      this.#nextBeatAt = sentAt + this.#host.beatMs;
      const held = this.#host.heldLeases();
      this.#host.onLeases(await listLeases(this.#store, this.#id), held);
    } finally {
      fence.cancel();
    }
  }

  #checkFence(): void {
    if (this.#isFenced || this.isAlive) return;
    this.#isFenced = true;
    this.#host.onFenced("no heartbeat could be written for a lease's time");
  }
}
