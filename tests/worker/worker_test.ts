import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DiscardTask,
  InvalidArgument,
  type Result,
  ResultGetPrevented,
  ResultGetTimedOut,
  TaskCancelled,
  TaskDiscarded,
  TaskFailed,
  TaskHandler,
  TaskNotFound,
  TaskTimedOut,
  WorkerStopping,
} from "../../mod.ts";
import { LeaseLost } from "../../src/core/errors.ts";
import { sleep } from "../../src/core/clock.ts";
import { interfered, isKind } from "../store/world.ts";
import { aborted, FunctionHandler, gate, Stage } from "./world.ts";

test("a task that is initiated runs, and its result is there for whoever asks, in any process", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process((task, _, handler) => 2 * handler.decodeData<number>(task));
  const client = await stage.process();
  await kit.startWorker(stage.worker);
  const result = await client.kit.initiateTask("g", "double", 21);
  assert.equal(await result.get({ timeout: "10s" }), 42);
  assert.equal(await kit.getResult(result.id).get(), 42);
  const task = await client.kit.getTask(result.id);
  assert.deepEqual([task.state, task.attempt, task.worker], ["succeeded", 1, null]);
  await stage.assertSound();
});

test("as many handlers run at once as a group allows, never more, and each group for itself", async () => {
  await using stage = new Stage();
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const { kit, clock } = await stage.process(async ({ group }) => {
    running.set(group, (running.get(group) ?? 0) + 1);
    most.set(group, Math.max(most.get(group) ?? 0, running.get(group) ?? 0));
    await sleep(clock, 20);
    running.set(group, (running.get(group) ?? 0) - 1);
  });
  await kit.startWorker({ ...stage.worker, groups: { a: 3, b: 7 } });
  const results = await kit.initiateTasks(
    Array.from({ length: 100 }, (_, n) => ({ group: n % 2 === 0 ? "a" : "b", name: "n" })),
  );
  await Promise.all(results.map((result) => result.get()));
  assert.deepEqual(Object.fromEntries(most), { a: 3, b: 7 });
});

test("quick handlers are claimed ahead, and still no more of them run at once", async () => {
  await using stage = new Stage();
  let running = 0;
  let most = 0;
  const { kit } = await stage.process(async () => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
  });
  await kit.startWorker({ ...stage.worker, groups: { g: 4 } });
  const results = await kit.initiateTasks(
    Array.from({ length: 1_000 }, () => ({ group: "g", name: "n" })),
  );
  await Promise.all(results.map((result) => result.get()));
  assert.equal(most, 4);
  await stage.assertSound();
});

test("a task starts at its due time, not before and not much later", async () => {
  await using stage = new Stage();
  const startedMs: number[] = [];
  const { kit, clock } = await stage.process(() => void startedMs.push(clock.now()));
  await kit.startWorker({ ...stage.worker, pollInterval: "1h" });
  const dueMs = clock.now() + 60_000;
  const result = await kit.initiateTask("g", "n", null, { due: new Date(dueMs) });
  await result.get();
  const [atMs = 0] = startedMs;
  assert(atMs >= dueMs && atMs < dueMs + 50, `${atMs - dueMs} ms late`);
});

test("an idle worker writes nothing but heartbeats", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => {});
  await kit.startWorker(stage.worker);
  await stage.sleep(1_000);
  const written = new Set<unknown>();
  stage.database.onCommit(({ changes }) => {
    for (const { key } of changes) written.add(key[1]);
  });
  await stage.sleep(60_000);
  assert.deepEqual(written, new Set(["worker"]));
});

test("a handler that throws is tried again when its rule says, with the error kept, until the rule ends it", async () => {
  await using stage = new Stage();
  const attempts: [number, number, number][] = [];
  const handler = new FunctionHandler((task, context) => {
    attempts.push([task.attempt, context.attempt, task.retryCount]);
    throw Object.assign(new TypeError(`no luck ${task.attempt}`), { code: "E_LUCK" });
  }, (task) => task.retryCount < 2 ? "1m" : null);
  const { kit, clock } = await stage.process(handler);
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await stage.until(async () => (await kit.getTask(result.id)).attempt === 1);
  await stage.until(async () => (await kit.getTask(result.id)).state === "queued");
  const waiting = await kit.getTask(result.id);
  assert.equal(waiting.error?.message, "no luck 1");
  assert(Math.abs(waiting.due.getTime() - clock.now() - 60_000) < 1_000);
  await assert.rejects(result.get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.deepEqual(
      [error.id, error.error.name, error.error.message, error.error.code],
      [result.id, "TypeError", "no luck 3", "E_LUCK"],
    );
    return true;
  });
  assert.deepEqual(attempts, [[1, 1, 0], [2, 2, 1], [3, 3, 2]]);
  await stage.assertSound();
});

