import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TURN_MS, TURN_STALE_MS, TURNS_KEPT_MS } from "../../src/core/limits.ts";
import { type TurnFile, turnFileOf, Turns } from "../../src/store/turns.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";

/** Processes with one file, whose acts are noted when they begin and end. */
function world() {
  const time = new VirtualTime();
  const clock = time.clock();
  let madeAt: number | null = null;
  let makes = 0;
  const file: TurnFile = {
    make() {
      makes++;
      if (madeAt !== null) return false;
      madeAt = clock.monotonic();
      return true;
    },
    stamp: () => madeAt,
    remove: () => void (madeAt = null),
  };
  const running = new Set<string>();
  const together: string[] = [];
  const turnsOf = (own: TurnFile | null = file) => new Turns(own, clock);
  const act = (turns: Turns, name: string, ms: number) =>
    turns.take(async () => {
      running.add(name);
      together.push([...running].sort().join("+"));
      await new Promise<void>((resolve) => clock.timer(ms, resolve));
      running.delete(name);
    });
  return {
    time,
    file,
    together,
    turnsOf,
    act,
    get makes() {
      return makes;
    },
    get isMade() {
      return madeAt !== null;
    },
  };
}

test("nobody waits while nobody was in the way", async () => {
  const w = world();
  const [a, b] = [w.turnsOf(), w.turnsOf()];
  const both = Promise.all([w.act(a, "a", 10), w.act(b, "b", 10)]);
  await w.time.advance(10);
  await both;
  assert.deepEqual(w.together, ["a", "a+b"]);
  assert.equal(w.makes, 0);
});

test("after a commit was overtaken, processes act one after another, and acts of one together", async () => {
  const w = world();
  const [a, b] = [w.turnsOf(), w.turnsOf()];
  a.overtaken();
  b.overtaken();
  const all = Promise.all([w.act(a, "a1", 10), w.act(a, "a2", 10), w.act(b, "b", 10)]);
  await w.time.advance(200);
  await all;
  assert.deepEqual(w.together.slice(1), ["a1+a2", "b"]);
  assert.equal(w.isMade, false);
  assert.equal(w.time.pending, 0);
});

test("a turn ends when its time is over, however much of its process waits", async () => {
  const w = world();
  const [a, b] = [w.turnsOf(), w.turnsOf()];
  a.overtaken();
  b.overtaken();
  const acts: string[] = [];
  const work = async (turns: Turns, name: string) => {
    for (let n = 0; n < 20; n++) {
      await w.act(turns, name, 5);
      acts.push(name);
    }
  };
  const all = Promise.all([work(a, "a"), work(b, "b")]);
  await w.time.advance(2_000);
  await all;
  assert(w.together.every((names) => names === "a" || names === "b"));
  const runs = acts.join("").match(/a+|b+/g) ?? [];
  const longest = Math.max(...runs.slice(0, -1).map((run) => run.length));
  assert(longest <= TURN_MS / 5 + 1, `a turn of ${longest} acts`);
  assert(runs.length > 4);
});

test("a turn whose process is gone is taken over", async () => {
  const w = world();
  const [dead, a] = [w.turnsOf(), w.turnsOf()];
  dead.overtaken();
  void dead.take(() => new Promise(() => {}));
  await w.time.advance(1);
  a.overtaken();
  const acting = w.act(a, "a", 1);
  await w.time.advance(TURN_STALE_MS / 2);
  assert.deepEqual(w.together, []);
  await w.time.advance(TURN_STALE_MS);
  await acting;
  assert.deepEqual(w.together, ["a"]);
});

test("turns are given up when nobody was in the way for a while", async () => {
  const w = world();
  const a = w.turnsOf();
  a.overtaken();
  const first = w.act(a, "a", 1);
  await w.time.advance(TURNS_KEPT_MS + 100);
  await first;
  const { makes } = w;
  const second = w.act(a, "a", 1);
  await w.time.advance(10);
  await second;
  assert.equal(w.makes, makes);
});

test("where no file can be made, nobody waits", async () => {
  const w = world();
  for (const turns of [w.turnsOf({ ...w.file, make: () => null }), w.turnsOf(null)]) {
    turns.overtaken();
    const acting = Promise.all([w.act(turns, "a", 1), w.act(turns, "b", 1)]);
    await w.time.advance(10);
    await acting;
  }
  assert.deepEqual([w.together[1], w.together[3]], ["a+b", "a+b"]);
});

test("an act that fails ends its turn, and its error is the caller's", async () => {
  const w = world();
  const turns = w.turnsOf();
  turns.overtaken();
  await assert.rejects(turns.take(() => Promise.reject(new Error("no"))), /no/);
  await w.time.advance(100);
  assert.equal(w.isMade, false);
});

test("a closed connection leaves its turn, and waits for none", async () => {
  const w = world();
  const [a, b] = [w.turnsOf(), w.turnsOf()];
  a.overtaken();
  b.overtaken();
  const acting = w.act(a, "a", 1);
  await w.time.advance(1);
  await acting;
  const waiting = w.act(b, "b", 1);
  b.close();
  a.close();
  assert.equal(w.isMade, false);
  await w.time.advance(10);
  await waiting;
  assert.equal(w.time.pending, 0);
});

test("the file is made by one, and says when", () => {
  const folder = mkdtempSync(join(tmpdir(), "taskkit-turns-"));
  try {
    const path = join(folder, "tasks.db");
    const [a, b] = [turnFileOf(path), turnFileOf(path)];
    assert.equal(a.stamp(), null);
    assert.equal(a.make(), true);
    assert.equal(b.make(), false);
    assert.equal(typeof b.stamp(), "number");
    b.remove();
    b.remove();
    assert.equal(existsSync(`${path}-turn`), false);
    writeFileSync(join(folder, "file"), "");
    assert.equal(turnFileOf(join(folder, "file", "tasks.db")).make(), null);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
