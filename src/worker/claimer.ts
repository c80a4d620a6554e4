/**
 * The claim loop of one group: as many of the oldest due tasks as there are free slots, and, while handlers are quick, a
 * few milliseconds of work ahead. The next claim is listed while the last one is being committed, and while its tasks run
 * and settle, so that the database does not wait for the program.
 *
 * It sleeps until a slot is free, the doorbell rings, the next task is due, or the poll's time is over.
 *
 * @module
 */

import { sleep, type Timer } from "../core/clock.ts";
import {
  AHEAD_MS,
  AHEAD_PATIENCE_MS,
  AHEAD_TASKS_MAX,
  CLAIM_BATCH_MAX,
  CLAIMS_AT_ONCE_MAX,
  CONTENDED_MS,
  SERVICE_PAUSE_FIRST_MS,
  SERVICE_PAUSE_MS_MAX,
  STAND_BACK_MS_EACH,
  STAND_BACK_MS_MAX,
} from "../core/limits.ts";
import type { TaskRecord } from "../core/task.ts";
import { claim, type HeldLease, type Listed } from "../store/claim.ts";
import type { Store } from "../store/store.ts";
import { Waker } from "../core/waker.ts";

/** What the claimer asks of and tells its worker. */
export interface ClaimerHost {
  /** The worker's id now. */
  id(): string;
  /** Whether the worker may claim: its heartbeat is proven, and it is not stopping. */
  mayClaim(): boolean;
  /** Which of how many workers of this group it is. */
  window(group: string): { rank: number; of: number };
  /** Where the ids of leases are noted whose claim is under way. */
  readonly claiming: Set<ReadonlySet<string>>;
  onClaimed(lease: HeldLease): void;
  /** Runs one attempt; resolves when its slot is free again. Never rejects. */
  run(lease: HeldLease, record: TaskRecord): Promise<void>;
  /** A claimed task that is not to be started after all. */
  giveBack(lease: HeldLease, record: TaskRecord): void;
  onTrouble(error: unknown): void;
}

/** Claims for one group. */
export class Claimer {
  readonly group: string;
  readonly concurrency: number;
  readonly #store: Store;
  readonly #host: ClaimerHost;
  readonly #pollMs: number;
  readonly #waker: Waker;
  readonly #stopping = new AbortController();
  /** The ends of claims under way, by the ids that these go for. */
  readonly #claims = new Map<ReadonlySet<string>, Promise<void>>();
  /** Why a claim failed that nobody waited for. */
  #failure: { readonly error: unknown } | null = null;
  #ready: { lease: HeldLease; record: TaskRecord }[] = [];
  #running = 0;
  /** Time that a handler takes, in milliseconds, weighted to the recent ones; unknown at first. */
  #handlerMs: number | null = null;
  /** When the last handler was started. */
  #startedAt = -Infinity;
  #patience: Timer | null = null;
  #isPaused = false;
  #isDue = true;
  #foundNothing = false;
  #contendedAt = -Infinity;
  #loop: Promise<void> = Promise.resolve();

  constructor(
    store: Store,
    host: ClaimerHost,
    group: string,
    options: { concurrency: number; pollMs: number },
  ) {
    this.#store = store;
    this.#host = host;
    this.group = group;
    this.concurrency = options.concurrency;
    this.#pollMs = options.pollMs;
    this.#waker = new Waker(store.clock);
  }

  /** How many handlers of the group run now. */
  get running(): number {
    return this.#running;
  }

