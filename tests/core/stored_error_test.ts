import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ERROR_MESSAGE_CHARS_MAX,
  ERROR_NAME_CHARS_MAX,
  ERROR_STACK_CHARS_MAX,
  ERROR_STACK_LINES_MAX,
} from "../../src/core/limits.ts";
import { readStoredError, toStoredError } from "../../src/core/stored_error.ts";

class Own extends TypeError {
  override name = "Own";
  code = "E_OWN";
}

test("an error is kept as name, message, code and the first lines of its stack", () => {
  const { stack, ...rest } = toStoredError(new Own("no luck"));
  assert.deepEqual(rest, { name: "Own", message: "no luck", code: "E_OWN" });
  assert.match(stack ?? "", /no luck/);
});

test("whatever is thrown becomes plain data", () => {
  const table: [unknown, { name: string; message: string }][] = [
    ["text", { name: "NonError", message: "text" }],
    [undefined, { name: "NonError", message: "undefined" }],
    [null, { name: "NonError", message: "null" }],
    [42n, { name: "NonError", message: "42" }],
    [Symbol("s"), { name: "NonError", message: "Symbol(s)" }],
    [{ a: 1 }, { name: "Object", message: '{"a":1}' }],
    [[1, 2], { name: "Array", message: "[1,2]" }],
    [Object.create(null), { name: "Error", message: "{}" }],
    [{ name: 5, message: {} }, { name: "Object", message: '{"name":5,"message":{}}' }],
  ];
  for (const [thrown, stored] of table) assert.deepEqual(toStoredError(thrown), stored);
});

test("what fights back does no harm: cycles, getters that throw, proxies, its own toString", () => {
  const cyclic: Record<string, unknown> = { name: "Cyclic" };
  cyclic.self = cyclic;
  const hostile = {
    get name(): string {
      throw new Error("name");
    },
    get message(): string {
      throw new Error("message");
    },
    get code(): string {
      throw new Error("code");
    },
    get stack(): string {
      throw new Error("stack");
    },
    toJSON() {
      throw new Error("toJSON");
    },
  };
  const proxy = new Proxy({}, {
    get() {
      throw new Error("get");
    },
    ownKeys() {
      throw new Error("ownKeys");
    },
  });
  const withCause = new Error("outer");
  withCause.cause = withCause;
  const undefinedMessage = Object.assign(new Error(), {
    message: undefined,
    toJSON: () => undefined,
  });
  for (const thrown of [cyclic, hostile, proxy, withCause, undefinedMessage]) {
    const stored = toStoredError(thrown);
    assert.equal(typeof stored.name, "string");
    assert.equal(typeof stored.message, "string");
    assert.deepEqual(readStoredError(JSON.parse(JSON.stringify(stored))), stored);
  }
});

test("everything is bounded and well-formed, whatever its length", () => {
  const error = Object.assign(new Error("m".repeat(100_000)), {
    name: "n".repeat(10_000),
    code: "c".repeat(10_000),
    stack: Array.from({ length: 1_000 }, (_, n) => `line ${n} ${"s".repeat(1_000)}`).join("\n"),
  });
  const stored = toStoredError(error);
  assert.equal(stored.name.length, ERROR_NAME_CHARS_MAX);
  assert.equal(stored.message.length, ERROR_MESSAGE_CHARS_MAX);
  assert.equal(stored.code?.length, ERROR_NAME_CHARS_MAX);
  assert((stored.stack ?? "").length <= ERROR_STACK_CHARS_MAX);
  assert((stored.stack ?? "").split("\n").length <= ERROR_STACK_LINES_MAX);
  const half = toStoredError(new Error(`${"x".repeat(ERROR_MESSAGE_CHARS_MAX - 2)}😀😀`));
  assert(half.message.isWellFormed());
});

test("stored errors are read back as they were; anything else is none", () => {
  assert.equal(readStoredError(null), null);
  assert.equal(readStoredError({ name: "E" }), null);
  assert.equal(readStoredError({ name: "E", message: 5 }), null);
  assert.deepEqual(readStoredError({ name: "E", message: "m", stack: 5, more: 1 }), {
    name: "E",
    message: "m",
  });
  fc.assert(fc.property(fc.anything(), (value) => {
    const stored = readStoredError(value);
    assert(stored === null || typeof stored.message === "string");
    assert.deepEqual(readStoredError(toStoredError(value)), toStoredError(value));
  }));
});
