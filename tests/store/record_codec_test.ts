import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { UnreadableRecord } from "../../src/core/errors.ts";
import { INLINE_BYTES_MAX, KV_VALUE_BYTES_MAX } from "../../src/core/limits.ts";
import { TASK_STATES, type TaskRecord } from "../../src/core/task.ts";
import {
  decodeJson,
  decodeTask,
  encodeJson,
  encodeTask,
  isCount,
  isText,
  isTexts,
  isTombstone,
  must,
  RECORD_VERSION,
  TOMBSTONE,
} from "../../src/store/record_codec.ts";
import {
  decodeLease,
  decodeWorker,
  encodeLease,
  encodeWorker,
  tryDecodeTask,
} from "../../src/store/records.ts";

const ID = "019b796d-d600-7000-8000-078eee237ce0";

const PLAIN: TaskRecord = {
  id: ID,
  group: "g",
  name: "n",
  priority: 5,
  state: "queued",
  dueMs: 1,
  createdMs: 2,
  ttlMs: 3,
  timeoutMs: null,
  scheduledMs: null,
  unique: null,
  attempt: 0,
  released: 0,
  lost: 0,
  op: "op",
  lease: null,
  startedMs: null,
  endedMs: null,
  expiresMs: null,
  error: null,
  data: { kind: "inline", bytes: Uint8Array.of() },
  result: null,
};
const FULL: TaskRecord = {
  ...PLAIN,
  priority: 0,
  state: "running",
  timeoutMs: 4,
  scheduledMs: 5,
  unique: "u",
  attempt: 6,
  released: 7,
  lost: 2,
  lease: { worker: "w", id: "l" },
  startedMs: 8,
  endedMs: 9,
  expiresMs: 10,
  error: { name: "E", message: "m", code: "c", stack: "s" },
  data: { kind: "inline", bytes: Uint8Array.of(1, 2, 3) },
  result: { kind: "inline", bytes: Uint8Array.of(4, 5) },
};
const CHUNKED: TaskRecord = {
  ...FULL,
  data: { kind: "chunks", size: 100_000, count: 2, part: 0 },
  result: { kind: "chunks", size: 70_000, count: 2, part: 6 },
};

test("a record comes back as it was, with everything in it or nothing", () => {
  for (const record of [PLAIN, FULL, CHUNKED]) {
    assert.deepEqual(decodeTask(encodeTask(record)), record);
  }
});

