/**
 * The memory of a process of its own with a deep backlog: opened, while it works it off, and while it fills one.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Kit } from "../../mod.ts";
import { drain, fill, Noop } from "./measure.ts";

const COUNT = 200_000;
const LOOK_EVERY = 1_000;

const rss = () => Math.round(process.memoryUsage().rss / 1e6);

async function child(act: string, path: string): Promise<void> {
  await using kit = await Kit.open({ kv: path, handler: new Noop() });
  let most = rss();
  if (act === "fill") await fill(kit, COUNT);
  if (act === "drain") {
    let seen = 0;
    Noop.onStart = () => {
      if (++seen % LOOK_EVERY === 0) most = Math.max(most, rss());
    };
    await drain(kit, COUNT, 10);
  }
  console.log(Math.max(most, rss()));
}

/** Prints the memory of such processes, and returns how many numbers these are. */
export function benchMemory(path: string): number {
  const run = (act: string): number => {
    const file = fileURLToPath(import.meta.url);
    const args = globalThis.Deno?.version === undefined ? [file] : ["run", "-A", file];
    const { stdout, stderr } = spawnSync(process.execPath, [...args, act, path], {
      encoding: "utf8",
    });
    const megabytes = Number(stdout);
    if (stdout === "" || !(megabytes > 0)) throw new Error(`the process ended: ${stderr}`);
    return megabytes;
  };
  const filling = run("fill");
  console.log(
    `${"RSS of a process, 200,000 queued".padEnd(42)} opened ${run("open")} MB   ` +
      `filling ${filling} MB   draining up to ${run("drain")} MB`,
  );
  return 3;
}

if (import.meta.main) await child(process.argv[2] ?? "", process.argv[3] ?? "");
