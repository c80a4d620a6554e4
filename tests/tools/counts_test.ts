import assert from "node:assert/strict";
import { test } from "node:test";
import { NONE, plainLine, readCounts, sum } from "./counts.ts";

const DENO_FAILED = [
  "running 6 tests from ./tests/a_test.ts",
  "prints a line like the end ... ok (1ms)",
  "ok | 99 passed | 0 failed (1ms)",
  "",
  "\x1b[31mFAILED\x1b[0m | 3 passed (1 step) | 2 failed (1 step) | 1 ignored \x1b[38;5;245m(10ms)\x1b[0m",
  "error: Test failed",
].join("\n");

const BUN_FAILED = [
  " 99 pass",
  "(fail) a test that prints a count",
  "",
  " 2 pass",
  " 1 skip",
  " 1 todo",
  " 2 fail",
  " 1 error",
  " 12 expect() calls",
  "Ran 6 tests across 1 file. [18.00ms]",
].join("\n");

test("readCounts() takes the last count that Deno printed, colours or not", () => {
  assert.deepEqual(readCounts("deno", DENO_FAILED), { passed: 3, failed: 2, skipped: 1 });
  assert.deepEqual(readCounts("deno", "ok | 12 passed | 0 failed (1s)\n"), { ...NONE, passed: 12 });
});

test("readCounts() counts Bun's errors as failed, its todos as skipped, and no line above the block", () => {
  assert.deepEqual(readCounts("bun", BUN_FAILED), { passed: 2, failed: 3, skipped: 2 });
});

test("readCounts() says null for a runner that ended before it counted", () => {
  assert.equal(readCounts("deno", "error: Type checking failed.\n"), null);
  assert.equal(readCounts("bun", " 99 pass\nerror: Cannot find module\n"), null);
});

test("plainLine() names the skipped where there are some", () => {
  const counts = { passed: 3, failed: 0, skipped: 2 };
  assert.equal(plainLine(counts), "3 passed, 0 failed, 2 skipped");
  assert.equal(plainLine({ ...counts, skipped: 0 }), "3 passed, 0 failed");
});

test("sum() adds each kind, and nothing to nothing", () => {
  assert.deepEqual(sum([]), NONE);
  assert.deepEqual(
    sum([{ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 }]),
    {
      passed: 11,
      failed: 22,
      skipped: 33,
    },
  );
});
