/**
 * What runs in a thread: loads the handler module once, then runs the attempts it is given.
 *
 * All messages go through a port of its own, which the handler's code does not see: what that posts to its parent, or
 * listens to, is no business of Taskkit's.
 *
 * @module
 */

import process from "node:process";
import { systemClock } from "../core/clock.ts";
import { toStoredError } from "../core/stored_error.ts";
import { Claims } from "./claims.ts";
import { watchErrors, watchExits } from "./farewell.ts";
import { JobRunner } from "./job_runner.ts";
import { loadHandler } from "./load_handler.ts";
import type { Command, Report } from "./protocol.ts";
import { IS_DENO } from "./runtime.ts";
import { hideToken } from "./token.ts";

/** The first message a thread gets. */
export interface ThreadInit {
  readonly port: MessagePort;
  readonly memory: SharedArrayBuffer;
  readonly handlerUrl: string;
}

/** Called by the first module of a thread. `load` imports the handler module. */
export function run(load: () => Promise<unknown>): void {
  const onInit = (event: Event) => {
    globalThis.removeEventListener("message", onInit);
    if (event instanceof MessageEvent) begin(event.data, load);
  };
  globalThis.addEventListener("message", onInit);
}

async function begin(
  { port, memory, handlerUrl }: ThreadInit,
  load: () => Promise<unknown>,
): Promise<void> {
  const claims = new Claims(memory);
  const post = (reports: readonly Report[]) => port.postMessage(reports);
  // Taken before the handler's code can replace them.
  const end = endThread();
  let runner: JobRunner | null = null;
  const farewell = (error: ReturnType<typeof toStoredError>) => {
    runner?.flush();
    post([{ kind: "dying", n: runner?.attemptToBlame() ?? null, error }]);
  };
  watchExits(farewell);
  watchErrors(farewell, end);
  hideToken();
  try {
    const handler = await loadHandler(new URL(handlerUrl), load);
    runner = new JobRunner(handler, { clock: systemClock, post, claims });
  } catch (error) {
    post([{ kind: "invalid", error: toStoredError(error) }]);
    return;
  }
  const ready = runner;
  port.onmessage = (event: MessageEvent<readonly Command[]>) => ready.accept(event.data);
  post([{ kind: "ready" }]);
}

/** Ends this thread alone. */
function endThread(): () => void {
  if (IS_DENO) {
    const close: unknown = Reflect.get(globalThis, "close");
    return () => {
      if (typeof close === "function") Reflect.apply(close, globalThis, []);
    };
  }
  const exit = process.exit.bind(process);
  return () => exit(1);
}
