/**
 * After `close()` nothing is left that keeps a process alive, in either runtime.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runFixture, runtimes } from "./runtimes.ts";

const { own, other } = runtimes;

for (
  const [runtime, skip] of [[own, false], [
    other ?? own,
    other === null ? "it is not on the PATH" : false,
  ]] as const
) {
  for (const where of [":memory:", "a file"]) {
    test(
      `a process of ${runtime.name} that closes its Kits on ${where} ends by itself`,
      { skip },
      async () => {
        const folder = mkdtempSync(join(tmpdir(), "taskkit-closes-"));
        try {
          const path = where === ":memory:" ? where : join(folder, "tasks.db");
          assert.deepEqual(JSON.parse(await runFixture(runtime, "closes", [path])), {
            values: 50,
            waiting: "KIT_CLOSED",
            gaveUp: "RESULT_GET_TIMED_OUT",
            finished: ["stopped", "stopped"],
          });
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    );
  }
}
