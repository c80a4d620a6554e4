/**
 * One simulated world: processes that run the production code (clients, workers with their schedulers and rescuers) on one
 * simulated database and virtual time; a plan of what goes wrong; and the checkers, which see every commit.
 *
 * First comes a time of faults, in which nothing must break; then a time of health, in which everything must end.
 *
 * @module
 */

import type { TaskContext, TaskHandler } from "../../src/core/handler.ts";
import type { Task, TaskRecord } from "../../src/core/task.ts";
import type { Kit, RunningWorker } from "../../mod.ts";
import { sleep } from "../../src/core/clock.ts";
import { CHECKERS } from "./checkers/all.ts";
import { tap, type Watch, watchRare } from "./coverage.ts";
import {
  CALM,
  type CommitEvent,
  type Fault,
  SeededRandom,
  SimDatabase,
  type SimKv,
  type VirtualClock,
  VirtualTime,
} from "./ground.ts";
import type { InitiateStep, Plan, Step, Work } from "./plan.ts";
import { OWN, type Production } from "./production.ts";
import { PREFIX, View } from "./view.ts";
import { type Checker, type Happening, Violation, type Witness } from "./witness.ts";

/** How long everything may take to end once nothing goes wrong any more. */
const HEALTHY_MS_MAX = 900_000;
/** What ended stays so for this long: late copies of old commits come by meanwhile. */
const QUIET_MS = 95_000;
/** How soon a supervisor starts a worker anew that crashed. */
const CRASH_BACK_MS = 1_000;
/** How soon the world sees that a process died by itself. */
const LOOK_MS = 50;
/** What a clock that was ahead made due so much later need not end. */
const FAR_MS = 60_000;
/** Turns after which a world is held to loop for ever. */
const TURNS_MAX = 400_000;
const ERRORS_OF_A_CALL = new Set([
  "OutcomeUnknown",
  "TaskNotFound",
  "Conflict",
  "KvUnavailable",
  "ResultGetTimedOut",
  "TaskFailed",
  "TaskDiscarded",
  "TaskCancelled",
  "KitClosed",
  "UnreadableRecord",
]);

/** What became of a world. */
export interface Verdict {
  /** The promise that was broken, or null. */
  readonly violation: Violation | null;
  /** Stands for everything that happened, in its order. */
  readonly hash: string;
  readonly turns: number;
  readonly virtualMs: number;
  readonly tasks: number;
}

/** Options of {@linkcode runWorld}. */
export interface WorldOptions {
  readonly production?: Production;
  readonly coverage?: Map<string, number>;
  /** Told what happens, for a story. */
  readonly onEvent?: (line: string) => void;
}

/** Runs a plan from its beginning to its end. */
export async function runWorld(plan: Plan, options: WorldOptions = {}): Promise<Verdict> {
  const world = new World(plan, options);
  const violation = await world.run();
  const { time } = world;
  return {
    violation,
    hash: time.hash,
    turns: time.turns,
    virtualMs: time.nowMs,
    tasks: world.view.tasks.size,
  };
}

/** A process: a client, or a worker. */
interface Process {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly kv: SimKv;
  kit: Promise<Kit> | null;
  worker: RunningWorker | null;
}

class World implements Witness {
  readonly plan: Plan;
  readonly time: VirtualTime;
  readonly database: SimDatabase;
  readonly view: View;
  readonly #production: Production;
  readonly #random: SeededRandom;
  readonly #coverage: Map<string, number>;
  readonly #onEvent: ((line: string) => void) | undefined;
  readonly #checkers: readonly Checker[];
  readonly #watch: Watch;
  readonly #workers: (Process | null)[] = [];
  readonly #clients: Process[] = [];
  readonly #births: number[] = [];
  readonly #works = new Map<string, Work>();
  readonly #ids = new Map<number, string>();
  readonly #planted: { key: readonly unknown[]; bytes: Uint8Array }[] = [];
  #violation: Violation | null = null;
  #isHealthy = false;
  #isLate = false;
  #skipped = 0;
  #openCalls = 0;
  #callsLeft = 0;

