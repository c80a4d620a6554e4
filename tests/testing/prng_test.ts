import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/testing/prng.ts";

test("a seed gives the same numbers in every runtime, for ever", () => {
  const random = new SeededRandom(42);
  const words = Array.from({ length: 4 }, () => random.uint32());
  assert.deepEqual(words, PINNED_WORDS);
  assert.deepEqual([...new SeededRandom("42").bytes(5)], PINNED_BYTES);
  assert.deepEqual([...new SeededRandom(42).fork("kv").bytes(4)], PINNED_FORK);
});

/** Kept seeds of the simulation would mean something else if one of these changed. */
const PINNED_WORDS = [3_013_035_917, 2_497_045_613, 43_461_898, 1_285_174_107];
const PINNED_BYTES = [141, 71, 151, 179, 109];
const PINNED_FORK = [63, 205, 201, 37];

test("neighbouring seeds, and neighbouring forks, give unrelated numbers", () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 2_000; seed++) {
    firsts.add(new SeededRandom(seed).uint32());
    firsts.add(new SeededRandom(0).fork(seed).uint32());
  }
  assert.equal(firsts.size, 4_000);
  let bitsThatDiffer = 0;
  for (let seed = 0; seed < 1_000; seed++) {
    let differing = new SeededRandom(seed).uint32() ^ new SeededRandom(seed + 1).uint32();
    for (; differing !== 0; differing &= differing - 1) bitsThatDiffer++;
  }
  // 16,000 expected, with a standard deviation of 90.
  assert(Math.abs(bitsThatDiffer - 16_000) < 450, `${bitsThatDiffer} bits differ`);
});

test("a fork does not depend on what was drawn before it, nor the source on its forks", () => {
  const fresh = new SeededRandom(7);
  const used = new SeededRandom(7);
  used.uint32();
  assert.equal(used.fork("x").uint32(), fresh.fork("x").uint32());
  assert.notEqual(fresh.fork("x").uint32(), fresh.fork("y").uint32());
  assert.equal(new SeededRandom(7).uint32(), fresh.uint32());
});

test("numbers are spread evenly over their range, ends included", () => {
  const random = new SeededRandom("dice");
  const counts = [0, 0, 0, 0, 0, 0];
  let sum = 0;
  for (let throws = 0; throws < 60_000; throws++) {
    const face = random.int(1, 6);
    counts[face - 1] = (counts[face - 1] ?? 0) + 1;
    sum += random.next();
  }
  // Chi-square with 5 degrees of freedom: above 20.5 in one of 1,000 cases.
  const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assert(chiSquare < 20.5, `chi-square ${chiSquare}`);
  assert(Math.abs(sum / 60_000 - 0.5) < 0.005);
});

test("chance() is never true for 0, always for 1, and else as often as it says", () => {
  const random = new SeededRandom("coin");
  let hits = 0;
  for (let n = 0; n < 20_000; n++) {
    assert.equal(random.chance(0), false);
    assert.equal(random.chance(1), true);
    if (random.chance(0.25)) hits++;
  }
  assert(Math.abs(hits - 5_000) < 300, `${hits} hits`);
});

test("pick() and shuffle() take each item, and leave their argument alone", () => {
  const random = new SeededRandom("cards");
  const items = [1, 2, 3, 4, 5];
  const firsts = new Set(Array.from({ length: 100 }, () => random.shuffle(items)[0]));
  const picks = new Set(Array.from({ length: 100 }, () => random.pick(items)));
  assert.deepEqual(items, [1, 2, 3, 4, 5]);
  assert.deepEqual([...firsts].sort(), items);
  assert.deepEqual([...picks].sort(), items);
  assert.deepEqual(random.shuffle(items).sort(), items);
  assert.throws(() => random.pick([]));
  assert.throws(() => random.int(2, 1));
});

test("bytes() gives as many as asked, none for 0", () => {
  const random = new SeededRandom("bytes");
  for (const length of [0, 1, 3, 4, 16, 1_000]) assert.equal(random.bytes(length).length, length);
  assert.equal(new Set(random.bytes(10_000)).size, 256);
});