test("a rule that throws, or says what is no interval, gives way to the default rule", async () => {
  await using stage = new Stage();
  for (
    const rule of [
      () => {
        throw new Error("rule");
      },
      () => Promise.reject(new Error("rule")),
      () => -5,
      () => "soon",
      () => undefined as unknown as null,
    ]
  ) {
    let runs = 0;
    const { kit } = await stage.process(
      new FunctionHandler(() => {
        if (++runs === 1) throw new Error("first");
        return "second";
      }, rule),
    );
    await using _worker = await kit.startWorker(stage.worker);
    const result = await kit.initiateTask("g", "n");
    assert.equal(await result.get(), "second");
  }
});

test("DiscardTask ends a task without retry, from the handler and from its rule", async () => {
  await using stage = new Stage();
  const handler = new FunctionHandler((task) => {
    if (task.name === "at once") throw new DiscardTask("not ours");
    throw new Error("no luck");
  }, () => {
    throw new DiscardTask("given up");
  });
  const { kit } = await stage.process(handler);
  await kit.startWorker(stage.worker);
  for (const [name, message] of [["at once", "not ours"], ["later", "given up"]] as const) {
    const result = await kit.initiateTask("g", name);
    await assert.rejects(result.get(), (error) => {
      assert(error instanceof TaskDiscarded);
      assert.deepEqual([error.error.message, error.error.code], [message, "DISCARD_TASK"]);
      return true;
    });
    assert.equal((await kit.getTask(result.id)).attempt, 1);
  }
});

test("a result that cannot be encoded fails the task with that reason, without another run", async () => {
  await using stage = new Stage();
  class Odd extends TaskHandler {
    override handle(task: { name: string }): unknown {
      if (task.name === "function") return () => {};
      if (task.name === "large") return new Uint8Array(1_048_576);
      return "odd";
    }
    override encodeResult(
      task: Parameters<TaskHandler["encodeResult"]>[0],
      result: unknown,
    ): Uint8Array {
      return result === "odd" ? "text" as unknown as Uint8Array : super.encodeResult(task, result);
    }
  }
  const { kit } = await stage.process(new Odd());
  await kit.startWorker(stage.worker);
  for (
    const [name, code] of [
      ["function", "INVALID_DATA"],
      ["large", "DATA_TOO_LARGE"],
      ["odd", "INVALID_DATA"],
    ] as const
  ) {
    const result = await kit.initiateTask("g", name);
    await assert.rejects(result.get(), (error) => {
      assert(error instanceof TaskFailed);
      assert.equal(error.error.code, code);
      return true;
    });
    assert.equal((await kit.getTask(result.id)).attempt, 1);
  }
});

test("a result of a megabyte comes back whole, and its chunks go with it", async () => {
  await using stage = new Stage();
  const large = new Uint8Array(1_048_575).fill(5);
  const { kit } = await stage.process(() => large);
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n", null, { ttl: "1m" });
  assert.deepEqual(await result.get(), large);
  await stage.sleep(4 * 3_600_000);
  const kinds = new Set(stage.database.entries().map(({ key }) => key[1]));
  assert.deepEqual([kinds.has("task"), kinds.has("data"), kinds.has("sweep")], [
    false,
    false,
    false,
  ]);
});

test("a large result waits for a database that is away: the work is not done again", async () => {
  await using stage = new Stage();
  let runs = 0;
  const { kit, kv } = await stage.process(() => {
    runs++;
    for (let n = 0; n < 8; n++) kv.inject({ kind: "diskFull" });
    return new Uint8Array(100_000).fill(3);
  });
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  assert.deepEqual(await result.get(), new Uint8Array(100_000).fill(3));
  assert.equal(runs, 1);
});

