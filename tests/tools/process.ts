/**
 * Child processes of the test runner: streamed, bounded in time, and ended with all that they started.
 *
 * @module
 */

/** How a child process is run. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Whether the output goes on to the terminal as it comes. Default true. */
  readonly stream?: boolean;
  /** After this many milliseconds the process and what it started are ended. */
  readonly timeoutMs: number;
}

/** How a child process ended. */
export interface Ended {
  readonly ok: boolean;
  /** What it printed, both streams in the order they came. */
  readonly output: string;
  /** Why it is not ok, for people; empty where it is. */
  readonly reason: string;
}

const running = new Set<number>();

/** Ends a child and everything it started: each runs in a process group of its own. */
function end(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(Deno.build.os === "windows" ? pid : -pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
  }
}

/** Ends every running child. */
export function endAll(): void {
  for (const pid of running) end(pid, "SIGKILL");
}

/** Runs a program and waits for its end. A program that is not there is an {@linkcode Ended} that is not ok. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Ended> {
  const { cwd, env, stream = true, timeoutMs } = options;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { ok: false, output: "", reason: `"${program}" is not installed` };
  }
  running.add(child.pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    end(child.pid, "SIGKILL");
  }, timeoutMs);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const take = async (from: ReadableStream<Uint8Array<ArrayBuffer>>, to: typeof Deno.stdout) => {
    for await (const chunk of from) {
      chunks.push(chunk);
      if (stream) await write(to, chunk);
    }
  };
  try {
    const streams = Promise.all([take(child.stdout, Deno.stdout), take(child.stderr, Deno.stderr)]);
    const status = await child.status;
    // What the child left running would hold the streams open, and be in the way of the next part.
    end(child.pid, "SIGKILL");
    await streams;
    const output = await new Blob(chunks).text();
    if (timedOut) return { ok: false, output, reason: `not done after ${timeoutMs / 1000} s` };
    if (status.success) return { ok: true, output, reason: "" };
    return { ok: false, output, reason: `ended with ${status.signal ?? `code ${status.code}`}` };
  } finally {
    clearTimeout(timer);
    running.delete(child.pid);
  }
}

async function write(to: typeof Deno.stdout, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length;) written += await to.write(chunk.subarray(written));
}
