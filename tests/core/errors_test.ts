import assert from "node:assert/strict";
import { test } from "node:test";
import * as all from "../../mod.ts";
import { TaskkitError } from "../../src/core/errors.ts";

const STORED = { name: "TypeError", message: "no luck" };

/** One of each, with its code and its message. */
const TABLE: readonly [TaskkitError, string, string][] = [
  [new all.InvalidArgument("Cannot x: y"), "INVALID_ARGUMENT", "Cannot x: y"],
  [new all.InvalidData("Cannot x: y"), "INVALID_DATA", "Cannot x: y"],
  [new all.InvalidData("Cannot x: y", { code: "DATA_TOO_LARGE" }), "DATA_TOO_LARGE", "Cannot x: y"],
  [new all.InvalidSchedule("Cannot x: y"), "INVALID_SCHEDULE", "Cannot x: y"],
  [new all.HandlerInvalid("Cannot x: y"), "HANDLER_INVALID", "Cannot x: y"],
  [new all.KvUnavailable("Cannot x: y"), "KV_UNAVAILABLE", "Cannot x: y"],
  [new all.Unsupported("Cannot x: y"), "UNSUPPORTED", "Cannot x: y"],
  [new all.UnreadableRecord("NEWER_VERSION", "Cannot x: y"), "NEWER_VERSION", "Cannot x: y"],
  [new all.Conflict("Cannot x: y"), "CONFLICT", "Cannot x: y"],
  [new all.ExecutorLost("Cannot x: y"), "EXECUTOR_LOST", "Cannot x: y"],
  [new all.UnknownTask("Cannot x: y"), "UNKNOWN_TASK", "Cannot x: y"],
  [new all.KitClosed("list tasks"), "KIT_CLOSED", "Cannot list tasks: the Kit is closed"],
  [
    new all.OutcomeUnknown("cancel the task", ["a"]),
    "OUTCOME_UNKNOWN",
    "Cannot say whether it was possible to cancel the task: the database did not answer in time",
  ],
  [
    new all.TaskNotFound("a"),
    "TASK_NOT_FOUND",
    'Cannot find task "a": it was never initiated, or its ttl has passed',
  ],
  [new all.TaskFailed("a", STORED), "TASK_FAILED", 'Task "a" failed: TypeError: no luck'],
  [new all.TaskDiscarded("a", STORED), "TASK_DISCARDED", 'Task "a" was discarded: no luck'],
  [new all.TaskCancelled("a"), "TASK_CANCELLED", 'Task "a" was cancelled'],
  [
    new all.TaskTimedOut("a", 5),
    "TASK_TIMED_OUT",
    'Attempt of task "a" took longer than its timeout of 5 ms',
  ],
  [
    new all.LeaseLost("it was rescued"),
    "LEASE_LOST",
    "The lease of this attempt was lost: it was rescued",
  ],
  [
    new all.WorkerStopping(),
    "WORKER_STOPPING",
    "The worker stops and its grace is over: the attempt is given back and does not count",
  ],
  [
    new all.TaskPoisoned("a", 3),
    "TASK_POISONED",
    'Task "a" was given up: 3 workers in a row died while they ran it',
  ],
  [
    new all.ResultGetTimedOut("a", 5),
    "RESULT_GET_TIMED_OUT",
    'Cannot get the result of task "a": it had not ended after 5 ms',
  ],
  [
    new all.ResultGetTimedOut("a", 5, { cause: new all.KvUnavailable("it is away") }),
    "RESULT_GET_TIMED_OUT",
    'Cannot get the result of task "a": the database could not be read when its timeout of 5 ms was over',
  ],
  [
    new all.ResultGetPrevented("a"),
    "RESULT_GET_PREVENTED",
    'Cannot wait for the result of task "a" inside a handler: a worker that waits for its own group can deadlock; ' +
    "initiate a follow-up task instead, or pass { allowInHandler: true }",
  ],
  [new all.DiscardTask(), "DISCARD_TASK", "discarded by its handler"],
  [new all.DiscardTask("not ours"), "DISCARD_TASK", "not ours"],
];

test("every error is a TaskkitError with its name, its code and its message", () => {
  for (const [error, code, message] of TABLE) {
    assert(error instanceof TaskkitError && error instanceof Error);
    assert.deepEqual([error.name, error.code, error.message], [
      error.constructor.name,
      code,
      message,
    ]);
  }
});

test("no error class of the public API is missing in that table", () => {
  const classes = Object.values(all).filter((value): value is typeof TaskkitError =>
    typeof value === "function" && value.prototype instanceof TaskkitError
  );
  const seen = new Set<unknown>(TABLE.map(([error]) => error.constructor));
  assert.deepEqual(classes.filter((one) => !seen.has(one)).map(({ name }) => name), []);
});

test("errors carry what they are about, and their cause", () => {
  const cause = new Error("cause");
  assert.equal(new all.InvalidArgument("Cannot x: y", { cause }).cause, cause);
  assert.deepEqual(new all.OutcomeUnknown("x", ["a", "b"], { cause }).ids, ["a", "b"]);
  assert.deepEqual(new all.TaskFailed("a", STORED).error, STORED);
  assert.equal(new all.TaskNotFound("a").id, "a");
});
