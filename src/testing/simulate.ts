/**
 * Simulation of one's own handlers: the production code with several workers, on a simulated database that has bad days,
 * with crashes; on virtual time, from a seed, so that what goes wrong once goes wrong again.
 *
 * What a handler waits for must be virtual: the database that it is given, and {@linkcode SimProcess.sleep}. Real I/O
 * (`fetch`, files, timers) is invisible to virtual time, which runs past it.
 *
 * @module
 */

import { sleep } from "../core/clock.ts";
import { type Duration, toMilliseconds } from "../core/duration.ts";
import { InvalidArgument } from "../core/errors.ts";
import type { TaskHandler } from "../core/handler.ts";
import { checkFields, checkInteger } from "../core/validate.ts";
import type { TaskRecord } from "../core/task.ts";
import { Kit } from "../kit.ts";
import { Keyspace } from "../store/keyspace.ts";
import { tryDecodeTask } from "../store/records.ts";
import { toInitiated } from "./initiated.ts";
import type { InitiatedTask } from "./test_kit.ts";
import { SeededRandom } from "./prng.ts";
import { SimDatabase } from "./sim_database.ts";
import { CALM, INSTANT, type KvFaults, ROUGH_FILE, ROUGH_NETWORK } from "./sim_faults.ts";
import type { SimKv } from "./sim_kv.ts";
import { type VirtualClock, VirtualTime } from "./virtual_clock.ts";

/** The process that a handler or a client runs in, as far as it must know it. */
export interface SimProcess {
  /** The process's own connection to the database, for what is stored beside tasks. */
  readonly kv: SimKv;
  /** Waits in virtual time. */
  sleep(duration: Duration): Promise<void>;
}

/** What is simulated. `World` is everything outside Taskkit: services, ledgers, mail that was sent. */
export interface Scenario<World> {
  /** Makes the world anew, for each run. It outlives crashes, as the world does. */
  setup(): World;
  /** Makes the handler of one process. What it remembers by itself is lost with its process. */
  handler(world: World, own: SimProcess): TaskHandler;
  /** The groups that workers work on, with their concurrency. @default {those of the handler's definitions} */
  readonly groups?: Readonly<Record<string, number>>;
  /** What a client does: initiates tasks, cancels some, waits for results. It never crashes, and its days are good. */
  run(kit: Kit, world: World, own: SimProcess): Promise<unknown>;
}

/** What is there when all tasks have ended. */
export interface SimEnd<World> {
  /** The world. */
  readonly world: World;
  /** Every task, in the order of initiation. */
  readonly tasks: readonly InitiatedTask[];
  /** A Kit on the database, which answers at once. */
  readonly kit: Kit;
  /** A connection to the database, which answers at once. */
  readonly kv: SimKv;
}

/** Says whether all is well when all tasks have ended; throws if it is not. */
export type Invariant<World> = (end: SimEnd<World>) => unknown;

/** What {@linkcode simulate} takes. */
export interface SimulateOptions<World> {
  /** What is simulated. */
  readonly scenario: Scenario<World>;
  /** What must hold when all tasks have ended. */
  readonly invariant: Invariant<World>;
  /** How many seeds, or which. @default {100, from seed 0} */
  readonly seeds?: number | { readonly from: number; readonly count: number };
  /** Workers at once. @default {2} */
  readonly workers?: number;
  /**
   * What goes wrong between a worker and its database, for the first 20 s: `"calm"`, `"rough"` (a shared file and a network
   * by turns), or one's own. @default {"rough"}
   */
  readonly faults?: "calm" | "rough" | KvFaults;
  /** Whether workers crash and are suspended. @default {true} */
  readonly crashes?: boolean;
}

/** What {@linkcode simulate} and {@linkcode crashEverywhere} did. */
export interface SimReport {
  /** Runs that were made. */
  readonly runs: number;
  /** Crashes of workers in them. */
  readonly crashes: number;
  /** Attempts that were started. */
  readonly attempts: number;
}

