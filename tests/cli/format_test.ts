/**
 * Numbers, times and tables for people.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { counted, formatMs, relative, table, timeOfDay } from "../../src/cli/format.ts";
import { plainText, styled } from "../../src/cli/output.ts";

test("formatMs() writes two units at most", () => {
  const of = [0, 0.4, 999, 1_000, 1_249, 9_999, 10_000, 59_999, 60_000, 130_000, 3_600_000];
  assert.deepEqual(
    [...of, 11_040_000, 86_400_000, 612_000_000].map(formatMs),
    [
      "0ms",
      "0ms",
      "999ms",
      "1.0s",
      "1.2s",
      "9.9s",
      "10s",
      "59s",
      "1m",
      "2m 10s",
      "1h",
      "3h 4m",
      "1d",
      "7d 2h",
    ],
  );
});

test("counted(), relative() and timeOfDay() read as one would say it", () => {
  assert.equal(counted(1, "task"), "1 task");
  assert.equal(counted(1234567, "task"), "1,234,567 tasks");
  assert.equal(relative(new Date(3_000), 0), "in 3.0s");
  assert.equal(relative(new Date(0), 90_000), "1m 30s ago");
  assert.equal(timeOfDay(new Date(2030, 0, 2, 3, 4, 5, 6)), "03:04:05.006");
});

test("table() sets columns below each other by what is shown, without blanks at the end", () => {
  const lines = table([
    ["ID", styled("dim", "NAME"), "END", ""],
    ["a\x1b", "日本", "", ""],
    ["longer", "x", "yes", "more"],
  ]);
  assert.deepEqual(lines.map((line) => line.map(plainText).join("")), [
    "ID      NAME  END",
    "a\x1b   日本",
    "longer  x     yes  more",
  ]);
});