  constructor(plan: Plan, options: WorldOptions) {
    this.plan = plan;
    this.#production = options.production ?? OWN;
    this.#coverage = options.coverage ?? new Map();
    this.#onEvent = options.onEvent;
    this.#random = new SeededRandom(`world/${plan.profile}/${plan.seed}`);
    this.time = new VirtualTime({ random: this.#random.fork("order") });
    this.database = new SimDatabase({
      time: this.time,
      random: this.#random.fork("kv"),
      dialect: plan.dialect,
      checksMax: plan.checksMax,
      faults: plan.faults,
    });
    this.view = new View(this.database);
    this.#checkers = CHECKERS.map((make) => make(this));
    this.#watch = watchRare({
      view: this.view,
      database: this.database,
      cover: (event) => this.cover(event),
      isLate: () => this.#isLate,
      skipped: () => this.#skipped,
    });
    for (const step of plan.steps) {
      if (step.kind !== "initiate") continue;
      for (const { work } of step.tasks) this.#works.set(`t${work.n}`, work);
    }
    this.#listen();
  }

  // ── Witness ──

  nowMs(): number {
    return this.time.nowMs;
  }

  isHealthy(): boolean {
    return this.#isHealthy;
  }

  isLate(): boolean {
    return this.#isLate;
  }

  cover(event: string): void {
    this.#coverage.set(event, (this.#coverage.get(event) ?? 0) + 1);
  }

  fail(promise: string, message: string): void {
    if (this.#violation !== null) return;
    this.#violation = new Violation(promise, message);
    this.#tell(`VIOLATION ${this.#violation.message}`);
    this.time.fail(this.#violation);
  }

  workOf(name: string): Work | undefined {
    return this.#works.get(name);
  }

  #tell(line: string): void {
    this.#onEvent?.(`${(this.time.nowMs / 1000).toFixed(3).padStart(9)} s  ${line}`);
  }

  #happened(happening: Happening): void {
    if (this.#onEvent !== undefined) this.#tell(toldOf(happening));
    for (const checker of this.#checkers) checker.happened?.(happening);
  }

  #listen(): void {
    const { time, database } = this;
    // A late copy is told right before it is applied.
    const trace = time.trace.bind(time);
    time.trace = (actor, what, detail, text) => {
      trace(actor, what, detail, text);
      if (what === "zombie") this.#isLate = true;
      else if (this.#isLate && (what === "committed" || what === "refused")) this.#isLate = false;
    };
    if (this.#onEvent !== undefined) {
      time.onTrace = ({ actor, what, detail }) => {
        if (!/^(get|getMany|list|watch|committed)$/.test(what)) {
          this.#tell(`${actor}: ${what} ${readable(detail)}`);
        }
      };
    }
    database.onCommit((event) => this.#committed(event));
  }

  #committed(event: CommitEvent): void {
    const seen = this.view.see(event);
    if (this.#onEvent !== undefined) {
      for (const { before, after, id } of seen.tasks) {
        this.#tell(
          `${event.by}: ${event.kind === "commit" ? "" : event.kind} task ${
            after?.name ?? before?.name ?? id
          } ${describe(before)} → ${describe(after)}${this.#isLate ? " (a late copy)" : ""}`,
        );
      }
      for (const { worker, id, before, after } of seen.leases) {
        this.#tell(
          `${event.by}: lease ${id.slice(-6)} of ${this.view.owners.get(worker)} ${
            before === null ? "made" : after === null ? "deleted" : "changed"
          }${after !== null && after.cancel.length > 0 ? ", with a cancel" : ""}`,
        );
      }
    }
    this.#watch.commit(seen);
    for (const checker of this.#checkers) checker.commit?.(seen);
  }

  // ── The course of a world ──

  async run(): Promise<Violation | null> {
    const { plan, time } = this;
    try {
      for (let i = 0; i < plan.clients; i++) this.#openClient(i);
      for (const i of plan.places.keys()) this.#openWorker(i);
      this.#callsLeft = plan.steps.length;
      for (const step of plan.steps) {
        time.schedule(step.atMs, () => {
          this.#callsLeft--;
          this.#take(step);
        });
      }
      await this.#turn({ untilMs: plan.faultyMs });
      this.#heal();
      const until = () => this.#isOver();
      await this.#turn({ until, untilMs: time.nowMs + HEALTHY_MS_MAX });
      if (!this.#isOver()) this.fail("I15", this.#whatHangs());
      await this.#rest(until);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#violation ??= error;
    }
    return this.#violation;
  }

  /** What happens after the end: late copies of old commits come by, and schedules go on. */
  async #rest(until: () => boolean): Promise<void> {
    const { plan, time } = this;
    if (plan.schedules.length > 0) {
      await this.#turn({ untilMs: time.nowMs + 90_000 });
      await this.#turn({ until, untilMs: time.nowMs + 300_000 });
      return this.#end();
    }
    // In a swarm everybody lives on, to see what they make of a late copy; else nobody has to.
    if (plan.profile !== "swarm") {
      this.#end();
      for (const process of [...this.#workers, ...this.#clients]) process?.clock.kill();
    }
    if (this.#hasLateCopies()) await this.#turn({ untilMs: time.nowMs + QUIET_MS });
    if (plan.profile === "swarm") {
      await this.#turn({ until, untilMs: time.nowMs + HEALTHY_MS_MAX });
      this.#end();
      await this.#checkAll();
    }
  }

  /** What the production's own check says of the whole database, while everybody works on: nothing. */
  async #checkAll(): Promise<void> {
    if (this.plan.steps.some(({ kind }) => kind === "plant")) return;
    this.#call(this.#openProcess("checker"), "check", async (kit) => {
      const { problems: [problem] } = await kit.check();
      if (problem !== undefined) this.fail("I4", `${problem.key}: ${problem.message}`);
    });
    await this.#turn({ until: () => this.#openCalls === 0, untilMs: this.time.nowMs + 120_000 });
    if (this.#openCalls > 0) this.fail("I15", "the check of the database came to no end");
  }

  #end(): void {
    for (const checker of this.#checkers) checker.end?.();
    this.#checkPlanted();
  }

  async #turn(bounds: { untilMs: number; until?: () => boolean }): Promise<void> {
    const end = await this.time.run({ ...bounds, eventsMax: TURNS_MAX });
    if (end === "events") this.fail("I15", `${TURNS_MAX} turns, and no end`);
  }

  #hasLateCopies(): boolean {
    const { zombie, blackhole } = this.plan.faults;
    return zombie > 0 || blackhole > 0;
  }