/**
 * A run broke the invariant, or came to no end. Its message says how to run it again, and what happened in it.
 *
 * @example
 * ```ts
 * import { SimulationFailed } from "@taskkit/taskkit/testing";
 *
 * const error = new SimulationFailed(17, "Seed 17 broke the simulation: charged twice");
 * console.log(error.run); // 17
 * ```
 */
export class SimulationFailed extends Error {
  /** What the error is called. */
  override readonly name = "SimulationFailed";
  /** The seed of the run, or the moment of its crash. */
  readonly run: number;

  /** Builds the error from the run, what led to it, and what it threw. */
  constructor(run: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.run = run;
  }
}

const PREFIX = "taskkit";
/** How long the bad days last. */
const FAULTY_MS = 20_000;
/** After so long without an end there is none. */
const END_MS_MAX = 6 * 3_600_000;
const TURNS_MAX = 2_000_000;
/** How soon a worker that crashed is started anew. */
const BACK_MS = 1_000;
const MOMENTS_MAX = 2_000;
/** Events of a story that are told. */
const STORY_MAX = 25;
/**
 * Runs a scenario from many seeds, on bad days and with crashes, and checks the invariant whenever all tasks have ended.
 *
 * @throws {SimulationFailed} With the first seed that broke it.
 * @throws {InvalidArgument} If an option is unknown or cannot be used.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { defineTask, tasks } from "@taskkit/taskkit";
 * import { simulate } from "@taskkit/taskkit/testing";
 *
 * const report = await simulate({
 *   seeds: 5,
 *   scenario: {
 *     setup: () => ({ greeted: new Set<string>() }),
 *     handler: (world) =>
 *       tasks([
 *         defineTask({
 *           group: "mail",
 *           name: "greet",
 *           run: (name: string) => void world.greeted.add(name),
 *         }),
 *       ]),
 *     run: (kit) => kit.initiateTask("mail", "greet", "Ada"),
 *   },
 *   invariant: ({ world, tasks }) => {
 *     for (const task of tasks) assert.ok(world.greeted.has(String(task.data)));
 *   },
 * });
 * assert.equal(report.runs, 5);
 * ```
 */
export async function simulate<World>(options: SimulateOptions<World>): Promise<SimReport> {
  checkFields(options, "the options of simulate", [
    "scenario",
    "invariant",
    "seeds",
    "workers",
    "faults",
    "crashes",
  ]);
  const { scenario, invariant, seeds = 100, faults = "rough", crashes = true } = options;
  const workers = checkInteger(options.workers ?? 2, "workers", 1, 100);
  const { from, count } = typeof seeds === "number" ? { from: 0, count: seeds } : seeds;
  checkInteger(from, "the first seed", 0, 2 ** 31);
  checkInteger(count, "the number of seeds", 1, 2 ** 31);
  const report = { runs: 0, crashes: 0, attempts: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const run = new Run(scenario, seed, workers, faultsOf(faults, seed));
    if (crashes) run.planCrashes();
    try {
      await run.toEnd(invariant);
    } catch (cause) {
      throw new SimulationFailed(
        seed,
        `Seed ${seed} broke the simulation: ${reasonOf(cause)}\n` +
          `Run it again with { seeds: { from: ${seed}, count: 1 } }. What happened last:\n${run.story()}`,
        { cause },
      );
    }
    report.runs++;
    report.crashes += run.crashes;
    report.attempts += run.attempts;
  }
  return report;
}

/**
 * Runs a scenario once for every moment at which its worker can crash: before each answer of the database and each end of a
 * wait. After the crash another worker goes on, and when all tasks have ended the invariant must hold.
 *
 * Nothing else goes wrong, so that what is found is about crashes alone.
 *
 * @throws {SimulationFailed} With the first moment that broke it.
 * @throws {InvalidArgument} If an option is unknown.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { defineTask, tasks } from "@taskkit/taskkit";
 * import { crashEverywhere } from "@taskkit/taskkit/testing";
 *
 * const report = await crashEverywhere({
 *   setup: () => ({ done: 0 }),
 *   handler: (world, { sleep }) =>
 *     tasks([
 *       defineTask({
 *         group: "work",
 *         name: "count",
 *         run: async () => {
 *           await sleep("1s");
 *           world.done++;
 *         },
 *       }),
 *     ]),
 *   run: (kit) => kit.initiateTask("work", "count"),
 * }, { invariant: ({ world }) => assert.ok(world.done >= 1) });
 * assert.ok(report.runs > 10);
 * ```
 */
