import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { defineTask, DiscardTask, IntervalSchedule, InvalidData, tasks } from "../../mod.ts";
import { TestKit } from "../../src/testing/mod.ts";

function world() {
  const sent: string[] = [];
  const send = defineTask({
    group: "mail",
    name: "send",
    run: (to: string) => {
      sent.push(to);
      return `sent to ${to}`;
    },
  });
  const fail = defineTask({
    group: "mail",
    name: "fail",
    retry: (task) => task.retryCount < 2 ? "1m" : null,
    run: (): never => {
      throw new Error("no route");
    },
  });
  const drop = defineTask({
    group: "other",
    name: "drop",
    run: (): never => {
      throw new DiscardTask("not wanted");
    },
  });
  return { sent, send, fail, drop, handler: tasks([send, fail, drop]) };
}

test("a manual TestKit runs nothing until it is drained, and then what is due alone", async () => {
  const { sent, send, handler } = world();
  await using t = await TestKit.open({ handler });
  const now = await t.kit.initiateTask(send, "ada");
  await t.kit.initiateTask(send, "bob", { due: "1h" });
  assert.deepEqual(sent, []);

  const none = { failed: 0, discarded: 0, cancelled: 0, queued: 0 };
  assert.deepEqual(await t.drain(), { succeeded: 1, ...none });
  assert.deepEqual(sent, ["ada"]);
  assert.equal(await now.get(), "sent to ada");
  await t.advance("59m");
  assert.deepEqual(await t.drain(), { succeeded: 0, ...none });
  await t.advance("1m");
  assert.deepEqual(await t.drain(), { succeeded: 1, ...none });
  assert.deepEqual(sent, ["ada", "bob"]);
});

test("drain({ scheduled: true }) advances the time to retries and delayed tasks, to the end of all", async () => {
  const { send, fail, drop, handler, sent } = world();
  await using t = await TestKit.open({ handler, start: new Date("2026-03-01T00:00:00Z") });
  const failing = await t.kit.initiateTask(fail, undefined as never);
  await t.kit.initiateTask(drop, undefined as never);
  await t.kit.initiateTask(send, "late", { due: "1d" });
  assert.deepEqual(await t.drain({ scheduled: true }), {
    succeeded: 1,
    failed: 1,
    discarded: 1,
    cancelled: 0,
    queued: 2,
  });
  assert.deepEqual(sent, ["late"]);
  assert.equal(t.now.toISOString(), "2026-03-02T00:00:00.000Z");
  await assert.rejects(failing.get(), { code: "TASK_FAILED", message: /no route/ });
});

test("drain takes tasks in the order in which a worker does: by priority, then by due time", async () => {
  const { sent, send, handler } = world();
  await using t = await TestKit.open({ handler });
  await t.kit.initiateTask(send, "third", { priority: 7 });
  await t.kit.initiateTask(send, "second");
  await t.kit.initiateTask(send, "first", { priority: 0 });
  await t.drain();
  assert.deepEqual(sent, ["first", "second", "third"]);
});

test("drain ends with an error when tasks initiate one another for ever", async () => {
  const handler = tasks([defineTask({
    group: "loop",
    name: "again",
    run: async () => {
      await t.kit.initiateTask("loop", "again");
    },
  })]);
  await using t = await TestKit.open({ handler });
  await t.kit.initiateTask("loop", "again");
  await assert.rejects(t.drain({ attemptsMax: 5 }), /still due after 5 attempts/);
});

test("an inline TestKit runs what is due before the call returns, also what a handler initiates", async () => {
  const { sent, send } = world();
  const both = defineTask({
    group: "mail",
    name: "both",
    run: async (_: string) => {
      await t.kit.initiateTask(send, "first");
      await t.kit.initiateTask(send, "second");
    },
  });
  await using t = await TestKit.open({ handler: tasks([send, both]), mode: "inline" });
  await t.kit.initiateTask(both, "x");
  assert.deepEqual(sent, ["first", "second"]);
  await t.kit.initiateTasks([{ group: "mail", name: "send", data: "third" }]);
  await t.kit.atomic().set(["order", 1], 1).initiateTask("mail", "send", "fourth").commit();
  assert.deepEqual(sent, ["first", "second", "third", "fourth"]);
  assert.equal((await t.kv.get(["order", 1])).value, 1);
});

test("an inline TestKit runs what becomes due when the time is advanced", async () => {
  const { sent, send, handler } = world();
  await using t = await TestKit.open({ handler, mode: "inline" });
  await t.kit.initiateTask(send, "later", { due: "2h" });
  assert.deepEqual(sent, []);
  await t.advance("2h");
  assert.deepEqual(sent, ["later"]);
});

test("a drained handler may wait for something real: virtual time stands still meanwhile", async () => {
  const look = defineTask({
    group: "a",
    name: "look",
    timeout: "1s",
    run: async (path: string) => (await stat(path)).isFile(),
  });
  await using t = await TestKit.open({ handler: tasks([look]) });
  const before = t.now;
  const result = await t.kit.initiateTask(look, fileURLToPath(import.meta.url));
  await t.drain();
  assert.equal(await result.get(), true);
  assert.deepEqual(t.now, before);
});