  /** Whether it neither runs nor holds anything. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#ready.length === 0 && this.#claims.size === 0;
  }

  /** Whether nothing runs, and the last look found nothing due. A group that is paused has nothing due. */
  get isDrained(): boolean {
    return this.isIdle && (this.#isPaused || (this.#foundNothing && !this.#isDue));
  }

  /** Begins to claim. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Something may be due: look. */
  wake(): void {
    this.#isDue = true;
    this.#waker.ring();
  }

  /** Stops claiming until it is taken back; what is claimed and not started is given back. */
  pause(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.giveBackReady();
    else this.wake();
  }

  /** Ends the loop; what is claimed and not started is given back. What runs goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.giveBackReady();
    this.#waker.ring();
    await this.#loop;
    await Promise.all(this.#claims.values());
    this.giveBackReady();
    this.#patience?.cancel();
  }

  async #run(): Promise<void> {
    let pauseMs = SERVICE_PAUSE_FIRST_MS;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#waker.wait(await this.#turn());
        pauseMs = SERVICE_PAUSE_FIRST_MS;
      } catch (error) {
        this.#host.onTrouble(error);
        await sleep(
          this.#store.clock,
          pauseMs * (0.5 + this.#store.random.next()),
          this.#stopping.signal,
        );
        pauseMs = Math.min(2 * pauseMs, SERVICE_PAUSE_MS_MAX);
      }
    }
  }

  /** Claims once, if there is room. Returns how long to wait for the next turn; null until something happens. */
  async #turn(): Promise<number | null> {
    const { clock } = this.#store;
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure.error;
    const want = this.#want();
    if (this.#isPaused || !this.#host.mayClaim()) return this.#pollMs;
    // A slot that becomes free rings; whatever else happens meanwhile is seen by the next look.
    if (want === 0) return null;
    await this.#standBack();
    if (this.#stopping.signal.aborted || this.#isPaused) return 0;
    this.#isDue = false;
    const isContended = clock.monotonic() - this.#contendedAt < CONTENDED_MS;
    const window = isContended ? this.#host.window(this.group) : { rank: 0, of: 1 };
    const { listed, ended } = this.#begin(want, window);
    const { ids, more, nextDueMs } = await listed;
    this.#foundNothing = ids.length === 0 && !more;
    // Who loses races does not begin the next one before this one is over.
    if (isContended) await ended;
    this.#isDue ||= more;
    if (this.#isDue) return 0;
    if (nextDueMs === null) return this.#pollMs;
    return Math.min(this.#pollMs, Math.max(1, nextDueMs - clock.now()));
  }

  /**
   * Begins a claim. It is known first what it goes for; what it brings comes while the next one is under way already, so
   * that the database does not wait for us.
   */
  #begin(
    max: number,
    window: { rank: number; of: number },
  ): { listed: Promise<Listed>; ended: Promise<void> } {
    const listed = Promise.withResolvers<Listed>();
    const goesFor = new Set<string>();
    const onListed = (list: Listed) => {
      for (const id of list.ids) goesFor.add(id);
      listed.resolve(list);
    };
    const ended = this.#claim(max, window, onListed).catch((error) => {
      listed.reject(error);
      // After the listing nobody waits for it; the next turn finds it.
      if (goesFor.size > 0) this.#failure = { error };
    }).then(() => {
      this.#claims.delete(goesFor);
      if (this.#isDue || this.#failure !== null) this.#waker.ring();
    });
    this.#claims.set(goesFor, ended);
    return { listed: listed.promise, ended };
  }

  async #claim(
    max: number,
    window: { rank: number; of: number },
    onListed: (listed: Listed) => void,
  ): Promise<void> {
    const leaseIds = new Set<string>();
    this.#host.claiming.add(leaseIds);
    try {
      const except = new Set([...this.#claims.keys()].flatMap((ids) => [...ids]));
      const options = { worker: this.#host.id(), group: this.group, max, window, except };
      const onSent = (id: string) => void leaseIds.add(id);
      const { leases, contended } = await claim(this.#store, options, { onListed, onSent });
      for (const lease of leases) this.#take(lease);
      if (!contended) return;
      const { clock, random } = this.#store;
      this.#contendedAt = clock.monotonic();
      this.#isDue = true;
      if (leases.length === 0) {
        await sleep(clock, 1 + random.next() * 10, this.#stopping.signal);
      }
    } finally {
      this.#host.claiming.delete(leaseIds);
    }
  }

  /**
   * Many idle workers are woken by one task. Each lets those before it go first, so that most find the task gone by a
   * look, and not by a commit that fails.
   */
  async #standBack(): Promise<void> {
    if (!this.isIdle || !this.#foundNothing) return;
    const { rank } = this.#host.window(this.group);
    if (rank === 0) return;
    const ms = Math.min(rank * STAND_BACK_MS_EACH, STAND_BACK_MS_MAX);
    await sleep(this.#store.clock, ms, this.#stopping.signal);
  }

  /** How many tasks to claim now. Batches pay, so it waits for half of its room while no slot is idle. */
  #want(): number {
    if (this.#claims.size >= CLAIMS_AT_ONCE_MAX) return 0;
    let held = this.#running + this.#ready.length;
    for (const ids of this.#claims.keys()) held += ids.size;
    const ahead = this.#ahead();
    const room = this.concurrency + ahead - held;
    const hasIdleSlot = held < this.concurrency;
    if (room <= 0 || (!hasIdleSlot && room < (this.concurrency + ahead) / 2)) return 0;
    return Math.min(room, CLAIM_BATCH_MAX);
  }

  #ahead(): number {
    if (this.#handlerMs === null) return 0;
    return Math.min(
      AHEAD_TASKS_MAX,
      Math.floor(this.concurrency * AHEAD_MS / Math.max(this.#handlerMs, 0.01)),
    );
  }

  #take(lease: HeldLease): void {
    this.#host.onClaimed(lease);
    const records = [...lease.tasks.values()];
    if (this.#stopping.signal.aborted || this.#isPaused || lease.worker !== this.#host.id()) {
      for (const record of records) this.#host.giveBack(lease, record);
      return;
    }
    for (const record of records) this.#ready.push({ lease, record });
    this.#fill();
    this.#watchReady();
  }

  /** What is claimed ahead must not wait behind a handler that takes long after all, while another worker is idle. */
  #watchReady(): void {
    if (this.#ready.length === 0 || this.#patience !== null) return;
    this.#patience = this.#store.clock.timer(AHEAD_PATIENCE_MS, () => {
      this.#patience = null;
      if (this.#store.clock.monotonic() - this.#startedAt >= AHEAD_PATIENCE_MS) {
        this.#handlerMs = Math.max(this.#handlerMs ?? 0, AHEAD_PATIENCE_MS);
        this.giveBackReady();
      }
      this.#watchReady();
    });
  }

  #fill(): void {
    while (this.#running < this.concurrency) {
      const next = this.#ready.shift();
      if (next === undefined) return;
      this.#running++;
      void this.#attempt(next.lease, next.record);
    }
  }

  async #attempt(lease: HeldLease, record: TaskRecord): Promise<void> {
    const startedAt = this.#store.clock.monotonic();
    this.#startedAt = startedAt;
    await this.#host.run(lease, record);
    const ms = this.#store.clock.monotonic() - startedAt;
    this.#handlerMs = this.#handlerMs === null ? ms : 0.9 * this.#handlerMs + 0.1 * ms;
    this.#running--;
    this.#fill();
    if (this.#want() > 0) this.#waker.ring();
  }

  /** Gives back what is claimed and not started, all of it or that of one lease: it is not to be started here, or not soon. */
  giveBackReady(leaseId?: string): void {
    const goes = ({ lease }: { lease: HeldLease }) => leaseId === undefined || lease.id === leaseId;
    const ready = this.#ready;
    this.#ready = ready.filter((one) => !goes(one));
    for (const { lease, record } of ready.filter(goes)) this.#host.giveBack(lease, record);
  }
}
