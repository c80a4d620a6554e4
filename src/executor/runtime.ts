/**
 * What the runtime can do, found out once: threads, processes, permissions; and how it was started, so that a process
 * starts in the same way.
 *
 * @module
 */

import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Whether this is Deno; Bun and Node are the others. */
export const IS_DENO: boolean = "Deno" in globalThis;
/** Whether this is Bun. */
export const IS_BUN: boolean = "Bun" in globalThis;

/** The variable that holds the token of a remote database. Threads and processes do not see it. */
export const TOKEN_VARIABLE = "DENO_KV_ACCESS_TOKEN";

/** Whether this is Deno Deploy, where there are neither threads nor processes. */
export function isDeploy(): boolean {
  return readVariable("DENO_DEPLOYMENT_ID") !== undefined ||
    readVariable("DENO_DEPLOY") !== undefined;
}

/** Whether handlers can run in Web Workers. */
export function hasThreads(): boolean {
  return typeof Worker === "function" && (IS_DENO || IS_BUN) && !isDeploy();
}

/** Whether handlers can run in processes: this program can be started again with another module. */
export function hasProcesses(): boolean {
  return (IS_DENO || IS_BUN) && !isDeploy() && !(IS_DENO && Deno.build.standalone);
}

/** An environment variable, without asking for the permission to read it. */
function readVariable(variable: string): string | undefined {
  if (IS_DENO && Deno.permissions.querySync({ name: "env", variable }).state !== "granted") {
    return undefined;
  }
  return process.env[variable];
}

/** Flags with a value that decide how modules are found. */
const VALUE_FLAGS = ["--config", "-c", "--import-map", "--cert", "--lock"];
const PLAIN_FLAGS =
  /^(--unstable-[a-z-]+|--no-config|--no-remote|--no-npm|--cached-only|--no-lock|(--node-modules-dir|--vendor|--frozen)(=.*)?)$/;

/** Those flags of a command line of Deno that decide how modules are found and what is unstable. */
export function moduleFlags(commandLine: readonly string[]): string[] {
  const flags: string[] = [];
  for (let i = 1; i < commandLine.length; i++) {
    const arg = commandLine[i] ?? "";
    const [name = ""] = arg.split("=", 1);
    if (VALUE_FLAGS.includes(arg)) flags.push(arg, commandLine[++i] ?? "");
    else if (PLAIN_FLAGS.test(arg) || arg !== name && VALUE_FLAGS.includes(name)) flags.push(arg);
    // The first word is the subcommand, the next one the main module; what follows is the program's own.
    else if (!arg.startsWith("-") && i > 1) break;
  }
  return flags;
}

let words: readonly string[] | null = null;

/** The words with which this process was started, or none where that cannot be read. */
function commandLine(): readonly string[] {
  words ??= readCommandLine();
  return words;
}

function readCommandLine(): string[] {
  try {
    return readFileSync("/proc/self/cmdline", "utf8").split("\0");
  } catch {
    // Not Linux, or not permitted.
  }
  try {
    if (process.platform === "win32") return [];
    const args = ["-o", "args=", "-p", String(process.pid)];
    return execFileSync("ps", args, { encoding: "utf8" }).trim().split(/\s+/);
  } catch {
    return [];
  }
}

/** The flags with which another Deno finds the modules that this one finds. */
export function inheritedFlags(): string[] {
  const flags = moduleFlags(commandLine());
  const isConfigured = flags.some((flag) => /^(--config|-c|--no-config)(=|$)/.test(flag));
  const config = isConfigured ? null : findConfig();
  return config === null ? flags : ["--config", config, ...flags];
}

/** The configuration that Deno found for the main module: the nearest one above it. */
function findConfig(): string | null {
  try {
    if (!Deno.mainModule.startsWith("file:")) return null;
    let folder = dirname(fileURLToPath(Deno.mainModule));
    for (;;) {
      for (const name of ["deno.json", "deno.jsonc"]) {
        const path = join(folder, name);
        if (existsSync(path)) return path;
      }
      const above = dirname(folder);
      if (above === folder) return null;
      folder = above;
    }
  } catch {
    // Without permission to read, the process finds the configuration of its working directory.
    return null;
  }
}

let workerOptions: Promise<boolean> | null = null;

/**
 * Whether a Web Worker may be given permissions. Deno ends the whole process if it is tried without the flag, so a
 * process of its own tries it, started in the same way as this one.
 */
export function hasWorkerOptions(): Promise<boolean> {
  workerOptions ??= IS_DENO ? tryWorkerOptions() : Promise.resolve(false);
  return workerOptions;
}

const TRIAL = 'new Worker("data:application/javascript,", ' +
  '{ type: "module", deno: { permissions: "none" } }).terminate(); Deno.exit(0);';

function tryWorkerOptions(): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      const args = ["run", "--no-prompt", "--quiet", ...inheritedFlags()];
      args.push(`data:application/javascript,${encodeURIComponent(TRIAL)}`);
      execFile(process.execPath, args, (error) => resolve(error === null));
    } catch {
      resolve(false);
    }
  });
}
