import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFields, checkInteger, checkName, closest } from "../../src/core/validate.ts";
import { NAME_BYTES_MAX } from "../../src/core/limits.ts";

test("a name is any well-formed text up to 200 bytes", () => {
  for (
    const name of ["a", " ", "\u0000", "日本語", "😀", "é".repeat(100), "x".repeat(NAME_BYTES_MAX)]
  ) {
    assert.equal(checkName(name, "a group"), name);
  }
});

test("what is no name is refused, with what is wrong with it", () => {
  const bad: [unknown, RegExp][] = [
    ["", /it is empty$/],
    ["x".repeat(NAME_BYTES_MAX + 1), /it is longer than 200 bytes$/],
    ["é".repeat(101), /it is longer than 200 bytes$/],
    ["a\ud800", /it has lone surrogates$/],
    [5, /it is no string$/],
    [null, /it is no string$/],
    [undefined, /it is no string$/],
    [new String("a"), /it is no string$/],
    [["a"], /it is no string$/],
  ];
  for (const [name, message] of bad) {
    assert.throws(() => checkName(name, "a group"), { code: "INVALID_ARGUMENT", message });
  }
});

test("a whole number within its bounds passes, anything else does not", () => {
  assert.equal(checkInteger(0, "it", 0, 9), 0);
  assert.equal(checkInteger(9, "it", 0, 9), 9);
  for (const bad of [-1, 10, 1.5, NaN, Infinity, "5", 5n, null, undefined, [5]]) {
    assert.throws(() => checkInteger(bad, "priority", 0, 9), {
      code: "INVALID_ARGUMENT",
      message: /as priority: it is not a whole number from 0 to 9$/,
    });
  }
});

test("there is no negative zero, which would be another key in the database", () => {
  assert(Object.is(checkInteger(-0, "it", 0, 9), 0));
});

test("an option that does not exist is refused, with the one that was probably meant", () => {
  const known = ["concurrency", "executor", "timeout"];
  checkFields({}, "the options", known);
  checkFields({ concurrency: 1, timeout: undefined }, "the options", known);
  const bad: [unknown, RegExp][] = [
    [{ concurency: 3 }, /there is no option "concurency"; did you mean "concurrency"\?$/],
    [{ TimeOut: 3 }, /did you mean "timeout"\?$/],
    [{ color: 3 }, /there is no option "color"; known are "concurrency", "executor", "timeout"$/],
    [{ ["x".repeat(1_000)]: 3 }, /known are/],
    [null, /it is no object$/],
    [[], /it is no object$/],
    ["text", /it is no object$/],
    [() => {}, /it is no object$/],
  ];
  for (const [options, message] of bad) {
    assert.throws(() => checkFields(options, "the options", known), {
      code: "INVALID_ARGUMENT",
      message,
    });
  }
});

test("what was meant is at most two edits away", () => {
  const known = ["groups", "grace", "kv"];
  assert.equal(closest("group", known), "groups");
  assert.equal(closest("garce", known), "grace");
  assert.equal(closest("k", known), "kv");
  assert.equal(closest("poll", known), null);
  assert.equal(closest("", ["a"]), "a");
});
