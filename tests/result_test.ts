/**
 * Waiting for an outcome, where something comes between.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Kit, type KvPort, KvUnavailable, ResultGetTimedOut, TaskCancelled } from "../mod.ts";
import { openConnection } from "../src/store/connection.ts";
import { Stage } from "./worker/world.ts";

/** A database whose reads, once it is told so, wait for `answer`, which then says how they end. */
function withHeldReads(kv: KvPort): {
  kv: KvPort;
  hold(answer: Promise<never>): Promise<void>;
} {
  let held: Promise<never> | null = null;
  const asked = Promise.withResolvers<void>();
  const slow: KvPort = {
    get(key) {
      if (held === null) return kv.get(key);
      asked.resolve();
      return held;
    },
    getMany: (keys) => kv.getMany(keys),
    list: (selector, options) => kv.list(selector, options),
    atomic: () => kv.atomic(),
    watch: (keys, options) => kv.watch(keys, options),
    close: () => kv.close(),
  };
  return {
    kv: slow,
    hold(answer) {
      held = answer;
      return asked.promise;
    },
  };
}

test("get() whose read fails since the Kit closes rejects with KitClosed", async () => {
  const { kv } = await openConnection(":memory:");
  const slow = withHeldReads(kv);
  const kit = await Kit.open({ kv: slow.kv });
  const result = await kit.initiateTask("mail", "greet", "Ada");
  const answer = Promise.withResolvers<never>();
  const asked = slow.hold(answer.promise);
  const waiting = assert.rejects(result.get(), { name: "KitClosed", code: "KIT_CLOSED" });
  await asked;
  await kit.close();
  answer.reject(new Error("Database is closed."));
  await waiting;
  kv.close();
});

test("get() waits through a database that is away, and gets the result when it is back", async () => {
  await using stage = new Stage();
  const { kit, clock } = await stage.process(() => "done");
  const result = await kit.initiateTask("g", "n", null, { due: "10s" });
  await kit.startWorker(stage.worker);
  const waiting = result.get();
  stage.database.stop();
  clock.timer(50_000, () => stage.database.start());
  assert.equal(await waiting, "done");
});

test("get() waits through a read that fails once, and through one of a large result", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process(() => "x".repeat(200_000));
  const result = await kit.initiateTask("g", "n", null, { eager: true });
  kv.inject({ kind: "lostRequest" }, { on: "read" });
  kv.inject({ kind: "lostRequest" }, { on: "read", skip: 1 });
  assert.equal((await result.get() as string).length, 200_000);
});

test("get() without a timeout gives up when the database stays away for a minute", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  const waiting = result.get();
  await stage.sleep(100_000);
  stage.database.stop();
  const awayAt = stage.time.nowMs;
  await assert.rejects(waiting, (error) => {
    assert(error instanceof KvUnavailable);
    assert.match(error.message, /^Cannot read from the database: /);
    return true;
  });
  const tookMs = stage.time.nowMs - awayAt;
  assert(tookMs >= 55_000 && tookMs <= 75_000, `${tookMs} ms`);
  stage.database.start();
});

test("get() counts the time that the database is away anew whenever it was back", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  const waiting = result.get();
  for (let n = 0; n < 3; n++) {
    stage.database.stop();
    await stage.sleep(45_000);
    stage.database.start();
    await stage.sleep(5_000);
  }
  await kit.cancel(result.id);
  await assert.rejects(waiting, TaskCancelled);
});

test("get() of a database that is away ends by its timeout, which says why, or by its signal", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  const controller = new AbortController();
  const reason = new Error("enough");
  stage.database.stop();
  const signalled = assert.rejects(
    result.get({ signal: controller.signal, timeout: "1h" }),
    reason,
  );
  const startedAt = stage.time.nowMs;
  await assert.rejects(result.get({ timeout: "90s" }), (error) => {
    assert(error instanceof ResultGetTimedOut);
    assert(error.cause instanceof KvUnavailable);
    assert.equal(
      error.message,
      `Cannot get the result of task "${result.id}": the database could not be read when its timeout of 90000 ms was over`,
    );
    return true;
  });
  assert(Math.abs(stage.time.nowMs - startedAt - 90_000) < 2_000);
  stage.database.start();
  controller.abort(reason);
  await signalled;
});

test("get() of a database that does not answer ends soon after its timeout, and at once by its signal", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  kv.inject({ kind: "blackhole" }, { on: "read" });
  const startedAt = stage.time.nowMs;
  await assert.rejects(result.get({ timeout: "50ms" }), ResultGetTimedOut);
  assert.equal(stage.time.nowMs - startedAt, 1_000);

  kv.inject({ kind: "blackhole" }, { on: "read" });
  const controller = new AbortController();
  const reason = new Error("enough");
  const waiting = assert.rejects(result.get({ signal: controller.signal }), reason);
  await stage.sleep(50);
  const abortedAt = stage.time.nowMs;
  controller.abort(reason);
  await waiting;
  assert.equal(stage.time.nowMs, abortedAt);
});

test("get() does not try again what will not pass: a record of later code, a KV that was closed", async () => {
  const { kv } = await openConnection(":memory:");
  await using kit = await Kit.open({ kv });
  const { id } = await kit.initiateTask("mail", "greet", "Ada");
  await kv.atomic().set(["taskkit", "task", id], Uint8Array.of(99, 0)).commit();
  await assert.rejects(kit.getResult(id).get(), { code: "NEWER_VERSION" });
  kv.close();
  await assert.rejects(kit.getResult(id).get(), { code: "KV_UNAVAILABLE" });
});
