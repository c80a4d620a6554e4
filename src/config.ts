/**
 * What a `taskkit.config.ts` says: where the database is, what runs its tasks, and how a worker works on them.
 *
 * @module
 */

import type { TaskHandler } from "./core/handler.ts";
import { checkFields } from "./core/validate.ts";
import type { GroupOptions, KitOptions, WorkerOptions } from "./options.ts";

/**
 * The default export of a `taskkit.config.ts`, by which the command line knows a project. Everything may be left out and
 * said by flags instead.
 */
export interface TaskkitConfig
  extends Pick<KitOptions, "kv" | "prefix">, Omit<WorkerOptions, "signal" | "log"> {
  /**
   * What runs tasks: the path of a module, relative to the configuration, its URL, or an instance. The module exports a
   * handler by default, or a class that extends `TaskHandler`.
   */
  readonly handler?: TaskHandler | URL | string;
}

/** All fields, so that the compiler tells when one is missing here. */
const FIELDS: Readonly<Record<keyof TaskkitConfig, true>> = {
  kv: true,
  prefix: true,
  handler: true,
  groups: true,
  threads: true,
  leakedThreads: true,
  pollInterval: true,
  grace: true,
  lease: true,
  schedules: true,
  timeZone: true,
  maintenance: true,
  logLevel: true,
};
const GROUP_FIELDS: Readonly<Record<keyof GroupOptions, true>> = {
  concurrency: true,
  executor: true,
  permissions: true,
  memory: true,
  timeout: true,
};

/**
 * Checks a configuration and returns it as it is. Paths in it are relative to its file.
 *
 * @throws {InvalidArgument} If a field is unknown; the message names the one that was probably meant.
 *
 * @example A taskkit.config.ts
 * ```ts
 * import { defineConfig } from "@taskkit/taskkit";
 *
 * export default defineConfig({
 *   kv: "tasks.db",
 *   handler: "./handler.ts",
 *   groups: { images: 8, mail: { concurrency: 2, timeout: "1m" } },
 * });
 * ```
 */
export function defineConfig(config: TaskkitConfig): TaskkitConfig {
  checkFields(config, "the configuration", Object.keys(FIELDS));
  const { groups } = config;
  if (groups === undefined) return config;
  checkFields(groups, "groups", Object.keys(groups));
  for (const [name, group] of Object.entries(groups)) {
    if (typeof group === "number") continue;
    checkFields(group, `the options of group ${JSON.stringify(name)}`, Object.keys(GROUP_FIELDS));
  }
  return config;
}
