import assert from "node:assert/strict";
import { test } from "node:test";
import {
  LeaseLost,
  TaskCancelled,
  TaskkitError,
  TaskTimedOut,
  WorkerStopping,
} from "../../src/core/errors.ts";
import {
  DATA_BYTES_MAX,
  DURATION_MS_MAX,
  KV_COMMIT_MUTATIONS_MAX,
  LOG_FIELDS_MAX,
  LOG_MESSAGE_CHARS_MAX,
} from "../../src/core/limits.ts";
import {
  boundFields,
  compact,
  packReason,
  readAttempt,
  readReport,
  unpackReason,
} from "../../src/executor/protocol.ts";

const ERROR = { name: "E", message: "m" };
const RESULT = Uint8Array.of(1);

function outcome(value: unknown): unknown {
  const report = readReport({ kind: "outcome", n: 1, outcome: value });
  return report?.kind === "outcome" ? report.outcome : null;
}

test("readReport() takes every kind of report, and drops what does not belong to it", () => {
  const more = { more: "of it" };
  const reports = [
    { kind: "ready" },
    { kind: "pong" },
    { kind: "invalid", error: ERROR },
    { kind: "outcome", n: 1, outcome: { kind: "failed", error: ERROR } },
    { kind: "progress", n: 2, fraction: 0.5, message: "half" },
    { kind: "log", n: 3, level: "warn", message: "hm", fields: { a: 1 } },
    { kind: "dying", n: 4, error: ERROR },
    { kind: "dying", n: 0, error: ERROR },
    { kind: "dying", n: null, error: ERROR },
  ];
  for (const report of reports) assert.deepEqual(readReport({ ...report, ...more }), report);
});

test("readReport() refuses what is none", () => {
  for (
    const bad of [
      null,
      undefined,
      1,
      "ready",
      [],
      {},
      { kind: "run" },
      { kind: "invalid" },
      { kind: "invalid", error: { name: 1, message: "m" } },
      { kind: "outcome", n: 1 },
      { kind: "outcome", n: 0, outcome: { kind: "failed", error: ERROR } },
      { kind: "outcome", n: 1.5, outcome: { kind: "failed", error: ERROR } },
      { kind: "outcome", n: "1", outcome: { kind: "failed", error: ERROR } },
      { kind: "progress", n: 1, fraction: 2, message: "" },
      { kind: "progress", n: 1, fraction: NaN, message: "" },
      { kind: "progress", n: 1, fraction: "1", message: "" },
      { kind: "progress", n: 1, fraction: 1 },
      { kind: "log", n: 1, level: "loud", message: "" },
      { kind: "log", n: 1, level: "info", message: 5 },
      { kind: "dying", n: -1, error: ERROR },
      { kind: "dying", n: 1 },
    ]
  ) assert.equal(readReport(bad), null, JSON.stringify(bad));
});

test("readReport() takes the outcomes that a thread may tell", () => {
  const writes = [
    { kind: "set", key: ["a", 1, 2n, true, Uint8Array.of(1)], value: { x: 1 }, expireIn: 5 },
    { kind: "set", key: [], value: undefined },
    { kind: "delete", key: ["b"] },
    { kind: "check", key: ["c"], versionstamp: null },
  ];
  for (
    const good of [
      { kind: "succeeded", result: RESULT, writes },
      { kind: "failed", error: ERROR },
      { kind: "discarded", error: ERROR },
      { kind: "retried", delayMs: 5, error: ERROR },
      { kind: "parked", delayMs: 0, error: ERROR },
    ]
  ) assert.deepEqual(outcome(good), good);
});

test("readReport() refuses outcomes that a thread may not tell", () => {
  const succeeded = { kind: "succeeded", result: RESULT, writes: [] };
  const withWrite = (write: unknown) => ({ ...succeeded, writes: [write] });
  for (
    const bad of [
      // That it was lost is for its worker to say.
      { kind: "lost", error: ERROR, blame: false },
      { ...succeeded, result: [1] },
      { ...succeeded, result: new Uint8Array(DATA_BYTES_MAX + 1) },
      { ...succeeded, writes: undefined },
      {
        ...succeeded,
        writes: new Array(KV_COMMIT_MUTATIONS_MAX + 1).fill({ kind: "delete", key: [] }),
      },
      withWrite(null),
      withWrite({ kind: "sum", key: ["a"], value: 1n }),
      withWrite({ kind: "set", key: "a", value: 1 }),
      withWrite({ kind: "set", key: [{}], value: 1 }),
      withWrite({ kind: "set", key: ["a"], value: 1, expireIn: "1" }),
      withWrite({ kind: "check", key: ["a"], versionstamp: 1 }),
      withWrite({ kind: "check", key: ["a"] }),
      { kind: "failed" },
      { kind: "retried", delayMs: -1, error: ERROR },
      { kind: "retried", delayMs: DURATION_MS_MAX + 1, error: ERROR },
      { kind: "retried", delayMs: NaN, error: ERROR },
      { kind: "retried", error: ERROR },
    ]
  ) assert.equal(outcome(bad), null);
});