test("an attempt that takes too long is aborted with that reason, and retried by the handler's rule", async () => {
  await using stage = new Stage();
  const reasons: unknown[] = [];
  const asked: unknown[] = [];
  const handler = new FunctionHandler(async (_, { signal }) => {
    reasons.push(await aborted(signal));
    throw signal.reason;
  }, (task, error) => {
    asked.push(error);
    return task.retryCount === 0 ? 0 : null;
  });
  const { kit } = await stage.process(handler);
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n", null, { timeout: 500 });
  await assert.rejects(result.get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.equal(error.error.code, "TASK_TIMED_OUT");
    return true;
  });
  assert.equal(reasons.length, 2);
  for (const error of [...reasons, ...asked]) assert(error instanceof TaskTimedOut);
});

test("a handler that ignores its signal loses its slot a second later, and the worker goes on", async () => {
  await using stage = new Stage();
  const stuck = gate();
  const { kit } = await stage.process(
    new FunctionHandler((task) => task.name === "stuck" ? stuck.opened : "fine", () => null),
  );
  await kit.startWorker({ ...stage.worker, groups: { g: 1 } });
  const bad = await kit.initiateTask("g", "stuck", null, { timeout: "2s" });
  const good = await kit.initiateTask("g", "fine");
  assert.equal(await good.get({ timeout: "10s" }), "fine");
  await assert.rejects(bad.get(), TaskFailed);
  stuck.open();
  await stage.sleep(1_000);
  assert.equal((await kit.getTask(bad.id)).state, "failed");
});

test("a rule about retries that never answers holds no slot for ever", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(
    new FunctionHandler(async (task, { signal }) => {
      if (task.name === "fine") return "fine";
      await aborted(signal);
      await new Promise(() => {});
    }, () => new Promise(() => {})),
  );
  await kit.startWorker({ ...stage.worker, groups: { g: 1 } });
  await kit.initiateTask("g", "stuck", null, { timeout: "1s" });
  const good = await kit.initiateTask("g", "fine");
  assert.equal(await good.get({ timeout: "1m" }), "fine");
});

test("a timeout of the group counts for tasks that have none of their own", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(
    new FunctionHandler(async (_, { signal }) => {
      await aborted(signal);
      throw signal.reason;
    }, () => null),
  );
  await kit.startWorker({
    ...stage.worker,
    groups: { g: { concurrency: 2, timeout: "1s" } as never },
  });
  const group = await kit.initiateTask("g", "n");
  const own = await kit.initiateTask("g", "n", null, { timeout: "1h" });
  await assert.rejects(group.get(), TaskFailed);
  await assert.rejects(own.get({ timeout: "50m" }), ResultGetTimedOut);
  await assert.rejects(own.get(), TaskFailed);
});

test("a graceful stop lets what runs finish, gives back what is claimed ahead, and claims nothing more", async () => {
  await using stage = new Stage();
  const { kit, clock } = await stage.process(async (task) => {
    await sleep(clock, task.name === "slow" ? 10_000 : 1);
    return task.name;
  });
  const worker = await kit.startWorker({ ...stage.worker, groups: { g: 2 } });
  const slow = await kit.initiateTasks([{ group: "g", name: "slow" }, {
    group: "g",
    name: "slow",
  }]);
  await stage.until(() => stage.events("task.started").length === 2);
  const later = await kit.initiateTask("g", "later");
  await worker.stop();
  assert.deepEqual(await Promise.all(slow.map((result) => result.get())), ["slow", "slow"]);
  const left = await kit.getTask(later.id);
  assert.deepEqual([left.state, left.retryCount], ["queued", 0]);
  assert.deepEqual(await kit.getWorkers(), []);
  await stage.assertSound();
});

