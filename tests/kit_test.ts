import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Conflict,
  DiscardTask,
  Kit,
  KitClosed,
  OutcomeUnknown,
  TaskDiscarded,
  TaskFailed,
  TaskHandler,
} from "../mod.ts";
import { sleep } from "../src/core/clock.ts";
import { INSTANT } from "../src/testing/sim_faults.ts";
import { interfered, isKind } from "./store/world.ts";
import { aborted, FunctionHandler, gate, Stage } from "./worker/world.ts";

const DAY = 86_400_000;

test("a task that is initiated has the defaults, or what it is given", async () => {
  await using stage = new Stage();
  const { kit, clock } = await stage.process();
  const nowMs = clock.now();
  const plain = await kit.initiateTask("g", "n", { x: 1 });
  const task = await kit.getTask(plain.id);
  assert.deepEqual({ ...task, created: null, due: null }, {
    id: plain.id,
    group: "g",
    name: "n",
    state: "queued",
    priority: 5,
    due: null,
    created: null,
    started: null,
    ended: null,
    expires: null,
    scheduled: null,
    attempt: 0,
    retryCount: 0,
    ttl: 7 * DAY,
    timeout: null,
    unique: null,
    worker: null,
    error: null,
    progress: null,
  });
  assert.deepEqual(task.due, task.created);
  assert.deepEqual(await kit.getTaskData(plain.id), { x: 1 });

  const due = new Date(nowMs + 50 * 365 * DAY);
  const given = await kit.initiateTask("g", "n", undefined, {
    due,
    ttl: "2w",
    priority: 0,
    timeout: "90s",
    unique: "u",
    eager: false,
  });
  const { due: givenDue, ttl, priority, timeout, unique } = await kit.getTask(given.id);
  assert.deepEqual([givenDue, ttl, priority, timeout, unique], [due, 14 * DAY, 0, 90_000, "u"]);
  assert.equal(await kit.getTaskData(given.id), undefined);
});

test("due is a date, milliseconds, or a time from now; zero and the past are due at once", async () => {
  await using stage = new Stage();
  const { kit, clock } = await stage.process(() => "done");
  await kit.startWorker(stage.worker);
  for (const due of [0, -0, new Date(0), clock.now() - DAY, "0s"]) {
    const result = await kit.initiateTask("g", "n", null, { due });
    assert.equal(await result.get({ timeout: "1m" }), "done", String(due));
  }
  const later = await kit.initiateTask("g", "n", null, { due: "10s" });
  assert(Math.abs((await kit.getTask(later.id)).due.getTime() - clock.now() - 10_000) < 100);
  const none = await kit.initiateTask("g", "n", null, { priority: -0 });
  assert.equal(await none.get({ timeout: "1m" }), "done");
  await stage.assertSound();
});

test("a hundred thousand tasks are initiated in one call, and all of them are there", async () => {
  await using stage = new Stage({ faults: INSTANT });
  const { kit } = await stage.process();
  const results = await kit.initiateTasks(
    Array.from({ length: 100_000 }, (_, n) => ({ group: "g", name: "n", data: n })),
  );
  const { groups } = await kit.stats();
  assert.equal(groups.g?.queued, 100_000);
  assert.equal(new Set(results.map(({ id }) => id)).size, 100_000);
  assert.equal(await kit.getTaskData(results[77_777]?.id ?? ""), 77_777);
});

test("data of a megabyte comes back whole, and one byte more is refused", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process((task, _, handler) => handler.decodeData(task));
  await kit.startWorker(stage.worker);
  // The default codec puts a byte in front that says what it is.
  const largest = new Uint8Array(1_048_575).fill(7);
  assert.deepEqual(await (await kit.initiateTask("g", "n", largest)).get(), largest);
  await assert.rejects(kit.initiateTask("g", "n", new Uint8Array(1_048_576)), {
    code: "DATA_TOO_LARGE",
  });
  await stage.assertSound();
});

