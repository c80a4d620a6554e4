/**
 * A worker: claimers, attempts, settler, heartbeat and rescuer put together, started once and stopped once.
 *
 * @module
 */

import { Conflict, LeaseLost, TaskCancelled, WorkerStopping } from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import type { Log, LogLevel } from "../core/log.ts";
import { PHANTOM_LEASE_MS, SERVICE_PAUSE_MS_MAX } from "../core/limits.ts";
import { type TaskRecord, toInit, toTask } from "../core/task.ts";
import { serve, Waker } from "../core/waker.ts";
import type { Executor } from "../executor/executor.ts";
import type { StoredLease, StoredWorker } from "../store/beat.ts";
import type { Listener } from "../store/bells.ts";
import type { HeldLease } from "../store/claim.ts";
import { type Control, readControl } from "../store/control.ts";
import type { ReadEntry } from "../schedule/entry.ts";
import { Scheduler } from "../schedule/scheduler.ts";
import { rescueLease } from "../store/rescue.ts";
import type { Settled, Settlement } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { askRule, Attempt, type AttemptHost, toEnding } from "./attempt.ts";
import { Claimer } from "./claimer.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Rescuer } from "./rescuer.ts";
import { Settler } from "./settler.ts";
import { WorkerLog } from "./worker_log.ts";

/** How a group is worked on. */
export interface GroupSetup {
  readonly concurrency: number;
  readonly executor: Executor;
  readonly timeoutMs: number | null;
}

/** How a worker works; everything is resolved and in milliseconds. */
export interface WorkerSetup {
  readonly store: Store;
  readonly handler: TaskHandler;
  readonly groups: ReadonlyMap<string, GroupSetup>;
  readonly pollMs: number;
  readonly graceMs: number;
  readonly leaseMs: number;
  readonly maintenance: boolean;
  /** Entries of schedulers that live in the program. */
  readonly entries: readonly ReadEntry[];
  readonly log: Log;
  readonly logLevel: LogLevel;
  readonly host: string;
  readonly pid: number;
  readonly runtime: string;
}

/**
 * Why a worker stopped: it was told to by its own program or a signal, by `kit.shutdown`, or since too many of its threads
 * would not end.
 */
export type StopReason = "stopped" | "shutdown" | "leaked";

/** A running worker. */
export class Worker {
  readonly #setup: WorkerSetup;
  readonly #store: Store;
  readonly #log: WorkerLog;
  readonly #startedMs: number;
  readonly #claimers = new Map<string, Claimer>();
  readonly #attempts = new Set<Attempt>();
  readonly #leases = new Map<string, HeldLease>();
  /** Leases of claims that are under way. */
  readonly #claiming = new Set<ReadonlySet<string>>();
  readonly #phantoms = new Map<string, number>();
  readonly #settler: Settler;
  readonly #heartbeat: Heartbeat;
  readonly #rescuer: Rescuer;
  readonly #scheduler: Scheduler | null;
  readonly #services: Promise<void>[] = [];
  readonly #controlWaker: Waker;
  readonly #rescueWaker: Waker;
  readonly #listeners: Listener[] = [];
  #workerBell: Listener | null = null;
  #shutdownSeen: Control | null = null;
  #workers: readonly StoredWorker[] = [];
  #isStopping = false;
  #isStopped = false;
  #starting: Promise<void> | null = null;
  #stop: Promise<void> | null = null;
  #hurry = Promise.withResolvers<void>();
  #attemptsGone: PromiseWithResolvers<void> | null = null;
  readonly #finished = Promise.withResolvers<StopReason>();

