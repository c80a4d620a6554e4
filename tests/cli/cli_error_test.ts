/**
 * Exit codes of errors.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { KvUnavailable, ResultGetTimedOut, TaskNotFound } from "@taskkit/taskkit";
import { CliError, exitCodeOf } from "../../src/cli/cli_error.ts";

test("exitCodeOf() tells a task that did not end from a database that could not be read", () => {
  const away = new KvUnavailable("it is away");
  const errors = [
    new CliError("no"),
    away,
    new ResultGetTimedOut("a", 5),
    new ResultGetTimedOut("a", 5, { cause: away }),
    new TaskNotFound("a"),
    new TypeError("oh"),
  ];
  assert.deepEqual(errors.map(exitCodeOf), [2, 3, 1, 3, 1, 1]);
});
