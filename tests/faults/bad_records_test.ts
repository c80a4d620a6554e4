import { test } from "node:test";
import assert from "node:assert/strict";
import { runBadRecords } from "./bad_records.ts";

test("records that cannot be read stop nothing, and the check finds and repairs them", async () => {
  const { harmed, problems, left, newer } = await runBadRecords({ tasks: 150, damages: 30 });
  assert.deepEqual({ harmed, left, newer }, { harmed: 0, left: [], newer: 1 });
  assert.ok(problems > 0);
});