test("eager runs at once in the caller, and stores the outcome as if a worker had", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process((task, context) => {
    if (task.name === "discard") throw new DiscardTask("not ours");
    if (task.name === "fail") throw new Error("no luck");
    if (task.name === "large") return new Uint8Array(500_000).fill(1);
    return context.complete(`done, attempt ${task.attempt}`, (atomic) => {
      if (task.name === "write") atomic.set(["mail"], "sent");
      if (task.name === "refused") atomic.check(["mail"], null).set(["mail"], "again");
    });
  });
  const result = await kit.initiateTask("g", "n", new Uint8Array(500_000), { eager: true });
  assert.equal(await result.get(), "done, attempt 1");
  const task = await kit.getTask(result.id);
  assert.deepEqual([task.state, task.attempt, task.worker], ["succeeded", 1, null]);
  assert.deepEqual(await kit.getTaskData(result.id), new Uint8Array(500_000));
  const large = await kit.initiateTask("g", "large", null, { eager: true });
  assert.deepEqual(await large.get(), new Uint8Array(500_000).fill(1));
  const discarded = await kit.initiateTask("g", "discard", null, { eager: true });
  await assert.rejects(discarded.get(), TaskDiscarded);
  await kit.initiateTask("g", "write", null, { eager: true });
  assert.equal((await kv.get(["mail"])).value, "sent");
  await assert.rejects(kit.initiateTask("g", "refused", null, { eager: true }), Conflict);
  assert.equal((await kv.get(["mail"])).value, "sent");
  assert.equal((await kit.listTasks()).tasks.length, 4);
  await stage.assertSound();
});

test("an eager task that is to be retried waits for a worker", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(
    new FunctionHandler((task) => {
      if (task.attempt === 1) throw new Error("no luck");
      return `attempt ${task.attempt}, retry ${task.retryCount}`;
    }, () => "1m"),
  );
  const result = await kit.initiateTask("g", "n", { x: 1 }, { eager: true });
  const { state, error } = await kit.getTask(result.id);
  assert.deepEqual([state, error?.message], ["queued", "no luck"]);
  await kit.startWorker(stage.worker);
  assert.equal(await result.get(), "attempt 2, retry 1");
  await stage.assertSound();
});

test("an eager task has its own timeout", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(
    new FunctionHandler(async (_, { signal }) => {
      await aborted(signal);
      throw signal.reason;
    }, () => null),
  );
  const result = await kit.initiateTask("g", "n", null, { eager: true, timeout: "2s" });
  await assert.rejects(result.get(), (error) => {
    assert(error instanceof TaskFailed);
    assert.equal(error.error.code, "TASK_TIMED_OUT");
    return true;
  });
});

test("atomic() writes the user's data and tasks together, or neither", async () => {
  await using stage = new Stage();
  const { kit, kv } = await stage.process(() => "done");
  const committed = await kit.atomic()
    .check(["order", 7], null)
    .set(["order", 7], { total: 12 })
    .delete(["cart", 7])
    .initiateTask("g", "receipt", { id: 7 })
    .initiateTask("g", "pack", { id: 7 }, { due: "1h" })
    .commit();
  assert(committed.ok);
  assert.deepEqual((await kv.get(["order", 7])).value, { total: 12 });
  const states = await Promise.all(committed.results.map(({ id }) => kit.getTask(id)));
  assert.deepEqual(states.map(({ name, state }) => [name, state]), [
    ["receipt", "queued"],
    ["pack", "queued"],
  ]);
  const again = await kit.atomic()
    .check(["order", 7], null)
    .set(["order", 7], { total: 13 })
    .initiateTask("g", "receipt", { id: 7 })
    .commit();
  assert.deepEqual(again, { ok: false });
  assert.deepEqual((await kv.get(["order", 7])).value, { total: 12 });
  assert.equal((await kit.listTasks()).tasks.length, 2);
});

