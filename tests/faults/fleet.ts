/**
 * Processes for runs with faults: started, killed, suspended, awaited; and what they left in the database.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Kit } from "../../mod.ts";
import { openConnection } from "../../src/store/connection.ts";
import type { KvPort } from "../../src/store/port.ts";
import { type Breach, checkHistory, type Expectation, type FinalTask } from "./checker.ts";
import type { ChildCounts, ChildOptions } from "./child.ts";
import { type HistoryEvent, HistoryWriter, readHistory } from "./history.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));
const isDeno = "Deno" in globalThis;

/** One process. */
export class Child {
  readonly pid: number;
  /** Resolves with what it counted when it ended well; rejects if it ended otherwise without having been killed. */
  readonly ended: Promise<ChildCounts | null>;
  readonly #process: ChildProcess;
  readonly #history: HistoryWriter;
  readonly #ready = Promise.withResolvers<void>();
  #isKilled = false;
  #isGone = false;

  constructor(program: readonly string[], env: Record<string, string>, history: HistoryWriter) {
    this.#history = history;
    const [command = "", ...args] = program;
    this.#process = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.pid = this.#process.pid ?? -1;
    this.ended = this.#follow();
    this.ended.then(() => this.#ready.resolve(), (error) => this.#ready.reject(error));
  }

  /** Resolves when it has opened the database and works. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async #follow(): Promise<ChildCounts | null> {
    const exited = new Promise<number | string | null>((resolve, reject) => {
      this.#process.once("exit", (code, signal) => resolve(signal ?? code));
      this.#process.once("error", reject);
    });
    let last = "";
    const { stdout } = this.#process;
    if (stdout !== null) {
      for await (const line of createInterface({ input: stdout })) {
        if (line === "ready") this.#ready.resolve();
        else last = line;
      }
    }
    const code = await exited;
    this.#isGone = true;
    if (this.#isKilled) return null;
    if (code !== 0) throw new Error(`Process ${this.pid} ended with ${code}: ${last}`);
    return JSON.parse(last);
  }

  #signal(fault: string, signal: NodeJS.Signals): void {
    this.#history.note({ kind: "fault", fault, target: this.pid });
    // Not by the kill of ChildProcess, after which Deno gives out every exit as an end by that signal.
    process.kill(this.pid, signal);
  }

  /** Kills it, and resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#isGone) return;
    this.#isKilled = true;
    this.#signal("kill", "SIGKILL");
    await this.ended;
  }

  /** Suspends it. */
  suspend(): void {
    this.#signal("suspend", "SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#signal("resume", "SIGCONT");
  }

  /** Asks it to end, and resolves with what it counted. */
  async stop(): Promise<ChildCounts> {
    this.#signal("stop", "SIGTERM");
    const counts = await this.ended;
    if (counts === null) throw new Error(`Process ${this.pid} was killed`);
    return counts;
  }
}

/** A folder with a database, the histories of a run, and its processes. */
export class Fleet implements AsyncDisposable {
  readonly folder: string;
  /** The database: a file in the folder, unless another was given. */
  readonly kv: string;
  readonly history: HistoryWriter;
  readonly children: Child[] = [];
  readonly #env: Record<string, string>;

  constructor(options: { kv?: string; folder?: string; env?: Record<string, string> } = {}) {
    this.folder = mkdtempSync(join(options.folder ?? tmpdir(), "taskkit-faults-"));
    mkdirSync(this.#histories);
    this.kv = options.kv ?? join(this.folder, "tasks.db");
    this.history = new HistoryWriter(this.#histories);
    this.#env = options.env ?? {};
  }

  get #histories(): string {
    return join(this.folder, "history");
  }

  /** Starts a process; it works once it is `ready`. */
  spawn(options: Omit<ChildOptions, "kv" | "history"> & { kv?: string }): Child {
    const all: ChildOptions = { kv: this.kv, history: this.#histories, ...options };
    const run = isDeno ? ["run", "-A", "--quiet"] : ["run"];
    const program = [process.execPath, ...run, CHILD, JSON.stringify(all)];
    const child = new Child(program, this.#env, this.history);
    this.children.push(child);
    return child;
  }

  /** Starts a worker and waits until it works. */
  async worker(options: Partial<ChildOptions> = {}): Promise<Child> {
    const child = this.spawn({ role: "worker", ...options });
    await child.ready;
    return child;
  }

  /** Opens a Kit on the database in this process. */
  async open(): Promise<{ kit: Kit; kv: KvPort } & AsyncDisposable> {
    const { kv } = await openConnection(this.kv);
    const kit = await Kit.open({ kv });
    const dispose = async () => {
      await kit.close();
      kv.close();
    };
    return { kit, kv, [Symbol.asyncDispose]: dispose };
  }

  /** Initiates a task whose first attempt hangs, and resolves with the process that runs it. */
  async hang(kit: Kit): Promise<Child> {
    const { id } = await kit.initiateTask("work", "work", -1, { priority: 0 });
    this.history.note({ kind: "initiated", ids: [id] });
    while (true) {
      const start = this.events().find((event) => event.kind === "start" && event.id === id);
      const child = this.children.find(({ pid }) => pid === start?.pid);
      if (child !== undefined) return child;
      await sleep(20);
    }
  }

  /** What happened so far. */
  events(): HistoryEvent[] {
    return readHistory(this.#histories);
  }

  /** What is wrong with the run, and the database walked from end to end. */
  async verify(expected: Expectation): Promise<Breach[]> {
    await using open = await this.open();
    const { problems } = await open.kit.check();
    const broken = problems.map(({ message }) => ({ promise: "I4", what: message }));
    return [...checkHistory(this.events(), await readTasks(open), expected), ...broken];
  }

  /** Kills what still runs and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) {
      await child.kill().catch(() => {});
    }
    this.history.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** All tasks of the database, with what their attempts wrote. */
export async function readTasks({ kit, kv }: { kit: Kit; kv: KvPort }): Promise<FinalTask[]> {
  const effects = new Map<string, number[]>();
  for await (const { key } of kv.list({ prefix: ["effect"] }, { batchSize: 500 })) {
    const [, id, attempt] = key;
    if (typeof id !== "string" || typeof attempt !== "number") continue;
    effects.set(id, [...effects.get(id) ?? [], attempt]);
  }
  const tasks: FinalTask[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Kit["listTasks"]>> = await kit.listTasks({
      limit: 1_000,
      cursor,
    });
    for (const { id, state, attempt, retryCount } of page.tasks) {
      const released = Math.max(0, attempt - 1 - retryCount);
      tasks.push({ id, state, attempt, released, effects: effects.get(id) ?? [] });
    }
    cursor = page.cursor;
  } while (cursor !== null);
  return tasks;
}

/** Resolves when nothing is queued or running, or rejects after `timeoutMs`. */
export async function idle(kit: Kit, timeoutMs: number): Promise<void> {
  const startedAt = performance.now();
  while (true) {
    const { groups } = await kit.stats();
    const left = Object.values(groups).reduce(
      (sum, { queued, running }) => sum + queued + running,
      0,
    );
    if (left === 0) return;
    if (performance.now() - startedAt > timeoutMs) {
      throw new Error(`${left} tasks have not ended after ${timeoutMs} ms`);
    }
    await sleep(100);
  }
}
