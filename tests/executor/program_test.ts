import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { IS_DENO } from "./world.ts";

const inDeno = { skip: IS_DENO ? false : "Deno alone has permissions" };

/** Runs a fixture as a program of its own, to its end, and gives the lines that it printed. */
async function runProgram(name: string, flags: readonly string[]): Promise<string[]> {
  const path = fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url));
  const args = IS_DENO ? ["run", "--no-prompt", "--quiet", ...flags, path] : [path];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  return stdout.trim().split("\n");
}

test("after stop() nothing keeps the program alive", async () => {
  assert.deepEqual(await runProgram("starts_and_stops", ["--allow-all"]), [
    "inline ran",
    "thread ran",
    "process ran",
    "stopped",
  ]);
});

test("a group cannot have more than its worker, and the error says so", inDeno, async () => {
  const few = ["--allow-read", "--allow-env", "--allow-write", "--allow-sys"];
  assert.deepEqual(await runProgram("asks_for_more", [...few, "--allow-run"]), [
    "Unsupported: Cannot start a thread: NotCapable: Can't escalate parent thread permissions",
    "ran",
    "ran",
  ]);
  const [, process, thread] = await runProgram("asks_for_more", few);
  assert.match(process ?? "", /^Unsupported: Cannot start a process: Requires run access to /);
  assert.equal(thread, "ran");
});

test("without the flag, restricted threads are refused by an error", inDeno, async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskkit-program-"));
  try {
    const root = fileURLToPath(new URL("../../", import.meta.url));
    const { imports, links } = JSON.parse(await readFile(join(root, "deno.json"), "utf8"));
    const config = {
      imports,
      links: links.map((link: string) => join(root, link)),
      lock: false,
      nodeModulesDir: "none",
    };
    const path = join(folder, "deno.json");
    await writeFile(path, JSON.stringify(config));
    assert.deepEqual(await runProgram("asks_for_more", ["--allow-all", "--config", path]), [
      'Unsupported: Cannot restrict the permissions of the threads of group "g": Deno was started without ' +
      '--unstable-worker-options (or "unstable": ["worker-options"] in deno.json), or may not start a process ' +
      'to find out; executor: "process" needs no flag',
      "ran",
      "ran",
    ]);
    const flags = ["--allow-all", "--config", path, "--unstable-worker-options"];
    assert.deepEqual(await runProgram("asks_for_more", flags), ["ran", "ran", "ran"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