test("texts are cut and made well-formed", () => {
  const report = readReport({
    kind: "log",
    n: 1,
    level: "info",
    message: `\ud800${"x".repeat(5_000)}`,
    fields: null,
  });
  assert.ok(report?.kind === "log");
  assert.equal(report.message.length, LOG_MESSAGE_CHARS_MAX);
  assert.ok(report.message.startsWith("\ufffdx") && report.message.endsWith("…"));
  assert.deepEqual(report.fields, {});
});

test("readAttempt() finds whom nonsense is about", () => {
  assert.equal(readAttempt({ kind: "outcome", n: 7, outcome: "?" }), 7);
  for (const nobody of [null, 7, {}, { n: "7" }, { n: -1 }]) {
    assert.equal(readAttempt(nobody), null);
  }
});

test("boundFields() makes plain data of anything, and never throws", () => {
  const cyclic: Record<string, unknown> = { name: "cyclic" };
  cyclic.self = cyclic;
  const hostile = new Proxy({ a: 1 }, {
    get() {
      throw new Error("no");
    },
  });
  const error = new RangeError("boom");
  delete error.stack;
  assert.deepEqual(
    boundFields({
      text: "t",
      nothing: null,
      missing: undefined,
      when: new Date(0),
      never: new Date(NaN),
      big: 5n,
      run: () => 1,
      symbol: Symbol("s"),
      bytes: new Uint8Array(3),
      error,
      list: [1, [2, [3, [4]]]],
      cyclic,
      hostile,
    }),
    {
      text: "t",
      nothing: null,
      missing: undefined,
      when: "1970-01-01T00:00:00.000Z",
      never: "[invalid date]",
      big: "5",
      run: "[function]",
      symbol: "[symbol]",
      bytes: "[3 bytes]",
      error: { name: "RangeError", message: "boom" },
      list: [1, [2, [3, "[…]"]]],
      cyclic: { name: "cyclic", self: { name: "cyclic", self: { name: "cyclic", self: "[…]" } } },
      hostile: "[unreadable]",
    },
  );
});

test("boundFields() holds a bounded number of values", () => {
  const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, i]));
  assert.equal(Object.keys(boundFields(wide)).length, LOG_FIELDS_MAX);
  const own = JSON.parse('{ "__proto__": { "polluted": true }, "a": 1 }');
  assert.deepEqual(Object.keys(boundFields(own)), ["a"]);
  for (const none of [null, undefined, 5, "text", [1, 2]]) assert.deepEqual(boundFields(none), {});
});

test("a reason crosses as an error of its own class", () => {
  for (
    const reason of [
      new TaskTimedOut("t", 5),
      new TaskCancelled("c"),
      new LeaseLost("stolen"),
      new WorkerStopping(),
    ]
  ) {
    const crossed = unpackReason(structuredClone(packReason(reason)));
    assert.ok(crossed instanceof TaskkitError);
    assert.equal(crossed.constructor, reason.constructor);
    assert.deepEqual([crossed.name, crossed.message, crossed.code], [
      reason.name,
      reason.message,
      reason.code,
    ]);
  }
  const cancelled = unpackReason(packReason(new TaskCancelled("c")));
  assert.ok(cancelled instanceof TaskCancelled);
  assert.equal(cancelled.id, "c");
});

test("other reasons cross as what they are, or as an error that says it", () => {
  const cross = (reason: unknown) => unpackReason(structuredClone(packReason(reason)));
  for (const plain of ["enough", 5, true, null]) assert.equal(cross(plain), plain);
  assert.equal(cross(undefined), null);
  const aborted = cross(new DOMException("stop", "AbortError"));
  assert.ok(aborted instanceof DOMException);
  assert.deepEqual([aborted.name, aborted.message], ["AbortError", "stop"]);
  const custom = cross(Object.assign(new RangeError("r"), { code: "E_R" }));
  assert.ok(custom instanceof Error);
  assert.deepEqual([custom.name, custom.message, Reflect.get(custom, "code")], [
    "RangeError",
    "r",
    "E_R",
  ]);
  const object = cross({ some: "thing" });
  assert.ok(object instanceof Error);
  assert.equal(object.message, '{"some":"thing"}');
});

test("compact() leaves nothing around a view", () => {
  const view = new Uint8Array(1_000).subarray(10, 12);
  assert.equal(compact(view).buffer.byteLength, 2);
  assert.deepEqual(compact(view), view);
  const whole = Uint8Array.of(1, 2);
  assert.equal(compact(whole), whole);
  const shared = new Uint8Array(new SharedArrayBuffer(2));
  assert.ok(compact(shared).buffer instanceof ArrayBuffer);
});