test("atomic() says that it does not know when nobody tells it", async () => {
  await using stage = new Stage({ dialect: "npm" });
  const { kit } = await stage.process(undefined, {
    around: (kv) =>
      interfered(
        kv,
        (call, proceed) =>
          call.kind === "commit" && call.keys.some((key) => isKind(key, "task"))
            ? Promise.reject(new Error("reset"))
            : proceed(),
      ),
  });
  await assert.rejects(kit.atomic().initiateTask("g", "n").commit(), OutcomeUnknown);
});

test("lists, numbers and workers look without touching", async () => {
  await using stage = new Stage();
  const held = gate();
  const { kit, kv } = await stage.process(async (task) => {
    if (task.name === "held") await held.opened;
    return "done";
  });
  await kit.startWorker({ ...stage.worker, groups: { g: 3 } });
  await kit.initiateTask("g", "held");
  await (await kit.initiateTask("g", "quick")).get();
  await kit.initiateTask("h", "waits");
  await stage.until(() => stage.events("task.started").length === 2);
  const before = (await kv.get(["taskkit", "control"])).versionstamp;
  const { tasks, cursor } = await kit.listTasks();
  assert.deepEqual(tasks.map(({ name, state }) => [name, state]), [
    ["waits", "queued"],
    ["quick", "succeeded"],
    ["held", "running"],
  ]);
  assert.equal(cursor, null);
  const [worker] = await kit.getWorkers();
  assert.equal(tasks[2]?.worker, worker?.id);
  assert.deepEqual(worker?.groups, { g: 3 });
  const { groups } = await kit.stats();
  assert.deepEqual([groups.g?.running, groups.g?.succeeded, groups.h?.queued], [1, 1, 1]);
  assert.equal((await kv.get(["taskkit", "control"])).versionstamp, before);
  held.open();
});

test("Kits with different prefixes on one database share nothing", async () => {
  await using stage = new Stage();
  const kv = stage.database.connect();
  await using one = await Kit.open({ kv, prefix: ["app", "one"] });
  await using two = await Kit.open({
    kv,
    prefix: ["app", "two"],
    handler: new FunctionHandler(() => "two"),
  });
  const result = await one.initiateTask("g", "n");
  await one.pause();
  await using _worker = await two.startWorker({ groups: { g: 1 } });
  assert.equal((await two.listTasks()).tasks.length, 0);
  assert.equal(await (await two.initiateTask("g", "n")).get(), "two");
  assert.equal((await one.getTask(result.id)).state, "queued");
});

test("a handler's own codec is used on both sides", async () => {
  await using stage = new Stage();
  class Json extends TaskHandler {
    override handle(task: Parameters<TaskHandler["handle"]>[0]): unknown {
      return { got: this.decodeData(task) };
    }
    override encodeData(_group: string, _name: string, data: unknown): Uint8Array {
      return new TextEncoder().encode(JSON.stringify(data));
    }
    override decodeData<T>(task: Parameters<TaskHandler["handle"]>[0]): T {
      return JSON.parse(new TextDecoder().decode(task.data));
    }
    override encodeResult(_: unknown, result: unknown): Uint8Array {
      return this.encodeData("", "", result);
    }
    override decodeResult(_: unknown, encoded: Uint8Array): unknown {
      return JSON.parse(new TextDecoder().decode(encoded));
    }
  }
  const { kit } = await stage.process(new Json());
  await kit.startWorker(stage.worker);
  assert.deepEqual(await (await kit.initiateTask("g", "n", [1])).get(), { got: [1] });
});

test("close() stops workers gracefully, and nothing of the Kit waits any more", async () => {
  await using stage = new Stage();
  let hasEnded = false;
  const { kit, clock } = await stage.process(async () => {
    await sleep(clock, 5_000);
    hasEnded = true;
    return "done";
  });
  const worker = await kit.startWorker(stage.worker);
  await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  await kit.close();
  assert.equal(hasEnded, true);
  assert.equal(await worker.finished, "stopped");
  assert.equal(stage.time.pending, 0);
});