test("schedules fire as the time is advanced", async () => {
  const { sent, send, handler } = world();
  await using t = await TestKit.open({
    handler,
    schedules: {
      main: [{ key: "hourly", task: send, data: "tick", schedule: new IntervalSchedule("1h") }],
    },
  });
  await t.advance("3h 30m");
  assert.equal(t.initiated(send).length, 3);
  await t.drain();
  assert.deepEqual(sent, ["tick", "tick", "tick"]);
  assert.equal(
    t.assertInitiated(send, { count: 3 }).scheduled?.toISOString(),
    "2026-01-01T01:00:00.000Z",
  );
});

test("a worker runs on virtual time", async () => {
  const { sent, send, handler } = world();
  await using t = await TestKit.open({ handler });
  await t.kit.initiateTask(send, "ada", { due: "30s" });
  let worker = null;
  t.kit.startWorker({ groups: { mail: 1 } }).then((started) => worker = started);
  await t.advance("29s");
  assert.notEqual(worker, null);
  assert.deepEqual(sent, []);
  await t.advance("10s");
  assert.deepEqual(sent, ["ada"]);
});

test("perform() runs one attempt and tells how it ends, without a trace in the database", async () => {
  const { send, fail, drop, handler, sent } = world();
  await using t = await TestKit.open({ handler });
  const told = { log: [], progress: [] };
  assert.deepEqual(await t.perform(send, "ada"), {
    outcome: "succeeded",
    value: "sent to ada",
    writes: [],
    ...told,
  });
  assert.deepEqual(sent, ["ada"]);

  const second = await t.perform(fail, undefined as never, { attempt: 2 });
  assert.equal(second.outcome, "retried");
  assert.equal(second.outcome === "retried" && second.delayMs, 60_000);
  const last = await t.perform(fail, undefined as never, { attempt: 3 });
  assert.equal(last.outcome === "failed" && last.error.message, "no route");
  const dropped = await t.perform(drop, undefined as never);
  assert.equal(dropped.outcome === "discarded" && dropped.error.message, "not wanted");
  const unknown = await t.perform({ group: "mail", name: "nobody" }, 1);
  assert.equal(unknown.outcome, "parked");
  assert.deepEqual(t.initiated(), []);
});

test("perform() validates and encodes data as initiateTask does, and shows what context.complete writes", async () => {
  const count = defineTask({
    group: "a",
    name: "count",
    run: (n: number, context) => {
      context.log.info("counting", { n });
      context.progress(0.5, "half");
      return context.complete(n + 1, (atomic) => atomic.set(["count"], n + 1));
    },
  });
  await using t = await TestKit.open({ handler: tasks([count]) });
  assert.deepEqual(await t.perform(count, 4), {
    outcome: "succeeded",
    value: 5,
    writes: [{ kind: "set", key: ["count"], value: 5 }],
    log: [{ level: "info", message: "counting", fields: { n: 4 } }],
    progress: [{ fraction: 0.5, message: "half" }],
  });
  await assert.rejects(t.perform(count, (() => 1) as never), InvalidData);
});

test("assertInitiated() returns the task, and says where the nearest one differs if there is none", async () => {
  const { send, fail, handler } = world();
  await using t = await TestKit.open({ handler });
  assert.throws(() => t.assertInitiated(send), {
    message: 'Expected a task "send" of group "mail"; none was initiated.\n' +
      "Nothing was initiated at all.",
  });
  await t.kit.initiateTask(send, "ada", { due: "1h", priority: 3 });
  await t.kit.initiateTask(send, "bob");
  const found = t.assertInitiated(send, { data: "ada", due: "1h", priority: 3, state: "queued" });
  assert.equal(found.data, "ada");
  t.assertInitiated(send, { data: (to) => to.startsWith("b"), due: t.now });
  t.assertInitiated(send, { count: 2 });
  t.assertNotInitiated(fail);

  assert.throws(() => t.assertInitiated(send, { data: "ada", due: "1h", priority: 4 }), {
    message: 'Expected a task "send" of group "mail" that was not initiated as such.\n' +
      `The nearest of 2 (${found.id}) differs in:\n  priority\n    - 4\n    + 3`,
  });
  assert.throws(() => t.assertInitiated(send, { count: 3 }), /Expected 3 tasks "send".*found 2/);
  assert.throws(() => t.assertNotInitiated(send, { data: "bob" }), /mail\/send 'bob', queued/);
  assert.throws(
    () => t.assertInitiated(fail),
    /none was initiated\.\nWhat was initiated:\n {2}mail\/send 'ada'/,
  );
});

test("a refused write of context.complete fails the attempt, as in a worker", async () => {
  const take = defineTask({
    group: "a",
    name: "take",
    retry: 0,
    run: (_: number, context) =>
      context.complete(1, (atomic) => atomic.check(["stock"], null).set(["stock"], 0)),
  });
  await using t = await TestKit.open({ handler: tasks([take]) });
  const first = await t.kit.initiateTask(take, 1);
  const second = await t.kit.initiateTask(take, 2);
  const drained = await t.drain();
  assert.deepEqual([drained.succeeded, drained.failed], [1, 1]);
  assert.equal(await first.get(), 1);
  await assert.rejects(second.get(), { code: "TASK_FAILED" });
});

test("options with a typo are refused", async () => {
  const { handler } = world();
  await assert.rejects(TestKit.open({ handler, modes: "inline" } as never), /modes/);
  await assert.rejects(TestKit.open({ handler, mode: "later" as never }), /"manual" and "inline"/);
  await using t = await TestKit.open({ handler });
  await assert.rejects(t.drain({ scheduled: true, groups: "a" } as never), /groups/);
  assert.throws(() => t.assertInitiated({ group: "a", name: "b" }, { dat: 1 } as never), /dat/);
});
