/**
 * The runtimes that are there, and programs run in them as processes of their own.
 *
 * @module
 */

import { execFile, execFileSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A runtime. */
export interface Runtime {
  readonly name: "deno" | "bun";
  readonly program: string;
}

const isDeno = "Deno" in globalThis;
const own: Runtime = { name: isDeno ? "deno" : "bun", program: process.execPath };

function findOther(): Runtime | null {
  const name = isDeno ? "bun" : "deno";
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return { name, program: name };
  } catch {
    return null;
  }
}

/** The one that runs this, and the other one if it is on the PATH. */
export const runtimes: { readonly own: Runtime; readonly other: Runtime | null } = {
  own,
  other: findOther(),
};

/** Runs a program of `fixtures/` to its end and gives what it printed; it may not take longer than a minute. */
export async function runFixture(
  { name, program }: Runtime,
  fixture: string,
  args: readonly string[],
): Promise<string> {
  const path = fileURLToPath(new URL(`./fixtures/${fixture}.ts`, import.meta.url));
  const before = name === "deno" ? ["run", "-A", "--quiet", path] : [path];
  const { stdout } = await promisify(execFile)(program, [...before, ...args], {
    timeout: 60_000,
    killSignal: "SIGKILL",
    maxBuffer: 16 * 1_048_576,
  });
  return stdout.trim();
}
