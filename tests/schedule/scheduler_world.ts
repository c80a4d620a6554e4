/**
 * Processes that each run a scheduler on one simulated database, in virtual time.
 *
 * @module
 */

import { TaskHandler } from "../../src/core/handler.ts";
import type { TaskRecord } from "../../src/core/task.ts";
import { type ReadEntry, readSchedules, type ScheduleEntry } from "../../src/schedule/entry.ts";
import { Scheduler } from "../../src/schedule/scheduler.ts";
import { Bells } from "../../src/store/bells.ts";
import { decodeTask } from "../../src/store/record_codec.ts";
import { listSchedules, type ScheduleRecord } from "../../src/store/schedules.ts";
import type { Store } from "../../src/store/store.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase, type SimDatabaseOptions } from "../../src/testing/sim_database.ts";
import type { SimKv } from "../../src/testing/sim_kv.ts";
import { type VirtualClock, VirtualTime } from "../../src/testing/virtual_clock.ts";
import { storeOn } from "../store/world.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** When the worlds begin: noon in winter. */
export const NOON = Date.UTC(2026, 0, 1, 12);

/** Encodes data as everybody does who says nothing else. */
export class Handler extends TaskHandler {
  override handle(): void {}
}

/** What a scheduler told. */
export interface Told {
  readonly what: "fired" | "skipped" | "trouble" | "ahead";
  readonly key: string;
  readonly points: readonly number[];
}

/** An entry that makes a task without data. */
export function entry(
  key: string,
  schedule: ScheduleEntry["schedule"],
  more: { data?: unknown; ttl?: string; priority?: number } = {},
): ScheduleEntry {
  return { key, group: "g", name: key, schedule, ...more };
}

/** A process with a scheduler. */
export class Process {
  readonly clock: VirtualClock;
  readonly kv: SimKv;
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly told: Told[] = [];

  constructor(clock: VirtualClock, kv: SimKv, store: Store, entries: readonly ReadEntry[]) {
    this.clock = clock;
    this.kv = kv;
    this.store = store;
    this.scheduler = new Scheduler(store, entries, {
      onFired: ({ key }, points) => this.told.push({ what: "fired", key, points }),
      onSkipped: ({ key }, points) => this.told.push({ what: "skipped", key, points }),
      onAhead: ({ key }, decidedMs) => this.told.push({ what: "ahead", key, points: [decidedMs] }),
      onTrouble: (what, error) =>
        this.told.push({ what: "trouble", key: `${what}: ${error}`, points: [] }),
    });
  }

  /** Ends as SIGKILL does. */
  kill(): void {
    this.clock.kill();
    this.kv.kill();
  }

  /** What it told of one kind, without the points. */
  toldKeys(what: Told["what"]): string[] {
    return this.told.filter((told) => told.what === what).map(({ key }) => key);
  }
}

/** How a process stands in its world. */
export interface ProcessOptions {
  /** How far its clock is ahead. */
  readonly wallOffsetMs?: number;
  readonly timeZone?: string;
  /** Whether watches tell it of changes. */
  readonly isTold?: boolean;
}

/** A database and its processes. */
export class SchedulerWorld {
  readonly time: VirtualTime;
  readonly database: SimDatabase;
  readonly processes: Process[] = [];
  readonly #checksMax: number;

  constructor(options: SimDatabaseOptions & { seed?: number; wallStartMs?: number } = {}) {
    const { seed, wallStartMs = NOON, ...rest } = options;
    const random = seed === undefined ? undefined : new SeededRandom(seed);
    this.time = new VirtualTime({ wallStartMs, ...(random === undefined ? {} : { random }) });
    this.database = new SimDatabase({
      time: this.time,
      ...(random === undefined ? {} : { random }),
      ...rest,
    });
    this.#checksMax = this.database.checksMax;
  }

  /** The right time. */
  get nowMs(): number {
    return this.database.wallMs;
  }

  /** A process that was started, but not its scheduler. */
  async open(
    entries: readonly ScheduleEntry[] = [],
    options: ProcessOptions = {},
  ): Promise<Process> {
    const { wallOffsetMs = 0, timeZone = "UTC", isTold = true } = options;
    const name = `p${this.processes.length}`;
    const clock = this.time.clock({ name, wallOffsetMs });
    const kv = this.database.connect({ clock, name });
    const store: Store = {
      ...storeOn(kv, { clock, seed: name, checksMax: this.#checksMax }),
      bells: new Bells(kv, clock, { watchFile: () => null, canWatch: isTold }),
    };
    const read = await readSchedules({ main: entries }, timeZone, new Handler());
    const process = new Process(clock, kv, store, read);
    this.processes.push(process);
    return process;
  }

  /** A process that looks after its entries. */
  async start(
    entries: readonly ScheduleEntry[] = [],
    options: ProcessOptions = {},
  ): Promise<Process> {
    const process = await this.open(entries, options);
    await this.during(process.scheduler.register());
    process.scheduler.start();
    return process;
  }

  /** Turns the world until something is done. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => void (isDone = true);
    work.then(done, done);
    await this.time.run({ until: () => isDone });
    return await work;
  }

  /** Lets time pass. */
  async advance(ms: number): Promise<void> {
    await this.time.advance(ms);
  }

  /** Stops every scheduler that lives. */
  async stop(): Promise<void> {
    const alive = this.processes.filter(({ clock }) => clock.state === "running");
    await this.during(Promise.all(alive.map(({ scheduler }) => scheduler.stop())));
  }

  /** All tasks, in the order of their points. */
  tasks(): TaskRecord[] {
    return this.database.entries(["taskkit", "task"])
      .map(({ value }) => decodeTask(value))
      .sort((a, b) => (a.scheduledMs ?? 0) - (b.scheduledMs ?? 0));
  }

  /** The points at which an entry fired, in seconds from the start of the world. */
  points(key: string): number[] {
    return this.tasks()
      .filter(({ name }) => name === key)
      .map(({ scheduledMs }) => ((scheduledMs ?? 0) - this.time.wallStartMs) / SECOND);
  }

  /** What is stored of an entry. */
  async record(key: string): Promise<ScheduleRecord | undefined> {
    const store = storeOn(this.database.connect({ name: "onlooker" }), {
      clock: this.time.clock(),
      seed: "onlooker",
    });
    const all = await this.during(listSchedules(store));
    return all.find((stored) => stored.key === key)?.record;
  }
}

/** Seconds, one every `step`, from `first` to `last`. */
export function every(step: number, first: number, last: number): number[] {
  const all: number[] = [];
  for (let second = first; second <= last; second += step) all.push(second);
  return all;
}
