/**
 * Runs a worker in a process of its own and starts it anew when that crashes, or ends since too many of its threads would
 * not: so nothing that a handler does takes the worker away for long.
 *
 * Ctrl-C reaches all processes of a terminal. The worker leaves it to its supervisor, which counts: the first asks for a
 * graceful stop, the second for one that takes no more than a few seconds, the third ends the worker's process by force. Should the supervisor die
 * itself, the worker stops gracefully.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import type { Writable } from "node:stream";
import { permissionFlags } from "../executor/permissions.ts";
import { hasProcesses, inheritedFlags, IS_DENO } from "../executor/runtime.ts";
import { EXIT } from "./cli_error.ts";
import { ASK, LIFELINE_FD, LIFELINE_VARIABLE, SAY } from "./lifeline.ts";

/** Pause before a worker that crashed is started anew; doubles up to the maximum while it goes on to crash. */
const PAUSE_FIRST_MS = 1_000;
const PAUSE_MS_MAX = 30_000;
/** A worker that lived so long did not crash because of how it was started. */
const SOUND_MS = 60_000;

/** Whether the command line asks for a worker that is to have a supervisor. */
export function wantsSupervisor(argv: readonly string[]): boolean {
  const [first = "worker"] = argv;
  const isWorker = first === "worker" || first.startsWith("-");
  const rather = ["--help", "-h", "--version", "--no-supervisor"];
  return isWorker && !argv.some((arg) => rather.includes(arg)) &&
    process.env[LIFELINE_VARIABLE] !== "1";
}

/** How this program is started again, without its arguments; null where that is not possible. */
export function selfCommand(): string[] | null {
  if (!hasProcesses()) return null;
  const { execPath, execArgv, argv } = process;
  if (!IS_DENO) {
    const [, main = ""] = argv;
    return existsSync(main) ? [execPath, ...execArgv, main] : null;
  }
  const main = Deno.mainModule;
  if (main.startsWith("file:") && !existsSync(new URL(main))) return null;
  const flags = ["--no-prompt", "--quiet", ...inheritedFlags(), ...permissionFlags("inherit")];
  return [execPath, "run", ...flags, main];
}

/** How a worker's process ended. */
interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly hasStarted: boolean;
  readonly isOrderly: boolean;
  readonly livedMs: number;
}

/** Runs a worker, again and again, until it ends in good order. Resolves to the exit code. */
export async function supervise(command: readonly string[], argv: readonly string[]) {
  const supervisor = new Supervisor(argv.includes("--json"));
  const onInt = () => supervisor.interrupt(EXIT.interrupted);
  const onTerm = () => supervisor.interrupt(EXIT.terminated);
  process.on("SIGINT", onInt);
  process.on("SIGTERM", onTerm);
  try {
    return await supervisor.run(command, argv);
  } finally {
    process.off("SIGINT", onInt);
    process.off("SIGTERM", onTerm);
  }
}

class Supervisor {
  readonly #isJson: boolean;
  readonly #interrupted = Promise.withResolvers<void>();
  #interrupts = 0;
  #interruptCode: number = EXIT.interrupted;
  #child: ChildProcess | null = null;

  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  interrupt(code: number): void {
    this.#interrupts++;
    this.#interruptCode = code;
    this.#interrupted.resolve();
    if (this.#interrupts > 2) {
      this.#child?.kill("SIGKILL");
      return;
    }
    const pipe = pipeOf(this.#child);
    pipe?.write(Uint8Array.of(this.#interrupts === 1 ? ASK.stop : ASK.stopNow));
  }

  async run(command: readonly string[], argv: readonly string[]): Promise<number> {
    for (let pauseMs = PAUSE_FIRST_MS;;) {
      const ended = await this.#runOnce(command, argv);
      const { code, signal, hasStarted, isOrderly, livedMs } = ended;
      const isLeaked = isOrderly && code === EXIT.leaked;
      // The worker was told how urgent it is, not by which signal.
      const isCutShort = (isOrderly && code === EXIT.interrupted) || this.#interrupts > 2;
      if (isCutShort) return this.#interruptCode;
      if (this.#interrupts > 0 || (isOrderly && !isLeaked) || !hasStarted) return exitCode(ended);
      if (isLeaked) {
        this.#tell("Threads of the worker would not end: it is started anew");
        continue;
      }
      if (livedMs > SOUND_MS) pauseMs = PAUSE_FIRST_MS;
      const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      this.#tell(`The worker's process ${how}: it is started anew in ${pauseMs / 1000} s`);
      if (await this.#pause(pauseMs)) return EXIT.ok;
      pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
    }
  }

  #runOnce([program = "", ...before]: readonly string[], argv: readonly string[]): Promise<Ended> {
    const startedAt = performance.now();
    const said = new Set<number>();
    const child = spawn(program, [...before, ...argv], {
      stdio: ["inherit", "inherit", "inherit", "pipe"],
      env: { ...process.env, [LIFELINE_VARIABLE]: "1" },
    });
    this.#child = child;
    const pipe = child.stdio[LIFELINE_FD];
    pipe?.on("error", () => {});
    pipe?.on("data", (bytes: Uint8Array) => {
      for (const byte of bytes) said.add(byte);
    });
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      // Not "exit": what it said last may still be on its way.
      child.on("close", (code, signal) => {
        this.#child = null;
        const livedMs = performance.now() - startedAt;
        const hasStarted = said.has(SAY.started);
        resolve({ code, signal, hasStarted, isOrderly: said.has(SAY.ended), livedMs });
      });
    });
  }

  /** Whether it was interrupted meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, ms);
    await Promise.race([over.promise, this.#interrupted.promise]);
    clearTimeout(timer);
    return this.#interrupts > 0;
  }

  #tell(message: string): void {
    const entry = { time: new Date().toISOString(), level: "warn", event: "worker.restarting" };
    console.error(this.#isJson ? JSON.stringify({ ...entry, message }) : `taskkit: ${message}`);
  }
}

function pipeOf(child: ChildProcess | null): Writable | null {
  const pipe: unknown = child?.stdio[LIFELINE_FD];
  return isWritable(pipe) ? pipe : null;
}

function isWritable(pipe: unknown): pipe is Writable {
  return typeof pipe === "object" && pipe !== null && "write" in pipe;
}

function exitCode({ code, signal }: Ended): number {
  if (code !== null) return code;
  return 128 + (signal === null ? 1 : constants.signals[signal]);
}
