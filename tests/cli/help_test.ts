/**
 * The help texts, and what leads to them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMMANDS } from "../../src/cli/run.ts";
import { VERSION } from "../../src/cli/version.ts";
import { ROOT, World } from "./world.ts";

test("help: the overview names every command, the flags of all and the exit codes", async () => {
  using world = new World();
  const { code, out, err } = await world.run(["--help"]);
  assert.deepEqual([code, err], [0, ""]);
  for (const { name, summary } of COMMANDS) {
    assert.match(out, new RegExp(`^  ${name} +${RegExp.escape(summary)}$`, "m"));
  }
  for (const text of ["--config <path>", "Exit codes:", "jsr:@taskkit/taskkit/cli"]) {
    assert.ok(out.includes(text), text);
  }
  assert.deepEqual(out, (await world.run(["help"])).out);
  assert.deepEqual(out, (await world.run(["-h"])).out);
});

test("help: each command has a page, by --help or by help <command>, with its flags and examples", async () => {
  using world = new World();
  for (const { name, flags, examples } of COMMANDS) {
    const { code, out, err } = await world.run([name, "--help"]);
    assert.deepEqual([code, err], [0, ""]);
    assert.deepEqual((await world.run(["help", name])).out, out);
    assert.ok(out.startsWith(`taskkit ${name}: `));
    for (const flag of [...Object.keys(flags), "kv", "json", "config"]) {
      assert.ok(out.includes(`--${flag}`), `${name} --${flag}`);
    }
    for (const example of examples) assert.ok(out.includes(`  taskkit ${example}`), example);
    for (const line of out.split("\n")) assert.ok(line.length <= 100, line);
    assert.ok(out.includes("Exit codes:"));
  }
});

test("help: flags without a command are the worker's", async () => {
  using world = new World();
  const { out } = await world.run(["--group", "images=8", "--help"]);
  assert.ok(out.startsWith("taskkit worker: "));
});

test("help: the version is that of the package", async () => {
  using world = new World();
  const { version } = JSON.parse(readFileSync(`${ROOT}deno.json`, "utf8"));
  assert.equal(VERSION, version);
  assert.deepEqual(await world.run(["--version"]), { code: 0, out: `${version}\n`, err: "" });
});
