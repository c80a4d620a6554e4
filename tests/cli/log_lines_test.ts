/**
 * Entries of a log as lines.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { logJson, logLine } from "../../src/cli/log_lines.ts";
import { plainText } from "../../src/cli/output.ts";
import type { LogEntry } from "../../src/core/log.ts";

const AT = Date.UTC(2030, 0, 2, 3, 4, 5, 6);
const TASK = { task: "id-1", group: "images", name: "resize", attempt: 1 };

function line(entry: Partial<LogEntry>): string {
  const whole = { level: "info", event: "task.succeeded", message: "succeeded", at: AT } as const;
  return logLine({ ...whole, ...entry }, "instant").map(plainText).join("");
}

test("logLine() tells who, what and how long in one line", () => {
  const at = "2030-01-02T03:04:05.006Z";
  assert.equal(line({ ...TASK, ms: 23 }), `${at} info  images/resize id-1 succeeded (23ms)`);
  assert.equal(
    line({ ...TASK, attempt: 3, level: "error", event: "task.failed", message: "failed: boom" }),
    `${at} error images/resize id-1 attempt 3 failed: boom`,
  );
  assert.equal(
    line({ level: "warn", event: "worker.rescued", message: "dead", fields: { tasks: ["a"] } }),
    `${at} warn  dead {"tasks":["a"]}`,
  );
  assert.ok(line({ message: "x".repeat(5_000), fields: { y: "y".repeat(5_000) } }).length < 900);
});

test("logJson() keeps every field and writes the time out", () => {
  const entry: LogEntry = { level: "info", event: "e", message: "m", at: AT, ...TASK, ms: 1.5 };
  assert.deepEqual(logJson(entry), {
    time: "2030-01-02T03:04:05.006Z",
    level: "info",
    event: "e",
    message: "m",
    ...TASK,
    ms: 1.5,
  });
});
