import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { sleep } from "../../src/core/clock.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { TICK_MS, VirtualTime } from "../../src/testing/virtual_clock.ts";

test("nothing happens until time is let pass, and then everything in its order", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const rang: [string, number][] = [];
  for (const ms of [30, 10, 20]) clock.timer(ms, () => rang.push([`${ms}`, clock.monotonic()]));
  assert.deepEqual(rang, []);
  await time.advance(15);
  assert.deepEqual(rang, [["10", 10]]);
  assert.equal(time.nowMs, 15);
  await time.advance("1h");
  assert.deepEqual(rang, [["10", 10], ["20", 20], ["30", 30]]);
  assert.equal(time.nowMs, 3_600_015);
});

test("what a timer sets off falls into the same advance, if its time comes", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const atMs: number[] = [];
  (async () => {
    for (;;) {
      await sleep(clock, 10);
      atMs.push(clock.monotonic());
    }
  })();
  await time.advance(35);
  assert.deepEqual(atMs, [10, 20, 30]);
});

test("an event comes only after every microtask of the one before, however many there are", async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  async function* counted() {
    for (let n = 0; n < 2_000; n++) yield await Promise.resolve(n);
  }
  time.schedule(1, () => {
    (async () => {
      for (let n = 0; n < 20_000; n++) await undefined;
      for await (const _ of counted());
      await new Promise((resolve) => process.nextTick(resolve));
      await new Promise<void>((resolve) => queueMicrotask(resolve));
      seen.push("first is through");
    })();
  });
  time.schedule(1, () => seen.push("second begins"));
  assert.equal(await time.run(), "idle");
  assert.deepEqual(seen, ["first is through", "second begins"]);
});

test("simultaneous events come in the order of scheduling, or as the seed says", async () => {
  const order = async (random?: SeededRandom) => {
    const time = new VirtualTime(random === undefined ? {} : { random });
    const seen: number[] = [];
    for (let n = 0; n < 8; n++) time.schedule(5, () => seen.push(n));
    await time.run();
    return seen.join("");
  };
  assert.equal(await order(), "01234567");
  assert.equal(await order(new SeededRandom(1)), await order(new SeededRandom(1)));
  const orders = new Set<string>();
  for (let seed = 0; seed < 50; seed++) orders.add(await order(new SeededRandom(seed)));
  assert(orders.size > 45, `${orders.size} orders of 50`);
});

test("a cancelled timer does not fire; to cancel it twice or too late does nothing", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const rang: string[] = [];
  const cancelled = clock.timer(1, () => rang.push("cancelled"));
  const fired = clock.timer(2, () => rang.push("fired"));
  cancelled.cancel();
  cancelled.cancel();
  assert.equal(time.pending, 1);
  await time.run();
  fired.cancel();
  assert.deepEqual(rang, ["fired"]);
  assert.equal(time.pending, 0);
});

test("thousands of cancelled deadlines leave the order of the others alone", async () => {
  const time = new VirtualTime();
  const random = new SeededRandom("deadlines");
  const due: number[] = [];
  const rang: number[] = [];
  for (let n = 0; n < 5_000; n++) {
    time.schedule(random.int(1, 1_000_000), () => assert.fail("it was cancelled")).cancel();
    if (n % 10 !== 0) continue;
    const ms = random.int(1, 100_000);
    due.push(ms);
    time.schedule(ms, () => rang.push(time.nowMs));
  }
  await time.run();
  assert.deepEqual(rang, due.sort((a, b) => a - b));
});

