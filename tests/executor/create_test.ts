import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgument, Unsupported } from "../../src/core/errors.ts";
import { loadHandler } from "../../src/executor/load_handler.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { LogEntry } from "../../src/core/log.ts";
import { systemRandom } from "../../src/core/random.ts";
import { defaultExecutorKind, defaultThreads, Executors } from "../../src/executor/create.ts";
import { HANDLER_URL, IS_BUN, IS_DENO, World } from "./world.ts";

async function make(
  options: { handlerUrl?: URL | null; threads?: number; log?: (entry: LogEntry) => void } = {},
): Promise<Executors> {
  return new Executors({
    handler: await loadHandler(HANDLER_URL),
    handlerUrl: HANDLER_URL,
    clock: systemClock,
    random: systemRandom,
    log: () => {},
    ...options,
  });
}

test("a handler with a URL runs in threads by default, an instance inline", () => {
  assert.equal(defaultExecutorKind(HANDLER_URL), "thread");
  assert.equal(defaultExecutorKind(null), "inline");
});

test("there are as many threads by default as processors", () => {
  assert.equal(defaultThreads(), Math.min(navigator.hardwareConcurrency, 64));
});

test("an instance cannot leave its thread, and the error says what to do", async () => {
  const executors = await make({ handlerUrl: null });
  assert.equal(executors.create({ group: "g", kind: "inline", concurrency: 1 }).kind, "inline");
  for (const kind of ["thread", "process"] as const) {
    assert.throws(
      () => executors.create({ group: "g", kind, concurrency: 1 }),
      new InvalidArgument(
        `Cannot run group "g" in a ${kind}: the handler was given as an instance, which cannot leave ` +
          `its thread; give the URL of its module instead: new URL("./handler.ts", import.meta.url)`,
      ),
    );
  }
});

test("numbers out of bounds are refused", async () => {
  for (const threads of [0, 65, 1.5, NaN]) {
    await assert.rejects(
      make({ threads }),
      new InvalidArgument(
        `Cannot start ${threads} threads: the number is an integer from 1 to 64`,
      ),
    );
  }
  const executors = await make();
  assert.throws(
    () => executors.create({ group: "g", kind: "process", concurrency: 65 }),
    new InvalidArgument(
      'Cannot run group "g" in 65 processes: the bound is 64; lower its concurrency',
    ),
  );
  assert.throws(
    () => executors.create({ group: "g", kind: "process", concurrency: 1, memoryMb: 0 }),
    new InvalidArgument('Cannot bound the memory of group "g": 0 is no positive number of MiB'),
  );
});

test("a stop before the start does nothing", async () => {
  const executors = await make();
  for (const kind of ["inline", "thread", "process"] as const) {
    await executors.create({ group: "g", kind, concurrency: 1 }).stop();
  }
});

test("where there are no threads, handlers run inline, and that is said once", async () => {
  const entries: LogEntry[] = [];
  const executors = await make({ log: (entry) => entries.push(entry) });
  const { Worker } = globalThis;
  Reflect.deleteProperty(globalThis, "Worker");
  try {
    assert.equal(defaultExecutorKind(HANDLER_URL), "inline");
    const kinds = [1, 2].map(() =>
      executors.create({ group: "g", kind: "thread", concurrency: 1 }).kind
    );
    assert.deepEqual(kinds, ["inline", "inline"]);
  } finally {
    Object.defineProperty(globalThis, "Worker", {
      value: Worker,
      configurable: true,
      writable: true,
    });
  }
  assert.deepEqual(entries.map(({ level, event, message }) => ({ level, event, message })), [{
    level: "warn",
    event: "executor.inline",
    message: "this runtime has no threads: handlers run inline",
  }]);
});

test("Bun cannot restrict permissions, and says so", {
  skip: IS_BUN ? false : "Deno has permissions",
}, async () => {
  const executors = await make();
  for (const kind of ["thread", "process"] as const) {
    assert.throws(
      () => executors.create({ group: "g", kind, concurrency: 1, permissions: "none" }),
      new Unsupported('Cannot restrict the permissions of group "g": Deno alone has permissions'),
    );
  }
});

test("threads have the permissions of their group and no others", {
  skip: IS_DENO ? false : "Deno alone has permissions",
}, async () => {
  await using none = await World.open({ kind: "thread", permissions: "none" });
  await using some = await World.open({
    kind: "thread",
    permissions: { read: ["/tmp", new URL("file:///var/")], env: true },
  });
  await using all = await World.open({ kind: "thread" });
  assert.deepEqual(
    [
      await none.value("permissions"),
      await some.value("permissions"),
      await all.value("permissions"),
    ],
    [
      ["prompt", "prompt", "prompt", "prompt"],
      ["prompt", "granted", "prompt", "prompt"],
      ["granted", "granted", "granted", "granted"],
    ],
  );
});

test("groups with different permissions do not share threads", {
  skip: IS_DENO ? false : "Deno alone has permissions",
}, async () => {
  await using world = await World.open({ kind: "thread", concurrency: 1 });
  const other = await world.add({ kind: "thread", concurrency: 1, permissions: "none" });
  const { newTask } = await import("./world.ts");
  const hooks = { signal: new AbortController().signal, onProgress() {}, onLog() {} };
  const outcome = await other.run({ task: newTask("where") }, hooks).outcome;
  assert.ok(outcome.kind === "succeeded");
  const handler = await loadHandler(HANDLER_URL);
  const theirs = handler.decodeResult({ id: "" } as never, outcome.result);
  const mine = await world.value("where");
  assert.notEqual((mine as { place: string }).place, (theirs as { place: string }).place);
});
