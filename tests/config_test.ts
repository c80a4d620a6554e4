/**
 * What a configuration may say.
 *
 * @module
 */

import { defineConfig, type TaskkitConfig } from "@taskkit/taskkit";
import assert from "node:assert/strict";
import { test } from "node:test";

/** As a configuration without types would be. */
function untyped(config: unknown): TaskkitConfig {
  return config as TaskkitConfig;
}

test("defineConfig() returns what it is given", () => {
  const config: TaskkitConfig = {
    kv: "tasks.db",
    prefix: ["a", "b"],
    handler: new URL("file:///handler.ts"),
    groups: { images: 8, mail: { concurrency: 2, executor: "thread", timeout: "1m" }, text: {} },
    threads: 2,
    leakedThreads: 1,
    pollInterval: "1s",
    grace: "1m",
    lease: 30_000,
    schedules: {},
    timeZone: "Asia/Tokyo",
    maintenance: false,
    logLevel: "debug",
  };
  assert.equal(defineConfig(config), config);
  assert.deepEqual(defineConfig({}), {});
});

test("defineConfig() refuses what it does not know, and names what was probably meant", () => {
  const refused: [unknown, string][] = [
    [{ group: {} }, 'the configuration: there is no option "group"; did you mean "groups"?'],
    [{ signal: null }, 'the configuration: there is no option "signal"; known are "kv", "prefix",'],
    [
      { groups: { images: { concurency: 8 } } },
      'the options of group "images": there is no option "concurency"; did you mean "concurrency"?',
    ],
    [{ groups: { images: "8" } }, '"8" as the options of group "images": it is no object'],
    [{ groups: [8] }, "an array as groups: it is no object"],
    [[], "an array as the configuration: it is no object"],
    [null, "null as the configuration: it is no object"],
  ];
  for (const [config, message] of refused) {
    assert.throws(() => defineConfig(untyped(config)), (error) => {
      assert.ok(error instanceof Error);
      assert.ok(error.message.startsWith(`Cannot use ${message}`), error.message);
      return "code" in error && error.code === "INVALID_ARGUMENT";
    });
  }
});
