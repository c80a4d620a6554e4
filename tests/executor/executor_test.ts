import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskCancelled, TaskTimedOut } from "../../src/core/errors.ts";
import { DATA_BYTES_MAX } from "../../src/core/limits.ts";
import { IS_DENO, World } from "./world.ts";

// What a handler sees and does is the same wherever it runs.
for (const kind of ["inline", "thread", "process"] as const) {
  const open = () => World.open({ kind, concurrency: 2 });

  test(`${kind}: data goes in and a result comes out, as they are`, async () => {
    await using world = await open();
    const data = {
      date: new Date(1),
      big: 2n ** 70n,
      map: new Map([[{ a: 1 }, new Set([undefined])]]),
      bytes: Uint8Array.of(1, 2, 3),
      text: "ünïcödé \u0000",
    };
    assert.deepEqual(await world.value("echo", data), data);
  });

  test(`${kind}: a task is the same task`, async () => {
    await using world = await open();
    const outcome = await world.run("task", undefined, {
      id: "the-id",
      attempt: 7,
      retryCount: 3,
      scheduledMs: 77,
      priority: 2,
    });
    assert.equal(outcome.kind, "succeeded");
    const { loadHandler } = await import("../../src/executor/load_handler.ts");
    const handler = await loadHandler(new URL("./fixtures/handler.ts", import.meta.url));
    const bytes = outcome.kind === "succeeded" ? outcome.result : new Uint8Array();
    assert.deepEqual(handler.decodeResult({ id: "" } as never, bytes), {
      id: "the-id",
      group: "g",
      name: "task",
      data: [],
      due: new Date(1_000),
      created: new Date(900),
      scheduled: new Date(77),
      attempt: 7,
      retryCount: 3,
      ttl: 60_000,
      priority: 2,
    });
  });

  test(`${kind}: the handler's rule decides about what it throws`, async () => {
    await using world = await open();
    const outcomes = await Promise.all([
      world.run("throw"),
      world.run("throw", undefined, { retryCount: 1 }),
      world.run("throw", undefined, { retryCount: 2 }),
      world.run("throw nothing"),
      world.run("reject later"),
      world.run("throw cyclic"),
      world.run("discard"),
      world.run("unknown"),
    ]);
    const seen = outcomes.map((outcome) => {
      assert.ok("error" in outcome);
      const { name, message } = outcome.error;
      return [outcome.kind, "delayMs" in outcome ? outcome.delayMs : null, name, message];
    });
    assert.deepEqual(seen, [
      ["retried", 1_000, "RangeError", "thrown on purpose"],
      ["retried", 2_000, "RangeError", "thrown on purpose"],
      ["failed", null, "RangeError", "thrown on purpose"],
      ["failed", null, "NonError", "undefined"],
      ["retried", 1_000, "RangeError", "rejected on purpose"],
      ["retried", 1_000, "Error", "cyclic"],
      ["discarded", null, "DiscardTask", "not wanted"],
      ["parked", 30_000, "UnknownTask", "no such task here"],
    ]);
  });

  test(`${kind}: complete() carries the user's writes`, async () => {
    await using world = await open();
    const outcome = await world.run("complete");
    assert.deepEqual(outcome.kind === "succeeded" && outcome.writes, [
      {
        kind: "set",
        key: ["a", 1, 2n, true, Uint8Array.of(3)],
        value: { when: new Date(5), set: new Set([1n]) },
      },
      { kind: "set", key: ["b"], value: undefined, expireIn: 1_000 },
      { kind: "delete", key: ["c"] },
      { kind: "check", key: ["d"], versionstamp: null },
      { kind: "check", key: ["e"], versionstamp: "00000000000000010000" },
    ]);
  });

  test(`${kind}: progress and log arrive, in order, before the outcome`, async () => {
    await using world = await open();
    const told = world.start("progress");
    await told.outcome;
    const logged = world.start("log");
    await logged.outcome;
    assert.deepEqual(told.progress, [
      { fraction: 0.5, message: "half" },
      { fraction: 1, message: "all" },
    ]);
    assert.deepEqual(logged.lines.map(({ level, message }) => [level, message]), [
      ["info", "a line"],
      ["error", "a failure"],
    ]);
  });

  test(`${kind}: progress that is none fails in the handler`, async () => {
    await using world = await open();
    const outcome = await world.run("progress wrong");
    assert.ok("error" in outcome);
    assert.deepEqual([outcome.kind, outcome.error.code], ["retried", "INVALID_ARGUMENT"]);
  });

  test(`${kind}: the signal aborts with a reason of its own class`, async () => {
    await using world = await open();
    const started = world.start("wait for abort");
    await started.logged("waiting");
    started.abort(new TaskTimedOut("t", 5));
    const other = world.start("wait for abort");
    await other.logged("waiting");
    other.abort(new TaskCancelled("c"));
    const ended = await Promise.all([started.outcome, other.outcome]);
    const { decodeValue } = await import("../../src/core/value_codec.ts");
    assert.deepEqual(
      ended.map((outcome) => outcome.kind === "succeeded" && decodeValue(outcome.result, "it")),
      [
        {
          name: "TaskTimedOut",
          className: "TaskTimedOut",
          message: 'Attempt of task "t" took longer than its timeout of 5 ms',
          code: "TASK_TIMED_OUT",
        },
        {
          name: "TaskCancelled",
          className: "TaskCancelled",
          message: 'Task "c" was cancelled',
          code: "TASK_CANCELLED",
          id: "c",
        },
      ],
    );
  });

  test(`${kind}: a reason that is no error crosses too`, async () => {
    await using world = await open();
    const started = world.start("wait for abort");
    await started.logged("waiting");
    started.abort("enough");
    const outcome = await started.outcome;
    const { decodeValue } = await import("../../src/core/value_codec.ts");
    assert.deepEqual(
      outcome.kind === "succeeded" && decodeValue(outcome.result, "it"),
      { reason: "enough" },
    );
  });

  test(`${kind}: a result that cannot be stored fails its task alone`, async () => {
    await using world = await open();
    const outcomes = await Promise.all([
      world.run("return a function"),
      world.run("return too much"),
      world.run("return a view"),
      world.run("echo", 1),
    ]);
    assert.deepEqual(
      outcomes.map((outcome) => [outcome.kind, "error" in outcome ? outcome.error.code : null]),
      [["failed", "INVALID_DATA"], ["failed", "DATA_TOO_LARGE"], ["succeeded", null], [
        "succeeded",
        null,
      ]],
    );
  });

  test(`${kind}: data and a result of the largest size cross`, async () => {
    await using world = await open();
    const bytes = new Uint8Array(DATA_BYTES_MAX - 1).map((_, i) => i % 251);
    assert.deepEqual(await world.value("echo", bytes), bytes);
  });

  test(`${kind}: what the handler prints harms nothing`, async () => {
    await using world = await open();
    assert.equal(await world.value("print"), "printed");
    assert.equal(await world.value("echo", 1), 1);
  });

  test(`${kind}: abandon() of an attempt that has ended does nothing, also to the next one of its task`, async () => {
    await using world = await open();
    const ended = world.start("echo", 1);
    await ended.outcome;
    const next = world.start("wait for abort", undefined, { id: ended.id, attempt: 2 });
    await next.logged("waiting");
    ended.abandon();
    next.abort();
    assert.equal((await next.outcome).kind, "succeeded");
    assert.equal(world.entries.length, 0);
  });
}

