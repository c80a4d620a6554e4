import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidData } from "../../src/core/errors.ts";
import { decodeValue, encodeValue } from "../../src/core/value_codec.ts";

function copyOf(value: unknown): unknown {
  return decodeValue(encodeValue(value, "it"), "it");
}

test("what data may hold comes back as it was", () => {
  const shared = { a: 1 };
  const values: unknown[] = [
    undefined,
    null,
    0,
    -0,
    NaN,
    -Infinity,
    1.5,
    10n ** 30n,
    true,
    "",
    "text 😀 \u2028 </script>",
    [],
    [1, , 3],
    {},
    { a: undefined, b: { c: [null] } },
    new Date(5),
    new Map<unknown, unknown>([["k", new Set([1, { x: 1 }])], [{ y: 1 }, 2n]]),
    new Uint8Array([1, 2, 3]),
    new Uint8Array(0),
    { bytes: new Uint8Array([1, 2, 3]), more: [new Uint8Array(0)] },
    [shared, shared],
    Object.assign(Object.create(null), { a: 1 }),
    /a+/gi,
  ];
  for (const value of values) assert.deepEqual(copyOf(value), value);
  assert(Object.is(copyOf(-0), -0));
  const [first, second] = copyOf([shared, shared]) as [unknown, unknown];
  assert.equal(first, second);
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  const copy = copyOf(cyclic) as unknown[];
  assert.equal(copy[0], copy);
});

test("bytes come back as a Uint8Array of their own, also from a Buffer or a view", () => {
  const large = new Uint8Array([9, 1, 2, 9]);
  for (const bytes of [Buffer.from([1, 2]), large.subarray(1, 3)]) {
    const copy = copyOf(bytes) as Uint8Array;
    assert.equal(copy.constructor, Uint8Array);
    assert.deepEqual([...copy], [1, 2]);
    const { inside } = copyOf({ inside: bytes }) as { inside: Uint8Array };
    assert.deepEqual([...inside], [1, 2]);
    assert(inside.buffer.byteLength < 100, "no neighbour's bytes are stored");
  }
  const stored = Buffer.from(encodeValue(large, "it"));
  const read = decodeValue(stored, "it") as Uint8Array;
  assert.equal(read.constructor, Uint8Array);
  stored.fill(0);
  assert.deepEqual([...read], [9, 1, 2, 9]);
});

test("any plain value comes back as it was", () => {
  const plain = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: false,
  });
  fc.assert(fc.property(plain, (value) => {
    if (
      JSON.stringify(value, (_, part) => typeof part === "bigint" ? "" : part)?.includes(
        "__proto__",
      )
    ) return;
    assert.deepEqual(copyOf(value), value);
  }));
});

class Own {
  x = 1;
}

test("what data may not hold is refused, with where it lies", () => {
  const deep: unknown[] = [];
  let inner = deep;
  for (let n = 0; n < 200_000; n++) {
    const next: unknown[] = [];
    inner.push(next);
    inner = next;
  }
  const bad: [unknown, RegExp][] = [
    [() => {}, /^Cannot encode the data: /],
    [{ a: { f() {} } }, /at "\.a\.f"/],
    [{ a: [Symbol("s")] }, /at "\.a\[0\]"/],
    [new Own(), /^Cannot encode the data: /],
    [{ a: new Own() }, /at "\.a"/],
    [JSON.parse('{"a":{"__proto__":1}}'), /__proto__/],
    [JSON.parse('[{"__proto__":{"polluted":true}}]'), /__proto__/],
    [deep, /nested too deep/],
    [Promise.resolve(), /^Cannot encode the data: /],
    [new WeakMap(), /^Cannot encode the data: /],
    [{
      get a(): never {
        throw new Error("getter");
      },
    }, /getter/],
  ];
  for (const [value, message] of bad) {
    assert.throws(() => encodeValue(value, "the data"), (error) => {
      assert(error instanceof InvalidData);
      assert.equal(error.code, "INVALID_DATA");
      assert.match(error.message, message);
      return true;
    });
  }
});

function text(form: string): Uint8Array {
  return new TextEncoder().encode(`\u0001${form}`);
}

test("bytes that nobody encoded are a typed error, and pollute nothing", () => {
  const bad = [
    Uint8Array.of(),
    Uint8Array.of(9),
    Uint8Array.of(1),
    Uint8Array.of(1, 0xff, 0xfe),
    text("{"),
    text("5"),
    text('"x"'),
    text("{}"),
    text("[]"),
    text("[[5]]"),
    text('[["Map",0]]'),
    text('[["Nothing",1]]'),
    text('[{"__proto__":1},{"polluted":2},true]'),
    text('[["null","__proto__",1],{"polluted":2},true]'),
    text('[["Object",1]]'),
    text('[["RegExp","("]]'),
    text('[["BigInt","x"]]'),
    text('[["Uint8Array",1],"%"]'),
    text(`[${"0,".repeat(200_001)}0]`),
    text("[".repeat(100_000)),
  ];
  for (const bytes of bad) {
    try {
      decodeValue(bytes, "the data");
    } catch (error) {
      assert(error instanceof InvalidData, String(error));
      assert.match(error.message, /^Cannot decode the data: /);
    }
  }
  assert.equal(Reflect.get({}, "polluted"), undefined);
  for (const bytes of bad.slice(0, 8)) assert.throws(() => decodeValue(bytes, "it"), InvalidData);
});

test("random bytes, and flipped ones, never do anything else than decode or fail as they should", () => {
  const tryDecode = (bytes: Uint8Array) => {
    try {
      decodeValue(bytes, "it");
    } catch (error) {
      assert(error instanceof InvalidData, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), tryDecode));
  fc.assert(fc.property(fc.json(), (json) => tryDecode(text(json))));
  const whole = encodeValue({
    a: [1, new Date(5), new Map([[1n, new Set(["x"])]])],
    b: new Uint8Array(9),
  }, "it");
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const damaged = whole.slice();
      damaged[at] = byte;
      tryDecode(damaged);
    }),
    { numRuns: 2_000 },
  );
});