test("close() ends who waits for results", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process();
  const result = await kit.initiateTask("g", "n");
  const waiting = assert.rejects(result.get(), KitClosed);
  await stage.sleep(1_000);
  await kit.close();
  await waiting;
  await stage.sleep(20_000);
  assert.equal(stage.time.pending, 0);
});

test("a worker that is started while its Kit closes is stopped with it, or does not start", async () => {
  await using stage = new Stage();
  for (const delayMs of [0, 1, 2, 3, 4, 6, 8, 12, 20]) {
    const { kit } = await stage.process(() => "done");
    const starting = kit.startWorker(stage.worker).then(
      (worker) => worker.finished,
      (error) => {
        assert(error instanceof KitClosed, String(error));
        return "refused";
      },
    );
    await stage.sleep(delayMs);
    await kit.close();
    assert.match(await starting, /^(stopped|refused)$/);
    assert.equal(stage.time.pending, 0, `after ${delayMs} ms`);
  }
});

test("a worker cannot be started while its Kit waits for another one to stop", async () => {
  await using stage = new Stage();
  const { kit, clock } = await stage.process(async () => {
    await sleep(clock, 3_000);
  });
  await kit.startWorker(stage.worker);
  await kit.initiateTask("g", "n");
  await stage.until(() => stage.events("task.started").length === 1);
  const closing = kit.close();
  await stage.sleep(1_000);
  await assert.rejects(kit.startWorker(stage.worker), KitClosed);
  // What runs may still initiate tasks.
  await kit.initiateTask("g", "n");
  await closing;
  assert.equal(stage.time.pending, 0);
});

test("a worker's signal stops it, also when it has aborted before", async () => {
  await using stage = new Stage();
  const { kit } = await stage.process(() => "done");
  const controller = new AbortController();
  const worker = await kit.startWorker({ ...stage.worker, signal: controller.signal });
  controller.abort();
  assert.equal(await worker.finished, "stopped");
  const late = await kit.startWorker({ ...stage.worker, signal: controller.signal });
  assert.equal(await late.finished, "stopped");
  assert.equal(await kit.start({ ...stage.worker, signal: controller.signal }), "stopped");
});

test("an open database stays open when the Kit is closed", async () => {
  await using stage = new Stage();
  const kv = stage.database.connect();
  const kit = await Kit.open({ kv });
  await kit.close();
  assert.equal((await kv.get(["x"])).value, null);
});

test("getPlace() tells what a queued task waits behind, and reads few of many tasks", async () => {
  let read = 0;
  await using stage = new Stage();
  const { kit } = await stage.process(() => {}, {
    around: (kv) => ({
      get: (key) => (read++, kv.get(key)),
      getMany: (keys) => (read += keys.length, kv.getMany(keys)),
      async *list(selector, options) {
        for await (const entry of kv.list(selector, options)) {
          read++;
          yield entry;
        }
      },
      atomic: () => kv.atomic(),
      watch: (keys, options) => kv.watch(keys, options),
      close: () => kv.close(),
    }),
  });
  await kit.initiateTasks(Array.from({ length: 3_000 }, () => ({ group: "other", name: "n" })));
  await kit.initiateTasks(Array.from({ length: 7 }, () => ({ group: "g", name: "n" })));
  const { id } = await kit.initiateTask("g", "n");
  await kit.pause(["g"]);
  read = 0;
  const place = await kit.getPlace(id);
  assert.deepEqual(place, { ahead: 7, running: 0, paused: true, pausedAll: false });
  assert(read <= 10, `${read} entries`);
  await kit.cancel(id);
  assert.equal(await kit.getPlace(id), null);
  await assert.rejects(kit.getPlace("x"), { code: "INVALID_ARGUMENT" });
  await assert.rejects(kit.getPlace("019b796d-d600-7000-8000-078eee237ce0"), {
    code: "TASK_NOT_FOUND",
  });
});
