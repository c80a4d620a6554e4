/**
 * What a worker tells on the console where no log is given.
 *
 * @module
 */

import { defineTask, Kit, tasks } from "@taskkit/taskkit";
import assert from "node:assert/strict";
import { test } from "node:test";

test("console: control characters of names and errors are shown as escapes", async () => {
  const told: string[] = [];
  const error = console.error;
  console.error = (text: unknown) => void told.push(String(text));
  try {
    const bad = defineTask({
      group: "g\x1b[2J",
      name: "n\u009b31m",
      retry: 0,
      run: (): never => {
        throw new Error("first\r\nforged line \u202e");
      },
    });
    await using kit = await Kit.open({ kv: ":memory:", handler: tasks([bad]) });
    await using _worker = await kit.startWorker();
    const result = await kit.initiateTask(bad, undefined);
    await assert.rejects(result.get(), { code: "TASK_FAILED" });
    assert.deepEqual(told, [
      `taskkit: task "${result.id}" (g\\x1b[2J/n\\x9b31m) failed: first\\r\\nforged line \\u{202e}`,
    ]);
  } finally {
    console.error = error;
  }
});
