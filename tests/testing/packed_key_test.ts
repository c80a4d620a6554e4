import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Key, KeyPart } from "../../src/store/port.ts";
import { keyText, packKey } from "../../src/testing/packed_key.ts";

const bytesOf = (key: Key) => [...packKey(key)].map((character) => character.charCodeAt(0));

test("keys have the bytes of FoundationDB's tuple encoding", () => {
  assert.deepEqual(bytesOf([]), []);
  assert.deepEqual(bytesOf(["a\0b"]), [2, 97, 0, 0xff, 98, 0]);
  assert.deepEqual(bytesOf(["é"]), [2, 0xc3, 0xa9, 0]);
  assert.deepEqual(bytesOf([new Uint8Array([0, 7])]), [1, 0, 0xff, 7, 0]);
  assert.deepEqual(bytesOf([false, true]), [0x26, 0x27]);
  assert.deepEqual(bytesOf([0n, 1n, 256n]), [0x14, 0x15, 1, 0x16, 1, 0]);
  assert.deepEqual(bytesOf([-1n, -256n]), [0x13, 0xfe, 0x12, 0xfe, 0xff]);
  assert.deepEqual(bytesOf([2n ** 64n]), [0x1d, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(bytesOf([-(2n ** 64n)]), [0x0b, 0xf6, 0xfe, ...Array(8).fill(0xff)]);
  assert.deepEqual(bytesOf([1]), [0x21, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(bytesOf([-1]), [0x21, 0x40, 0x0f, ...Array(6).fill(0xff)]);
  assert.deepEqual(bytesOf([0]), [0x21, 0x80, ...Array(7).fill(0)]);
  assert.deepEqual(bytesOf([-0]), [0x21, 0x7f, ...Array(7).fill(0xff)]);
  assert.deepEqual(bytesOf([NaN]), [0x21, 0xff, 0xf8, 0, 0, 0, 0, 0, 0]);
});

test("numbers and bigints of any size sort by value", () => {
  fc.assert(fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
    if (a === b) return;
    assert.equal(packKey([a]) < packKey([b]), a < b);
  }));
  fc.assert(fc.property(fc.bigInt(), fc.bigInt(), (a, b) => {
    assert.equal(packKey([a]) < packKey([b]), a < b);
  }));
});

test("strings and bytes sort by their bytes, and what a key begins comes after it", () => {
  const compare = (a: Uint8Array, b: Uint8Array) => {
    const index = a.findIndex((byte, n) => byte !== b[n]);
    return index < 0 ? a.length - b.length : (a[index] ?? 0) - (b[index] ?? -1);
  };
  const utf8 = new TextEncoder();
  const text = fc.string({ unit: "binary" });
  fc.assert(fc.property(text, text, (a, b) => {
    const sign = compare(utf8.encode(a), utf8.encode(b));
    assert.equal(packKey([a]) < packKey([b]), sign < 0);
    assert.equal(packKey([a]) === packKey([b]), sign === 0);
    assert(packKey([a]) < packKey([a, b]));
  }));
  fc.assert(fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
    assert.equal(packKey([a]) < packKey([b]), compare(a, b) < 0);
  }));
});

test("a part of no type that keys have is refused, and so is a number of 256 bytes", () => {
  for (const part of [null, undefined, {}, [], Symbol("part")]) {
    assert.throws(() => packKey([part as unknown as KeyPart]), TypeError);
  }
  assert.equal(packKey([2n ** (8n * 255n) - 1n]).length, 2 + 255);
  assert.throws(() => packKey([2n ** (8n * 255n)]), TypeError);
});

test("a key is told to a reader with its types", () => {
  const key: Key = ["task", "a b", 5, -0, 7n, true, new Uint8Array([1, 2])];
  assert.equal(keyText(key), `task/"a b"/5/-0/7n/true/<1 2>`);
});