test("after the grace what runs is aborted and given back, and the attempt does not count", async () => {
  await using stage = new Stage();
  const reasons: unknown[] = [];
  const handler = new FunctionHandler(async (task, { signal }) => {
    if (task.attempt > 1) return `attempt ${task.attempt}, retry ${task.retryCount}`;
    reasons.push(await aborted(signal));
    if (task.name === "polite") throw signal.reason;
    await new Promise(() => {});
  }, () => {
    throw new Error("a release must not ask the rule");
  });
  const { kit } = await stage.process(handler);
  const worker = await kit.startWorker(stage.worker);
  const results = [await kit.initiateTask("g", "polite"), await kit.initiateTask("g", "rude")];
  await stage.until(() => stage.events("task.started").length === 2);
  const stoppedAt = stage.time.nowMs;
  await worker.stop({ grace: "5s" });
  const tookMs = stage.time.nowMs - stoppedAt;
  assert(tookMs >= 5_000 && tookMs < 7_000, `${tookMs}`);
  assert.equal(reasons.length, 2);
  for (const reason of reasons) assert(reason instanceof WorkerStopping);
  for (const { id } of results) {
    const task = await kit.getTask(id);
    assert.deepEqual([task.state, task.attempt, task.retryCount, task.error], [
      "queued",
      1,
      0,
      null,
    ]);
  }
  await stage.assertSound();
  await kit.startWorker(stage.worker);
  for (const result of results) assert.equal(await result.get(), "attempt 2, retry 0");
});

test("the grace runs while a claim hangs: what runs is told in time, and what the claim brings is given back", async () => {
  for (const graceMs of [3_000, 0]) {
    await using stage = new Stage();
    const claim = gate();
    const sent = gate();
    let isHanging = false;
    const told: number[] = [];
    const { kit } = await stage.process(async (_, { signal }) => {
      await aborted(signal);
      told.push(stage.time.nowMs);
      throw signal.reason;
    }, {
      around: (kv) =>
        interfered(kv, async (call, proceed) => {
          if (!isHanging || call.kind !== "commit") return proceed();
          if (!call.keys.some((key) => isKind(key, "lease"))) return proceed();
          isHanging = false;
          sent.open();
          await claim.opened;
          return proceed();
        }),
    });
    const worker = await kit.startWorker({ ...stage.worker, groups: { g: 2 } });
    const { id: runs } = await kit.initiateTask("g", "runs");
    await stage.until(() => stage.events("task.started").length === 1);
    isHanging = true;
    const { id: late } = await kit.initiateTask("g", "late");
    await sent.opened;
    const stoppedAt = stage.time.nowMs;
    const stopping = worker.stop({ grace: graceMs });
    await stage.sleep(graceMs + 100);
    assert.deepEqual(told.map((ms) => ms - stoppedAt), [graceMs]);
    claim.open();
    await stopping;
    for (const id of [runs, late]) {
      const { state, attempt, retryCount } = await kit.getTask(id);
      assert.deepEqual([state, attempt, retryCount], ["queued", 1, 0]);
    }
    assert.deepEqual(stage.events("task.started").length, 1);
    await stage.assertSound();
  }
});

test("a second stop without grace cuts the first one short", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(async (_, { signal }) => {
    await aborted(signal);
    throw signal.reason;
  });
  const worker = await kit.startWorker(stage.worker);
  await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  const stoppedAt = stage.time.nowMs;
  const stopping = worker.stop({ grace: "1h" });
  await stage.sleep(1_000);
  await worker.stop({ grace: 0 });
  await stopping;
  assert(stage.time.nowMs - stoppedAt < 4_000);
  assert.equal(await worker.finished, "stopped");
});

test("a stop while an outcome is refused by the handler's own check waits for what follows on that", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(
    new FunctionHandler(
      (_, context) =>
        context.complete("done", (atomic) => atomic.check(["k"], "00000000000000000000")),
      async () => {
        await sleep(stage.time.clock(), 2_000);
        return null;
      },
    ),
  );
  const worker = await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  await worker.stop();
  const task = await kit.getTask(result.id);
  assert.deepEqual([task.state, task.attempt, task.error?.code], ["failed", 1, "CONFLICT"]);
  await stage.assertSound();
});

test("a pause reaches workers of other processes: what runs goes on, nothing new starts, until it is taken back", async () => {
  await using stage = new Stage();
  const held = gate();
  const one = await stage.process(async (task) => {
    if (task.name === "held") await held.opened;
    return "done";
  });
  const two = await stage.process();
  await one.kit.startWorker({ ...stage.worker, groups: { g: 5, h: 5 } });
  const running = await one.kit.initiateTask("g", "held");
  await stage.until(() => stage.events("task.started").length === 1);
  await two.kit.pause(["g"]);
  await stage.sleep(10_000);
  const paused = await two.kit.initiateTask("g", "n");
  const other = await two.kit.initiateTask("h", "n");
  assert.equal(await other.get(), "done");
  await assert.rejects(paused.get({ timeout: "30s" }), ResultGetTimedOut);
  held.open();
  assert.equal(await running.get(), "done");
  assert.deepEqual((await two.kit.stats()).paused, ["g"]);
  await two.kit.resume(["g"]);
  assert.equal(await paused.get({ timeout: "10s" }), "done");
});

