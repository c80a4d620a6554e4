/**
 * A Kit for tests: on a database in memory, with a time that passes only when the test says so.
 *
 * Everything is the production code, down to the transactions; only the database and the clock are simulated. In **manual**
 * mode tasks wait until the test drains them; in **inline** mode what is due runs before the call that initiates it
 * returns. A worker ({@linkcode TestKit.kit}'s `startWorker`) works too, as time is advanced.
 *
 * Handlers may wait for anything: while one runs, virtual time stands still. It is only under a worker that a handler must
 * wait for virtual time alone.
 *
 * @module
 */

import type { Duration } from "../core/duration.ts";
import type { TaskHandler } from "../core/handler.ts";
import { IdSource } from "../core/ids.ts";
import { checkFields, checkInteger } from "../core/validate.ts";
import type { TaskDefinition } from "../core/define.ts";
import { type TaskRecord, type TaskState, toInit, toTask } from "../core/task.ts";
import { Conflict, InvalidArgument } from "../core/errors.ts";
import { InlineExecutor } from "../executor/inline.ts";
import { resolveFailure } from "../executor/run_handler.ts";
import { Kit } from "../kit.ts";
import { readSchedules, type Schedules } from "../schedule/entry.ts";
import { Scheduler } from "../schedule/scheduler.ts";
import { Bells } from "../store/bells.ts";
import { Turns } from "../store/turns.ts";
import { claim } from "../store/claim.ts";
import { Keyspace } from "../store/keyspace.ts";
import { tryDecodeTask } from "../store/records.ts";
import { settle, type Settled, type Settlement } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { Attempt, toEnding } from "../worker/attempt.ts";
import { type Expected, matching, missing, toInitiated, unwanted } from "./initiated.ts";
import { type Performed, performOnce, type PerformOptions } from "./perform.ts";
import { SeededRandom } from "./prng.ts";
import { SimDatabase } from "./sim_database.ts";
import type { SimKv } from "./sim_kv.ts";
import { type VirtualClock, VirtualTime } from "./virtual_clock.ts";

/** Attempts of one drain, at most: a task that is retried for ever ends here. */
const ATTEMPTS_MAX_DEFAULT = 10_000;
const PREFIX = "taskkit";
const FIELDS = ["handler", "mode", "start", "seed", "schedules", "timeZone"];

/** What {@linkcode TestKit.open} takes. */
export interface TestKitOptions {
  /** What runs tasks and encodes their data. */
  readonly handler: TaskHandler;
  /**
   * `"manual"`: tasks wait until they are drained. `"inline"`: what is due runs before the call that initiates it returns.
   *
   * @default {"manual"}
   */
  readonly mode?: "manual" | "inline";
  /** The wall clock at the beginning. @default {1 January 2026, 00:00 UTC} */
  readonly start?: Date;
  /** Where ids and jitter come from: the same seed gives the same ones. @default {1} */
  readonly seed?: number;
  /** Recurring schedules to look after, by scheduler: they fire as time is advanced. */
  readonly schedules?: Schedules;
  /** The IANA time zone of schedules that have none of their own. @default {"UTC"} */
  readonly timeZone?: string;
}

/** What {@linkcode TestKit.drain} takes. */
export interface DrainOptions {
  /**
   * Whether to go on to tasks that are due later (retries, schedules' tasks, delayed ones), by advancing the time to them.
   *
   * @default {false}
   */
  readonly scheduled?: boolean;
  /** Only tasks of this group. @default {all groups} */
  readonly group?: string;
  /** After so many attempts it is held to go on for ever. @default {10,000} */
  readonly attemptsMax?: number;
}

/** What {@linkcode TestKit.drain} did: how many attempts ended so. */
export interface Drained {
  /** With a result. */
  readonly succeeded: number;
  /** For good. */
  readonly failed: number;
  /** By `DiscardTask`. */
  readonly discarded: number;
  /** Since somebody cancelled the task. */
  readonly cancelled: number;
  /** To be tried again later. */
  readonly queued: number;
}

/** A task as the test sees it. */
export interface InitiatedTask {
  /** Its id. */
  readonly id: string;
  /** Its group. */
  readonly group: string;
  /** Its name. */
  readonly name: string;
  /** Its data, decoded. */
  readonly data: unknown;
  /** Not before this instant. */
  readonly due: Date;
  /** 0 (taken first) to 9. */
  readonly priority: number;
  /** The unique key it holds or held. */
  readonly unique: string | null;
  /** The schedule point that made it. */
  readonly scheduled: Date | null;
  /** Where it is in its life. */
  readonly state: TaskState;
  /** Attempts so far. */
  readonly attempt: number;
}

