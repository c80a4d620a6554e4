/**
 * Keeps the database's token from handlers. A process is started without it, and so is a thread in Bun. Threads of Deno
 * share the environment of their process: there the token is taken out of what the thread's own code reads. That keeps
 * it from being read by accident, dumped or logged; native code, and programs that the handler starts, still inherit it.
 * For a boundary, give the group `permissions`, or processes.
 *
 * @module
 */

import process from "node:process";
import { IS_DENO, TOKEN_VARIABLE } from "./runtime.ts";

/** The environment of a process, without the token. Undefined where it may not be read as a whole. */
export function environmentWithoutToken(): Record<string, string> | undefined {
  try {
    const all: Record<string, string> = {};
    for (const [name, value] of Object.entries(process.env)) {
      if (value !== undefined && name !== TOKEN_VARIABLE) all[name] = value;
    }
    return all;
  } catch {
    return undefined;
  }
}

/** In a thread of Deno: takes the token out of `Deno.env`, and so out of `process.env`. */
export function hideToken(): void {
  if (!IS_DENO) return;
  const { env } = Deno;
  const get = env.get.bind(env);
  const has = env.has.bind(env);
  const toObject = env.toObject.bind(env);
  env.get = (name) => name === TOKEN_VARIABLE ? undefined : get(name);
  env.has = (name) => name !== TOKEN_VARIABLE && has(name);
  env.toObject = () => {
    const { [TOKEN_VARIABLE]: _token, ...others } = toObject();
    return others;
  };
}
