/**
 * A world for tests of executors: the fixture handler, what was logged, and ways to run tasks and await what happens.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock, type Timer } from "../../src/core/clock.ts";
import type { LogEntry } from "../../src/core/log.ts";
import { systemRandom } from "../../src/core/random.ts";
import type { TaskInit } from "../../src/core/task.ts";
import { encodeValue } from "../../src/core/value_codec.ts";
import {
  Executors,
  type ExecutorsOptions,
  type GroupExecutorOptions,
} from "../../src/executor/create.ts";
import type { Executor, Outcome } from "../../src/executor/executor.ts";
import { loadHandler } from "../../src/executor/load_handler.ts";

export const HANDLER_URL = new URL("./fixtures/handler.ts", import.meta.url);
export const IS_DENO = "Deno" in globalThis;
export const IS_BUN = "Bun" in globalThis;

/** One attempt under way. */
export interface Started {
  readonly id: string;
  /** Resolves when the executor says that the handler begins. */
  readonly began: Promise<void>;
  readonly outcome: Promise<Outcome>;
  readonly progress: readonly { fraction: number; message: string }[];
  readonly lines: readonly { level: string; message: string; fields: Record<string, unknown> }[];
  abort(reason?: unknown): void;
  abandon(): void;
  /** Resolves when the handler has logged this line. */
  logged(message: string): Promise<void>;
  /** Resolves when the handler has told progress. */
  progressed(): Promise<void>;
}

/** Something that tests can wait for. */
class Events {
  #waiting: (() => void)[] = [];

  happened(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** A clock that stands until it is advanced. */
export class ManualClock implements Clock {
  /** The timers that were asked for, in milliseconds. */
  readonly requested: number[] = [];
  #nowMs = 0;
  readonly #timers = new Map<object, { atMs: number; callback: () => void }>();
  readonly #events = new Events();

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  timer(ms: number, callback: () => void): Timer {
    const key = {};
    this.#timers.set(key, { atMs: this.#nowMs + ms, callback });
    this.requested.push(ms);
    this.#events.happened();
    return { cancel: () => void this.#timers.delete(key) };
  }

  soon(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Resolves when such a timer was asked for so many times. */
  async asked(ms: number, times = 1): Promise<void> {
    await this.#events.until(() => this.requested.filter((each) => each === ms).length >= times);
  }

  /** Fires what is due, in order, up to this many milliseconds later. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [first] = [...this.#timers].sort(([, a], [, b]) => a.atMs - b.atMs);
      if (first === undefined || first[1].atMs > endMs) break;
      this.#timers.delete(first[0]);
      this.#nowMs = first[1].atMs;
      first[1].callback();
    }
    this.#nowMs = endMs;
  }
}

let lastId = 0;

export function newTask(name: string, data?: unknown, more: Partial<TaskInit> = {}): TaskInit {
  return {
    id: `task-${++lastId}`,
    group: "g",
    name,
    data: data === undefined ? new Uint8Array() : encodeValue(data, "data"),
    dueMs: 1_000,
    createdMs: 900,
    scheduledMs: null,
    attempt: 1,
    retryCount: 0,
    ttlMs: 60_000,
    priority: 5,
    ...more,
  };
}

/** Executors, and one of them, started. */
export class World implements AsyncDisposable {
  readonly executors: Executors;
  readonly executor: Executor;
  readonly entries: LogEntry[];
  readonly leaks: number[];
  readonly #events: Events;
  #folder: string | null = null;
  #more: Executor[] = [];

  private constructor(
    executors: Executors,
    executor: Executor,
    entries: LogEntry[],
    leaks: number[],
    events: Events,
  ) {
    this.executors = executors;
    this.executor = executor;
    this.entries = entries;
    this.leaks = leaks;
    this.#events = events;
  }

  static async open(
    group: Partial<GroupExecutorOptions> & Pick<GroupExecutorOptions, "kind">,
    options: Partial<ExecutorsOptions> = {},
  ): Promise<World> {
    const entries: LogEntry[] = [];
    const leaks: number[] = [];
    const events = new Events();
    const handlerUrl = options.handlerUrl ?? HANDLER_URL;
    const executors = new Executors({
      handler: await loadHandler(handlerUrl),
      handlerUrl,
      clock: systemClock,
      random: systemRandom,
      log: (entry) => {
        entries.push(entry);
        events.happened();
      },
      onLeak: (leaked) => {
        leaks.push(leaked);
        events.happened();
      },
      ...options,
    });
    const executor = executors.create({ group: "g", concurrency: 8, ...group });
    const world = new World(executors, executor, entries, leaks, events);
    await executor.start();
    return world;
  }

  /** One more group. */
  async add(
    group: Partial<GroupExecutorOptions> & Pick<GroupExecutorOptions, "kind">,
  ): Promise<Executor> {
    const executor = this.executors.create({ group: "h", concurrency: 8, ...group });
    await executor.start();
    this.#more.push(executor);
    return executor;
  }

  start(name: string, data?: unknown, more: Partial<TaskInit> = {}): Started {
    const task = newTask(name, data, more);
    const controller = new AbortController();
    const progress: { fraction: number; message: string }[] = [];
    const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
    const events = new Events();
    const began = Promise.withResolvers<void>();
    const run = this.executor.run({ task }, {
      signal: controller.signal,
      onBegin: began.resolve,
      onProgress: (fraction, message) => {
        progress.push({ fraction, message });
        events.happened();
      },
      onLog: (level, message, fields) => {
        lines.push({ level, message, fields });
        events.happened();
      },
    });
    return {
      id: task.id,
      outcome: run.outcome,
      progress,
      lines,
      began: began.promise,
      abort: (reason) => controller.abort(reason),
      abandon: () => run.abandon(),
      logged: (message) => events.until(() => lines.some((line) => line.message === message)),
      progressed: () => events.until(() => progress.length > 0),
    };
  }

  run(name: string, data?: unknown, more: Partial<TaskInit> = {}): Promise<Outcome> {
    return this.start(name, data, more).outcome;
  }

  /** Runs a task and gives the value of its result. */
  async value(name: string, data?: unknown): Promise<unknown> {
    const outcome = await this.run(name, data);
    if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
    const handler = await loadHandler(HANDLER_URL);
    return handler.decodeResult({ id: "" } as never, outcome.result);
  }

  /** Resolves when this event was logged so many times. */
  async logged(event: string, times = 1): Promise<void> {
    await this.#events.until(() =>
      this.entries.filter((entry) => entry.event === event).length >= times
    );
  }

  /** Resolves when so many threads have leaked. */
  async leaked(count: number): Promise<void> {
    await this.#events.until(() => this.leaks.includes(count));
  }

  /** A file that is not there yet. */
  gate(): { readonly path: string; open(): void } {
    this.#folder ??= mkdtempSync(join(tmpdir(), "taskkit-executor-"));
    const path = join(this.#folder, crypto.randomUUID());
    return { path, open: () => writeFileSync(path, "") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executor of [this.executor, ...this.#more]) await executor.stop();
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true });
    this.#folder = null;
  }
}
