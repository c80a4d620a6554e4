import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidData } from "../../src/core/errors.ts";
import { FRAME_BYTES_MAX } from "../../src/core/limits.ts";
import { encodeFrame, FrameReader } from "../../src/executor/frames.ts";

const MESSAGES = [
  [{ kind: "ready" }],
  { bytes: new Uint8Array(1_000).fill(7), map: new Map([[1n, new Date(2)]]) },
  undefined,
  "x".repeat(10_000),
];

function joined(messages: readonly unknown[]): Uint8Array {
  return new Uint8Array(messages.flatMap((message) => [...encodeFrame(message)]));
}

test("messages come out as they went in, however the bytes are cut", () => {
  const bytes = joined(MESSAGES);
  for (const size of [1, 2, 3, 5, 7, 100, 1_009, bytes.length]) {
    const seen: unknown[] = [];
    const reader = new FrameReader((message) => seen.push(message));
    for (let at = 0; at < bytes.length; at += size) reader.take(bytes.subarray(at, at + size));
    assert.deepEqual(seen, MESSAGES);
  }
});

test("a frame that claims too much is refused before it arrives", () => {
  for (const length of [FRAME_BYTES_MAX + 1, 2 ** 32 - 1, 0]) {
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, length);
    assert.throws(
      () => new FrameReader(() => {}).take(header),
      new InvalidData(
        `Cannot read a message between worker and process: it claims ${length} bytes`,
      ),
    );
  }
});

test("a frame that cannot be decoded is refused", () => {
  const bytes = encodeFrame({ a: 1 });
  bytes[4] = 99;
  assert.throws(() => new FrameReader(() => {}).take(bytes), InvalidData);
});

test("a message that is too large is not sent", () => {
  assert.throws(() => encodeFrame(new Uint8Array(FRAME_BYTES_MAX)), { code: "DATA_TOO_LARGE" });
});
