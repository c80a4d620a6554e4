import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";

test("the machine's clock: wall time, time that goes forward, timers that can be taken back", async () => {
  assert(Math.abs(systemClock.now() - Date.now()) < 60_000);
  const before = systemClock.monotonic();
  const fired: string[] = [];
  const cancelled = systemClock.timer(0, () => fired.push("cancelled"));
  cancelled.cancel();
  cancelled.cancel();
  await new Promise<void>((resolve) => systemClock.timer(-5, resolve));
  await new Promise<void>((resolve) => systemClock.soon(resolve));
  assert.deepEqual(fired, []);
  assert(systemClock.monotonic() >= before);
});

test("a timer of more than 24 days does not fire at once", async () => {
  let hasFired = false;
  const timer = systemClock.timer(2 ** 40, () => hasFired = true);
  await new Promise<void>((resolve) => systemClock.timer(5, resolve));
  timer.cancel();
  assert.equal(hasFired, false);
});

test("the machine's randomness: numbers from 0 to 1, and bytes", () => {
  for (let n = 0; n < 100; n++) {
    const number = systemRandom.next();
    assert(number >= 0 && number < 1);
  }
  assert.equal(systemRandom.bytes(16).length, 16);
  assert.notDeepEqual(systemRandom.bytes(16), systemRandom.bytes(16));
});
