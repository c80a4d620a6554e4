/**
 * What runs in a process: loads the handler module once, then runs one attempt after another.
 *
 * The worker is at the other end of file descriptor 3, so that the handler may print what it likes. When that end closes,
 * the worker has stopped or died, and this process ends too. A handler that computes would not notice; so a small thread
 * listens on standard input, where nothing is ever sent, and ends the process by force.
 *
 * @module
 */

import { createReadStream, writeSync } from "node:fs";
import process from "node:process";
import { systemClock } from "../core/clock.ts";
import type { StoredError } from "../core/errors.ts";
import { toStoredError } from "../core/stored_error.ts";
import { moduleUrl } from "./entry.ts";
import { watchErrors, watchExits } from "./farewell.ts";
import { encodeFrame, FrameReader } from "./frames.ts";
import { JobRunner } from "./job_runner.ts";
import { loadHandler } from "./load_handler.ts";
import type { Command, Report } from "./protocol.ts";
import { IS_DENO } from "./runtime.ts";

const CHANNEL = 3;
const GUARD_URL = moduleUrl("process_guard");

/** Called by the first module of a process, whose last argument is the handler module's URL. */
export async function run(load: () => Promise<unknown>): Promise<void> {
  // Taken before the handler's code can replace it.
  const exit = process.exit.bind(process);
  // They are meant for the worker, which stops its processes when their attempts have ended.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
  let runner: JobRunner | null = null;
  const farewell = (error: StoredError) => {
    runner?.flush();
    post([{ kind: "dying", n: runner?.attemptToBlame() ?? null, error }]);
  };
  watchExits(farewell);
  watchErrors(farewell, () => exit(1));
  const reader = new FrameReader((commands) => {
    // Only the worker holds the other end.
    runner?.accept(commands as readonly Command[]);
  });
  createReadStream("", { fd: CHANNEL, autoClose: false })
    .on("data", (bytes) => {
      if (typeof bytes !== "string") reader.take(bytes);
    })
    .on("end", () => exit(0))
    .on("error", () => exit(0));
  try {
    const handler = await loadHandler(new URL(process.argv.at(-1) ?? ""), load);
    runner = new JobRunner(handler, {
      clock: systemClock,
      post,
      claims: null,
    });
  } catch (error) {
    post([{ kind: "invalid", error: toStoredError(error) }]);
    return;
  }
  startGuard();
  post([{ kind: "ready" }]);
}

/** Written at once, whatever the handler does next; a worker that is slow to read slows the handler down. */
function post(reports: readonly Report[]): void {
  const frame = encodeFrame(reports);
  let written = 0;
  while (written < frame.length) {
    try {
      written += writeSync(CHANNEL, frame, written);
    } catch (error) {
      if (toStoredError(error).code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** Where it is not permitted, a process whose handler never waits outlives a worker that was killed. */
function startGuard(): void {
  if (!IS_DENO || mayGuard()) new Worker(GUARD_URL, { type: "module", name: "taskkit-guard" });
}

/** Whether a thread may load the guard, and the guard may signal. */
function mayGuard(): boolean {
  const isGranted = (permission: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(permission).state === "granted";
  const mayLoad = GUARD_URL.protocol !== "file:" || isGranted({ name: "read", path: GUARD_URL });
  return mayLoad && isGranted({ name: "run" });
}