export async function crashEverywhere<World>(
  scenario: Scenario<World>,
  options: { readonly invariant: Invariant<World> },
): Promise<SimReport> {
  checkFields(options, "the options of crashEverywhere", ["invariant"]);
  const { invariant } = options;
  const report = { runs: 0, crashes: 0, attempts: 0 };
  let moments = 0;
  for (let moment = -1; moment < moments; moment++) {
    const run = new Run(scenario, 0, 1, CALM);
    if (moment >= 0) run.crashAt(moment);
    try {
      await run.toEnd(invariant);
    } catch (cause) {
      const when = moment < 0
        ? "Without any crash the scenario"
        : `A crash at moment ${moment} of ${moments}`;
      throw new SimulationFailed(
        moment,
        `${when} broke the invariant: ${reasonOf(cause)}\nWhat happened last:\n${run.story()}`,
        { cause },
      );
    }
    // The run without a crash says how many moments there are.
    if (moment < 0) moments = Math.min(run.moments, MOMENTS_MAX);
    report.runs++;
    report.crashes += run.crashes;
    report.attempts += run.attempts;
  }
  return report;
}

function faultsOf(faults: "calm" | "rough" | KvFaults, seed: number): KvFaults {
  if (typeof faults === "object") return faults;
  if (faults === "calm") return CALM;
  if (faults === "rough") return seed % 2 === 0 ? ROUGH_FILE : ROUGH_NETWORK;
  throw new InvalidArgument(
    `Cannot use "${faults}" as faults: there are "calm", "rough", and an object of your own`,
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Place {
  clock: VirtualClock;
  kv: SimKv;
  life: number;
}

/** One run of a scenario. */
class Run<World> {
  readonly #scenario: Scenario<World>;
  readonly #random: SeededRandom;
  readonly #time: VirtualTime;
  readonly #database: SimDatabase;
  readonly #keys = new Keyspace([PREFIX]);
  readonly #faults: KvFaults;
  readonly #world: World;
  readonly #places: Place[] = [];
  readonly #told: string[] = [];
  readonly #running = new Map<string, number>();
  #error: { cause: unknown } | null = null;
  #isDone = false;
  #isFaulty = false;
  #crashPlans: { atMs: number; worker: number; wakes: number; suspendMs: number }[] = [];
  #crashMoment: number | null = null;
  #startWakes = 0;
  #up = 0;
  crashes = 0;
  attempts = 0;

  constructor(scenario: Scenario<World>, seed: number, workers: number, faults: KvFaults) {
    this.#scenario = scenario;
    this.#faults = faults;
    this.#random = new SeededRandom(`simulate/${seed}`);
    this.#time = new VirtualTime({ random: this.#random.fork("order") });
    this.#database = new SimDatabase({
      time: this.#time,
      random: this.#random.fork("kv"),
      dialect: faults.lostAnswer > 0 ? "npm" : "deno",
    });
    this.#world = scenario.setup();
    for (let i = 0; i < workers; i++) this.#places.push(this.#place(i, 0));
    this.#listen();
  }

  /** Moments at which its worker could have crashed. */
  get moments(): number {
    return (this.#places[0]?.clock.wakes ?? 0) - this.#startWakes;
  }

  /** What happened last. */
  story(): string {
    return this.#told.slice(-STORY_MAX).map((line) => `  ${line}`).join("\n");
  }

  /** Crashes and suspensions at random moments of the bad days. */
  planCrashes(): void {
    const random = this.#random.fork("crashes");
    for (let n = random.int(0, 3); n > 0; n--) {
      this.#crashPlans.push({
        // Most scenarios are over soon.
        atMs: random.int(0, random.pick([100, 1_000, FAULTY_MS])),
        worker: random.int(0, this.#places.length - 1),
        wakes: random.int(1, 20),
        suspendMs: random.chance(0.3) ? random.int(1_000, 40_000) : 0,
      });
    }
  }

  /** One crash of the worker, at the n-th moment after it was started. */
  crashAt(moment: number): void {
    this.#crashMoment = moment;
  }

  async toEnd(invariant: Invariant<World>): Promise<void> {
    const time = this.#time;
    for (const i of this.#places.keys()) this.#start(i);
    // The bad days begin once everybody is connected, since nobody simulates how to connect.
    const isUp = () => this.#error !== null || this.#up === this.#places.length;
    await time.run({ until: isUp, untilMs: END_MS_MAX, eventsMax: TURNS_MAX });
    this.#database.faults = this.#faults;
    this.#isFaulty = true;
    for (const plan of this.#crashPlans) {
      time.schedule(plan.atMs, () => this.#disturb(plan));
    }
    if (this.#crashMoment !== null) this.#crash(0, this.#crashMoment);
    this.#startWakes = this.#places[0]?.clock.wakes ?? 0;
    const client = this.#place(-1, 0);
    client.clock.schedule(0, () => void this.#client(client));
    const isOver = () => this.#error !== null || this.#isDone && !this.#hasOpenTasks();
    const faultyMs = time.nowMs + FAULTY_MS;
    await time.run({ until: isOver, untilMs: faultyMs, eventsMax: TURNS_MAX });
    this.#isFaulty = false;
    this.#database.faults = CALM;
    for (const { clock } of this.#places) clock.resume();
    const end = await time.run({ until: isOver, untilMs: END_MS_MAX, eventsMax: TURNS_MAX });
    if (this.#error !== null) throw this.#error.cause;
    if (end !== "until") throw new Error(this.#whatHangs());
    this.#database.faults = INSTANT;
    const { kv, clock } = this.#place(-2, 0);
    const kit = await Kit.open({
      kv,
      handler: this.#handlerOf("the end", clock, kv),
      clock,
      random: this.#random.fork("end"),
      prefix: PREFIX,
    });
    using _driven = time.drive();
    await invariant({ world: this.#world, tasks: this.#tasks(), kit, kv });
  }

  #whatHangs(): string {
    const open = this.#tasks().filter(({ state }) => state === "queued" || state === "running");
    const names = open.slice(0, 5).map(({ group, name, state }) => `${group}/${name} is ${state}`);
    return `it came to no end within ${END_MS_MAX / 3_600_000} virtual hours: ${
      this.#isDone ? "" : "the client still waits; "
    }${names.join(", ")}; does a handler wait for something real, such as fetch or a timer?`;
  }

  #place(i: number, life: number): Place {
    const name = i < 0 ? "client" : `worker ${i}${life === 0 ? "" : `, start ${life + 1}`}`;
    const clock = this.#time.clock({ name });
    // Bad days are for workers: what a client does is the same in every run.
    const kv = this.#database.connect({ clock, ...(i === -1 ? { faults: CALM } : {}) });
    return { clock, kv, life };
  }

  #listen(): void {
    this.#time.onTrace = ({ atMs, actor, what }) => {
      if (what === "killed" || what === "paused" || what === "resumed") {
        this.#tell(atMs, `${actor} ${what}`);
      }
    };
    this.#database.onCommit(({ by, atMs, changes }) => {
      for (const { key, after } of changes) {
        if (key[0] !== PREFIX) {
          this.#tell(atMs, `${by} writes ${JSON.stringify(key, bigintToText)}`);
          continue;
        }
        if (key[1] !== "task") continue;
        const id = String(key[2]);
        const record = after === null ? null : tryDecodeTask(after.value);
        if (record === null) {
          this.#running.delete(id);
          continue;
        }
        const isOpen = record.state === "queued" || record.state === "running";
        if (isOpen) this.#running.set(id, record.attempt);
        else this.#running.delete(id);
        this.#tell(atMs, `${by}: task ${record.name}, attempt ${record.attempt}: ${record.state}`);
      }
    });
  }

  #tell(atMs: number, what: string): void {
    this.#told.push(`${(atMs / 1_000).toFixed(3)} s  ${what}`);
    if (this.#told.length > 4 * STORY_MAX) this.#told.splice(0, 2 * STORY_MAX);
  }

  #hasOpenTasks(): boolean {
    return this.#running.size > 0;
  }

  #process(clock: VirtualClock, kv: SimKv): SimProcess {
    return { kv, sleep: (duration) => sleep(clock, toMilliseconds(duration, "the time to sleep")) };
  }

  #handlerOf(name: string, clock: VirtualClock, kv: SimKv): TaskHandler {
    const handler = this.#scenario.handler(this.#world, this.#process(clock, kv));
    const handle = handler.handle.bind(handler);
    return Object.assign(handler, {
      handle: (...args: Parameters<TaskHandler["handle"]>) => {
        const [{ name: task, attempt }] = args;
        this.attempts++;
        this.#tell(this.#time.nowMs, `${name} runs attempt ${attempt} of task ${task}`);
        return handle(...args);
      },
    });
  }

  #start(i: number): void {
    const place = this.#places[i];
    if (place === undefined) return;
    place.clock.schedule(0, () => void this.#work(place));
  }

  async #work({ clock, kv }: Place): Promise<void> {
    const groups = this.#scenario.groups;
    while (true) {
      try {
        const kit = await Kit.open({
          kv,
          handler: this.#handlerOf(clock.name, clock, kv),
          clock,
          random: this.#random.fork(clock.name),
          prefix: PREFIX,
        });
        await kit.startWorker({ ...(groups === undefined ? {} : { groups }), log: () => {} });
        break;
      } catch (error) {
        if (error instanceof InvalidArgument) return this.#failed(error);
        await sleep(clock, BACK_MS);
      }
    }
    this.#up++;
  }

  /** Kills the worker instead of waking it for the n-th time from now, and starts another one. */
  #crash(i: number, wakes: number): void {
    const place = this.#places[i];
    if (place === undefined || place.clock.state === "killed") return;
    place.clock.killAfterWakes(place.clock.wakes + wakes);
    const look = () => {
      if (this.#places[i] !== place) return;
      if (place.clock.state !== "killed") return void this.#time.schedule(50, look);
      this.crashes++;
      this.#time.schedule(BACK_MS, () => {
        this.#places[i] = this.#place(i, place.life + 1);
        this.#start(i);
      });
    };
    look();
  }

  #disturb(plan: { worker: number; wakes: number; suspendMs: number }): void {
    if (!this.#isFaulty) return;
    if (plan.suspendMs === 0) return this.#crash(plan.worker, plan.wakes);
    const place = this.#places[plan.worker];
    place?.clock.pause();
    this.#time.schedule(plan.suspendMs, () => place?.clock.resume());
  }

  async #client({ clock, kv }: Place): Promise<void> {
    try {
      const kit = await Kit.open({
        kv,
        handler: this.#handlerOf(clock.name, clock, kv),
        clock,
        random: this.#random.fork("client"),
        prefix: PREFIX,
      });
      await this.#scenario.run(kit, this.#world, this.#process(clock, kv));
      this.#isDone = true;
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(cause: unknown): void {
    this.#error ??= { cause };
  }

  #tasks(): InitiatedTask[] {
    const selector = this.#keys.tasks();
    const handler = this.#scenario.handler(
      this.#world,
      this.#process(this.#time.clock(), this.#database.connect()),
    );
    return this.#database.entries("prefix" in selector ? selector.prefix : [])
      .flatMap(({ value }) => {
        const record = tryDecodeTask(value);
        return record === null ? [] : [toInitiated(record, handler, inlineBytes(record))];
      });
  }
}

/** Data of a task, unless it lies in chunks. */
function inlineBytes({ data }: TaskRecord): Uint8Array | null {
  return data.kind === "inline" ? data.bytes : null;
}

function bigintToText(_: string, part: unknown): unknown {
  return typeof part === "bigint" ? `${part}n` : part;
}
