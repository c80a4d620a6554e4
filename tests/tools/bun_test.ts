import assert from "node:assert/strict";
import { test } from "node:test";
import { isRecent } from "./bun.ts";

test("isRecent() compares versions as numbers", () => {
  const versions = ["0.9.9", "1.3.20", "1.4.0", "1.10.0", "2.0.0"];
  assert.deepEqual(versions.filter(isRecent), ["1.4.0", "1.10.0", "2.0.0"]);
});
