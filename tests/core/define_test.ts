import assert from "node:assert/strict";
import { test } from "node:test";
import {
  defineTask,
  type Kit,
  type StandardSchema,
  TaskFailed,
  tasks,
  UnknownTask,
} from "../../mod.ts";
import { aborted, Stage } from "../worker/world.ts";

interface Size {
  readonly file: string;
  readonly width?: number;
}

/** A schema as a library would make it: with a default, so that what comes out is not what went in. */
const size: StandardSchema<Size, Required<Size>> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      if (typeof value !== "object" || value === null || !("file" in value)) {
        return { issues: [{ message: "is required", path: ["file"] }, { message: "is odd" }] };
      }
      const { file, width = 800 } = value as Size;
      return { value: { file, width } };
    },
  },
};

const text: StandardSchema<string> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) =>
      Promise.resolve(
        typeof value === "string" ? { value } : { issues: [{ message: "is no text" }] },
      ),
  },
};

test("data is checked when it is initiated, and what the schema makes of it is what runs", async () => {
  await using stage = new Stage();
  const resize = defineTask({
    group: "images",
    name: "resize",
    schema: size,
    run: ({ file, width }) => `${file} ${width}`,
  });
  const { kit } = await stage.process(tasks([resize]));
  await kit.startWorker({ log: stage.worker.log });
  const result = await kit.initiateTask(resize, { file: "a.jpg" });
  assert.equal(await result.get(), "a.jpg 800");
  // What is stored is what was given, so that another version of the schema can make of it what it wants.
  assert.deepEqual(await kit.getTaskData(result.id), { file: "a.jpg" });
  await assert.rejects(kit.initiateTask(resize, {} as Size), {
    code: "INVALID_DATA",
    message: 'Cannot initiate task "resize": its data does not fit: file: is required; is odd',
  });
  assert.equal((await kit.listTasks()).tasks.length, 1);
});

test("a schema may take its time, or be a function with a schema's part, as some libraries make them", async () => {
  await using stage = new Stage();
  const callable = Object.assign(() => {}, text);
  const shout = defineTask({
    group: "g",
    name: "shout",
    schema: text,
    run: (s) => s.toUpperCase(),
  });
  const whisper = defineTask({
    group: "g",
    name: "whisper",
    schema: callable,
    run: (s) => s.toLowerCase(),
  });
  const { kit } = await stage.process(tasks([shout, whisper]));
  await kit.startWorker({ log: stage.worker.log });
  assert.equal(await (await kit.initiateTask(shout, "aB")).get(), "AB");
  assert.equal(await (await kit.initiateTask(whisper, "aB")).get(), "ab");
  await assert.rejects(kit.initiateTask(shout, 5 as unknown as string), { code: "INVALID_DATA" });
});

test("a task that a worker does not define, or whose data does not fit any more, is left for one that knows it", async () => {
  await using stage = new Stage();
  const old = defineTask({ group: "g", name: "known", run: (n: number) => n });
  const older = await stage.process(tasks([old]));
  const strict = defineTask({ group: "g", name: "known", schema: text, run: (s) => `new ${s}` });
  const unknown = defineTask({ group: "g", name: "unknown", run: () => "known now" });
  const worker = await older.kit.startWorker({ log: stage.worker.log });
  const first = await older.kit.initiateTask(unknown, undefined);
  await stage.sleep(100_000);
  const waiting = await older.kit.getTask(first.id);
  assert.deepEqual([waiting.state, waiting.retryCount, waiting.error?.code], [
    "queued",
    0,
    "UNKNOWN_TASK",
  ]);
  assert(waiting.attempt >= 2 && waiting.attempt <= 3, `${waiting.attempt} attempts in 100 s`);
  await worker.stop();
  const newer = await stage.process(tasks([strict, unknown]));
  const second = await older.kit.initiateTask(old, 5);
  await newer.kit.startWorker({ log: stage.worker.log });
  assert.equal(await first.get({ timeout: "5m" }), "known now");
  await stage.sleep(60_000);
  const misfit = await newer.kit.getTask(second.id);
  assert.deepEqual([misfit.state, misfit.error?.name], ["queued", UnknownTask.name]);
  assert.match(misfit.error?.message ?? "", /its data does not fit: is no text$/);
});

