/**
 * The ways in which code ends its thread or process, watched: whoever calls one of them is named to the worker first.
 * Nothing relies on it; a thread that ends in another way is noticed too, only without a name.
 *
 * @module
 */

import process from "node:process";
import { ExecutorLost } from "../core/errors.ts";
import type { StoredError } from "../core/errors.ts";
import { toStoredError } from "../core/stored_error.ts";
import { IS_BUN } from "./runtime.ts";

/** Told what is about to end the thread or process. */
export type Farewell = (error: StoredError) => void;

/** Watches `Deno.exit`, `process.exit` and `close`; they still do what they do. */
export function watchExits(farewell: Farewell): void {
  const owners: [unknown, string, string][] = [
    [Reflect.get(globalThis, "Deno"), "exit", "Deno.exit"],
    [process, "exit", "process.exit"],
    [globalThis, "close", "close"],
  ];
  for (const [owner, name, shownName] of owners) {
    if (typeof owner !== "object" || owner === null) continue;
    const original: unknown = Reflect.get(owner, name);
    if (typeof original !== "function") continue;
    const watched = (...args: unknown[]): unknown => {
      const code = args[0] === undefined ? "" : String(args[0]);
      farewell(toStoredError(new ExecutorLost(`The handler called ${shownName}(${code})`)));
      return Reflect.apply(original, owner, args);
    };
    Object.defineProperty(owner, name, { value: watched, configurable: true, writable: true });
  }
}

/**
 * Watches errors that nobody catches and rejections that nobody handles. As in any program they are the end: what they
 * left half done cannot be known.
 */
export function watchErrors(farewell: Farewell, end: () => void): void {
  const fatal = (how: string, thrown: unknown) => {
    const { name, message, stack } = toStoredError(thrown);
    const error = new ExecutorLost(`The handler left ${how}: ${name}: ${message}`);
    farewell({ ...toStoredError(error), ...(stack === undefined ? {} : { stack }) });
    end();
  };
  if (IS_BUN) {
    process.on("uncaughtException", (error) => fatal("an error uncaught", error));
    process.on("unhandledRejection", (reason) => fatal("a rejection unhandled", reason));
    return;
  }
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fatal("an error uncaught", event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fatal("a rejection unhandled", event.reason);
  });
}
