import assert from "node:assert/strict";
import { test } from "node:test";
import {
  hasProcesses,
  hasThreads,
  hasWorkerOptions,
  moduleFlags,
} from "../../src/executor/runtime.ts";

test("moduleFlags() takes the flags that decide how modules are found, and none of the program's", () => {
  const words =
    "deno run -A --config a.json --unstable-kv --import-map=b.json --inspect --no-lock " +
    "main.ts --config c.json --unstable-cron -c d.json";
  assert.deepEqual(moduleFlags(words.split(" ")), [
    "--config",
    "a.json",
    "--unstable-kv",
    "--import-map=b.json",
    "--no-lock",
  ]);
  assert.deepEqual(moduleFlags(["deno", "test", "-c", "x.json", "--frozen=false", "t.ts"]), [
    "-c",
    "x.json",
    "--frozen=false",
  ]);
  assert.deepEqual(moduleFlags([]), []);
});

test("Deno and Bun have threads and processes", () => {
  assert.deepEqual([hasThreads(), hasProcesses()], [true, true]);
});

test("whether threads may be restricted is found out without dying", async () => {
  // deno.json of this project switches it on.
  assert.equal(await hasWorkerOptions(), "Deno" in globalThis);
});