/** The name of a task; every definition has it. */
export interface TaskName {
  /** Its group. */
  readonly group: string;
  /** Its name. */
  readonly name: string;
}

/**
 * A Kit for tests.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { defineTask, tasks } from "@taskkit/taskkit";
 * import { TestKit } from "@taskkit/taskkit/testing";
 *
 * const sent: string[] = [];
 * const remind = defineTask({
 *   group: "mail",
 *   name: "remind",
 *   run: (to: string) => void sent.push(to),
 * });
 *
 * await using t = await TestKit.open({ handler: tasks([remind]) });
 * await t.kit.initiateTask(remind, "ada@example.org", { due: "1h" });
 * t.assertInitiated(remind, { data: "ada@example.org", due: "1h" });
 *
 * await t.drain();
 * assert.deepEqual(sent, []); // not due yet
 * await t.advance("1h");
 * await t.drain();
 * assert.deepEqual(sent, ["ada@example.org"]);
 * ```
 */
export class TestKit implements AsyncDisposable {
  /** The Kit, to be passed to the code under test. */
  readonly kit: Kit;
  /** The virtual time. */
  readonly time: VirtualTime;
  /** The database, to look at or to damage. */
  readonly database: SimDatabase;
  /** The Kit's own connection, for what the code under test writes beside tasks. */
  readonly kv: SimKv;
  readonly #clock: VirtualClock;
  readonly #handler: TaskHandler;
  readonly #store: Store;
  #scheduler: Scheduler | null = null;
  #isDraining = false;

  private constructor(
    parts: {
      kit: Kit;
      database: SimDatabase;
      kv: SimKv;
      clock: VirtualClock;
      handler: TaskHandler;
      store: Store;
    },
  ) {
    this.kit = parts.kit;
    this.database = parts.database;
    this.time = parts.database.time;
    this.kv = parts.kv;
    this.#clock = parts.clock;
    this.#handler = parts.handler;
    this.#store = parts.store;
  }

  /**
   * Opens a Kit on an empty database in memory.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used.
   * @throws {InvalidSchedule} If a schedule cannot be used.
   */
  static async open(options: TestKitOptions): Promise<TestKit> {
    checkFields(options, "the options of TestKit.open", FIELDS);
    const { handler, mode = "manual", start, seed = 1, schedules = {}, timeZone = "UTC" } = options;
    if (mode !== "manual" && mode !== "inline") {
      throw new InvalidArgument(
        `Cannot use "${mode}" as mode: there are "manual" and "inline"`,
      );
    }
    const time = new VirtualTime(start === undefined ? {} : { wallStartMs: start.getTime() });
    const clock = time.clock({ name: "test" });
    const database = new SimDatabase({ time });
    const kv = database.connect({ clock });
    const random = new SeededRandom(seed);
    const kit = await Kit.open({ kv, handler, clock, random, prefix: PREFIX });
    const drainer = random.fork("drain");
    const bells = new Bells(kv, clock, { watchFile: () => null, canWatch: false });
    const store: Store = {
      kv,
      keys: new Keyspace([PREFIX]),
      clock,
      random: drainer,
      ids: new IdSource(clock, drainer),
      bells,
      turns: new Turns(null, clock),
      checksMax: database.checksMax,
      remote: false,
    };
    const test = new TestKit({ kit, database, kv, clock, handler, store });
    await test.#startSchedules(schedules, timeZone);
    if (mode === "inline") test.#runInline();
    return test;
  }