  constructor(setup: WorkerSetup) {
    this.#setup = setup;
    this.#store = setup.store;
    this.#log = new WorkerLog(setup.log, setup.logLevel, setup.store.clock);
    this.#startedMs = setup.store.clock.now();
    this.#controlWaker = new Waker(setup.store.clock);
    this.#rescueWaker = new Waker(setup.store.clock);
    this.#settler = new Settler(
      setup.store,
      (settlement, settled) => this.#onSettled(settlement, settled),
    );
    const { leaseMs } = setup;
    this.#heartbeat = new Heartbeat(setup.store, {
      leaseMs,
      beatMs: leaseMs / 3,
      about: () => ({
        host: setup.host,
        pid: setup.pid,
        runtime: setup.runtime,
        startedMs: this.#startedMs,
        groups: Object.fromEntries(
          [...setup.groups].map(([name, group]) => [name, group.concurrency]),
        ),
        running: this.#attempts.size,
        stopping: this.#isStopping,
        leaseMs,
      }),
      heldLeases: () => new Set(this.#leases.keys()),
      onLeases: (stored, held) => this.#onLeases(stored, held),
      onFenced: (why) => this.#onFenced(why),
      onProven: () => {
        for (const claimer of this.#claimers.values()) claimer.wake();
      },
      onTrouble: (error) => this.#trouble("heartbeat", error),
    });
    this.#rescuer = new Rescuer(setup.store, {
      sweepMs: leaseMs / 3,
      id: () => this.#heartbeat.id,
      onWorkers: (workers) => this.#workers = workers,
      onRescued: (worker, tasks) => this.#log.rescued(worker, tasks),
      onTrouble: (error) => this.#trouble("rescue", error),
    });
    this.#scheduler = setup.maintenance
      ? new Scheduler(setup.store, setup.entries, {
        onFired: (entry, points) => this.#log.fired(entry, points),
        onSkipped: (entry, points) => this.#log.skipped(entry, points),
        onAhead: (entry, decidedMs) => this.#log.ahead(entry, decidedMs),
        onTrouble: (what, error) => this.#trouble(what, error),
      })
      : null;
  }

  /** This start's id; another one after the worker was declared dead. */
  get id(): string {
    return this.#heartbeat.id;
  }

  /** Resolves when the worker has stopped. */
  get finished(): Promise<StopReason> {
    return this.#finished.promise;
  }

  /** Whether nothing runs, nothing is due, every schedule point that was has its task, and every outcome is written. */
  get isQuiet(): boolean {
    return this.#attempts.size === 0 && this.#settler.pending === 0 &&
      [...this.#claimers.values()].every((claimer) => claimer.isDrained) &&
      (this.#scheduler?.isQuiet ?? true);
  }

  /** Starts everything. Rejects, with nothing left running, if a handler module cannot be loaded or the database is away. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { groups, pollMs, maintenance } = this.#setup;
    const executors = this.#executors();
    try {
      await Promise.all(executors.map((executor) => executor.start()));
      this.#applyControl(await readControl(this.#store));
      await this.#scheduler?.register();
      await this.#heartbeat.start();
    } catch (error) {
      await Promise.allSettled(executors.map((executor) => executor.stop()));
      this.#finished.resolve("stopped");
      throw error;
    }
    for (const [name, group] of groups) this.#addClaimer(name, group);
    this.#applyControl(this.#shutdownSeen);
    this.#listenToWorkerBell();
    this.#listeners.push(
      this.#store.bells.listen([this.#store.keys.control()], () => this.#controlWaker.ring()),
    );
    this.#services.push(this.#serve("control", this.#controlWaker, async () => {
      this.#applyControl(await readControl(this.#store));
      return pollMs;
    }));
    if (maintenance) {
      this.#services.push(this.#serve("rescue", this.#rescueWaker, () => this.#rescuer.sweep()));
    }
    this.#scheduler?.start();
    for (const claimer of this.#claimers.values()) claimer.start();
    this.#log.started(this.id, groups);
  }

  /**
   * Stops claiming, waits up to `graceMs` for what runs, then aborts it and gives it back without using an attempt.
   * Resolves when nothing of the worker runs any more. A second call with a shorter grace cuts the first one short.
   */
  stop(graceMs: number = this.#setup.graceMs, reason: StopReason = "stopped"): Promise<void> {
    if (this.#stop !== null && graceMs === 0) this.#hurry.resolve();
    this.#stop ??= this.#stopOnce(graceMs, reason);
    return this.#stop;
  }

  async #stopOnce(graceMs: number, reason: StopReason): Promise<void> {
    const { clock } = this.#store;
    this.#isStopping = true;
    // What is just being started would go on otherwise; and what could not be started has cleaned up behind it.
    try {
      await this.#starting;
    } catch {
      return;
    }
    this.#log.stopping(this.id, this.#attempts.size);
    // A claim under way may hang as long as the database does; what runs is not to learn of the stop later for that.
    await Promise.all([
      this.#scheduler?.stop(),
      ...[...this.#claimers.values()].map((claimer) => claimer.stop()),
      this.#endAttempts(graceMs),
    ]);
    for (const listener of this.#listeners) listener.stop();

    // Outcomes that cannot be written within a lease's time are somebody else's by then.
    const giveUp = clock.timer(this.#setup.leaseMs, () => this.#settler.giveUp());
    await this.#settler.flush();
    giveUp.cancel();
    this.#settler.giveUp();

    this.#isStopped = true;
    this.#controlWaker.ring();
    this.#rescueWaker.ring();
    await Promise.all(this.#services);
    await Promise.allSettled(this.#executors().map((executor) => executor.stop()));
    this.#workerBell?.stop();
    await this.#heartbeat.stop();
    this.#log.stopped(this.id);
    this.#finished.resolve(reason);
  }

  /** Waits for what runs, and aborts what still does after the grace. The claimers start nothing any more. */
  async #endAttempts(graceMs: number): Promise<void> {
    if (graceMs > 0 && this.#attempts.size > 0) {
      const over = Promise.withResolvers<void>();
      const timer = this.#store.clock.timer(graceMs, over.resolve);
      await Promise.race([this.#allAttemptsEnd(), over.promise, this.#hurry.promise]);
      timer.cancel();
    }
    const aborted = this.#attempts.size;
    for (const attempt of this.#attempts) attempt.abort(new WorkerStopping());
    await this.#allAttemptsEnd();
    if (aborted > 0) this.#log.aborted(aborted);
  }

  #executors(): Executor[] {
    return [...new Set([...this.#setup.groups.values()].map((group) => group.executor))];
  }

  #addClaimer(name: string, group: GroupSetup): void {
    const { store, handler } = this.#setup;
    const attemptHost: AttemptHost = {
      store,
      handler,
      executor: group.executor,
      timeoutMs: group.timeoutMs,
      log: this.#log.task,
    };
    const claimer = new Claimer(
      store,
      {
        id: () => this.#heartbeat.id,
        mayClaim: () => !this.#isStopping && this.#heartbeat.isAlive,
        window: (groupName) => this.#window(groupName),
        claiming: this.#claiming,
        onClaimed: (lease) => this.#leases.set(lease.id, lease),
        run: (lease, record) => this.#run(attemptHost, lease, record),
        giveBack: (lease, record) => this.#giveBack(lease, record),
        onTrouble: (error) => this.#trouble(`claim of group "${name}"`, error),
      },
      name,
      { concurrency: group.concurrency, pollMs: this.#setup.pollMs },
    );
    this.#claimers.set(name, claimer);
    this.#listeners.push(
      this.#store.bells.listen([this.#store.keys.groupBell(name)], () => claimer.wake()),
    );
  }

  /** The window of this worker among those that work on the group, by their ids. */
  #window(group: string): { rank: number; of: number } {
    const ids = this.#workers
      .filter(({ record }) =>
        record !== null && Object.hasOwn(record.groups, group) && !record.stopping
      )
      .map(({ id }) => id).sort();
    const rank = ids.indexOf(this.#heartbeat.id);
    return rank === -1 ? { rank: 0, of: 1 } : { rank, of: ids.length };
  }

  async #run(host: AttemptHost, lease: HeldLease, record: TaskRecord): Promise<void> {
    if (lease.cancelled.has(record.id) || !this.#heartbeat.isAlive) {
      return this.#giveBack(lease, record);
    }
    const attempt = new Attempt(host, lease, record);
    this.#attempts.add(attempt);
    this.#log.attemptStarted(record);
    const ending = await attempt.run();
    this.#attempts.delete(attempt);
    this.#settler.add({ lease, record, ending });
    if (this.#attempts.size === 0) {
      this.#attemptsGone?.resolve();
      this.#attemptsGone = null;
    }
  }

  #giveBack(lease: HeldLease, record: TaskRecord): void {
    this.#settler.add({ lease, record, ending: { kind: "release", dueMs: record.dueMs } });
  }

  #allAttemptsEnd(): Promise<void> {
    if (this.#attempts.size === 0) return Promise.resolve();
    this.#attemptsGone ??= Promise.withResolvers();
    return this.#attemptsGone.promise;
  }

  #onSettled(settlement: Settlement, settled: Settled): Promise<void> | void {
    const { lease, record } = settlement;
    switch (settled.kind) {
      case "settled":
        this.#log.outcome(settlement, settled.record);
        break;
      case "lost":
        lease.tasks.delete(record.id);
        this.#log.outcomeLost(record);
        break;
      case "refused":
        return this.#refused(settlement, settled.error);
    }
    if (lease.tasks.size === 0) this.#leases.delete(lease.id);
  }

  /** The user's own writes could not be committed: that fails the attempt, and the handler's rule says what follows. */
  async #refused({ lease, record }: Settlement, cause: unknown): Promise<void> {
    const error = new Conflict(
      "Cannot complete: one of the handler's own checks failed, or its writes cannot be stored",
      {
        cause,
      },
    );
    const data = record.data.kind === "inline" ? record.data.bytes : new Uint8Array(0);
    const task = toTask(toInit(record, data));
    const outcome = await askRule(this.#store, this.#setup.handler, task, error);
    this.#settler.add({ lease, record, ending: toEnding(outcome, this.#store.clock.now()) });
  }

  /** Leases as they lie in the database, listed after `heldBefore` was noted. */
  #onLeases(stored: readonly StoredLease[], heldBefore: ReadonlySet<string>): void {
    const { clock } = this.#store;
    const found = new Set<string>();
    for (const { id, record } of stored) {
      found.add(id);
      const lease = this.#leases.get(id);
      if (lease !== undefined) {
        for (const task of record.cancel) this.#cancel(lease, task);
        continue;
      }
      if (this.#claiming.values().some((ids) => ids.has(id))) continue;
      const since = this.#phantoms.get(id) ?? clock.monotonic();
      this.#phantoms.set(id, since);
      if (clock.monotonic() - since >= PHANTOM_LEASE_MS) void this.#dropPhantom(id);
    }
    for (const id of [...this.#phantoms.keys()]) {
      if (!found.has(id) || this.#leases.has(id)) this.#phantoms.delete(id);
    }
    for (const id of heldBefore) {
      if (!found.has(id)) this.#abortLease(id, "it was rescued by another worker");
    }
  }

  /** A claim whose answer was lost made this lease after all; nobody runs its tasks. */
  async #dropPhantom(id: string): Promise<void> {
    this.#phantoms.delete(id);
    try {
      const { workerVersion } = this.#heartbeat;
      await rescueLease(
        this.#store,
        { worker: this.#heartbeat.id, version: workerVersion },
        id,
        "release",
      );
    } catch (error) {
      this.#trouble("phantom lease", error);
    }
  }

  #cancel(lease: HeldLease, task: string): void {
    if (lease.cancelled.has(task)) return;
    lease.cancelled.add(task);
    for (const attempt of this.#attempts) {
      if (attempt.lease === lease && attempt.record.id === task) {
        attempt.abort(new TaskCancelled(task));
      }
    }
  }

  /** A lease that is not in the database: its attempts, if any still run, work for nothing. */
  #abortLease(id: string, why: string): void {
    for (const claimer of this.#claimers.values()) claimer.giveBackReady(id);
    for (const attempt of this.#attempts) {
      if (attempt.lease.id === id) attempt.abort(new LeaseLost(why));
    }
  }

  #onFenced(why: string): void {
    this.#log.fenced(this.id, why);
    for (const attempt of this.#attempts) attempt.abort(new LeaseLost(why));
    for (const claimer of this.#claimers.values()) claimer.giveBackReady();
    this.#store.clock.soon(() => this.#listenToWorkerBell());
  }

  #listenToWorkerBell(): void {
    this.#workerBell?.stop();
    if (this.#isStopped) return;
    const key = this.#store.keys.workerBell(this.id);
    this.#workerBell = this.#store.bells.listen([key], () => this.#heartbeat.wake());
  }

  #applyControl(control: Control | null): void {
    if (control === null) return;
    const seen = this.#shutdownSeen ?? control;
    this.#shutdownSeen ??= control;
    let left = 0;
    for (const [name, claimer] of this.#claimers) {
      const isShut = (control.shutdown.get(name) ?? 0) > (seen.shutdown.get(name) ?? 0);
      if (!isShut) left++;
      claimer.pause(isShut || control.pausedAll || control.paused.includes(name));
    }
    if (this.#claimers.size === 0) return;
    if ((left === 0 || control.shutdownAll > seen.shutdownAll) && !this.#isStopping) {
      this.#log.shutdown(this.id);
      void this.stop(undefined, "shutdown");
    }
  }

  #serve(what: string, waker: Waker, turn: () => Promise<number>): Promise<void> {
    return serve(waker, () => this.#isStopped, turn, (error) => {
      this.#trouble(what, error);
      return SERVICE_PAUSE_MS_MAX * (0.5 + this.#store.random.next());
    });
  }

  #trouble(what: string, error: unknown): void {
    if (!this.#isStopped) this.#log.trouble(what, error);
  }
}
