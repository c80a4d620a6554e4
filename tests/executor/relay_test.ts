import assert from "node:assert/strict";
import { test } from "node:test";
import { NONSENSE_MAX, REPORTS_BATCH_MAX, REPORTS_PER_SECOND } from "../../src/core/limits.ts";
import type { Outcome } from "../../src/executor/executor.ts";
import { Relay } from "../../src/executor/relay.ts";
import { Submitted } from "../../src/executor/submitted.ts";
import { ManualClock, newTask } from "./world.ts";

const ERROR = { name: "E", message: "m" };
const FAILED: Outcome = { kind: "failed", error: ERROR };

/** A relay for a speaker that runs attempt 1, and all that came through. */
function listen() {
  const heard: unknown[] = [];
  const clock = new ManualClock();
  const attempt = new Submitted({ onAbort() {}, onAbandon() {} }, {
    n: 1,
    job: { task: newTask("any") },
    hooks: {
      signal: new AbortController().signal,
      onProgress: (...args) => heard.push(["progress", ...args]),
      onLog: (...args) => heard.push(["log", ...args]),
    },
  });
  const relay = new Relay(clock, {
    find: (n) => n === 1 ? attempt : undefined,
    onReady: () => heard.push("ready"),
    onInvalid: (error) => heard.push(["invalid", error]),
    onOutcome: (of, outcome) => heard.push(["outcome", of.n, outcome]),
    onDying: (n, error) => heard.push(["dying", n, error]),
    onPong: () => heard.push("pong"),
    onBroken: (why) => heard.push(["broken", why]),
  });
  return { heard, relay, clock };
}

test("what makes sense is passed on, in order", () => {
  const { heard, relay } = listen();
  relay.hear([
    { kind: "ready" },
    { kind: "progress", n: 1, fraction: 0.5, message: "half" },
    { kind: "log", n: 1, level: "info", message: "line", fields: { a: 1 } },
  ]);
  relay.hear([{ kind: "outcome", n: 1, outcome: FAILED }, { kind: "pong" }]);
  relay.hear([{ kind: "dying", n: null, error: ERROR }, { kind: "invalid", error: ERROR }]);
  assert.deepEqual(heard, [
    "ready",
    ["progress", 0.5, "half"],
    ["log", "info", "line", { a: 1 }],
    ["outcome", 1, FAILED],
    "pong",
    ["dying", null, ERROR],
    ["invalid", ERROR],
  ]);
});

test("nobody speaks for an attempt that is not theirs", () => {
  const { heard, relay } = listen();
  relay.hear([
    { kind: "outcome", n: 2, outcome: FAILED },
    { kind: "progress", n: 2, fraction: 1, message: "" },
    { kind: "log", n: 2, level: "info", message: "", fields: {} },
  ]);
  assert.deepEqual(heard, []);
});

test("an outcome that makes no sense ends its attempt", () => {
  const { heard, relay } = listen();
  relay.hear([{ kind: "outcome", n: 1, outcome: { kind: "lost", error: ERROR, blame: false } }]);
  assert.deepEqual(heard, [["outcome", 1, {
    kind: "lost",
    blame: true,
    error: {
      name: "ExecutorLost",
      message: "The outcome that was sent for the attempt makes no sense",
      code: "EXECUTOR_LOST",
    },
  }]]);
});

test("who sends too much nonsense is broken, once", () => {
  const { heard, relay } = listen();
  for (let i = 0; i < NONSENSE_MAX; i++) relay.hear(i % 2 === 0 ? "what" : [{ kind: "what" }]);
  assert.deepEqual(heard, []);
  relay.hear(new Array(REPORTS_BATCH_MAX + 1).fill({ kind: "pong" }));
  relay.hear(null);
  assert.deepEqual(heard, [["broken", "it sends messages that make no sense"]]);
});

test("who reports more than a runner lets through is broken", () => {
  const { heard, relay, clock } = listen();
  const line = { kind: "log", n: 1, level: "info", message: "", fields: {} };
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < REPORTS_PER_SECOND; i++) relay.hear([line]);
    clock.advance(1_000);
  }
  assert.equal(heard.length, 3 * REPORTS_PER_SECOND);
  for (let i = 0; i < REPORTS_PER_SECOND; i++) relay.hear([line]);
  relay.hear([line]);
  assert.deepEqual(heard.at(-1), ["broken", "it floods its worker with reports"]);
});

test("strays are heard and ignored, a flood of them is not", () => {
  const { heard, relay } = listen();
  for (let i = 0; i < REPORTS_PER_SECOND; i++) relay.hearStray();
  assert.deepEqual(heard, []);
  relay.hearStray();
  assert.deepEqual(heard, [["broken", "it floods its worker with messages"]]);
});
