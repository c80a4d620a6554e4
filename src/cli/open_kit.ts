/**
 * From flags and a configuration to an open Kit. Flags come first; paths in the configuration are relative to its file.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { defineConfig, type TaskkitConfig } from "../config.ts";
import { TaskkitError } from "../core/errors.ts";
import { toStoredError } from "../core/stored_error.ts";
import { Kit } from "../kit.ts";
import type { KitOptions } from "../options.ts";
import { CliError, exitCodeOf } from "./cli_error.ts";
import type { Call } from "./command.ts";

/** The configuration's name, where nothing else is said. */
export const CONFIG_NAME = "taskkit.config.ts";

/** What a command was told: the configuration with the flags over it. */
export interface Setup {
  readonly kitOptions: KitOptions;
  /** The rest of the configuration: how a worker works. */
  readonly worker: Omit<TaskkitConfig, "kv" | "prefix" | "handler">;
  /** The configuration's path, or null where there is none. */
  readonly configPath: string | null;
  /** Where the database is, for people. */
  readonly database: string;
}

/**
 * Reads the configuration, if there is one.
 *
 * @throws {CliError} If it cannot be loaded or used, or if nothing says where the database is.
 */
export async function readSetup({ args, terminal: { cwd } }: Call): Promise<Setup> {
  const configPath = findConfig(args.text("config"), cwd);
  const config: TaskkitConfig = configPath === null ? {} : await loadConfig(configPath);
  const { kv, prefix, handler, ...worker } = config;
  const configFolder = configPath === null ? cwd : dirname(configPath);

  const kvFlag = args.text("kv");
  if (configPath === null && kvFlag === undefined) throw noConfig(cwd);
  const source = kvFlag === undefined ? resolveKv(kv, configFolder) : resolveKv(kvFlag, cwd);
  const handlerFlag = args.text("handler");
  const resolvedHandler = handlerFlag === undefined
    ? resolveHandler(handler, configFolder)
    : resolveHandler(handlerFlag, cwd);
  const resolvedPrefix = args.text("prefix") ?? prefix;
  return {
    kitOptions: {
      ...(source === undefined ? {} : { kv: source }),
      ...(resolvedHandler === undefined ? {} : { handler: resolvedHandler }),
      ...(resolvedPrefix === undefined ? {} : { prefix: resolvedPrefix }),
    },
    worker,
    configPath,
    database: describeKv(source, cwd),
  };
}

/**
 * Opens the Kit of a setup.
 *
 * @throws {CliError} With the place of the configuration below the message, where it may be at fault.
 */
export async function openKit(setup: Setup): Promise<Kit> {
  return await blaming(setup, () => Kit.open(setup.kitOptions));
}

/** Runs `act`; an error about what the user wrote names the configuration that may have said it. */
export async function blaming<T>({ configPath }: Setup, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const exitCode = exitCodeOf(error);
    if (configPath === null || exitCode !== 2 || error instanceof CliError) throw error;
    if (!(error instanceof TaskkitError)) throw error;
    throw new CliError(error.message, {
      exitCode,
      hints: [`the configuration is "${configPath}"`],
    });
  }
}

function findConfig(flag: string | undefined, cwd: string): string | null {
  const path = resolve(cwd, flag ?? CONFIG_NAME);
  if (!existsSync(path)) {
    if (flag === undefined) return null;
    throw new CliError(`Cannot load the configuration "${path}": it does not exist`);
  }
  if (!statSync(path).isFile()) {
    throw new CliError(`Cannot load the configuration "${path}": it is no file`);
  }
  return path;
}

async function loadConfig(path: string): Promise<TaskkitConfig> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(path).href);
  } catch (error) {
    if (error instanceof TaskkitError) {
      throw new CliError(error.message, { hints: [`the configuration is "${path}"`] });
    }
    const { name, message } = toStoredError(error);
    throw new CliError(
      `Cannot load the configuration "${path}": it failed while loading: ${name}: ${message}`,
    );
  }
  const config: unknown = typeof module === "object" && module !== null
    ? Reflect.get(module, "default")
    : undefined;
  if (typeof config !== "object" || config === null) {
    throw new CliError(
      `Cannot use the configuration "${path}": it has no object as default export`,
      {
        hints: ["write: export default defineConfig({ … })"],
      },
    );
  }
  try {
    return defineConfig(config);
  } catch (error) {
    if (!(error instanceof TaskkitError)) throw error;
    throw new CliError(error.message, { hints: [`the configuration is "${path}"`] });
  }
}

/** A scheme of two letters or more: one letter is a drive. */
const URL_LIKE = /^[a-z][a-z0-9+.-]+:/i;

function resolveKv(kv: TaskkitConfig["kv"], folder: string): TaskkitConfig["kv"] {
  if (kv instanceof URL && kv.protocol === "file:") return fileURLToPath(kv);
  if (typeof kv !== "string" || kv === "" || kv === ":memory:" || URL_LIKE.test(kv)) return kv;
  return resolve(folder, kv);
}

function resolveHandler(
  handler: TaskkitConfig["handler"],
  folder: string,
): KitOptions["handler"] {
  if (typeof handler !== "string") return handler;
  if (URL_LIKE.test(handler) && URL.canParse(handler)) return new URL(handler);
  return pathToFileURL(resolve(folder, handler));
}

function describeKv(kv: TaskkitConfig["kv"], cwd: string): string {
  if (kv === undefined) return "the default database of the runtime";
  if (kv instanceof URL || (typeof kv === "string" && /^https?:/i.test(kv))) {
    return URL.parse(kv)?.origin ?? "a URL that cannot be read";
  }
  if (typeof kv !== "string") return "opened by the configuration";
  if (kv === ":memory:") return "in memory, gone at the end";
  return nearPath(kv, cwd);
}

/** A path as short as it is seen from a folder: relative where it lies below it. */
export function nearPath(path: string, folder: string): string {
  const below = relative(folder, path);
  return below.startsWith("..") ? path : below;
}

function noConfig(cwd: string): CliError {
  return new CliError(`Cannot tell where the tasks are: there is no "${CONFIG_NAME}" in "${cwd}"`, {
    hints: [
      "write one:",
      "",
      '    import { defineConfig } from "@taskkit/taskkit";',
      "",
      "    export default defineConfig({",
      '      kv: "tasks.db",            // a SQLite file, made if it is not there, or a KV Connect URL',
      '      handler: "./handler.ts",   // exports a TaskHandler, or tasks([…]), by default',
      "      groups: { mail: 4 },       // what a worker works on, and how many of it at once",
      "    });",
      "",
      "or name another one by --config, or say it by flags:",
      "",
      "    taskkit worker --kv tasks.db --handler handler.ts --group mail=4",
    ],
  });
}
