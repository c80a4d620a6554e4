import { test } from "node:test";
import assert from "node:assert/strict";
import { runBacklog } from "./backlog.ts";

test("a backlog is drained to its end", async () => {
  const { perSecond, rssMb } = await runBacklog({ tasks: 5_000 });
  assert.equal(perSecond.length, 10);
  assert.equal(rssMb.length, 10);
});