test("a pause of all, and a worker that starts while it lasts", async () => {
  await using stage = new Stage();
  const one = await stage.process(() => "done");
  await one.kit.pause();
  await one.kit.startWorker(stage.worker);
  const result = await one.kit.initiateTask("g", "n");
  await assert.rejects(result.get({ timeout: "1m" }), ResultGetTimedOut);
  await one.kit.resume();
  assert.equal(await result.get({ timeout: "10s" }), "done");
});

test("a shutdown stops the workers that run now, wherever they are, and none that starts later", async () => {
  await using stage = new Stage();
  const one = await stage.process(() => "done");
  const two = await stage.process(() => "done");
  const workers = [
    await one.kit.startWorker(stage.worker),
    await two.kit.startWorker(stage.worker),
  ];
  await stage.process().then(({ kit }) => kit.shutdown());
  assert.deepEqual(await Promise.all(workers.map(({ finished }) => finished)), [
    "shutdown",
    "shutdown",
  ]);
  await two.kit.startWorker(stage.worker);
  assert.equal(await (await one.kit.initiateTask("g", "n")).get(), "done");
});

test("a shutdown of some groups ends the work on them, and the worker once none is left", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => "done");
  const worker = await kit.startWorker({ ...stage.worker, groups: { constructor: 1, h: 1 } });
  await kit.shutdown(["constructor"]);
  await stage.sleep(10_000);
  const shut = await kit.initiateTask("constructor", "n");
  assert.equal(await (await kit.initiateTask("h", "n")).get(), "done");
  await assert.rejects(shut.get({ timeout: "30s" }), ResultGetTimedOut);
  await kit.resume();
  await assert.rejects(shut.get({ timeout: "30s" }), ResultGetTimedOut);
  await kit.shutdown(["h"]);
  assert.equal(await worker.finished, "shutdown");
});

test("a damaged control record stops no worker from starting or going on", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process(() => "done");
  await kv.atomic().set(["taskkit", "control"], Uint8Array.of(1, 2, 3)).commit();
  await kit.startWorker(stage.worker);
  assert.equal(await (await kit.initiateTask("g", "n")).get(), "done");
});

test("cancel reaches a handler that runs in another process, soon; no new attempt starts", async () => {
  await using stage = new Stage();
  const reasons: unknown[] = [];
  let runs = 0;
  const one = await stage.process(async (_, { signal }) => {
    runs++;
    reasons.push(await aborted(signal));
    throw signal.reason;
  });
  const two = await stage.process();
  await one.kit.startWorker(stage.worker);
  const result = await two.kit.initiateTask("g", "n");
  await stage.until(() => runs === 1);
  const cancelledAt = stage.time.nowMs;
  assert.equal(await two.kit.cancel(result.id), "requested");
  await assert.rejects(
    result.get(),
    (error) => error instanceof TaskCancelled && error.id === result.id,
  );
  assert(stage.time.nowMs - cancelledAt < 1_000);
  assert(reasons[0] instanceof TaskCancelled);
  assert.equal(await two.kit.cancel(result.id), "cancelled");
  await stage.sleep(60_000);
  assert.equal(runs, 1);
  await stage.assertSound();
});

test("a cancelled handler that ends well all the same has succeeded", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(async (_, { signal }) => {
    await aborted(signal);
    return "done";
  });
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  await kit.cancel(result.id);
  assert.equal(await result.get(), "done");
});

test("a cancelled handler that ignores its signal is cancelled all the same", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => new Promise(() => {}));
  await kit.startWorker({ ...stage.worker, groups: { g: 1 } });
  const result = await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  await kit.cancel(result.id);
  await assert.rejects(result.get({ timeout: "10s" }), TaskCancelled);
});

