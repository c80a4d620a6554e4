/**
 * Kits on one simulated database, in a world whose time passes by itself: each Kit plays a process.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Kit, type LogEntry, type Task, type TaskContext, TaskHandler } from "../../mod.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { KvPort } from "../../src/store/port.ts";
import { check } from "../../src/store/check.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase, type SimDatabaseOptions } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import type { SimKv } from "../../src/testing/sim_kv.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { storeOn } from "../store/world.ts";

type Handle = (task: Task, context: TaskContext, handler: FunctionHandler) => unknown;

/** A handler made of functions. */
export class FunctionHandler extends TaskHandler {
  readonly #handle: Handle;
  readonly #retry:
    | ((task: Task, error: unknown) => ReturnType<TaskHandler["getRetryInterval"]>)
    | undefined;

  constructor(
    handle: Handle,
    retry?: (task: Task, error: unknown) => ReturnType<TaskHandler["getRetryInterval"]>,
  ) {
    super();
    this.#handle = handle;
    this.#retry = retry;
  }

  override handle(task: Task, context: TaskContext): unknown {
    return this.#handle(task, context, this);
  }

  override getRetryInterval(
    task: Task,
    error: unknown,
  ): ReturnType<TaskHandler["getRetryInterval"]> {
    return this.#retry === undefined
      ? super.getRetryInterval(task, error)
      : this.#retry(task, error);
  }
}

/** One process: its Kit, its clock, its connection. */
export interface Process {
  readonly kit: Kit;
  readonly clock: ReturnType<VirtualTime["clock"]>;
  readonly kv: SimKv;
}

/** A world; dispose of it at the end. */
export class Stage implements AsyncDisposable {
  readonly time = new VirtualTime();
  readonly database: SimDatabase;
  /** What all workers told. */
  readonly log: LogEntry[] = [];
  readonly #driver: Disposable;
  readonly #processes: Process[] = [];
  #seed = 0;

  constructor(options: SimDatabaseOptions = {}) {
    this.database = new SimDatabase({
      time: this.time,
      faults: CALM,
      watchesCrossProcesses: true,
      ...options,
    });
    this.#driver = this.time.drive();
  }

  /** A Kit on a connection of its own; without a handler if none is given. */
  async process(
    handler?: TaskHandler | Handle,
    options: { wallOffsetMs?: number; around?: (kv: KvPort) => KvPort } = {},
  ): Promise<Process> {
    const { around = (kv: KvPort) => kv, wallOffsetMs = 0 } = options;
    const clock = this.time.clock({ wallOffsetMs });
    const kv = this.database.connect({ clock });
    const made = typeof handler === "function" ? new FunctionHandler(handler) : handler;
    const kit = await Kit.open({
      kv: around(kv),
      clock,
      random: new SeededRandom(++this.#seed),
      ...(made === undefined ? {} : { handler: made }),
    });
    const process = { kit, clock, kv };
    this.#processes.push(process);
    return process;
  }

  /** What a worker is started with: it logs here, and works on group "g". */
  readonly worker = {
    groups: { g: 10 } as Record<string, number>,
    log: (entry: LogEntry): void => void this.log.push(entry),
    logLevel: "debug",
  } as const;

  /** The events of the log, of one kind or all but those about single tasks. */
  events(prefix = ""): string[] {
    return this.log.map(({ event }) => event).filter((event) => event.startsWith(prefix));
  }

  /** Resolves when `condition` holds, which is looked at every few milliseconds of virtual time. */
  async until(
    condition: () => boolean | Promise<boolean>,
    clock: Clock = this.time.clock(),
  ): Promise<void> {
    for (let n = 0; n < 200_000; n++) {
      if (await condition()) return;
      await new Promise<void>((resolve) => clock.timer(5, resolve));
    }
    assert.fail("Cannot wait any longer: it does not come true");
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.schedule(ms, resolve));
  }

  /** Index and record say the same, everywhere. */
  async assertSound(): Promise<void> {
    const store = storeOn(this.database.connect(), { clock: this.time.clock(), seed: "check" });
    const report = await check(store, { repair: false });
    assert.deepEqual(report.problems, []);
  }

  /** Closes the Kits; then nothing of them waits for any time. */
  async [Symbol.asyncDispose](): Promise<void> {
    const living = this.#processes.filter(({ clock }) => clock.state === "running");
    await Promise.all(living.map(({ kit }) => kit.close()));
    this.#driver[Symbol.dispose]();
  }
}

/** A gate that handlers wait at, and a test opens. */
export function gate(): { readonly opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Resolves when the signal aborts, to its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}