  /** The wall clock of the Kit. */
  get now(): Date {
    return new Date(this.#clock.now());
  }

  /**
   * Lets time pass, with all that waits for it: schedules, and workers if there are some. Tasks that become due meanwhile
   * wait for the next {@linkcode TestKit.drain} (or run, in inline mode).
   *
   * @throws {InvalidArgument} If it is no duration.
   */
  async advance(duration: Duration): Promise<void> {
    await this.time.advance(duration);
    if (this.#isInline) await this.drain();
  }

  /**
   * Runs what is due, the oldest first, and what that initiates, until nothing is due any more. Each attempt is run and
   * settled as a worker does it; what a handler throws is stored, not thrown here.
   *
   * @throws {Error} If it comes to no end.
   */
  async drain(options: DrainOptions = {}): Promise<Drained> {
    checkFields(options, "the options of drain", ["scheduled", "group", "attemptsMax"]);
    const { scheduled = false, group } = options;
    const attemptsMax = checkInteger(
      options.attemptsMax ?? ATTEMPTS_MAX_DEFAULT,
      "attemptsMax",
      1,
      1_000_000_000,
    );
    const drained = { succeeded: 0, failed: 0, discarded: 0, cancelled: 0, queued: 0 };
    // A handler that initiates a task in inline mode: the drain that runs it goes on with that one.
    if (this.#isDraining) return drained;
    this.#isDraining = true;
    try {
      for (let attempts = 0;; attempts++) {
        if (attempts >= attemptsMax) {
          throw new Error(
            `Cannot drain: tasks are still due after ${attemptsMax} attempts; ` +
              `do they initiate one another, or retry for ever?`,
          );
        }
        const state = await this.#runNext(group);
        if (state !== null) drained[state]++;
        else if (!scheduled || !(await this.#goToNext(group))) return drained;
      }
    } finally {
      this.#isDraining = false;
    }
  }

  /**
   * Runs one attempt of a task by itself: validates and encodes its data as `initiateTask` does, calls the handler, and
   * tells how the attempt ends. Nothing is stored.
   *
   * @throws {InvalidData} If the data does not fit the definition, or cannot be encoded.
   * @throws {InvalidArgument} If an option is unknown or cannot be used.
   */
  perform<Input, R>(
    task: TaskDefinition<Input, R>,
    data: NoInfer<Input>,
    options?: PerformOptions,
  ): Promise<Performed<R>>;
  /** Runs one attempt of a task by its name. */
  perform(task: TaskName, data?: unknown, options?: PerformOptions): Promise<Performed>;
  async perform(
    task: TaskDefinition | TaskName,
    data?: unknown,
    options: PerformOptions = {},
  ): Promise<Performed> {
    return await performOnce(this.#handler, this.#clock, task, data, options);
  }

  /** The tasks that were initiated, of one name or all, in the order of their initiation, ended ones included. */
  initiated(task?: TaskName): InitiatedTask[] {
    const all = this.#records()
      .map((record) => toInitiated(record, this.#handler, this.#dataOf(record)));
    return task === undefined
      ? all
      : all.filter(({ group, name }) => group === task.group && name === task.name);
  }

  /**
   * Checks that such a task was initiated, whatever became of it since; returns it, the first if there are several.
   *
   * @throws {Error} If there is none, or not as many as `count` says; the message shows what was initiated instead, and
   * where it differs.
   */
  assertInitiated<Input>(
    task: TaskDefinition<Input, unknown>,
    expected?: Expected<NoInfer<Input>>,
  ): InitiatedTask;
  /** The same for a task by its name. */
  assertInitiated(task: TaskName, expected?: Expected): InitiatedTask;
  assertInitiated(task: TaskName, expected: Expected = {}): InitiatedTask {
    const all = this.initiated();
    const found = matching(all, task, expected, this.now);
    const [first] = found;
    if (first === undefined || found.length !== (expected.count ?? found.length)) {
      throw missing({ all, found, task, expected, now: this.now });
    }
    return first;
  }

  /**
   * Checks that no such task was initiated.
   *
   * @throws {Error} If there is one; the message shows it.
   */
  assertNotInitiated<Input>(
    task: TaskDefinition<Input, unknown>,
    expected?: Expected<NoInfer<Input>>,
  ): void;
  /** The same for a task by its name. */
  assertNotInitiated(task: TaskName, expected?: Expected): void;
  assertNotInitiated(task: TaskName, expected: Expected = {}): void {
    const found = matching(this.initiated(), task, expected, this.now);
    if (found.length > 0) throw unwanted(found);
  }

  /** Closes the Kit, and workers that it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    // What closes may wait for a time that nobody else would let pass.
    using _driven = this.time.drive();
    await this.#scheduler?.stop();
    await this.kit.close();
  }

  #isInline = false;

  #runInline(): void {
    this.#isInline = true;
    const { kit } = this;
    const { initiateTask, initiateTasks, atomic } = kit;
    const thenDrain = <A extends unknown[], T>(
      act: (...args: A) => Promise<T>,
    ) =>
    async (...args: A): Promise<T> => {
      const result = await Reflect.apply(act, kit, args);
      await this.drain();
      return result;
    };
    Object.assign(kit, {
      initiateTask: thenDrain(initiateTask as (...args: unknown[]) => Promise<unknown>),
      initiateTasks: thenDrain(initiateTasks),
      atomic: () => {
        const operation = Reflect.apply(atomic, kit, []);
        return Object.assign(operation, { commit: thenDrain(operation.commit) });
      },
    });
  }

  async #startSchedules(schedules: Schedules, timeZone: string): Promise<void> {
    const entries = await readSchedules(schedules, timeZone, this.#handler);
    if (entries.length === 0) return;
    const failed = (_what: string, error: unknown) => this.time.fail(error);
    this.#scheduler = new Scheduler(this.#store, entries, {
      onAhead: () => {},
      onFired: () => {},
      onSkipped: () => {},
      onTrouble: failed,
    });
    await this.#scheduler.register();
    this.#scheduler.start();
    await this.time.settle();
  }

  /** Claims, runs and settles the oldest due task; null if there is none. */
  async #runNext(onlyGroup: string | undefined): Promise<keyof Drained | null> {
    const group = this.#nextGroup(onlyGroup);
    if (group === null) return null;
    const store = this.#store;
    const window = { rank: 0, of: 1 };
    const { leases: [lease] } = await this.#turning(() =>
      claim(store, { worker: "drain", group, max: 1, window })
    );
    const record = lease?.tasks.values().next().value;
    if (lease === undefined || record === undefined) return null;
    const host = {
      store,
      handler: this.#handler,
      executor: new InlineExecutor(this.#handler),
      timeoutMs: null,
      log: () => {},
    };
    const ending = await new Attempt(host, lease, record).run();
    const became = await this.#settle({ lease, record, ending });
    if (became.kind === "settled") return toDrained(became.record.state);
    // The user's own writes were refused by a check of the user's: that fails the attempt, as in a worker.
    const cause = became.kind === "refused" ? became.error : "its lease was lost";
    const error = new Conflict("Cannot complete: one of the handler's own checks failed", {
      cause,
    });
    const task = toTask(toInit(record, this.#dataOf(record)));
    const outcome = await resolveFailure(this.#handler, task, error);
    const failed = { lease, record, ending: toEnding(outcome, this.#clock.now()) };
    const then = await this.#settle(failed);
    return then.kind === "settled" ? toDrained(then.record.state) : "failed";
  }

  async #settle(settlement: Settlement): Promise<Settled> {
    const { signal } = new AbortController();
    const settled = await this.#turning(() => settle(this.#store, [settlement], signal));
    return settled.get(settlement) ?? { kind: "lost" };
  }

  /** Lets the pauses of a transaction pass; a handler runs without that, so that time stands still for it. */
  async #turning<T>(act: () => Promise<T>): Promise<T> {
    if (this.time.isTurned) return await act();
    using _driven = this.time.drive();
    return await act();
  }

  #nextGroup(onlyGroup: string | undefined): string | null {
    const nowMs = this.#clock.now();
    let next: TaskRecord | null = null;
    for (const record of this.#records()) {
      if (record.state !== "queued" || record.dueMs > nowMs) continue;
      if (onlyGroup !== undefined && record.group !== onlyGroup) continue;
      if (next === null || isBefore(record, next)) next = record;
    }
    return next?.group ?? null;
  }

  /** Advances the time to the next queued task; false if there is none. */
  async #goToNext(onlyGroup: string | undefined): Promise<boolean> {
    let nextMs = Infinity;
    for (const { state, group, dueMs } of this.#records()) {
      if (state !== "queued" || onlyGroup !== undefined && group !== onlyGroup) continue;
      nextMs = Math.min(nextMs, dueMs);
    }
    if (nextMs === Infinity) return false;
    await this.time.advance(Math.max(0, nextMs - this.#clock.now()));
    return true;
  }

  #records(): TaskRecord[] {
    const nowMs = this.#clock.now();
    const { keys } = this.#store;
    const tasks = keys.tasks();
    return this.database.entries("prefix" in tasks ? tasks.prefix : []).flatMap(({ value }) => {
      const record = tryDecodeTask(value);
      const isGone = record === null || (record.expiresMs !== null && record.expiresMs <= nowMs);
      return isGone ? [] : [record];
    });
  }

  #dataOf({ id, data }: TaskRecord): Uint8Array {
    if (data.kind === "inline") return data.bytes;
    const bytes = new Uint8Array(data.size);
    let at = 0;
    for (let n = 0; n < data.count; n++) {
      const chunk = this.database.peek(this.#store.keys.chunk(id, data.part, n))?.value;
      if (!(chunk instanceof Uint8Array)) continue;
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

function isBefore(a: TaskRecord, b: TaskRecord): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority;
  return a.dueMs === b.dueMs ? a.id < b.id : a.dueMs < b.dueMs;
}

function toDrained(state: TaskState): keyof Drained {
  return state === "running" ? "queued" : state;
}
