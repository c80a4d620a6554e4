import assert from "node:assert/strict";
import { test } from "node:test";
import { IdSource, isId, scheduledTaskId } from "../../src/core/ids.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { StillClock } from "../store/world.ts";

test("ids grow, within a millisecond and when the clock is set back", () => {
  const clock = new StillClock();
  const source = new IdSource(clock, new SeededRandom("ids"));
  const ids: string[] = [];
  for (const ms of [0, 0, 0, 5, -3_600_000, 0, 7_200_000]) {
    clock.advance(ms);
    for (let n = 0; n < 100; n++) ids.push(source.next());
  }
  assert.deepEqual(ids, [...new Set(ids)].sort());
  for (const id of ids) assert(isId(id));
});

test("two sources with other randomness never make the same id at one instant", () => {
  const clock = new StillClock();
  const a = new IdSource(clock, new SeededRandom("a"));
  const b = new IdSource(clock, new SeededRandom("b"));
  const ids = new Set<string>();
  for (let n = 0; n < 5_000; n++) ids.add(a.next()).add(b.next());
  assert.equal(ids.size, 10_000);
});

test("tokens do not repeat", () => {
  const source = new IdSource(new StillClock(), new SeededRandom("tokens"));
  const tokens = new Set(Array.from({ length: 10_000 }, () => source.token()));
  assert.equal(tokens.size, 10_000);
});

test("a schedule point's task has an id of its own, which is always the same and sorts by the point", () => {
  const points = [0, 1, 1_000, Date.UTC(2026, 0, 1), Date.UTC(9999, 0, 1)];
  const ids = points.map((ms) => scheduledTaskId("s", "k", ms));
  assert.deepEqual(ids, points.map((ms) => scheduledTaskId("s", "k", ms)));
  assert.deepEqual(ids, [...ids].sort());
  for (const id of ids) assert(isId(id));
  const others = [["s", "k2"], ["s2", "k"], ["sk", ""], ["", "sk"]] as const;
  const all = new Set([
    ...others.map(([s, k]) => scheduledTaskId(s, k, 5)),
    scheduledTaskId("s", "k", 5),
  ]);
  assert.equal(all.size, 5);
});

test("only what has the form of an id is one", () => {
  assert(isId("019b796d-d600-7000-8000-078eee237ce0"));
  for (
    const bad of [
      "",
      "x",
      "019B796D-D600-7000-8000-078EEE237CE0",
      "019b796d-d600-7000-8000-078eee237ce0\n",
      5,
      null,
      undefined,
    ]
  ) {
    assert.equal(isId(bad), false);
  }
});
