/**
 * A world for tests of the command line: a folder, a terminal that remembers what was written, and real processes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Kit, type KitOptions } from "@taskkit/taskkit";
import { Output } from "../../src/cli/output.ts";
import { run } from "../../src/cli/run.ts";
import type { Terminal } from "../../src/cli/terminal.ts";

export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));
export const CONFIG: string = fileURLToPath(
  new URL("./fixtures/taskkit.config.ts", import.meta.url),
);
export const HANDLER: string = fileURLToPath(new URL("./fixtures/handler.ts", import.meta.url));
export const MAIN: string = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** How this runtime runs a module. */
export const RUNTIME: readonly string[] = "Deno" in globalThis
  ? [process.execPath, "run", "-A"]
  : [process.execPath];

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How a terminal behaves. */
export interface TerminalOptions {
  readonly isTerminal?: boolean;
  readonly hasColors?: boolean;
  readonly columns?: number;
  /** Answers to questions; without any nobody is there to answer. */
  readonly answers?: readonly (string | null)[];
  readonly input?: readonly string[];
  /** The reader goes away after so many writes. */
  readonly closesAfter?: number;
}

/** A terminal that remembers. */
export class FakeTerminal implements Terminal {
  readonly cwd: string;
  readonly out: Output;
  readonly err: Output;
  readonly canAsk: boolean;
  readonly asked: string[] = [];
  readonly exits: number[] = [];
  /** Whether a worker has said that it started. */
  readonly started: Promise<void>;
  readonly #isStarted = Promise.withResolvers<void>();
  readonly #answers: (string | null)[];
  readonly #input: readonly string[];
  readonly #listeners = new Set<(code: number, count: number) => void>();
  #interrupts = 0;
  #outText = "";
  #errText = "";
  #waiting: (() => void)[] = [];

  constructor(cwd: string, options: TerminalOptions = {}) {
    const { isTerminal = false, hasColors = false, columns = 80, closesAfter = Infinity } = options;
    this.cwd = cwd;
    this.started = this.#isStarted.promise;
    this.canAsk = options.answers !== undefined;
    this.#answers = [...options.answers ?? []];
    this.#input = options.input ?? [];
    const output = (take: (text: string) => void, closesAfter: number) => {
      let fail = (_error: Error) => {};
      let writes = 0;
      const sink = {
        write(text: string, done: (error?: Error | null) => void) {
          if (writes++ < closesAfter) {
            take(text);
            queueMicrotask(done);
            return;
          }
          const error = new Error("EPIPE");
          queueMicrotask(() => {
            done(error);
            fail(error);
          });
        },
        on: (_: "error", listener: (error: Error) => void) => fail = listener,
      };
      return new Output(sink, { isTerminal, hasColors, columns: () => columns });
    };
    this.out = output((text) => {
      this.#outText += text;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    }, closesAfter);
    this.err = output((text) => this.#errText += text, Infinity);
  }

  get outText(): string {
    return this.#outText;
  }

  get errText(): string {
    return this.#errText;
  }

  /** Resolves when the output holds this. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#outText)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  ask(question: string): Promise<string | null> {
    this.asked.push(question);
    return Promise.resolve(this.#answers.shift() ?? null);
  }

  async *readLines(): AsyncGenerator<string> {
    yield* this.#input;
  }

  onInterrupt(listener: (code: number, count: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As if Ctrl-C were pressed. */
  interrupt(code = 130): void {
    this.#interrupts++;
    for (const listener of this.#listeners) listener(code, this.#interrupts);
  }

  hasStarted(): void {
    this.#isStarted.resolve();
  }

  exit(code: number): void {
    this.exits.push(code);
  }
}

/** A folder with a database in it, and what one does there. */
export class World implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "taskkit-cli-"));
  readonly kv: string = join(this.folder, "tasks.db");
  readonly #children = new Set<ChildProcess>();

  /** Opens the database as another program would. */
  open(options: KitOptions = {}): Promise<Kit> {
    return Kit.open({ kv: this.kv, ...options });
  }

  /** Writes a file into the folder. */
  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  terminal(options: TerminalOptions = {}): FakeTerminal {
    return new FakeTerminal(this.folder, options);
  }

  /** Runs a command line in this process. */
  async run(argv: readonly string[], options: TerminalOptions = {}): Promise<Ran> {
    const terminal = this.terminal(options);
    const code = await run(argv, terminal);
    return { code, out: terminal.outText, err: terminal.errText };
  }

  /** Runs a command line on the world's database. */
  command(argv: readonly string[], options: TerminalOptions = {}): Promise<Ran> {
    return this.run([...argv, "--kv", this.kv], options);
  }

  /** Starts a module in a process of its own. */
  start(argv: readonly string[], options: StartOptions = {}): Running {
    const [program = "", ...before] = RUNTIME;
    const { main = MAIN, input, env = {} } = options;
    const child = spawn(program, [...before, main, ...argv], {
      cwd: options.cwd ?? this.folder,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#children.add(child);
    child.on("close", () => this.#children.delete(child));
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    return new Running(child);
  }

  /** Runs the command line in a process of its own, to its end. */
  async spawn(argv: readonly string[], options: StartOptions = {}): Promise<Ran> {
    return await this.start(argv, options).ended;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How a process is started. */
export interface StartOptions {
  readonly main?: string;
  readonly cwd?: string;
  readonly input?: string;
  readonly env?: Record<string, string>;
}

/** A process under way. */
export class Running {
  readonly ended: Promise<Ran>;
  readonly #child: ChildProcess;
  #out = "";
  #err = "";
  #isEnded = false;
  #waiting: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.#child = child;
    const wake = () => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#out += text;
      wake();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#err += text;
      wake();
    });
    this.ended = new Promise((resolve) =>
      child.on("close", (code, signal) => {
        this.#isEnded = true;
        wake();
        const died = signal === null ? 0 : -1;
        resolve({ code: code ?? died, out: this.#out, err: this.#err });
      })
    );
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves to the match as soon as the output, or the errors, hold it. */
  async until(pattern: RegExp, from: "out" | "err" = "out"): Promise<RegExpMatchArray> {
    while (true) {
      const match = (from === "out" ? this.#out : this.#err).match(pattern);
      if (match !== null) return match;
      assert.ok(!this.#isEnded, `it ended before ${pattern}: ${this.#out}${this.#err}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  kill(signal: NodeJS.Signals): void {
    // Deno takes a child that was sent a signal by its own method for ended by it, whatever its code.
    process.kill(this.pid, signal);
  }

  /** Stops reading its output, as `head` does. */
  stopReading(): void {
    this.#child.stdout?.destroy();
  }
}

/** The values of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}