test("a failed task is started anew by hand, with all its retries before it", async () => {
  await using stage = new Stage();
  let isBroken = true;
  const retries: number[] = [];
  const { kit } = await stage.process(
    new FunctionHandler((task) => {
      retries.push(task.retryCount);
      if (isBroken) throw new Error("broken");
      return "mended";
    }, ({ retryCount }) => retryCount < 1 ? 10 : null),
  );
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await assert.rejects(result.get(), TaskFailed);
  isBroken = false;
  await kit.retry(result.id);
  assert.equal(await result.get(), "mended");
  assert.deepEqual(retries, [0, 1, 0]);
});

test(
  "when a worker dies another one finishes its tasks within half a minute, in attempts of their own",
  async () => {
    await using stage = new Stage();
    const runs: [string, number][] = [];
    const started = gate();
    const dying = await stage.process(async (task) => {
      runs.push(["dying", task.attempt]);
      started.open();
      await new Promise(() => {});
    });
    const living = await stage.process((task) => {
      runs.push(["living", task.attempt]);
      return "done";
    });
    await dying.kit.startWorker(stage.worker);
    const result = await living.kit.initiateTask("g", "n");
    await started.opened;
    await living.kit.startWorker(stage.worker);
    dying.clock.kill();
    const diedAt = stage.time.nowMs;
    assert.equal(await result.get(), "done");
    assert(stage.time.nowMs - diedAt < 30_000);
    assert.deepEqual(runs, [["dying", 1], ["living", 2]]);
    assert.equal((await living.kit.getTask(result.id)).retryCount, 1);
    await stage.until(async () => (await living.kit.getWorkers()).length === 1);
    await stage.assertSound();
  },
);

test("a worker that was suspended beyond its lease finds its signal aborted and its outcome refused, and goes on", async () => {
  await using stage = new Stage();
  const reasons: unknown[] = [];
  const started = gate();
  const sleepy = await stage.process(async (task, { signal }) => {
    if (task.name === "next") return "sleepy goes on";
    started.open();
    reasons.push(await aborted(signal));
    return "stale";
  });
  const other = await stage.process((task) => `other, attempt ${task.attempt}`);
  const worker = await sleepy.kit.startWorker(stage.worker);
  const { id } = worker;
  const result = await other.kit.initiateTask("g", "n");
  await started.opened;
  const rescuer = await other.kit.startWorker(stage.worker);
  sleepy.clock.pause();
  assert.equal(await result.get(), "other, attempt 2");
  await rescuer.stop();
  sleepy.clock.resume();
  assert.equal(await (await other.kit.initiateTask("g", "next")).get(), "sleepy goes on");
  assert(reasons[0] instanceof LeaseLost);
  assert.notEqual(worker.id, id);
  assert.equal(await result.get(), "other, attempt 2");
  await stage.assertSound();
});

test("a claim whose answer never came is given back by the worker itself, without blame", async () => {
  await using stage = new Stage({ dialect: "npm" });
  let awayUntilMs: number | null = null;
  const { kit } = await stage.process(
    (task) => `attempt ${task.attempt}, retry ${task.retryCount}`,
    {
      around: (kv) =>
        interfered(kv, async (call, proceed) => {
          const isLease = call.keys.some((key) => isKind(key, "lease"));
          const isAway = awayUntilMs !== null && stage.time.nowMs < awayUntilMs;
          if (isLease && isAway && call.kind === "get") throw new Error("away");
          const answer = await proceed();
          if (call.kind !== "commit" || !isLease || awayUntilMs !== null) return answer;
          awayUntilMs = stage.time.nowMs + 20_000;
          throw new Error("the connection broke");
        }),
    },
  );
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  assert.equal(await result.get({ timeout: "5m" }), "attempt 2, retry 0");
  await stage.assertSound();
});

test("progress is kept at most once a second, the last one too, and nothing after the end", async () => {
  await using stage = new Stage();
  const next = gate();
  let late = (): void => {};
  const { kit, clock } = await stage.process(async (_, context) => {
    context.progress(0.1, "begun");
    context.progress(0.2);
    context.progress(0.9, "nearly");
    late = () => context.progress(1, "too late");
    await next.opened;
    await sleep(clock, 5_000);
  });
  let writes = 0;
  stage.database.onCommit(({ changes }) => {
    if (changes.some(({ key }) => key[1] === "progress")) writes++;
  });
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await stage.until(async () => (await kit.getTask(result.id)).progress?.fraction === 0.1);
  assert.deepEqual((await kit.getTask(result.id)).progress, {
    fraction: 0.1,
    message: "begun",
    attempt: 1,
  });
  await stage.sleep(3_000);
  assert.deepEqual((await kit.getTask(result.id)).progress, {
    fraction: 0.9,
    message: "nearly",
    attempt: 1,
  });
  assert.equal(writes, 2);
  next.open();
  await result.get();
  late();
  await stage.sleep(5_000);
  assert.equal(writes, 2);
  assert.equal((await kit.getTask(result.id)).progress, null);
});