  /** The end of all faults: the server is up, everybody goes on, and every place has its worker. */
  #heal(): void {
    this.#isHealthy = true;
    this.database.faults = CALM;
    this.database.start();
    for (const client of this.#clients) client.clock.resume();
    for (const [i, process] of this.#workers.entries()) {
      if (process === null) this.#openWorker(i);
      else process.clock.resume();
    }
    for (const process of this.#workers) {
      if (process !== null) process.clock.jump(this.database.wallMs - process.clock.now());
    }
    this.#happened({ kind: "healthy" });
  }

  #isOver(): boolean {
    if (this.#openCalls > 0 || this.#callsLeft > 0) return false;
    for (const [id, { state, scheduledMs }] of this.view.tasks) {
      // Schedules go on for ever; their tasks are looked at when the points are.
      if (scheduledMs !== null && this.plan.schedules.length > 0) continue;
      if (this.isWaiting(id) || state !== "queued" && state !== "running") continue;
      if (!this.view.damaged.has(id)) return false;
    }
    return true;
  }

  isWaiting(id: string): boolean {
    const record = this.view.tasks.get(id);
    return record?.state === "queued" && record.dueMs > this.database.wallMs + FAR_MS;
  }

  #whatHangs(): string {
    const tasks = [...this.view.tasks].filter(([id, { state }]) =>
      (state === "queued" || state === "running") && !this.view.damaged.has(id) &&
      !this.isWaiting(id)
    );
    const names = tasks.map(([, { name, state }]) => `${name} is ${state}`);
    return `no end ${HEALTHY_MS_MAX} ms after all faults: ${names.slice(0, 5).join(", ")}; ` +
      `${this.#openCalls} calls unanswered`;
  }

  // ── Processes ──

  #openProcess(name: string, options: { wallOffsetMs?: number; rate?: number } = {}): Process {
    const clock = this.time.clock({
      name,
      monotonicStartMs: this.#random.int(0, 1_000_000),
      ...options,
    });
    const kv = this.database.connect({ clock });
    tap(kv, (written) => this.#watch.unclear(written));
    return { name, clock, kv, kit: null, worker: null };
  }

  #openClient(i: number): void {
    const process = this.#openProcess(`client ${i}`);
    this.#clients[i] = process;
    process.clock.schedule(0, () => void this.#openKit(process));
  }

  /** The Kit of a process: one, since two would draw the same ids. */
  #openKit(process: Process): Promise<Kit> {
    process.kit ??= this.#tryOpen(process);
    return process.kit;
  }

  async #tryOpen(process: Process): Promise<Kit> {
    const { clock, name, kv } = process;
    const { Kit } = this.#production;
    while (true) {
      try {
        return await Kit.open({
          kv,
          handler: this.#handlerOf(process),
          clock,
          random: this.#random.fork(name),
          prefix: PREFIX,
        });
      } catch (error) {
        this.#checkDocumented("open", error);
        await sleep(clock, 500);
      }
    }
  }

  #openWorker(i: number): void {
    const place = this.plan.places[i];
    if (place === undefined) return;
    const life = this.#births[i] ?? 0;
    this.#births[i] = life + 1;
    const process = this.#openProcess(`worker ${i}.${life}`, {
      wallOffsetMs: this.#isHealthy ? 0 : place.wallOffsetMs,
      rate: place.rate,
    });
    this.#workers[i] = process;
    process.clock.schedule(0, () => void this.#work(process, i));
  }

  async #work(process: Process, i: number): Promise<void> {
    const { plan } = this;
    const kit = await this.#openKit(process);
    const { IntervalSchedule } = this.#production;
    const entries = plan.schedules.map(({ key, everyMs, overlap, missed }) => ({
      key,
      group: "a",
      name: key,
      data: SCHEDULED,
      schedule: new IntervalSchedule(everyMs, { overlap, missed }),
    }));
    while (process.worker === null) {
      try {
        process.worker = await kit.startWorker({
          groups: plan.places[i]?.concurrency ?? {},
          lease: plan.leaseMs,
          pollInterval: plan.pollMs,
          schedules: entries.length === 0 ? {} : { main: entries },
          log: ({ event }) => this.#logged(event),
          logLevel: "warn",
        });
      } catch (error) {
        this.#checkDocumented("start a worker", error);
        await sleep(process.clock, 500);
      }
    }
    this.#happened({ kind: "up", by: process.name });
  }

  #logged(event: string): void {
    if (event === "worker.fenced") this.cover("worker fenced itself");
    else if (event === "task.lost") this.cover("stale outcome dropped");
    else if (event === "schedule.skipped") this.cover("schedule point skipped for overlap");
  }

  #kill(i: number): void {
    const process = this.#workers[i];
    if (process === null || process === undefined) return;
    process.clock.kill();
    process.kv.kill();
    this.#workers[i] = null;
    this.#happened({ kind: "killed", by: process.name });
  }

  /** A handler that takes its whole process with it. */
  #crash(process: Process): boolean {
    const i = this.#workers.indexOf(process);
    if (i === -1) return false;
    this.#kill(i);
    this.time.schedule(CRASH_BACK_MS, () => {
      if (this.#workers[i] === null) this.#openWorker(i);
    });
    return true;
  }

  /** An error is one of those that the documentation names, or one of the database where it says so. */
  #checkDocumented(what: string, error: unknown): void {
    const name = error instanceof Error ? error.name : "";
    if (ERRORS_OF_A_CALL.has(name)) return;
    // Opening and starting pass on what the database says.
    if (what === "open" || what === "start a worker") return;
    this.#happened({ kind: "undocumented", what, error: String(error) });
  }

  // ── Handlers ──

  #handlerOf(process: Process): TaskHandler {
    const happened = (happening: Happening) => this.#happened(happening);
    const crash = () => this.#crash(process);
    const started = (id: string) => this.#watch.started(this.view.tasks.get(id)?.lease?.id);
    const { TaskHandler, DiscardTask } = this.#production;
    class Handler extends TaskHandler {
      override async handle(task: Task, context: TaskContext): Promise<unknown> {
        const work = this.decodeData<Work>(task);
        const { id, attempt, group } = task;
        const about = { by: process.name, id, attempt, group, work };
        happened({ kind: "start", ...about });
        started(id);
        const { signal } = context;
        const onAbort = () => happened({ kind: "aborted", ...about });
        signal.addEventListener("abort", onAbort, { once: true });
        try {
          if (work.ms > 0) await sleep(process.clock, work.ms, work.isDeaf ? undefined : signal);
          if (signal.aborted && !work.isDeaf) throw signal.reason;
          if (task.retryCount < work.failures) throw PLAIN_ERROR;
          const value = { n: work.n, attempt };
          switch (work.end) {
            case "return":
              return value;
            case "complete":
              return context.complete(
                value,
                (atomic) => atomic.set(["effect", id, attempt], LITTLE),
              );
            case "throw":
              throw PLAIN_ERROR;
            case "discard":
              throw new DiscardTask("no");
            case "crash":
              // A client that runs a task itself would take its own call with it.
              if (!crash()) throw PLAIN_ERROR;
              return await new Promise(() => {});
            case "large":
              return { ...value, bytes: MUCH };
          }
        } finally {
          signal.removeEventListener("abort", onAbort);
          happened({ kind: "end", ...about });
        }
      }
      override getRetryInterval(task: Task): number | null {
        const work = this.decodeData<Work>(task);
        return task.retryCount < work.retries ? 500 * (task.retryCount + 1) : null;
      }
    }
    return new Handler();
  }

  // ── What is done ──

  #take(step: Step): void {
    if (this.#onEvent !== undefined && step.kind !== "initiate") {
      this.#tell(`— ${JSON.stringify(step)}`);
    }
    switch (step.kind) {
      case "initiate":
        return this.#initiate(step);
      case "cancel":
      case "retry":
        return this.#ask(step.kind, step.client, step.n);
      case "get":
        return this.#get(step.client, step.n);
      case "hold":
        return this.#hold(step.client, step.ms);
      case "down":
        this.database.stop();
        this.time.schedule(step.ms, () => this.database.start());
        return;
      case "lock":
        return this.database.lock(step.ms);
      case "plant":
        return this.#plant(step.what, step.n);
      case "kill": {
        const process = this.#workers[step.worker];
        if (process === null || process === undefined) return;
        const back = () => {
          if (this.#workers[step.worker] === null) this.#openWorker(step.worker);
        };
        const kill = () => {
          if (this.#workers[step.worker] !== process) return;
          this.#kill(step.worker);
          this.time.schedule(step.backMs, back);
        };
        if (step.wakes === 0) return kill();
        // At one of the next moments at which something comes to it, that is, at any of its awaits.
        process.clock.killAfterWakes(process.clock.wakes + step.wakes);
        const look = () => {
          if (process.clock.state === "killed" || this.#isHealthy) kill();
          else this.time.schedule(LOOK_MS, look);
        };
        return look();
      }
      case "suspend": {
        const process = this.#workers[step.worker];
        if (process === null || process === undefined) return;
        process.clock.pause();
        this.#happened({ kind: "suspended", by: process.name });
        this.time.schedule(step.ms, () => {
          process.clock.resume();
          this.#happened({ kind: "resumed", by: process.name });
        });
        return;
      }
      case "jump":
        this.#workers[step.worker]?.clock.jump(step.ms);
        this.cover(step.ms < 0 ? "clock set back" : "clock set forward");
        return;
      case "restart":
        return this.#restart(step.worker, step.graceMs);
      case "inject": {
        const fault = faultOf(step.fault, step.ms);
        const process = step.worker === -1 ? this.#clients[0] : this.#workers[step.worker];
        process?.kv.inject(fault, { skip: step.skip });
        return;
      }
    }
  }

  /** Calls the Kit of a process from within that process. */
  #call(process: Process, what: string, act: (kit: Kit) => Promise<unknown>): void {
    this.#openCalls++;
    process.clock.schedule(0, async () => {
      try {
        const kit = await this.#openKit(process);
        await act(kit);
      } catch (error) {
        this.#checkDocumented(what, error);
      } finally {
        this.#openCalls--;
      }
    });
  }

  #initiate(step: InitiateStep): void {
    const client = this.#clients[step.client];
    if (client === undefined) return;
    const names = step.tasks.map(({ work }) => `t${work.n}`);
    this.#call(client, `initiate (${step.how})`, async (kit) => {
      this.#happened({ kind: "calls", by: client.name, names, isEager: step.how === "eager" });
      try {
        const ids = await this.#initiateBy(kit, client, step);
        if (ids === null) this.#happened({ kind: "refused", names, why: "not committed" });
        else {
          for (const [i, id] of ids.entries()) {
            const n = step.tasks[i]?.work.n;
            if (n !== undefined) this.#ids.set(n, id);
          }
          this.#happened({ kind: "initiated", names, ids });
        }
      } catch (error) {
        if (error instanceof this.#production.OutcomeUnknown) {
          return this.#happened({ kind: "unknown", what: "initiate", names });
        }
        this.#happened({ kind: "refused", names, why: String(error) });
        throw error;
      }
    });
  }

  async #initiateBy(kit: Kit, client: Process, step: InitiateStep): Promise<string[] | null> {
    const nowMs = client.clock.now();
    const entries = step.tasks.map((
      { group, work, dueMs, priority, ttlMs, timeoutMs, unique },
    ) => ({
      group,
      name: `t${work.n}`,
      data: work,
      ...(dueMs === undefined ? {} : { due: nowMs + dueMs }),
      ...(priority === undefined ? {} : { priority }),
      ...(ttlMs === undefined ? {} : { ttl: ttlMs }),
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
      ...(unique === undefined ? {} : { unique }),
    }));
    if (step.how === "many") return (await kit.initiateTasks(entries)).map(({ id }) => id);
    if (step.how === "atomic") {
      const atomic = kit.atomic();
      for (const { group, name, data, ...options } of entries) {
        atomic.set(["order", name], LITTLE);
        atomic.initiateTask(group, name, data, options);
      }
      const committed = await atomic.commit();
      return committed.ok ? committed.results.map(({ id }) => id) : null;
    }
    const ids: string[] = [];
    for (const { group, name, data, ...options } of entries) {
      const { unique, ...others } = { unique: undefined, ...options };
      const isEager = step.how === "eager";
      const result = await kit.initiateTask(group, name, data, {
        ...others,
        ...(isEager ? { eager: true } : unique === undefined ? {} : { unique }),
      });
      ids.push(result.id);
      const existing = this.view.tasks.get(result.id);
      if (existing !== undefined && existing.name !== name) this.cover("unique key held");
    }
    return ids;
  }

  #ask(what: "cancel" | "retry", clientAt: number, n: number): void {
    const client = this.#clients[clientAt];
    const id = this.#ids.get(n);
    if (client === undefined || id === undefined) return;
    this.#call(client, what, async (kit) => {
      const askedAtMs = this.time.nowMs;
      this.#happened({ kind: "asks", what, id });
      let answer: string;
      try {
        answer = what === "cancel" ? await kit.cancel(id) : (await kit.retry(id), "ok");
      } catch (error) {
        this.#checkDocumented(what, error);
        answer = error instanceof Error ? error.name : "error";
      }
      this.#happened({ kind: "answers", what, id, answer, askedAtMs });
    });
  }

  #get(clientAt: number, n: number): void {
    const client = this.#clients[clientAt];
    const id = this.#ids.get(n);
    if (client === undefined || id === undefined) return;
    this.#call(client, "get", async (kit) => {
      const askedAtMs = this.time.nowMs;
      const told = (answer: string, value: unknown = null) =>
        this.#happened({ kind: "result", id, answer, value, askedAtMs });
      try {
        told("succeeded", await kit.getResult(id).get({ timeout: 20_000 }));
      } catch (error) {
        const name = error instanceof Error ? error.name : "";
        const answer = ANSWERS.get(name);
        if (answer === undefined) throw error;
        told(answer);
      }
    });
  }

  #hold(clientAt: number, ms: number): void {
    const client = this.#clients[clientAt];
    if (client === undefined) return;
    this.#call(client, "pause", async (kit) => {
      try {
        await kit.pause();
        this.cover("groups put on hold");
      } finally {
        await sleep(client.clock, ms);
        await this.#resume(kit, client);
      }
    });
  }

  /** Whatever came of the pause, it is taken back. */
  async #resume(kit: Kit, client: Process): Promise<void> {
    while (true) {
      try {
        return await kit.resume();
      } catch (error) {
        this.#checkDocumented("resume", error);
        await sleep(client.clock, 500);
      }
    }
  }

  #restart(i: number, graceMs: number): void {
    const process = this.#workers[i];
    if (process === null || process === undefined) return;
    const { worker } = process;
    if (worker === null) return;
    process.clock.schedule(0, async () => {
      this.#happened({ kind: "stopping", by: process.name, graceMs });
      await worker.stop({ grace: graceMs });
      this.#happened({ kind: "stopped", by: process.name });
      if (this.#workers[i] !== process) return;
      this.#workers[i] = null;
      this.#openWorker(i);
    });
  }

  // ── Bad records ──

  #plant(what: (Step & { kind: "plant" })["what"], n: number): void {
    const { view, database } = this;
    const { keys } = view;
    const id = `00000000-0000-7000-8000-${String(n + 1).padStart(12, "0")}`;
    const dueMs = Math.floor(database.wallMs) - 1_000 + n;
    const plant = (key: readonly unknown[], bytes: Uint8Array) => {
      database.plant(key as string[], bytes);
      this.#planted.push({ key, bytes });
    };
    switch (what) {
      case "future": {
        // A task of a newer version, queued in front of all others.
        const bytes = Uint8Array.of(2, 1, 2, 3, 4, n);
        view.damaged.add(id);
        plant(keys.task(id), bytes);
        plant(keys.due("a", 0, dueMs, id), bytes);
        this.#skipped++;
        this.cover("record from the future");
        return;
      }
      case "foreign":
        view.damaged.add(id);
        database.plant(keys.due("a", 0, dueMs, id), Uint8Array.of(1, 255, 255));
        this.cover("due entry of nothing");
        return;
      case "corrupt due":
      case "corrupt task": {
        const task = this.#ids.get(n);
        const record = task === undefined ? undefined : view.tasks.get(task);
        if (task === undefined || record?.state !== "queued") return;
        const key = what === "corrupt task"
          ? keys.task(task)
          : keys.due(record.group, record.priority, record.dueMs, task);
        view.damaged.add(task);
        database.plant(key, Uint8Array.of(1, 0, 0, 0, 200, n));
        this.cover(what);
        return;
      }
      case "corrupt lease": {
        const [id, lease] = [...view.leases][0] ?? [];
        if (id === undefined || lease === undefined) return;
        for (const task of lease.record?.tasks ?? []) view.damaged.add(task);
        database.plant(keys.lease(lease.worker, id), Uint8Array.of(1, 123, 200));
        return this.cover(what);
      }
      case "corrupt control":
        database.plant(keys.control(), Uint8Array.of(1, 123, 200));
        return this.cover(what);
      case "corrupt schedule":
        database.plant(keys.schedule("main", "s0"), Uint8Array.of(1, 123, 200));
        return this.cover(what);
      case "corrupt worker": {
        const worker = [...view.workers.keys()][0];
        if (worker === undefined) return;
        database.plant(keys.worker(worker), Uint8Array.of(1, 123, 200));
        this.cover("corrupt worker");
        return;
      }
    }
  }

  /** I17: a record from the future is not claimed and not damaged. */
  #checkPlanted(): void {
    for (const { key, bytes } of this.#planted) {
      const value = this.database.peek(key as string[])?.value;
      const isSame = value instanceof Uint8Array && value.length === bytes.length &&
        value.every((byte, i) => byte === bytes[i]);
      if (!isSame) this.fail("I17", `a record from the future was changed: ${key.join("/")}`);
    }
  }
}

