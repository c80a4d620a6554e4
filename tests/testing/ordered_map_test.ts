import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderedMap } from "../../src/testing/ordered_map.ts";
import { SeededRandom } from "../../src/testing/prng.ts";

/** What a map must hold, in the plainest form. */
class Model {
  entries: [string, number][] = [];

  set(key: string, value: number): void {
    this.delete(key);
    this.entries.push([key, value]);
    this.entries.sort(([a], [b]) => a < b ? -1 : 1);
  }

  delete(key: string): boolean {
    const before = this.entries.length;
    this.entries = this.entries.filter(([other]) => other !== key);
    return this.entries.length < before;
  }

  range(start: string, end: string, limit: number, reverse: boolean): number[] {
    const found = this.entries.filter(([key]) => key >= start && key < end);
    if (reverse) found.reverse();
    return found.slice(0, limit).map(([, value]) => value);
  }
}

test("random insertions, replacements, deletions and ranges agree with a sorted list", () => {
  for (let seed = 0; seed < 4; seed++) {
    const random = new SeededRandom(seed);
    const map = new OrderedMap<number>();
    const model = new Model();
    const anyKey = () => random.int(0, 3_000).toString(36);
    for (let n = 0; n < 2_500; n++) {
      const key = anyKey();
      if (random.chance(0.7)) {
        map.set(key, n);
        model.set(key, n);
      } else {
        assert.equal(map.delete(key), model.delete(key));
      }
      if (n % 25 !== 0) continue;
      const [start, end] = [anyKey(), anyKey()].sort() as [string, string];
      for (const [limit, reverse] of [[Infinity, false], [7, false], [7, true]] as const) {
        assert.deepEqual(
          map.range(start, end, limit, reverse),
          model.range(start, end, limit, reverse),
        );
      }
      assert.equal(map.get(key), model.entries.find(([other]) => other === key)?.[1]);
    }
    assert.deepEqual(map.range("", "\uffff"), model.entries.map(([, value]) => value));
    assert.equal(map.size, model.entries.length);
    assert.equal(map.first(), model.entries[0]?.[1]);
  }
});

test("a hundred thousand keys in order, in reverse and back to none", () => {
  const keys = Array.from({ length: 100_000 }, (_, n) => String(n).padStart(6, "0"));
  for (const inserted of [keys, keys.toReversed()]) {
    const map = new OrderedMap<string>();
    for (const key of inserted) map.set(key, key);
    assert.equal(map.size, 100_000);
    assert.deepEqual(map.range("050000", "050003"), ["050000", "050001", "050002"]);
    assert.deepEqual(map.range("", "~", 2, true), ["099999", "099998"]);
    for (const key of keys) assert.equal(map.delete(key), true);
    assert.deepEqual([map.size, map.first(), map.range("", "~")], [0, undefined, []]);
    map.set("x", "x");
    assert.deepEqual(map.range("", "~"), ["x"]);
  }
});

test("ranges of nothing are empty", () => {
  const map = new OrderedMap<number>();
  assert.deepEqual(map.range("a", "z"), []);
  assert.deepEqual(map.range("a", "z", 5, true), []);
  map.set("m", 1);
  assert.deepEqual(map.range("m", "m"), []);
  assert.deepEqual(map.range("z", "a"), []);
  assert.deepEqual(map.range("n", "z"), []);
  assert.deepEqual(map.range("a", "m", 5, true), []);
  assert.equal(map.delete("x"), false);
});