/** Objects with a prototype, as ours have. */
function plain<T>(fields: { [field in keyof T]: fc.Arbitrary<T[field]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

test("any record comes back as it was", () => {
  const count = fc.maxSafeNat();
  const name = fc.string({ unit: "grapheme", minLength: 1 });
  const payload = fc.oneof(
    plain({ kind: fc.constant("inline" as const), bytes: fc.uint8Array({ maxLength: 500 }) }),
    plain({ kind: fc.constant("chunks" as const), size: count, count, part: count }),
  );
  const nullable = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
  const error = plain({ name, message: name });
  const records = plain({
    id: fc.uuid(),
    group: name,
    name,
    priority: fc.nat(9),
    state: fc.constantFrom(...TASK_STATES),
    dueMs: count,
    createdMs: count,
    ttlMs: count,
    timeoutMs: nullable(count),
    scheduledMs: nullable(count),
    unique: nullable(name),
    attempt: count,
    released: count,
    lost: count,
    op: name,
    lease: plain({ worker: name, id: name }),
    startedMs: nullable(count),
    endedMs: nullable(count),
    expiresMs: nullable(count),
    error: nullable(error),
    data: payload,
    result: nullable(payload),
  });
  fc.assert(fc.property(records, (made) => {
    const record: TaskRecord = { ...made, lease: made.state === "running" ? made.lease : null };
    assert.deepEqual(decodeTask(encodeTask(record)), record);
  }));
});

/** Bytes that version 1 wrote: they must be read for ever, or an upgrade must stand here. */
const VERSION_1 =
  "01000000fb7b2269223a2230313962373936642d643630302d373030302d383030302d30373865656532333763" +
  "6530222c2267223a2267222c226e223a226e222c2273223a2272756e6e696e67222c2264223a312c2263223a32" +
  "2c2274223a332c226f223a226f70222c226461223a332c2270223a302c22746f223a342c227363223a352c2275" +
  "223a2275222c2261223a362c2272223a372c226c223a322c226c65223a5b2277222c226c225d2c227374223a38" +
  "2c2265223a392c2278223a31302c226572223a7b226e616d65223a2245222c226d657373616765223a226d222c" +
  "22636f6465223a2263222c22737461636b223a2273227d2c227265223a327d0102030405";

test("bytes that this version once wrote are still read, and still written", () => {
  assert.deepEqual(decodeTask(new Uint8Array(Buffer.from(VERSION_1, "hex"))), FULL);
  assert.equal(Buffer.from(encodeTask(FULL)).toString("hex"), VERSION_1);
});

test("what was read shares no memory with what it was read from, and is no Buffer", () => {
  const stored = Buffer.from(encodeTask(FULL));
  const record = decodeTask(stored);
  stored.fill(0);
  assert.deepEqual(record, FULL);
  for (const payload of [record.data, record.result]) {
    assert(payload?.kind === "inline" && payload.bytes.constructor === Uint8Array);
  }
});

test("the largest record fits a value", () => {
  const longest = "\u0001".repeat(200);
  const record: TaskRecord = {
    ...FULL,
    group: longest,
    name: longest,
    unique: longest,
    error: {
      name: longest,
      code: longest,
      message: "\u0001".repeat(2_000),
      stack: "\u0001".repeat(2_000),
    },
    data: { kind: "inline", bytes: new Uint8Array(INLINE_BYTES_MAX) },
    result: { kind: "inline", bytes: new Uint8Array(INLINE_BYTES_MAX) },
  };
  assert(encodeTask(record).length <= KV_VALUE_BYTES_MAX);
});

function fails(act: () => unknown, code = "CORRUPT_RECORD"): void {
  assert.throws(act, (error) => {
    assert(error instanceof UnreadableRecord, String(error));
    assert.equal(error.code, code);
    return true;
  });
}

function withHeader(header: unknown, rest: readonly number[] = []): Uint8Array {
  const head = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(5 + head.length + rest.length);
  bytes[0] = RECORD_VERSION;
  new DataView(bytes.buffer).setUint32(1, head.length);
  bytes.set(head, 5);
  bytes.set(rest, 5 + head.length);
  return bytes;
}

const HEADER = { i: ID, g: "g", n: "n", s: "queued", d: 1, c: 2, t: 3, o: "op", da: 0 };

test("a record that is damaged in any field is refused", () => {
  assert.deepEqual(decodeTask(withHeader(HEADER)), PLAIN);
  const damages: object[] = [
    { i: "x" },
    { i: undefined },
    { g: 5 },
    { n: null },
    { n: "\ud800" },
    { s: "waiting" },
    { s: "running" },
    { d: -1 },
    { d: 1.5 },
    { d: "1" },
    { c: null },
    { t: 2 ** 60 },
    { o: 7 },
    { p: 10 },
    { p: -1 },
    { to: -1 },
    { sc: "x" },
    { u: 5 },
    { a: -1 },
    { a: 0.5 },
    { r: "1" },
    { l: [] },
    { le: ["w", "l"] },
    { s: "running", le: ["w"] },
    { s: "running", le: "wl" },
    { st: {} },
    { e: true },
    { x: NaN },
    { da: 5 },
    { da: -1 },
    { da: "x" },
    { da: null },
    { da: [1] },
    { da: [1, 2, -3] },
    { da: {} },
    { re: 9 },
    { re: [1, "x", 3] },
  ];
  for (const damage of damages) fails(() => decodeTask(withHeader({ ...HEADER, ...damage })));
  for (const header of ["", "null", "5", "[]", "{", '"x"', "\u0000"]) {
    fails(() => decodeTask(withHeader(header)));
  }
});

test("a stored error that is damaged is none, and costs nothing else", () => {
  for (const er of [5, null, {}, { name: "E" }, []]) {
    assert.equal(decodeTask(withHeader({ ...HEADER, er })).error, null);
  }
});

test("what is not made of our bytes is refused", () => {
  const values: unknown[] = [
    null,
    undefined,
    "text",
    5,
    {},
    new Uint8Array(0),
    Uint8Array.of(1),
    Uint8Array.of(1, 2),
    Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(1, 0, 0, 0, 1, 0xff),
    Uint8Array.of(0, 1, 2, 3),
    Uint8Array.of(0x80, 1, 2),
    Uint8Array.of(0xff, 1, 2),
    TOMBSTONE,
  ];
  for (const value of values) {
    fails(() => decodeTask(value));
    fails(() => decodeJson(value, "thing", (fields) => fields));
    assert.equal(tryDecodeTask(value), null);
  }
});

test("what a newer version wrote is told from damage, and left to it", () => {
  for (const version of [2, 3, 0x7f]) {
    const bytes = encodeTask(FULL);
    bytes[0] = version;
    fails(() => decodeTask(bytes), "NEWER_VERSION");
    fails(() => decodeLease(bytes), "NEWER_VERSION");
  }
  assert.throws(() => decodeTask(Uint8Array.of(2, 0)), {
    message:
      /written by a newer version of Taskkit \(record version 2, .* up to 1\); update this process$/,
  });
});

test("a tombstone is told from everything else", () => {
  assert(isTombstone(TOMBSTONE));
  assert(isTombstone(Buffer.from(TOMBSTONE)));
  for (
    const value of [null, encodeTask(PLAIN), Uint8Array.of(0x80), Uint8Array.of(0x80, 1, 2), "x"]
  ) {
    assert(!isTombstone(value));
  }
});

test("random bytes, and records with flipped ones, never do anything else than decode or fail as they should", () => {
  const tryAll = (bytes: Uint8Array) => {
    for (const decode of [decodeTask, decodeLease, decodeWorker]) {
      try {
        decode(bytes);
      } catch (error) {
        assert(error instanceof UnreadableRecord, String(error));
      }
    }
  };
  const versioned = fc.uint8Array({ maxLength: 100 }).map((bytes) => Uint8Array.of(1, ...bytes));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), tryAll));
  fc.assert(fc.property(versioned, tryAll));
  fc.assert(fc.property(fc.json(), (json) => tryAll(withHeader(json))));
  fc.assert(fc.property(fc.json(), (json) => tryAll(encodeJson(JSON.parse(`[${json}]`)))));
  for (
    const whole of [
      encodeTask(FULL),
      encodeTask(CHUNKED),
      encodeLease({ tasks: [ID], cancel: [], op: "o" }),
    ]
  ) {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const damaged = whole.slice();
        damaged[at] = byte;
        tryAll(damaged);
      }),
      { numRuns: 1_000 },
    );
    for (let length = 0; length < whole.length; length++) tryAll(whole.subarray(0, length));
  }
});

