import assert from "node:assert/strict";
import { test } from "node:test";
import { AHEAD_PATIENCE_MS } from "../../src/core/limits.ts";
import type { TaskRecord } from "../../src/core/task.ts";
import type { HeldLease } from "../../src/store/claim.ts";
import { enqueue } from "../../src/store/enqueue.ts";
import type { KvPort } from "../../src/store/port.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { Claimer, type ClaimerHost } from "../../src/worker/claimer.ts";
import { draft, type DraftOptions, interfered, storeOn } from "../store/world.ts";

/** A claimer with a worker that a test plays: it says how long handlers take, and sees what is claimed and given back. */
function stage(
  options: { concurrency?: number; pollMs?: number; around?: (kv: KvPort) => KvPort } = {},
) {
  const time = new VirtualTime();
  const database = new SimDatabase({ time, faults: CALM });
  const kv = database.connect();
  const clock = time.clock();
  const store = storeOn(options.around?.(kv) ?? kv, { clock, seed: "claimer" });
  const seen = {
    batches: [] as number[],
    started: [] as string[],
    startedAt: [] as number[],
    givenBack: [] as string[],
    troubles: [] as number[],
    lists: 0,
    running: 0,
    most: 0,
  };
  let handlerMs = 10;
  let mayClaim = true;
  const host: ClaimerHost = {
    id: () => "w",
    mayClaim: () => mayClaim,
    window: () => ({ rank: 0, of: 1 }),
    claiming: new Set(),
    onClaimed: (lease: HeldLease) => void seen.batches.push(lease.tasks.size),
    async run(_: HeldLease, record: TaskRecord) {
      seen.started.push(record.id);
      seen.startedAt.push(clock.monotonic());
      seen.most = Math.max(seen.most, ++seen.running);
      await new Promise<void>((resolve) => clock.timer(handlerMs, resolve));
      seen.running--;
    },
    giveBack: (_, record) => void seen.givenBack.push(record.id),
    onTrouble: () => void seen.troubles.push(clock.monotonic()),
  };
  const { concurrency = 4, pollMs = 60_000 } = options;
  const claimer = new Claimer(store, host, "g", { concurrency, pollMs });
  const driver = time.drive();
  return {
    time,
    clock,
    store,
    seen,
    claimer,
    setHandlerMs: (ms: number) => void (handlerMs = ms),
    setMayClaim: (may: boolean) => void (mayClaim = may),
    initiate: (count: number, more: DraftOptions = {}) =>
      enqueue(store, Array.from({ length: count }, () => draft(store, more))),
    sleep: (ms: number) => new Promise<void>((resolve) => clock.timer(ms, resolve)),
    async [Symbol.asyncDispose]() {
      await claimer.stop();
      while (seen.running > 0) await new Promise<void>((resolve) => clock.timer(1, resolve));
      driver[Symbol.dispose]();
      assert.equal(time.pending, 0, "nothing of the claimer waits any more");
      assert.equal(host.claiming.size, 0);
    },
  };
}

test("an idle claimer looks once a poll, and at once when it is woken", async () => {
  let lists = 0;
  await using world = stage({
    pollMs: 1_000,
    around: (kv) =>
      interfered(kv, (call, proceed) => {
        if (call.kind === "list") lists++;
        return proceed();
      }),
  });
  world.claimer.start();
  await world.sleep(10_500);
  assert(lists >= 10 && lists <= 12, `${lists} looks in 10 polls`);
  await world.initiate(1);
  const wokenAt = world.clock.monotonic();
  world.claimer.wake();
  await world.sleep(50);
  assert.equal(world.seen.started.length, 1);
  assert((world.seen.startedAt[0] ?? 0) - wokenAt < 20);
});

test("slots are filled in one claim, and a slot that becomes free is filled at once", async () => {
  await using world = stage();
  await world.initiate(6);
  world.setHandlerMs(1_000);
  world.claimer.start();
  await world.sleep(100);
  assert.deepEqual([world.seen.batches, world.seen.running], [[4], 4]);
  await world.sleep(1_000);
  assert.deepEqual([world.seen.started.length, world.seen.most], [6, 4]);
});