test("a wall clock has its offset and jumps; the monotonic one and timers do not care", async () => {
  const time = new VirtualTime({ wallStartMs: 1_000_000 });
  const clock = time.clock({ wallOffsetMs: -400, monotonicStartMs: 77 });
  const right = time.clock();
  let rangAt = 0;
  clock.timer(100, () => rangAt = clock.monotonic());
  assert.deepEqual([clock.now(), right.now(), clock.monotonic()], [999_600, 1_000_000, 77]);
  await time.advance(50);
  clock.jump(3_600_000);
  assert.deepEqual([clock.now(), right.now()], [4_599_650, 1_000_050]);
  clock.jump(-7_200_000);
  assert.deepEqual([clock.now(), clock.monotonic()], [-2_600_350, 127]);
  await time.advance(50);
  assert.equal(rangAt, 177);
});

test("a clock that is born later starts at its own zero, with the right wall time", async () => {
  const time = new VirtualTime({ wallStartMs: 0 });
  await time.advance("1m");
  const clock = time.clock({ rate: 2 });
  await time.advance("1m");
  assert.deepEqual([clock.monotonic(), clock.now()], [120_000, 180_000]);
});

test("by the process's own clock no timer fires early, however fast the clock runs", async () => {
  const random = new SeededRandom("rates");
  for (let n = 0; n < 500; n++) {
    const time = new VirtualTime();
    const clock = time.clock({ rate: 0.5 + random.next() * 1.5 });
    time.schedule(random.next() * 1_000, () => {
      const dueMs = clock.monotonic() + random.next() * 100_000;
      clock.timer(dueMs - clock.monotonic(), () => {
        assert(clock.monotonic() >= dueMs);
        assert(clock.monotonic() < dueMs + 4 * TICK_MS * 2);
      });
    });
    await time.run();
  }
});

test("a timer without delay, a negative one and NaN let a little time pass; soon() none", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const at: number[] = [];
  for (const ms of [0, -5, NaN]) clock.timer(ms, () => at.push(clock.monotonic()));
  clock.soon(() => at.push(clock.monotonic()));
  await time.settle();
  assert.deepEqual(at, [0]);
  await time.advance(1);
  assert.deepEqual(at, [0, TICK_MS, TICK_MS, TICK_MS]);
});

test("a timer longer than the platform's fires too early, as there", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  let rangAt = 0;
  clock.timer(2 ** 32, () => rangAt = clock.monotonic());
  await time.run();
  assert.equal(rangAt, 2 ** 31 - 1);
});

test("a paused process misses nothing: its timers fire late, at once, in their order", async () => {
  const time = new VirtualTime({ random: new SeededRandom(3) });
  const [paused, other] = [time.clock(), time.clock()];
  const seen: [string, number][] = [];
  for (const ms of [10, 20, 20, 30, 90]) {
    paused.timer(ms, () => seen.push([`paused ${ms}`, paused.monotonic()]));
  }
  other.timer(25, () => seen.push(["other", other.monotonic()]));
  const cancelled = paused.timer(15, () => seen.push(["cancelled", 0]));
  paused.pause();
  await time.advance(50);
  cancelled.cancel();
  assert.deepEqual(seen, [["other", 25]]);
  assert.equal(paused.state, "paused");
  paused.resume();
  await time.advance(50);
  assert.deepEqual(seen.slice(1), [
    ["paused 10", 50],
    ["paused 20", 50],
    ["paused 20", 50],
    ["paused 30", 50],
    ["paused 90", 90],
  ]);
});

test("a killed process never runs again, nor is it waited for", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  let ran = 0;
  clock.timer(10, () => ran++);
  clock.timer(7 * 86_400_000, () => ran++);
  await time.advance(1);
  clock.kill();
  clock.timer(1, () => ran++);
  clock.resume();
  assert.equal(await time.run(), "idle");
  assert.deepEqual([ran, time.nowMs, clock.state], [0, 1, "killed"]);
});

test("a process that is killed while it is paused stays dead", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  clock.timer(1, () => assert.fail("it is dead"));
  clock.pause();
  await time.advance(5);
  clock.kill();
  clock.resume();
  assert.equal(await time.run(), "idle");
  assert.equal(time.pending, 0);
});