const LITTLE = Uint8Array.of(1);
const MUCH = new Uint8Array(6_000);
const PLAIN_ERROR = Object.freeze({ name: "Error", message: "it did not work" });
const SCHEDULED: Work = {
  n: -1,
  ms: 50,
  end: "return",
  failures: 0,
  retries: 0,
  isDeaf: false,
};
const ANSWERS = new Map([
  ["TaskNotFound", "not found"],
  ["ResultGetTimedOut", "timed out"],
  ["TaskFailed", "failed"],
  ["TaskDiscarded", "discarded"],
  ["TaskCancelled", "cancelled"],
]);

function faultOf(what: (Step & { kind: "inject" })["fault"], ms: number): Fault {
  switch (what) {
    case "lostRequest":
      return { kind: "lostRequest" };
    case "lostAnswer":
      return { kind: "lostAnswer" };
    case "zombie":
      return { kind: "zombie", afterMs: ms };
    case "late":
      return { kind: "blackhole", appliedAfterMs: ms };
    case "slow":
      return { kind: "slow", ms };
    case "silent":
      return { kind: "blackhole" };
  }
}

function describe(record: TaskRecord | null): string {
  return record === null ? "nothing" : `${record.state}/${record.attempt}`;
}

function readable(detail: string): string {
  return detail.length > 200 ? `${detail.slice(0, 200)}…` : detail;
}

function toldOf(happening: Happening): string {
  const { kind, ...rest } = happening;
  if (kind === "start" || kind === "end" || kind === "aborted") {
    const { by, attempt, work } = happening as Happening & { kind: "start" };
    return `${by}: handler of t${work.n}/${attempt} ${kind}`;
  }
  return `${"by" in happening ? happening.by : "client"}: ${kind} ${JSON.stringify(rest)}`;
}
