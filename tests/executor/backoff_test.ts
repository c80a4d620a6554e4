import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../src/executor/backoff.ts";

function pauses(next: number, count: number): number[] {
  const backoff = new Backoff({ next: () => next, bytes: () => new Uint8Array() });
  return Array.from({ length: count }, () => backoff.nextMs());
}

test("pauses double up to a bound, between half of it and all of it", () => {
  assert.deepEqual(pauses(0, 11), [
    50,
    100,
    200,
    400,
    800,
    1_600,
    3_200,
    6_400,
    12_800,
    15_000,
    15_000,
  ]);
  assert.deepEqual(pauses(1, 3), [100, 200, 400]);
  assert.equal(pauses(1, 2_000).at(-1), 30_000);
});

test("reset() begins anew", () => {
  const backoff = new Backoff({ next: () => 0, bytes: () => new Uint8Array() });
  backoff.nextMs();
  backoff.nextMs();
  backoff.reset();
  assert.equal(backoff.nextMs(), 50);
});
