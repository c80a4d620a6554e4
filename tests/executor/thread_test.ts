import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskTimedOut } from "../../src/core/errors.ts";
import { decodeValue } from "../../src/core/value_codec.ts";
import type { Outcome } from "../../src/executor/executor.ts";
import { IS_BUN, IS_DENO, World } from "./world.ts";

const inDeno = { skip: IS_DENO ? false : "Deno alone cannot stop a thread that computes" };
const inBun = { skip: IS_BUN ? false : "Bun alone can stop a thread that computes" };

function open(threads: number): Promise<World> {
  return World.open({ kind: "thread", concurrency: 16 }, { threads });
}

function value(outcome: Outcome): unknown {
  assert.ok(outcome.kind === "succeeded", JSON.stringify(outcome));
  return decodeValue(outcome.result, "the result");
}

function lost(outcome: Outcome): { blame: boolean; message: string } {
  assert.ok(outcome.kind === "lost", JSON.stringify(outcome));
  return { blame: outcome.blame, message: outcome.error.message };
}

test("attempts go to the least busy thread, and several run at once in one", async () => {
  await using world = await open(2);
  const waiting = Array.from({ length: 4 }, () => world.start("wait for abort"));
  await Promise.all(waiting.map((started) => started.logged("waiting")));
  const places = await Promise.all([world.value("where"), world.value("where")]);
  assert.equal(new Set(places.map((it) => (it as { place: string }).place)).size, 2);
  assert.deepEqual(places.map((it) => (it as { attempts: number }).attempts), [3, 3]);
  for (const started of waiting) started.abort();
  await Promise.all(waiting.map((started) => started.outcome));
});

test("groups share the threads of a pool", async () => {
  await using world = await open(1);
  const other = await world.add({ kind: "thread" });
  const hooks = { signal: new AbortController().signal, onProgress() {}, onLog() {} };
  const { newTask } = await import("./world.ts");
  const mine = value(await world.run("where")) as { place: string };
  const theirs = value(await other.run({ task: newTask("where") }, hooks).outcome) as {
    place: string;
  };
  assert.equal(mine.place, theirs.place);
});

test("a pool has no more threads than its groups have attempts", async () => {
  await using world = await World.open({ kind: "thread", concurrency: 1 }, { threads: 8 });
  const places = await Promise.all(Array.from({ length: 8 }, () => world.value("where")));
  assert.equal(new Set(places.map((it) => (it as { place: string }).place)).size, 1);
});

test("attempts behind one that computes are given to a thread that is idle", async () => {
  await using world = await open(2);
  const gate = world.gate();
  const blocking = world.start("block", gate.path);
  await blocking.logged("blocking");
  const behind = Array.from({ length: 6 }, (_, i) => world.run("echo", i));
  assert.deepEqual((await Promise.all(behind)).map(value), [0, 1, 2, 3, 4, 5]);
  gate.open();
  assert.equal(value(await blocking.outcome), "free");
});

test("attempts behind one that computes are given to a thread that answers", async () => {
  await using world = await open(2);
  const gate = world.gate();
  const blocking = world.start("block", gate.path);
  await blocking.logged("blocking");
  // The other thread is never idle.
  const waiting = world.start("wait for abort");
  await waiting.logged("waiting");
  const behind = Array.from({ length: 6 }, (_, i) => world.run("echo", i));
  assert.deepEqual((await Promise.all(behind)).map(value), [0, 1, 2, 3, 4, 5]);
  waiting.abort();
  await waiting.outcome;
  gate.open();
  assert.equal(value(await blocking.outcome), "free");
});

test("an attempt that is aborted before it begins is given back without blame", async () => {
  await using world = await open(1);
  const gate = world.gate();
  const blocking = world.start("block", gate.path);
  await blocking.logged("blocking");
  const behind = world.start("echo", 1);
  behind.abort(new TaskTimedOut(behind.id, 5));
  assert.deepEqual(lost(await behind.outcome), {
    blame: false,
    message: "The attempt had not begun: it was aborted before",
  });
  gate.open();
  assert.equal(value(await blocking.outcome), "free");
});

test("the attempt that ends its thread is to blame, the others are given back", async () => {
  await using world = await open(1);
  const others = [world.start("wait for abort"), world.start("wait for abort")];
  await Promise.all(others.map((started) => started.logged("waiting")));
  const culprit = world.start("exit");
  const reason = IS_DENO ? "The handler called Deno.exit(3)" : "The handler called process.exit(3)";
  assert.deepEqual(lost(await culprit.outcome), { blame: true, message: reason });
  for (const other of others) {
    assert.deepEqual(lost(await other.outcome), {
      blame: false,
      message: `The thread ended because of another attempt: ${reason}`,
    });
  }
  assert.equal(value(await world.run("echo", "refilled")), "refilled");
});

test("close() in a thread of Deno is noticed", inDeno, async () => {
  await using world = await open(1);
  assert.deepEqual(lost(await world.run("close")), {
    blame: true,
    message: "The handler called close()",
  });
});

test("if it cannot be told who ended a thread, all that had begun are to blame", async () => {
  await using world = await open(1);
  const other = world.start("wait for abort");
  await other.logged("waiting");
  // The runtimes do not tell whose timer it was.
  const culprit = world.start("throw from a timer");
  for (const outcome of await Promise.all([other.outcome, culprit.outcome])) {
    const { blame, message } = lost(outcome);
    assert.equal(blame, true);
    assert.match(message, /which of 2 attempts did it is not known$/);
  }
});

