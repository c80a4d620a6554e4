/**
 * Values as JSON, cutting, and widths.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { cut, printableJson, widthOf } from "../../src/cli/text.ts";

test("printableJson() gives what JSON has no form for one", () => {
  const value = {
    bytes: Uint8Array.of(1, 2, 255),
    big: 12345678901234567890n,
    map: new Map([["a", new Set([1])]]),
    when: new Date(0),
    none: NaN,
    link: new URL("https://example.com/a"),
    nothing: undefined,
  };
  assert.deepEqual(JSON.parse(printableJson(value)), {
    bytes: "AQL/",
    big: "12345678901234567890",
    map: [["a", [1]]],
    when: "1970-01-01T00:00:00.000Z",
    none: "NaN",
    link: "https://example.com/a",
  });
  assert.equal(printableJson(undefined), "null");
});

test("printableJson() has no control character in its text and the same value when it is read", () => {
  const value = { "k\x1b": "a\u009b31m\u202e\n\u2028\ufeff\ud800" };
  const text = printableJson(value);
  assert.match(text, /^[\x20-\x7e]*$/);
  assert.deepEqual(JSON.parse(text), value);
});

test("printableJson() marks cycles, shows what is met twice twice, and survives any depth", () => {
  const shared = { n: 1 };
  const value: Record<string, unknown> = { a: shared, b: [shared, shared] };
  value.self = value;
  value.map = new Map([["back", value]]);
  assert.deepEqual(JSON.parse(printableJson(value)), {
    a: { n: 1 },
    b: [{ n: 1 }, { n: 1 }],
    self: "[circular]",
    map: [["back", "[circular]"]],
  });
  let deep: unknown = null;
  for (let i = 0; i < 50_000; i++) deep = [deep];
  assert.equal(typeof JSON.parse(printableJson(deep)), "object");
});

test("cut() keeps the bound, and widthOf() counts columns", () => {
  assert.equal(cut("abcdef", 4), "abc…");
  assert.equal(cut("abcd", 4), "abcd");
  assert.equal(widthOf("abc"), 3);
  assert.equal(widthOf("日本"), 4);
  assert.equal(widthOf("e\u0301"), 1);
  assert.equal(widthOf("😀"), 2);
});
