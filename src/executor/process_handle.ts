/**
 * One child process, seen from its worker: started, spoken to, ended.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../core/clock.ts";
import { LAST_WORDS_MS, MEMORY_LOOK_MS } from "../core/limits.ts";
import { toStoredError } from "../core/stored_error.ts";
import { entryText, entryUrl, moduleUrl } from "./entry.ts";
import { encodeFrame, FrameReader } from "./frames.ts";
import { permissionFlags, type Permissions } from "./permissions.ts";
import type { Command } from "./protocol.ts";
import { inheritedFlags, IS_DENO } from "./runtime.ts";
import type { PlaceEvents } from "./slots.ts";
import { environmentWithoutToken } from "./token.ts";

const MAIN_URL = moduleUrl("process_main").href;
const CHANNEL = 3;
/** Standard input: nothing is sent on it; that it closes tells the process that its worker is gone. */
const LIFELINE = 0;
const BYTES_PER_MB = 1_048_576;
const PAGE_BYTES = 4_096;

/** What a process is made of. */
export interface ChildOptions {
  readonly handlerUrl: URL;
  readonly permissions: Permissions;
  /** The most memory it may take, in MiB; null for no bound. */
  readonly memoryMb: number | null;
  readonly clock: Clock;
  readonly events: PlaceEvents;
}

/** A process. */
export class Child {
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>;
  readonly #options: ChildOptions;
  readonly #process: ChildProcess | null;
  readonly #pipes: Duplex[];
  readonly #isGone = Promise.withResolvers<void>();
  #isEnded = false;
  #isTooLarge = false;
  #isChannelClosed = false;
  #exited: string | null = null;
  #memoryTimer: Timer | null = null;
  #lastWordsTimer: Timer | null = null;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.gone = this.#isGone.promise;
    this.#process = this.#open();
    this.#pipes = [CHANNEL, LIFELINE].flatMap((fd) => {
      const pipe: unknown = this.#process?.stdio[fd];
      return isDuplex(pipe) ? [pipe] : [];
    });
    // A pipe breaks when the process ends, and that is told by itself.
    for (const pipe of this.#pipes) pipe.on("error", () => {});
    const reader = new FrameReader((message) => options.events.onMessage(message));
    this.#pipes[0]?.on("data", (bytes: Uint8Array) => {
      try {
        reader.take(bytes);
      } catch {
        options.events.onUnreadable();
      }
    });
    this.#pipes[0]?.on("close", () => this.#onChannelClosed());
    this.#process?.on("error", ({ message }) => this.#refuse(message));
    this.#process?.on("exit", (code, signal) => this.#onExit(this.#howItEnded(code, signal)));
    this.#watchMemory();
  }

  get isGone(): boolean {
    return this.#isEnded;
  }

  /** Sends commands. A process that is gone hears nothing. */
  post(commands: readonly Command[]): void {
    if (!this.#isEnded) this.#pipes[0]?.write(encodeFrame(commands));
  }

  /** Asks the process to end, by closing its pipes. */
  close(): void {
    for (const pipe of this.#pipes) pipe.destroy();
  }

  /** Ends the process at once. */
  kill(): void {
    this.#process?.kill("SIGKILL");
  }

  #open(): ChildProcess | null {
    const env = environmentWithoutToken();
    try {
      return spawn(process.execPath, commandLine(this.#options), {
        stdio: ["pipe", "inherit", "inherit", "pipe"],
        ...(env === undefined ? {} : { env }),
      });
    } catch (error) {
      queueMicrotask(() => this.#refuse(toStoredError(error).message));
      return null;
    }
  }

  #refuse(message: string): void {
    this.#options.events.onRefused(`Cannot start a process: ${message}`);
    this.#end("it could not be started");
  }

  /** What it said last may still be on its way; but a program that it started may hold the channel open for long. */
  #onExit(how: string): void {
    this.#exited = how;
    if (this.#isChannelClosed) this.#end(how);
    else this.#lastWordsTimer = this.#options.clock.timer(LAST_WORDS_MS, () => this.#end(how));
  }

  #onChannelClosed(): void {
    this.#isChannelClosed = true;
    if (this.#exited !== null) this.#end(this.#exited);
  }

  #end(how: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#memoryTimer?.cancel();
    this.#lastWordsTimer?.cancel();
    this.close();
    this.#options.events.onGone(how);
    this.#isGone.resolve();
  }

  #howItEnded(code: number | null, signal: string | null): string {
    const { memoryMb } = this.#options;
    if (this.#isTooLarge) return `it took more than its ${memoryMb} MiB of memory`;
    if (signal === null) return `it exited with code ${code}`;
    const isCrash = signal === "SIGABRT" || signal === "SIGTRAP" || signal === "SIGILL";
    const guess = isCrash && memoryMb !== null
      ? `; a runtime out of memory ends so, and its bound is ${memoryMb} MiB`
      : "";
    return `it was ended by ${signal}${guess}`;
  }

  /** The runtime bounds its heap at most; memory beside it, and Bun's, is seen from outside, where the system shows it. */
  #watchMemory(): void {
    const { memoryMb, clock } = this.#options;
    if (memoryMb === null) return;
    this.#memoryTimer = clock.timer(MEMORY_LOOK_MS, () => {
      const bytes = residentBytes(this.#process?.pid);
      if (bytes === null || this.#isEnded) return;
      if (bytes > memoryMb * BYTES_PER_MB) {
        this.#isTooLarge = true;
        this.kill();
      } else this.#watchMemory();
    });
  }
}

function isDuplex(pipe: unknown): pipe is Duplex {
  return typeof pipe === "object" && pipe !== null && "write" in pipe && "on" in pipe;
}

/** The memory a process takes; null where that cannot be seen: outside Linux, or in Deno without all permissions. */
function residentBytes(pid: number | undefined): number | null {
  try {
    const [, pages] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
    return Number(pages) * PAGE_BYTES;
  } catch {
    return null;
  }
}

function commandLine({ handlerUrl, permissions, memoryMb }: ChildOptions): string[] {
  const { href } = handlerUrl;
  if (!IS_DENO) return ["-e", entryText(MAIN_URL, href), href];
  return [
    "run",
    "--no-prompt",
    "--quiet",
    ...inheritedFlags(),
    ...permissionFlags(permissions),
    ...(memoryMb === null ? [] : [`--v8-flags=--max-old-space-size=${memoryMb}`]),
    entryUrl(MAIN_URL, href),
    href,
  ];
}