test("attempts that had not begun when their thread ended run in the next one", async () => {
  await using world = await open(1);
  const exit = world.start("exit");
  const behind = [world.start("echo", 1), world.start("echo", 2)];
  assert.equal(lost(await exit.outcome).blame, true);
  assert.deepEqual(
    (await Promise.all(behind.map((started) => started.outcome))).map(value),
    [1, 2],
  );
});

test("abandon() ends a thread that waits, and replaces it", async () => {
  await using world = await open(1);
  const { place } = await world.value("where") as { place: string };
  const stubborn = world.start("wait for abort");
  const other = world.start("wait for abort");
  await Promise.all([stubborn.logged("waiting"), other.logged("waiting")]);
  await world.value("where");
  stubborn.abandon();
  assert.equal(lost(await stubborn.outcome).blame, true);
  assert.equal(lost(await other.outcome).blame, false);
  const next = await world.value("where") as { place: string };
  assert.notEqual(next.place, place);
  assert.deepEqual([world.executors.leaked, world.leaks], [0, []]);
});

test("abandon() takes an attempt that has not begun, and leaves its thread alone", async () => {
  await using world = await open(1);
  const gate = world.gate();
  const blocking = world.start("block", gate.path);
  await blocking.logged("blocking");
  const behind = world.start("echo", 1);
  behind.abandon();
  assert.deepEqual(lost(await behind.outcome), {
    blame: false,
    message: "The attempt had not begun: it was abandoned",
  });
  gate.open();
  assert.equal(value(await blocking.outcome), "free");
});

test("a thread that computes and cannot be stopped leaks until it ends", inDeno, async () => {
  await using world = await open(1);
  const gates = [world.gate(), world.gate()];
  for (const [index, gate] of gates.entries()) {
    const blocking = world.start("block", gate.path);
    await blocking.logged("blocking");
    blocking.abandon();
    assert.equal(lost(await blocking.outcome).blame, true);
    // The slot is filled at once; nothing waits for the leak to show.
    assert.equal(value(await world.run("echo", index)), index);
    await world.leaked(index + 1);
  }
  assert.deepEqual([world.executors.leaked, world.leaks], [2, [1, 2]]);
  for (const gate of gates) gate.open();
  await world.logged("thread.unleaked", 2);
  assert.equal(world.executors.leaked, 0);
});

test("a thread that computes is stopped", inBun, async () => {
  await using world = await open(1);
  const computing = world.start("compute for ever");
  await computing.logged("computing");
  computing.abandon();
  assert.equal(lost(await computing.outcome).blame, true);
  assert.equal(value(await world.run("echo", 1)), 1);
  assert.deepEqual([world.executors.leaked, world.leaks], [0, []]);
});

test("who is known to hold the thread is to blame, not who is abandoned behind it", async () => {
  await using world = await open(1);
  const gate = world.gate();
  const victim = world.start("wait for abort");
  await victim.logged("waiting");
  const holder = world.start("block", gate.path);
  await holder.logged("blocking");
  victim.abort(new TaskTimedOut(victim.id, 1));
  victim.abandon();
  const outcomes = await Promise.all([victim.outcome, holder.outcome]);
  assert.deepEqual(outcomes.map((outcome) => lost(outcome).blame), [false, true]);
  gate.open();
  if (IS_DENO) {
    await world[Symbol.asyncDispose]();
    assert.equal(world.executors.leaked, 0);
  }
});

test("what a handler posts to its parent is no message of the protocol", async () => {
  await using world = await open(1);
  const waiting = world.start("wait for abort");
  await waiting.logged("waiting");
  assert.equal(value(await world.run("post to the parent")), "posted");
  assert.equal(value(await world.run("echo", 1)), 1);
  waiting.abort();
  assert.equal((await waiting.outcome).kind, "succeeded");
});

test("a thread that floods its worker beside the protocol is ended", async () => {
  await using world = await open(1);
  const { blame, message } = lost(await world.run("flood beside the protocol"));
  assert.equal(blame, true);
  assert.equal(message, "The thread was ended: it floods its worker with messages");
  assert.equal(value(await world.run("echo", 1)), 1);
});

test("a KvU64 is still one behind the border", inDeno, async () => {
  await using world = await open(1);
  const outcome = await world.run("complete with a counter");
  assert.ok(outcome.kind === "succeeded");
  assert.deepEqual(outcome.writes, [{ kind: "set", key: ["n"], value: new Deno.KvU64(7n) }]);
});

test("an instance of a class becomes a plain object, as in Deno KV", async () => {
  await using world = await open(1);
  const outcome = await world.run("complete with a class");
  assert.ok(outcome.kind === "succeeded");
  assert.deepEqual(outcome.writes, [{ kind: "set", key: ["p"], value: { x: 1 } }]);
});

test("an attempt behind one that computes is told to begin only when it does, however long that takes", async () => {
  await using world = await open(1);
  const first = world.start("compute for ever");
  await first.began;
  let hasBegun = false;
  const second = world.start("where");
  void second.began.then(() => hasBegun = true);
  // The pool takes an attempt back that has not begun; that it never began is what its outcome says.
  second.abort(new TaskTimedOut(second.id, 1));
  const outcome = lost(await second.outcome);
  assert.equal(outcome.blame, false);
  assert.equal(hasBegun, false);
  first.abort(new TaskTimedOut(first.id, 1));
  first.abandon();
  await first.outcome;
});
