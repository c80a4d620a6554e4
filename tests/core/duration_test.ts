import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { shown, toEpochMs, toMilliseconds } from "../../src/core/duration.ts";
import { InvalidArgument } from "../../src/core/errors.ts";
import { DURATION_MS_MAX, INSTANT_MS_MAX } from "../../src/core/limits.ts";

test("durations are milliseconds, or text of amounts and units", () => {
  const table: [string | number, number][] = [
    [0, 0],
    [1_500, 1_500],
    [0.2, 1],
    ["0ms", 0],
    ["250ms", 250],
    ["90s", 90_000],
    ["1.5s", 1_500],
    ["1h 30m", 5_400_000],
    ["1h30m", 5_400_000],
    [" 2 h  5 ms ", 7_200_005],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    [DURATION_MS_MAX, DURATION_MS_MAX],
  ];
  for (const [duration, ms] of table) {
    assert.equal(toMilliseconds(duration, "it"), ms, `${duration}`);
  }
});

test("what is no duration is refused, with what to write instead", () => {
  const bad: unknown[] = [
    -1,
    NaN,
    Infinity,
    DURATION_MS_MAX + 1,
    "",
    " ",
    "5",
    "s",
    "-5s",
    "5 seconds",
    "5S",
    "1,5s",
    "1e3s",
    "٣s",
    "5s".repeat(60),
    `${"9".repeat(90)}d`,
    null,
    undefined,
    true,
    5n,
    {},
    [],
    new Date(0),
    Symbol("s"),
  ];
  for (const duration of bad) {
    assert.throws(() => toMilliseconds(duration as number, "the timeout"), (error) => {
      assert(error instanceof InvalidArgument);
      assert.match(
        error.message,
        /^Cannot read the timeout: .*(write milliseconds or text|not between)/,
      );
      return true;
    }, String(duration));
  }
});

test("text of any kind ends soon, in a duration or a typed error", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(..."0123456789. mshdw-"), maxLength: 120 }),
      (text) => {
        try {
          const ms = toMilliseconds(text, "it");
          assert(Number.isInteger(ms) && ms >= 0);
        } catch (error) {
          assert(error instanceof InvalidArgument);
        }
      },
    ),
  );
});

test("instants are dates or milliseconds since the epoch, whole and not before it", () => {
  assert.equal(toEpochMs(new Date(5), "it"), 5);
  assert.equal(toEpochMs(7.9, "it"), 7);
  assert.equal(toEpochMs(INSTANT_MS_MAX, "it"), INSTANT_MS_MAX);
  for (
    const bad of [
      new Date(NaN),
      NaN,
      -1,
      INSTANT_MS_MAX + 1,
      Infinity,
      "2026-01-01",
      null,
      undefined,
      {},
    ]
  ) {
    assert.throws(() => toEpochMs(bad as Date, "due"), (error) => {
      assert(error instanceof InvalidArgument);
      assert.match(error.message, /^Cannot read due: .* is no valid instant; pass a Date/);
      return true;
    });
  }
});

test("there is no negative zero, which would be another key in the database", () => {
  assert(Object.is(toMilliseconds(-0, "it"), 0));
  assert(Object.is(toEpochMs(-0, "it"), 0));
});

test("any value can be shown in a message, shortly", () => {
  const table: [unknown, string][] = [
    ["text", '"text"'],
    ['quote " and \n', '"quote \\" and \\n"'],
    ["x".repeat(500), `"${"x".repeat(80)}…"`],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), "an invalid Date"],
    [{}, "an object"],
    [[], "an array"],
    [null, "null"],
    [undefined, "undefined"],
    [12n, "12"],
    [Symbol("s"), "Symbol(s)"],
    [() => {}, "a function"],
    [Object.create(null), "an object"],
  ];
  for (const [value, text] of table) assert.equal(shown(value), text);
});