for (const kind of ["thread", "process"] as const) {
  const open = (concurrency = 2) => World.open({ kind, concurrency }, { threads: concurrency });

  test(`${kind}: a write that cannot be sent fails its task alone, with the reason`, async () => {
    await using world = await open();
    const [bad, good] = await Promise.all([
      world.run("complete with a function"),
      world.run("complete"),
    ]);
    assert.equal(good.kind, "succeeded");
    assert.ok(bad.kind === "failed");
    assert.deepEqual([bad.error.name, bad.error.code], ["InvalidData", "INVALID_DATA"]);
    assert.match(bad.error.message, /^Cannot send the outcome of the attempt to its worker: .+/);
  });

  test(`${kind}: a place is reused`, async () => {
    await using world = await open(1);
    const first = await world.value("where") as { place: string; attempts: number };
    const second = await world.value("where");
    assert.deepEqual(second, { place: first.place, attempts: first.attempts + 1 });
  });

  test(`${kind}: a handler that ends its place is named, and the place is filled again`, async () => {
    await using world = await open(1);
    for (
      const [name, reason] of [
        ["exit", IS_DENO ? /^The handler called Deno.exit\(3\)$/ : /called process.exit\(3\)$/],
        ["exit by process", /^The handler called process.exit\(4\)$/],
        // In threads of `bun test` the runtime catches these before the thread does, and tells them in its own words.
        ["throw from a timer", /: RangeError: thrown from a timer$/],
        ["reject and forget", /: RangeError: rejected and forgotten$/],
      ] as const
    ) {
      const outcome = await world.run(name);
      assert.ok(outcome.kind === "lost");
      assert.deepEqual([outcome.blame, outcome.error.code], [true, "EXECUTOR_LOST"]);
      assert.match(outcome.error.message, reason);
      assert.equal(await world.value("echo", name), name);
    }
    assert.equal(world.entries.filter(({ event }) => event === `${kind}.lost`).length, 4);
  });

  test(`${kind}: an end that nobody announced is noticed`, async () => {
    await using world = await open(1);
    const outcome = await world.run("exit unnoticed");
    assert.ok(outcome.kind === "lost");
    assert.equal(outcome.blame, true);
    assert.equal(await world.value("echo", 1), 1);
  });

  test(`${kind}: a rejection after return is logged, and blames nobody`, async () => {
    await using world = await open(1);
    assert.equal((await world.run("reject after return")).kind, "succeeded");
    await world.logged(`${kind}.lost`);
    assert.match(world.entries[0]?.message ?? "", /: RangeError: rejected after return$/);
    assert.equal(await world.value("echo", 1), 1);
  });

  test(`${kind}: a flood of log lines and progress is cut, and told so`, async () => {
    await using world = await open(1);
    const flood = world.start("flood");
    assert.equal((await flood.outcome).kind, "succeeded");
    const dropped = flood.lines.map(({ fields }) => fields.dropped).filter((n) => n !== undefined);
    assert.ok(flood.lines.length < 1_000, `${flood.lines.length} lines`);
    assert.ok(flood.progress.length < 1_000, `${flood.progress.length} progress`);
    assert.ok(dropped.reduce((sum, n) => Number(sum) + Number(n), 0) as number > 90_000);
    assert.deepEqual(flood.progress.at(-1)?.fraction, 99_999 / 100_000);
  });

  test(`${kind}: fields of a log line are plain data of bounded depth`, async () => {
    await using world = await open(1);
    const logged = world.start("log");
    await logged.outcome;
    assert.deepEqual(logged.lines.map(({ fields }) => fields), [
      { n: 1, when: "1970-01-01T00:00:00.000Z", deep: { a: { b: { c: "[…]" } } } },
      { run: "[function]", big: "5" },
    ]);
  });

  test(`${kind}: progress is seen while the handler computes`, async () => {
    await using world = await open(1);
    const gate = world.gate();
    const started = world.start("progress while busy", gate.path);
    await started.progressed();
    gate.open();
    assert.equal((await started.outcome).kind, "succeeded");
    assert.deepEqual(started.progress, [{ fraction: 0.25, message: "busy" }]);
  });

  test(`${kind}: stop() gives running attempts back without blame, and what comes later too`, async () => {
    const world = await open(1);
    const running = world.start("wait for abort");
    await running.logged("waiting");
    const waiting = world.start("wait for abort");
    await world.executor.stop();
    const late = world.start("echo", 1);
    const outcomes = await Promise.all([running.outcome, waiting.outcome, late.outcome]);
    assert.deepEqual(
      outcomes.map((outcome) => [outcome.kind, "blame" in outcome && outcome.blame]),
      [
        ["lost", false],
        ["lost", false],
        ["lost", false],
      ],
    );
    await world[Symbol.asyncDispose]();
  });

  test(`${kind}: abandon() ends the attempt that is meant, and no other of its task`, async () => {
    for (const meant of [0, 1]) {
      await using world = await open(2);
      const attempts = [1, 2].map((attempt) =>
        world.start("wait for abort", undefined, { id: "twice", attempt })
      );
      await Promise.all(attempts.map((attempt) => attempt.logged("waiting")));
      attempts[meant]?.abandon();
      attempts[1 - meant]?.abort();
      const outcomes = await Promise.all(attempts.map((attempt) => attempt.outcome));
      const kinds = outcomes.map((outcome) => outcome.kind);
      assert.deepEqual(kinds, meant === 0 ? ["lost", "succeeded"] : ["succeeded", "lost"]);
      assert.deepEqual(world.entries.map(({ event }) => event), [`${kind}.retired`]);
    }
  });

  test(`${kind}: abandon() ends an attempt that computes, and not the newer one of its task that waits behind it`, async () => {
    await using world = await open(1);
    const gate = world.gate();
    const older = world.start("block", gate.path, { id: "twice", attempt: 1 });
    await older.logged("blocking");
    const newer = world.start("echo", 1, { id: "twice", attempt: 2 });
    older.abandon();
    const outcomes = await Promise.all([older.outcome, newer.outcome]);
    assert.deepEqual(outcomes.map((outcome) => outcome.kind), ["lost", "succeeded"]);
    gate.open();
  });

  test(`${kind}: the token of the database is not visible, other variables are`, async () => {
    const process = (await import("node:process")).default;
    process.env.DENO_KV_ACCESS_TOKEN = "secret";
    process.env.TASKKIT_TEST_OTHER = "seen";
    try {
      await using world = await open(1);
      assert.deepEqual(await world.value("token"), {
        process: null,
        listed: false,
        deno: null,
        all: null,
        other: "seen",
      });
      assert.equal(process.env.DENO_KV_ACCESS_TOKEN, "secret");
    } finally {
      delete process.env.DENO_KV_ACCESS_TOKEN;
      delete process.env.TASKKIT_TEST_OTHER;
    }
  });
}