test("a number of retries, a rule of one's own, or none at all", async () => {
  await using stage = new Stage();
  const runs = new Map<string, number>();
  const fail = (name: string, retry: Parameters<typeof defineTask>[0]["retry"]) =>
    defineTask({
      group: "g",
      name,
      ...(retry === undefined ? {} : { retry }),
      run: () => {
        runs.set(name, (runs.get(name) ?? 0) + 1);
        throw new Error("no luck");
      },
    });
  const definitions = [
    fail("never", 0),
    fail("twice", 2),
    fail("fifteen", 15),
    fail("rule", ({ retryCount }) => retryCount < 3 ? "5s" : null),
    fail("default", undefined),
  ];
  const { kit } = await stage.process(tasks(definitions));
  await kit.startWorker({ log: stage.worker.log });
  const results = await Promise.all(definitions.map((one) => kit.initiateTask(one, undefined)));
  for (const result of results) await assert.rejects(result.get(), TaskFailed);
  assert.deepEqual(Object.fromEntries(runs), {
    never: 1,
    twice: 3,
    fifteen: 16,
    rule: 4,
    default: 11,
  });
});

test("a definition's timeout holds for its tasks, unless they say otherwise", async () => {
  await using stage = new Stage();
  const slow = defineTask({
    group: "g",
    name: "slow",
    timeout: "5s",
    retry: 0,
    run: async (_: void, { signal }) => {
      await aborted(signal);
      throw signal.reason;
    },
  });
  const { kit } = await stage.process(tasks([slow]));
  await kit.startWorker({ log: stage.worker.log });
  const startedAt = stage.time.nowMs;
  await assert.rejects((await kit.initiateTask(slow, undefined)).get(), TaskFailed);
  assert(stage.time.nowMs - startedAt < 6_000);
  await assert.rejects(
    (await kit.initiateTask(slow, undefined, { timeout: "1m" })).get(),
    TaskFailed,
  );
  assert(stage.time.nowMs - startedAt > 60_000);
});

test("a worker without groups works on those of its definitions; names of two groups do not meet", async () => {
  await using stage = new Stage();
  const one = defineTask({ group: "a", name: "n", run: () => "a" });
  const two = defineTask({ group: "b", name: "n", run: () => "b" });
  const handler = tasks([one, two]);
  assert.deepEqual(handler.groups, ["a", "b"]);
  const { kit } = await stage.process(handler);
  await kit.startWorker({ log: stage.worker.log });
  assert.equal(await (await kit.initiateTask(one, undefined)).get(), "a");
  assert.equal(await (await kit.initiateTask(two, undefined)).get(), "b");
});

test("definitions are typed: data, result, and what a schema makes of it", () => {
  // Never called: the type checker is who tests.
  const typed = async (kit: Kit) => {
    const length = defineTask({ group: "g", name: "length", run: (s: string) => s.length });
    const number: number = await (await kit.initiateTask(length, "abc")).get();
    // @ts-expect-error The data of `length` is text.
    await kit.initiateTask(length, 5);
    // @ts-expect-error Its result is a number.
    const wrong: string = await (await kit.initiateTask(length, "abc")).get();

    const resize = defineTask({
      group: "g",
      name: "resize",
      schema: size,
      run: ({ width }) => Promise.resolve(width + 1),
    });
    const width: number = await (await kit.initiateTask(resize, { file: "a" })).get();
    // @ts-expect-error A field is missing.
    await kit.initiateTask(resize, { width: 5 });
    // @ts-expect-error A field is of another type.
    await kit.initiateTask(resize, { file: "a", width: "5" });
    // @ts-expect-error There is no such option.
    await kit.initiateTask(resize, { file: "a" }, { prio: 5 });

    defineTask({
      group: "g",
      name: "wrong",
      // @ts-expect-error What runs gets what the schema makes.
      schema: size,
      run: (data: number) => data,
    });
    // @ts-expect-error A group is needed.
    defineTask({ name: "wrong", run: () => 1 });

    const result = await kit.initiateTask("g", "n", 1);
    // @ts-expect-error The result of a task by name is unknown.
    const unknown: string = await result.get();
    // @ts-expect-error A result is not thenable: to await it does not wait for the task.
    result.then;
    return [number, wrong, width, unknown];
  };
  assert.equal(typeof typed, "function");
});

test("data that cannot be decoded is left for a worker that can", async () => {
  const handler = tasks([defineTask({ group: "g", name: "n", run: () => 1 })]);
  const task = {
    id: "01a20f9b-b723-7000-8000-02437e1fef7f",
    group: "g",
    name: "n",
    data: Uint8Array.of(99),
    due: new Date(0),
    created: new Date(0),
    scheduled: null,
    attempt: 1,
    retryCount: 0,
    ttl: 1,
    priority: 5,
  };
  await assert.rejects(async () => await handler.handle(task, undefined as never), UnknownTask);
});