test("quick handlers get large batches", async () => {
  await using world = stage({ concurrency: 10 });
  await world.initiate(1_000);
  world.setHandlerMs(1);
  world.claimer.start();
  await world.sleep(2_000);
  assert.equal(world.seen.started.length, 1_000);
  assert.equal(world.seen.most, 10);
  assert(world.seen.batches.length < 60, `${world.seen.batches.length} claims for 1,000 tasks`);
});

test("what was claimed ahead does not wait behind handlers that take long after all", async () => {
  await using world = stage({ concurrency: 2 });
  await world.initiate(500);
  world.setHandlerMs(1);
  world.claimer.start();
  await world.sleep(100);
  world.setHandlerMs(60_000);
  await world.sleep(3 * AHEAD_PATIENCE_MS);
  assert(world.seen.givenBack.length > 0, "something was claimed ahead, and given back");
  const given = world.seen.givenBack.length;
  await world.sleep(10_000);
  assert.equal(world.seen.givenBack.length, given, "nothing is claimed ahead again");
  assert.equal(world.seen.running, 2);
});

test("a pause gives back what is not started, and a claim that is under way too", async () => {
  await using world = stage({ concurrency: 2 });
  await world.initiate(300);
  world.setHandlerMs(1);
  world.claimer.start();
  await world.sleep(50);
  world.claimer.pause(true);
  const started = world.seen.started.length;
  await world.sleep(5_000);
  assert.equal(world.seen.started.length, started);
  const claimed = world.seen.batches.reduce((sum, size) => sum + size, 0);
  assert.equal(world.seen.givenBack.length, claimed - started);
  // What was given back is its worker's to settle; here it stays claimed, and the rest is gone on with.
  world.claimer.pause(false);
  await world.sleep(5_000);
  assert.equal(world.seen.started.length + world.seen.givenBack.length, 300);
});

test("a claimer that may not claim waits, and goes on when it is woken", async () => {
  await using world = stage();
  world.setMayClaim(false);
  await world.initiate(1);
  world.claimer.start();
  await world.sleep(1_000);
  assert.deepEqual(world.seen.batches, []);
  world.setMayClaim(true);
  world.claimer.wake();
  await world.sleep(100);
  assert.deepEqual(world.seen.batches, [1]);
});

test("trouble with the database is told, and tried again after pauses that grow to seconds", async () => {
  let isAway = true;
  await using world = stage({
    around: (kv) =>
      interfered(
        kv,
        (call, proceed) =>
          isAway && call.kind === "list" ? Promise.reject(new Error("away")) : proceed(),
      ),
  });
  await world.initiate(1);
  world.claimer.start();
  await world.sleep(30_000);
  const { troubles } = world.seen;
  assert(troubles.length >= 10 && troubles.length < 40, `${troubles.length} tries in 30 s`);
  isAway = false;
  await world.sleep(4_000);
  assert.equal(world.seen.started.length, 1);
});

test("a task that is due later is claimed at its time, whatever the poll", async () => {
  await using world = stage({ pollMs: 3_600_000 });
  await world.initiate(1, { dueMs: world.clock.now() + 30_000 });
  world.claimer.start();
  await world.sleep(29_900);
  assert.equal(world.seen.started.length, 0);
  await world.sleep(200);
  assert.equal(world.seen.started.length, 1);
});

test("stop() ends the loop while a claim is under way, and gives back what it brings", async () => {
  const held = Promise.withResolvers<void>();
  let isHeld = false;
  await using world = stage({
    around: (kv) =>
      interfered(kv, async (call, proceed) => {
        const answer = await proceed();
        if (call.kind === "commit" && isHeld) await held.promise;
        return answer;
      }),
  });
  await world.initiate(3);
  isHeld = true;
  world.claimer.start();
  await world.sleep(100);
  const stopping = world.claimer.stop();
  held.resolve();
  await stopping;
  assert.deepEqual([world.seen.started.length, world.seen.givenBack.length], [0, 3]);
});
