import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type Flags, readArguments } from "../../src/cli/arguments.ts";
import { CliError } from "../../src/cli/cli_error.ts";
import { toMilliseconds } from "../../src/core/duration.ts";
import { InvalidArgument, InvalidData, InvalidSchedule } from "../../src/core/errors.ts";
import { readStoredError, toStoredError } from "../../src/core/stored_error.ts";
import { checkName } from "../../src/core/validate.ts";
import { decodeValue, encodeValue } from "../../src/core/value_codec.ts";
import { CronSchedule } from "../../src/schedule/cron.ts";
import { scheduleFromJSON, type ScheduleJSON } from "../../src/schedule/json.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import { packKey } from "../../src/testing/packed_key.ts";

const RUNS = { numRuns: 500 };

/** Calls, and wants a value or an error of one of these kinds. */
function givesOrRefuses<T>(
  act: () => T,
  ...kinds: readonly (abstract new (...args: never[]) => Error)[]
): T | null {
  try {
    return act();
  } catch (error) {
    assert.ok(kinds.some((kind) => error instanceof kind), String(error));
    return null;
  }
}

test("plain values of all kinds come back from the codec as they were", () => {
  const value = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withSparseArray: false,
    withNullPrototype: false,
    withTypedArray: false,
    key: fc.string().filter((key) => key !== "__proto__"),
  });
  fc.assert(
    fc.property(value, (written) => {
      const bytes = givesOrRefuses(() => encodeValue(written, "a value"), InvalidData);
      if (bytes !== null) assert.deepEqual(decodeValue(bytes, "a value"), written);
    }),
    RUNS,
  );
});

test("no bytes make the codec do anything but give a value or refuse them, and no prototype is touched", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json().map((json) => new TextEncoder().encode(`\x01${json}`)),
    fc.constant(new TextEncoder().encode('\x01[{"__proto__":1},{"polluted":2},true]')),
  );
  fc.assert(
    fc.property(bytes, (encoded) => {
      givesOrRefuses(() => decodeValue(encoded, "a value"), InvalidData);
      assert.equal(Reflect.get({}, "polluted"), undefined);
    }),
    RUNS,
  );
});

test("whatever is thrown becomes a stored error, which reads back", () => {
  const thrown = fc.oneof(
    fc.anything({ withBigInt: true, withMap: true, withNullPrototype: true }),
    fc.string({ unit: "binary" }).map((message) => new Error(message)),
    fc.constant(
      new Proxy({}, {
        get() {
          throw new Error("no");
        },
      }),
    ),
  );
  fc.assert(
    fc.property(thrown, (error) => {
      const stored = toStoredError(error);
      assert.ok(stored.message.isWellFormed() && stored.message.length <= 2_000);
      assert.deepEqual(readStoredError(JSON.parse(JSON.stringify(stored))), stored);
    }),
    RUNS,
  );
});

test("a name that is taken makes a key of its own, below the prefix alone", () => {
  const name = fc.string({ unit: "binary", maxLength: 30 });
  const keys = new Keyspace(["taskkit"]);
  fc.assert(
    fc.property(name, name, (one, other) => {
      const first = givesOrRefuses(() => checkName(one, "a group"), InvalidArgument);
      const second = givesOrRefuses(() => checkName(other, "a group"), InvalidArgument);
      if (first === null || second === null) return;
      const packed = [first, second].map((group) => packKey(keys.due(group, 5, 0, "id")));
      assert.equal(packed[0] === packed[1], first === second);
      assert.ok(packed.every((key) => key.startsWith(packKey(["taskkit"]))));
      const { prefix } = keys.dueFrom(first, 0) as { prefix: readonly string[] };
      // What lists one group never reads another one's.
      assert.equal(packed[1]?.startsWith(packKey(prefix)), first === second);
    }),
    RUNS,
  );
});

test("any text is a duration within bounds, or is refused", () => {
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.tuple(fc.double({ min: 0, max: 1e6 }), fc.constantFrom("ms", "s", "m", "h", "d")))
      .map((parts) => parts.map(([n, unit]) => `${n}${unit}`).join(" ")),
    fc.double(),
  );
  fc.assert(
    fc.property(text, (duration) => {
      const ms = givesOrRefuses(() => toMilliseconds(duration, "it"), InvalidArgument);
      if (ms !== null) assert.ok(Number.isSafeInteger(ms) && ms >= 0);
    }),
    RUNS,
  );
});

test("any cron pattern is refused, or has points that only go forward", () => {
  const part = fc.oneof(
    fc.constantFrom("*", "?", "L", "LW", "15W", "MON#2", "FRI#L", "*/5", "1-5", "0", "59", "JAN"),
    fc.stringMatching(/^[0-9*,\-/LW#?+]{1,8}$/),
  );
  const pattern = fc.oneof(
    fc.array(part, { minLength: 4, maxLength: 8 }).map((parts) => parts.join(" ")),
    fc.string({ maxLength: 40 }),
  );
  const start = Date.UTC(2026, 0, 1);
  fc.assert(
    fc.property(pattern, (text) => {
      const schedule = givesOrRefuses(() => new CronSchedule(text), InvalidSchedule);
      if (schedule === null) return;
      const first = schedule.next(start, "UTC");
      if (first === null) return;
      const second = schedule.next(first, "UTC");
      assert.ok(first > start && (second === null || second > first));
    }),
    RUNS,
  );
});

test("any JSON is a schedule, or is refused", () => {
  const json = fc.oneof(
    fc.jsonValue(),
    fc.record({
      kind: fc.constantFrom("cron", "interval", "regular", "other"),
      pattern: fc.string({ maxLength: 12 }),
      every: fc.oneof(fc.integer(), fc.string()),
      fields: fc.jsonValue(),
    }),
  );
  fc.assert(
    fc.property(json, (value) => {
      givesOrRefuses(() => scheduleFromJSON(value as ScheduleJSON), InvalidSchedule);
    }),
    RUNS,
  );
});

test("any arguments of a command are read, or refused by a CliError", () => {
  const flags: Flags = {
    kv: { value: "<path>", help: "where", short: "k" },
    group: { value: "<name>", help: "which", isRepeated: true },
    json: { help: "for programs" },
  };
  const argument = fc.oneof(
    fc.string(),
    fc.constantFrom("--kv", "--kv=", "--kv=x", "-k", "-kx", "--group", "--json", "--json=1", "--"),
    fc.string().map((text) => `--${text}`),
    fc.string().map((text) => `-${text}`),
  );
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), (args) => {
      const read = givesOrRefuses(() => readArguments(args, "list", flags), CliError);
      if (read === null) return;
      assert.ok(read.positionals.every((text) => args.includes(text)));
      givesOrRefuses(() => read.integer("kv", 1), CliError);
    }),
    RUNS,
  );
});
