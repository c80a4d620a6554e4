/**
 * What cannot be run, and how that is told.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLines, World } from "./world.ts";

test("run: a command that there is not is refused with the one that was probably meant", async () => {
  using world = new World();
  assert.deepEqual(await world.run(["wroker"]), {
    code: 2,
    out: "",
    err: [
      'taskkit: Cannot run "wroker": there is no such command',
      '  did you mean "worker"?',
      '  "taskkit --help" tells what each does',
      "",
    ].join("\n"),
  });
  const { code, err } = await world.run(["do\x1b[2J"]);
  assert.equal(code, 2);
  assert.match(err, /there are worker, initiate, list, show, /);
  assert.ok(!err.includes("\x1b"));
});

test("run: arguments that are missing, or too many, are refused with the usage", async () => {
  using world = new World();
  const missing = await world.command(["initiate", "mail"]);
  assert.equal(missing.code, 2);
  assert.match(
    missing.err,
    /something is missing\n {2}usage: taskkit initiate <group> <name> \[data\]/,
  );
  const more = await world.command(["show", "a", "b"]);
  assert.equal(more.code, 2);
  assert.match(more.err, /"b" is one argument too many/);
});

test("run: with --json an error is JSON on the other stream, and the output stays empty", async () => {
  using world = new World();
  const { code, out, err } = await world.command(["list", "--json", "--stat", "failed"]);
  assert.deepEqual([code, out], [2, ""]);
  assert.deepEqual(jsonLines(err), [{
    error: {
      message: 'Cannot run list: there is no flag "--stat"',
      hints: ["did you mean --state?", '"taskkit list --help" lists what there is'],
    },
  }]);
  const unknown = await world.command(["show", "--json", "0198a0c4-7b1e-7abc-8def-0123456789ab"]);
  assert.deepEqual([unknown.code, unknown.out], [1, ""]);
  assert.deepEqual(jsonLines(unknown.err).map(({ error }) => error), [{
    code: "TASK_NOT_FOUND",
    message: 'Cannot find task "0198a0c4-7b1e-7abc-8def-0123456789ab": it was never initiated, ' +
      "or its ttl has passed",
  }]);
});
