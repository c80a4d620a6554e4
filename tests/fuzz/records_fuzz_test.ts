import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { UnreadableRecord } from "../../src/core/errors.ts";
import { TASK_STATES, type TaskRecord } from "../../src/core/task.ts";
import { decodeTask, encodeJson, encodeTask } from "../../src/store/record_codec.ts";
import { decodeLease, decodeWorker } from "../../src/store/records.ts";

const RUNS = { numRuns: 500 };
const count = fc.nat(2 ** 40);
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 50 });
const bytes = fc.uint8Array({ maxLength: 200 });
const payload = fc.oneof(
  fc.record({ kind: fc.constant("inline" as const), bytes }),
  fc.record({
    kind: fc.constant("chunks" as const),
    size: count,
    count: fc.nat(50),
    part: fc.nat(9),
  }),
);

/** A record as the code writes it. */
const record: fc.Arbitrary<TaskRecord> = fc.record({
  id: fc.uuid({ version: 7 }),
  group: text,
  name: text,
  priority: fc.nat(9),
  state: fc.constantFrom(...TASK_STATES),
  dueMs: count,
  createdMs: count,
  ttlMs: count,
  timeoutMs: fc.option(count),
  scheduledMs: fc.option(count),
  unique: fc.option(text),
  attempt: fc.nat(999_999),
  released: fc.nat(9),
  lost: fc.nat(3),
  op: text,
  startedMs: fc.option(count),
  endedMs: fc.option(count),
  expiresMs: fc.option(count),
  error: fc.option(fc.record({ name: text, message: text })),
  data: payload,
  result: fc.option(payload),
}).map((fields) => ({
  ...fields,
  lease: fields.state === "running" ? { worker: "w", id: "l" } : null,
}));

/** Calls, and wants a value or the one error that says why there is none. */
function readsOrSays(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof UnreadableRecord, String(error));
    assert.ok(error.code === "CORRUPT_RECORD" || error.code === "NEWER_VERSION");
  }
}

/** Records of fast-check have no prototype. */
function plain<T>(value: T): T {
  return Object.assign({}, value);
}

test("any record is read back as it was written", () => {
  fc.assert(
    fc.property(record, (written) => {
      const { data, result, error } = written;
      assert.deepEqual(decodeTask(encodeTask(written)), {
        ...written,
        data: plain(data),
        result: result === null ? null : plain(result),
        error: error === null ? null : plain(error),
      });
    }),
    RUNS,
  );
});

test("no bytes make a reader of records fail in another way than by saying so", () => {
  const any = fc.oneof(
    bytes,
    bytes.map((rest) => Uint8Array.of(1, ...rest)),
    fc.json().map((json) => new TextEncoder().encode(`\x01${json}`)),
    fc.jsonValue().map((value) => encodeJson({ value, tasks: value, cancel: [], op: "x" })),
    fc.anything(),
  );
  fc.assert(
    fc.property(any, (value) => {
      readsOrSays(() => decodeTask(value));
      readsOrSays(() => decodeLease(value));
      readsOrSays(() => decodeWorker(value));
    }),
    RUNS,
  );
});

test("a record with flipped, missing or added bytes is read or refused, whole", () => {
  const damage = fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      how: fc.constantFrom("flip", "cut", "add"),
      bit: fc.nat(7),
    }),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(record, damage, (written, damages) => {
      let damaged = encodeTask(written);
      for (const { at, how, bit } of damages) {
        const i = Math.min(damaged.length - 1, Math.floor(at * damaged.length));
        if (i < 0) break;
        if (how === "flip") {
          damaged = damaged.with(i, (damaged[i] ?? 0) ^ (1 << bit));
        } else if (how === "cut") damaged = damaged.slice(0, i);
        else damaged = Uint8Array.of(...damaged.slice(0, i), bit, ...damaged.slice(i));
      }
      readsOrSays(() => {
        const { attempt, priority, state } = decodeTask(damaged);
        assert.ok(Number.isSafeInteger(attempt) && priority <= 9 && TASK_STATES.includes(state));
      });
    }),
    RUNS,
  );
});