test("leases and heartbeats come back as they were, also in groups that are called like what every object has", () => {
  const lease = { tasks: [ID, "b"], cancel: [ID], op: "o" };
  assert.deepEqual(decodeLease(encodeLease(lease)), lease);
  const worker = {
    host: "h",
    pid: 1,
    runtime: "r",
    startedMs: 2,
    beatMs: 3,
    groups: JSON.parse('{"__proto__":1,"constructor":2}') as Record<string, number>,
    running: 4,
    stopping: true,
    leaseMs: 5,
    op: "o",
  };
  assert.deepEqual(decodeWorker(encodeWorker(worker)), worker);
  for (
    const bad of [{ ...lease, tasks: "x" }, { ...lease, cancel: [5] }, { tasks: [], cancel: [] }]
  ) {
    fails(() => decodeLease(encodeJson(bad)));
  }
  for (
    const bad of [{ ...worker, groups: null }, { ...worker, groups: { g: -1 } }, {
      ...worker,
      pid: "1",
    }]
  ) {
    fails(() => decodeWorker(encodeJson(bad)));
  }
});

test("fields are what they are said to be, or refused by name", () => {
  assert.equal(must("x", isText), "x");
  assert.throws(() => must("\ud800", isText), /isText/);
  assert.throws(() => must(1.5, isCount), /isCount/);
  assert.throws(() => must(["x", 5], isTexts), /isTexts/);
});