test("progress that makes no sense is told to the handler, endless text is cut", async () => {
  await using stage = new Stage();
  const refused: unknown[] = [];
  const { kit, clock } = await stage.process(async (_, context) => {
    for (const bad of [-0.1, 1.1, NaN, "half" as never]) {
      try {
        context.progress(bad);
      } catch (error) {
        refused.push(error);
      }
    }
    context.progress(0.5, `${"x".repeat(100_000)}\ud800`);
    await sleep(clock, 5_000);
  });
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await stage.until(async () => (await kit.getTask(result.id)).progress !== null);
  assert.equal((await kit.getTask(result.id)).progress?.message.length, 2_000);
  assert.equal(refused.length, 4);
  for (const error of refused) assert(error instanceof InvalidArgument);
  await result.get();
});

test("what a handler logs comes out with its task, from the level on that is asked for", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process((_, { log }) => {
    log.debug("small");
    log.info("hello", { n: 1 });
    log.error("bad");
  });
  await kit.startWorker({ ...stage.worker, logLevel: "info" });
  const result = await kit.initiateTask("g", "greet");
  await result.get();
  const told = stage.log.filter(({ event }) => event === "task.log");
  assert.deepEqual(
    told.map((
      { level, message, fields, task, group, name, attempt },
    ) => [level, message, fields, task, group, name, attempt]),
    [
      ["info", "hello", { n: 1 }, result.id, "g", "greet", 1],
      ["error", "bad", {}, result.id, "g", "greet", 1],
    ],
  );
});

test("a log that throws, or rejects, stops nothing", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => "done");
  for (
    const log of [
      () => {
        throw new Error("log");
      },
      () => Promise.reject(new Error("log")),
    ]
  ) {
    await using _worker = await kit.startWorker({ ...stage.worker, log });
    assert.equal(await (await kit.initiateTask("g", "n")).get(), "done");
  }
});

test("get() is prevented inside a handler, however deep, unless it is asked for", async () => {
  await using stage = new Stage();
  const errors: unknown[] = [];
  const { kit } = await stage.process(async (task, _context) => {
    if (task.name === "inner") return "inner";
    const inner = await kit.initiateTask("g", "inner");
    await Promise.all([
      inner.get().catch((error) => errors.push(error)),
      (async () => {
        await new Promise<void>((resolve) => stage.time.schedule(5, resolve));
        await kit.getResult(inner.id).get({ timeout: 0 }).catch((error) => errors.push(error));
      })(),
    ]);
    return await inner.get({ allowInHandler: true, timeout: "10s" });
  });
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "outer");
  assert.equal(await result.get(), "inner");
  assert.equal(errors.length, 2);
  for (const error of errors) assert(error instanceof ResultGetPrevented);
});

test("get() ends by its timeout, its signal, or because there is no such task", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  await assert.rejects(result.get({ timeout: 0 }), ResultGetTimedOut);
  const startedAt = stage.time.nowMs;
  await assert.rejects(result.get({ timeout: "90s" }), ResultGetTimedOut);
  assert(Math.abs(stage.time.nowMs - startedAt - 90_000) < 100);
  const controller = new AbortController();
  const reason = new Error("enough");
  const waiting = result.get({ signal: controller.signal });
  await stage.sleep(100);
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(result.get({ signal: controller.signal }), reason);
  const nobody = kit.getResult("019b796d-d600-7000-8000-078eee237ce0");
  await assert.rejects(nobody.get(), TaskNotFound);
});

test("a result is there until its ttl is over, and not after that", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => "done");
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n", null, { ttl: "1h" });
  assert.equal(await result.get(), "done");
  await stage.sleep(3_500_000);
  assert.equal(await result.get(), "done");
  await stage.sleep(101_000);
  await assert.rejects(result.get(), TaskNotFound);
});