test("killAfterWakes() tries every place where a process waits", async () => {
  const reached: number[] = [];
  for (let wakes = 0; wakes <= 4; wakes++) {
    const time = new VirtualTime();
    const clock = time.clock();
    clock.killAfterWakes(wakes);
    let steps = 0;
    (async () => {
      for (let n = 0; n < 3; n++) {
        await sleep(clock, 1);
        steps++;
      }
    })();
    await time.run();
    reached.push(steps);
  }
  assert.deepEqual(reached, [0, 1, 2, 3, 3]);
});

test("a run ends when nothing is left, when it is told to, at its time, and after its events", async () => {
  const time = new VirtualTime();
  let count = 0;
  const again = () => {
    count++;
    time.schedule(1, again);
  };
  again();
  assert.equal(await time.run({ until: () => count === 5 }), "until");
  assert.equal(count, 5);
  assert.equal(await time.run({ eventsMax: 3 }), "events");
  assert.equal(count, 8);
  assert.equal(await time.run({ untilMs: 20.5 }), "time");
  assert.deepEqual([count, time.nowMs], [21, 20.5]);
  assert.equal(await new VirtualTime().run(), "idle");
});

test("background events happen, but keep no run going", async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  time.schedule(1, () => seen.push("background 1"), { background: true });
  time.schedule(2, () => seen.push("foreground 2"));
  time.schedule(3, () => seen.push("background 3"), { background: true });
  assert.equal(await time.run(), "idle");
  assert.deepEqual(seen, ["background 1", "foreground 2"]);
  await time.advance(5);
  assert.deepEqual(seen, ["background 1", "foreground 2", "background 3"]);
});

test("what a callback throws ends the run, and the world can go on", async () => {
  const time = new VirtualTime();
  time.schedule(1, () => {
    throw new Error("invariant");
  });
  await assert.rejects(time.run(), /invariant/);
  assert.equal(await time.run(), "idle");
});

test("a world is turned by one run at a time", async () => {
  const time = new VirtualTime();
  const run = time.run({ untilMs: 1 });
  assert.throws(() => time.run());
  assert.throws(() => time.drive());
  await run;
  await assert.rejects(time.advance("soon"), /Cannot read the duration to advance/);
});

test("a driven world turns by itself while something waits", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const driver = time.drive();
  assert.throws(() => time.run());
  await sleep(clock, 86_400_000);
  await sleep(clock, 86_400_000);
  driver[Symbol.dispose]();
  assert.equal(clock.monotonic(), 2 * 86_400_000);
  assert.equal(await time.run(), "idle");
});

test("the hash stands for what happened, when, and in which order", () => {
  const hashOf = (...events: [string, string, string][]) => {
    const time = new VirtualTime();
    for (const event of events) time.trace(...event);
    return time.hash;
  };
  const a: [string, string, string] = ["worker", "commit", "a"];
  const b: [string, string, string] = ["worker", "commit", "b"];
  const hashes = [hashOf(), hashOf(a), hashOf(b), hashOf(a, b), hashOf(b, a), hashOf(a, a)];
  assert.equal(new Set(hashes).size, hashes.length);
  assert.notEqual(hashOf(["ab", "c", ""]), hashOf(["a", "bc", ""]));
  assert.equal(hashOf(a, b), hashOf(a, b));
  assert.match(hashOf(a), /^[0-9a-f]{16}$/);
});

test("a listener hears the whole story in words, and changes no hash", () => {
  const [silent, heard] = [new VirtualTime(), new VirtualTime()];
  const story: unknown[] = [];
  heard.onTrace = (event) => story.push(event);
  for (const time of [silent, heard]) {
    time.trace("worker 1", "committed", "\x02k\0", () => "k");
    time.clock({ name: "worker 2" }).kill();
  }
  assert.deepEqual(story, [
    { atMs: 0, actor: "worker 1", what: "committed", detail: "k" },
    { atMs: 0, actor: "worker 2", what: "killed", detail: "" },
  ]);
  assert.equal(silent.hash, heard.hash);
});