test("context.complete commits the handler's writes with the outcome, once", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process((task, context) => {
    const value = context.complete(`sent ${task.attempt}`, (atomic) => {
      atomic.check(["mail", task.id], null).set(["mail", task.id], task.attempt).delete(["draft"]);
    });
    assert.throws(() => context.complete("again"), InvalidArgument);
    return value;
  });
  await kv.atomic().set(["draft"], "x").commit();
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  assert.equal(await result.get(), "sent 1");
  assert.equal((await kv.get(["mail", result.id])).value, 1);
  assert.equal((await kv.get(["draft"])).versionstamp, null);
});

test("what is completed counts, whatever the handler returns or throws after it", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process((_, context) => {
    context.complete("completed");
    return "returned";
  });
  await kit.startWorker(stage.worker);
  assert.equal(await (await kit.initiateTask("g", "n")).get(), "completed");
});

test("the handler's writes are refused with its outcome when its check fails, and its rule is asked", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process(
    new FunctionHandler((task, context) => {
      return context.complete("done", (atomic) => {
        atomic.check(["lock"], null).set(["mail", task.id], task.attempt);
      });
    }, (task) => task.retryCount < 1 ? 0 : null),
  );
  await kv.atomic().set(["lock"], 1).commit();
  await kit.startWorker(stage.worker);
  const result = await kit.initiateTask("g", "n");
  await assert.rejects(result.get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.equal(error.error.code, "CONFLICT");
    return true;
  });
  assert.equal((await kv.get(["mail", result.id])).versionstamp, null);
  assert.equal((await kit.getTask(result.id)).attempt, 2);
});

test("a handler that completes with a key of Taskkit's own fails, and says why", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process((_, context) =>
    context.complete("done", (atomic) => void atomic.set(["taskkit", "task", "x"], 1))
  );
  await kit.startWorker(stage.worker);
  await assert.rejects((await kit.initiateTask("g", "n")).get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.match(error.error.message, /below Taskkit's own prefix/);
    return true;
  });
});

test("writes of an attempt that was rescued never exist", async () => {
  await using stage = new Stage();
  const started = gate();
  const sleepy = await stage.process(async (task, context) => {
    if (task.attempt === 1) {
      started.open();
      await aborted(context.signal);
    }
    return context.complete(
      task.attempt,
      (atomic) => void atomic.set(["by", `${task.attempt}`], true),
    );
  });
  const other = await stage.process((task, context) =>
    context.complete(task.attempt, (atomic) => void atomic.set(["by", `${task.attempt}`], true))
  );
  await sleepy.kit.startWorker(stage.worker);
  const result: Result = await other.kit.initiateTask("g", "n");
  await started.opened;
  await other.kit.startWorker(stage.worker);
  sleepy.clock.pause();
  assert.equal(await result.get(), 2);
  sleepy.clock.resume();
  await stage.sleep(30_000);
  const written = stage.database.entries(["by"]).map(({ key }) => key[1]);
  assert.deepEqual(written, ["2"]);
});

test("data that is missing fails the task with that reason", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process(() => "done");
  const result = await kit.initiateTask("g", "n", new Uint8Array(100_000));
  await kv.atomic().delete(["taskkit", "data", result.id, 0, 1]).commit();
  await kit.startWorker(stage.worker);
  await assert.rejects(result.get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.equal(error.error.code, "CORRUPT_RECORD");
    return true;
  });
});

test("a lease that is damaged holds up no other task of its worker", async () => {
  await using stage = new Stage();
  const held = gate();
  const { kit, kv } = await stage.process(async (task) => {
    if (task.name === "held") await held.opened;
    return "done";
  });
  await kit.startWorker(stage.worker);
  const one = await kit.initiateTask("g", "held");
  await stage.until(() => stage.events("task.started").length === 1);
  const [lease] = stage.database.entries(["taskkit", "lease"]);
  assert(lease !== undefined);
  await kv.atomic().set(lease.key, Uint8Array.of(1, 2, 3)).commit();
  const other = await kit.initiateTask("g", "n");
  held.open();
  assert.equal(await other.get({ timeout: "30s" }), "done");
  assert.equal(await one.get({ timeout: "5m" }), "done");
});
