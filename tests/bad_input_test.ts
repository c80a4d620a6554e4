/**
 * What callers get wrong, one line each: a typed error, with a code, that says what to do.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, test } from "node:test";
import { defineTask, Kit, type Task, TaskHandler, TaskkitError, tasks } from "../mod.ts";
import { encodeJson } from "../src/store/record_codec.ts";
import { SimDatabase } from "../src/testing/sim_database.ts";

class Handler extends TaskHandler {
  override handle(task: Task): unknown {
    return this.decodeData(task);
  }
}

const ID = "019b796d-d600-7000-8000-078eee237ce0";
const LONG = "x".repeat(201);
const add = defineTask({
  group: "g",
  name: "add",
  schema: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value: unknown) =>
        typeof value === "number"
          ? { value }
          : { issues: [{ message: "is no number", path: ["data", { key: 0 }] }] },
    },
  },
  run: (n: number) => n + 1,
});

let kit: Kit;
let folder: string;

before(async () => {
  kit = await Kit.open({ kv: new SimDatabase().connect(), handler: new Handler() });
  folder = mkdtempSync(join(tmpdir(), "taskkit-bad-input-"));
});
after(async () => {
  await kit.close();
  rmSync(folder, { recursive: true });
});

/** What is called; the code of the error; what its message says. */
type Line = readonly [what: string, act: () => unknown, code: string, message: RegExp];

// What types would catch is passed as `never`: configurations and plain JavaScript have no types.

function initiate(...args: readonly unknown[]): () => Promise<unknown> {
  return () => Promise.resolve(Reflect.apply(kit.initiateTask, kit, args));
}
function open(options: unknown): () => Promise<unknown> {
  return async () => {
    const opened = await Kit.open(options as never);
    await opened.close();
  };
}
function work(options: unknown): () => Promise<unknown> {
  return async () => {
    const worker = await kit.startWorker(options as never);
    await worker.stop({ grace: 0 });
  };
}
function module(text: string): URL {
  const path = join(folder, `handler_${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(path, text);
  return pathToFileURL(path);
}

const ARGUMENT = "INVALID_ARGUMENT";

const LINES: readonly Line[] = [
  [
    "an empty group",
    initiate("", "n"),
    ARGUMENT,
    /^Cannot use "" as the group of a task: it is empty$/,
  ],
  ["an empty name", initiate("g", ""), ARGUMENT, /as the name of a task: it is empty$/],
  ["a name that is too long", initiate("g", LONG), ARGUMENT, /longer than 200 bytes$/],
  [
    "a group that is too long in bytes",
    initiate("é".repeat(101), "n"),
    ARGUMENT,
    /longer than 200 bytes$/,
  ],
  ["a name with half a character", initiate("g", "\ud800"), ARGUMENT, /lone surrogates$/],
  [
    "a name that is no string",
    initiate("g", 5),
    ARGUMENT,
    /Cannot use 5 as the name of a task: it is no string$/,
  ],
  [
    "a group that is no string",
    initiate(5, "n"),
    ARGUMENT,
    /pass a task made by defineTask, or a group and a name$/,
  ],
  ["no arguments", initiate(), ARGUMENT, /pass a task made by defineTask/],
  ["null for a definition", initiate(null, 1), ARGUMENT, /pass a task made by defineTask/],

  [
    "data that is a function",
    initiate("g", "n", () => {}),
    "INVALID_DATA",
    /^Cannot encode the data of a task "n": /,
  ],
  [
    "data that is an instance",
    initiate("g", "n", { at: new Handler() }),
    "INVALID_DATA",
    /at "\.at"/,
  ],
  ["data with a symbol", initiate("g", "n", [Symbol("s")]), "INVALID_DATA", /Cannot encode/],
  [
    "data with a key that pollutes",
    initiate("g", "n", JSON.parse('{"__proto__":{}}')),
    "INVALID_DATA",
    /__proto__/,
  ],
  [
    "data that is too large",
    initiate("g", "n", new Uint8Array(1_048_576)),
    "DATA_TOO_LARGE",
    /its data has 1048577 bytes; the bound is 1048576; store it elsewhere and pass where$/,
  ],
  [
    "data that does not fit its schema",
    initiate(add, "five"),
    "INVALID_DATA",
    /^Cannot initiate task "add": its data does not fit: data\.0: is no number$/,
  ],

  [
    "a due time that is no date",
    initiate("g", "n", 1, { due: new Date("x") }),
    ARGUMENT,
    /^Cannot read due: an invalid Date is no valid instant/,
  ],
  [
    "a due time that is NaN",
    initiate("g", "n", 1, { due: NaN }),
    ARGUMENT,
    /^Cannot read due: NaN/,
  ],
  ["a due time before the epoch", initiate("g", "n", 1, { due: -1 }), ARGUMENT, /1970 to 9999$/],
  [
    "a due time as text of a date",
    initiate("g", "n", 1, { due: "2026-01-01" }),
    ARGUMENT,
    /is no duration; write/,
  ],
  [
    "a negative ttl",
    initiate("g", "n", 1, { ttl: -1 }),
    ARGUMENT,
    /^Cannot read ttl: -1 is not between/,
  ],
  ["a ttl that is NaN", initiate("g", "n", 1, { ttl: NaN }), ARGUMENT, /^Cannot read ttl: NaN/],
  [
    "a ttl in words",
    initiate("g", "n", 1, { ttl: "a week" }),
    ARGUMENT,
    /write milliseconds or text such as "90s"/,
  ],
  [
    "a timeout of 0",
    initiate("g", "n", 1, { timeout: 0 }),
    ARGUMENT,
    /^Cannot use a timeout of 0: leave it out for no bound$/,
  ],
  [
    "a priority that is too large",
    initiate("g", "n", 1, { priority: 10 }),
    ARGUMENT,
    /whole number from 0 to 9$/,
  ],
  [
    "a priority between two",
    initiate("g", "n", 1, { priority: 1.5 }),
    ARGUMENT,
    /whole number from 0 to 9$/,
  ],
  [
    "an empty unique key",
    initiate("g", "n", 1, { unique: "" }),
    ARGUMENT,
    /as a unique key: it is empty$/,
  ],
  [
    "an option that does not exist",
    initiate("g", "n", 1, { prioriti: 1 }),
    ARGUMENT,
    /there is no option "prioriti"; did you mean "priority"\?$/,
  ],
  ["options that are none", initiate("g", "n", 1, "soon"), ARGUMENT, /it is no object$/],
  [
    "eager that is neither true nor false",
    initiate("g", "n", 1, { eager: "yes" }),
    ARGUMENT,
    /^Cannot use "yes" as eager: pass true or false$/,
  ],
  [
    "eager and unique",
    initiate("g", "n", 1, { eager: true, unique: "u" }),
    ARGUMENT,
    /unique is not to be had$/,
  ],
  [
    "an unknown option for a definition",
    initiate(add, 1, { dew: 1 }),
    ARGUMENT,
    /did you mean "due"\?$/,
  ],

  [
    "many tasks that are no array",
    () => kit.initiateTasks({} as never),
    ARGUMENT,
    /pass an array$/,
  ],
  [
    "one bad one among many",
    () => kit.initiateTasks([{ group: "g", name: "n" }, { group: "g" }] as never),
    ARGUMENT,
    /as the name of a task/,
  ],
  [
    "a typo in one of many",
    () => kit.initiateTasks([{ group: "g", name: "n", date: 5 }] as never),
    ARGUMENT,
    /did you mean "data"\?$/,
  ],
  [
    "eager ones among many",
    () => kit.initiateTasks([{ group: "g", name: "n", eager: true }]),
    ARGUMENT,
    /eager is for initiateTask alone$/,
  ],

  [
    "an id that is none",
    () => kit.getTask("5"),
    ARGUMENT,
    /^Cannot use "5" as the id of a task: it is no UUID$/,
  ],
  ["a result of an id that is none", () => kit.getResult(5 as never), ARGUMENT, /it is no UUID$/],
  [
    "a task that does not exist",
    () => kit.getTask(ID),
    "TASK_NOT_FOUND",
    /never initiated, or its ttl has passed$/,
  ],
  [
    "data of a task that does not exist",
    () => kit.getTaskData(ID),
    "TASK_NOT_FOUND",
    /^Cannot find task/,
  ],
  ["cancelling what does not exist", () => kit.cancel(ID), "TASK_NOT_FOUND", /^Cannot find task/],
  ["retrying what does not exist", () => kit.retry(ID), "TASK_NOT_FOUND", /^Cannot find task/],
  [
    "an unknown option of get",
    () => kit.getResult(ID).get({ timout: 5 } as never),
    ARGUMENT,
    /did you mean "timeout"\?$/,
  ],
  [
    "a negative timeout of get",
    () => kit.getResult(ID).get({ timeout: -5 }),
    ARGUMENT,
    /^Cannot read timeout: -5/,
  ],

  [
    "a state that does not exist",
    () => kit.listTasks({ state: "waiting" as never }),
    ARGUMENT,
    /"waiting" is no state; there are queued, running/,
  ],
  [
    "a limit of 0",
    () => kit.listTasks({ limit: 0 }),
    ARGUMENT,
    /as limit: it is not a whole number from 1 to 1000$/,
  ],
  ["a cursor that is none", () => kit.listTasks({ cursor: "5" }), ARGUMENT, /it is no UUID$/],
  [
    "a filter that does not exist",
    () => kit.listTasks({ stat: "queued" } as never),
    ARGUMENT,
    /did you mean "state"\?$/,
  ],
  [
    "a pause of what is no list",
    () => kit.pause("g" as never),
    ARGUMENT,
    /pass an array of groups, or nothing for all$/,
  ],
  ["a pause of a group without name", () => kit.pause([""]), ARGUMENT, /as a group: it is empty$/],

  [
    "no groups to work on",
    work({}),
    ARGUMENT,
    /say which groups it works on, such as \{ groups: \{ mail: 4 \} \}$/,
  ],
  ["an empty list of groups", work({ groups: {} }), ARGUMENT, /the number of groups/],
  [
    "a typo in the options of a group",
    work({ groups: { g: { concurency: 3 } } }),
    ARGUMENT,
    /there is no option "concurency"; did you mean "concurrency"\?$/,
  ],
  [
    "a typo in the options of the worker",
    work({ groups: { g: 1 }, gracee: 5 }),
    ARGUMENT,
    /did you mean "grace"\?$/,
  ],
  [
    "a concurrency of 0",
    work({ groups: { g: 0 } }),
    ARGUMENT,
    /concurrency of group "g": it is not a whole number from 1 to 1000$/,
  ],
  [
    "a concurrency that is none",
    work({ groups: { g: "many" } }),
    ARGUMENT,
    /the options of group "g"/,
  ],
  ["a group without name", work({ groups: { "": 1 } }), ARGUMENT, /as a group: it is empty$/],
  [
    "an executor that does not exist",
    work({ groups: { g: { executor: "fork" } } }),
    ARGUMENT,
    /fork/,
  ],
  ["threads without a module", work({ groups: { g: { executor: "thread" } } }), ARGUMENT, /URL/],
  [
    "a poll interval of 0",
    work({ groups: { g: 1 }, pollInterval: 0 }),
    ARGUMENT,
    /^Cannot use 0 as pollInterval/,
  ],
  ["a lease of 0", work({ groups: { g: 1 }, lease: 0 }), ARGUMENT, /^Cannot use 0 as lease/],
  [
    "a grace that is none",
    work({ groups: { g: 1 }, grace: "long" }),
    ARGUMENT,
    /^Cannot read grace/,
  ],
  [
    "a timeout of 0 for a group",
    work({ groups: { g: { timeout: 0 } } }),
    ARGUMENT,
    /leave it out for no bound$/,
  ],
  [
    "a log that is no function",
    work({ groups: { g: 1 }, log: console }),
    ARGUMENT,
    /^Cannot use an object as log: pass a function$/,
  ],
  [
    "a level that does not exist",
    work({ groups: { g: 1 }, logLevel: "verbose" }),
    ARGUMENT,
    /as logLevel: there are "debug", "info", "warn", "error"$/,
  ],
  [
    "maintenance that is neither true nor false",
    work({ groups: { g: 1 }, maintenance: "no" }),
    ARGUMENT,
    /as maintenance: pass true or false$/,
  ],
  [
    "a signal that is none",
    work({ groups: { g: 1 }, signal: {} }),
    ARGUMENT,
    /as signal: pass an AbortSignal$/,
  ],

  [
    "an option of open that does not exist",
    open({ kvv: ":memory:" }),
    ARGUMENT,
    /did you mean "kv"\?$/,
  ],
  [
    "a prefix that is empty",
    open({ kv: ":memory:", prefix: "" }),
    ARGUMENT,
    /as prefix: it is empty$/,
  ],
  [
    "a prefix of no parts",
    open({ kv: ":memory:", prefix: [] }),
    ARGUMENT,
    /the number of parts of prefix/,
  ],
  [
    "a prefix of too many parts",
    open({ kv: ":memory:", prefix: Array(9).fill("p") }),
    ARGUMENT,
    /from 1 to 8$/,
  ],
  [
    "a prefix with a number in it",
    open({ kv: ":memory:", prefix: ["p", 5] }),
    ARGUMENT,
    /as prefix: it is no string$/,
  ],
  [
    "a database that is none",
    open({ kv: 5 }),
    ARGUMENT,
    /pass a path, a KV Connect URL, an open Deno\.Kv/,
  ],
  [
    "a handler that is no TaskHandler",
    open({ kv: ":memory:", handler: { handle() {} } }),
    "HANDLER_INVALID",
    /pass an instance of a class that extends TaskHandler, or the URL of its module/,
  ],
  [
    "a handler given as a path",
    open({ kv: ":memory:", handler: "./handler.ts" }),
    "HANDLER_INVALID",
    /new URL\("\.\/handler\.ts", import\.meta\.url\)$/,
  ],
  [
    "a handler module that does not exist",
    () => open({ kv: ":memory:", handler: pathToFileURL(join(folder, "absent.mjs")) })(),
    "HANDLER_INVALID",
    /^Cannot load the handler module ".*absent\.mjs": /,
  ],
  [
    "a handler module without default export",
    () => open({ kv: ":memory:", handler: module("export const x = 1;") })(),
    "HANDLER_INVALID",
    /it has no default export; write "export default class Handler/,
  ],
  [
    "a handler module that throws",
    () => open({ kv: ":memory:", handler: module("throw new Error('no luck');") })(),
    "HANDLER_INVALID",
    /no luck/,
  ],
  [
    "a handler module that is no module",
    () => open({ kv: ":memory:", handler: module("export default {") })(),
    "HANDLER_INVALID",
    /^Cannot load the handler module/,
  ],
  [
    "a handler module that exports something else",
    () => open({ kv: ":memory:", handler: module("export default 5;") })(),
    "HANDLER_INVALID",
    /its default export is 5; write/,
  ],

  [
    "a folder as database",
    () => open({ kv: folder })(),
    "KV_UNAVAILABLE",
    /is a folder; pass the path of a file in it$/,
  ],
  [
    "a database in a folder that does not exist",
    () => open({ kv: join(folder, "no", "tasks.db") })(),
    "KV_UNAVAILABLE",
    /does not exist; make it first$/,
  ],
  [
    "a database below a file",
    () => {
      writeFileSync(join(folder, "file"), "x");
      return open({ kv: join(folder, "file", "tasks.db") })();
    },
    "KV_UNAVAILABLE",
    /^Cannot open the database/,
  ],
  [
    "a file that is no database",
    () => {
      writeFileSync(join(folder, "text.db"), "text\n".repeat(2_000));
      return open({ kv: join(folder, "text.db") })();
    },
    "KV_UNAVAILABLE",
    /is it a Deno KV file, and may this process write it\?$/,
  ],
  [
    "a database of a newer version",
    async () => {
      const kv = new SimDatabase().connect();
      await kv.atomic().set(["taskkit", "format"], encodeJson({ format: 2 })).commit();
      await Kit.open({ kv });
    },
    "NEWER_VERSION",
    /its format is 2, this version of Taskkit knows up to 1; update Taskkit$/,
  ],

  [
    "defineTask without run",
    () => defineTask({ group: "g", name: "n" } as never),
    ARGUMENT,
    /run is no function$/,
  ],
  [
    "defineTask with a bad name",
    () => defineTask({ group: "g", name: "", run: () => 1 }),
    ARGUMENT,
    /it is empty$/,
  ],
  [
    "defineTask with a typo",
    () => defineTask({ group: "g", name: "n", timout: 5, run: () => 1 } as never),
    ARGUMENT,
    /did you mean "timeout"\?$/,
  ],
  [
    "defineTask with a schema that is none",
    () => defineTask({ group: "g", name: "n", schema: {} as never, run: () => 1 }),
    ARGUMENT,
    /its schema is no Standard Schema$/,
  ],
  [
    "defineTask with null as schema",
    () => defineTask({ group: "g", name: "n", schema: null as never, run: () => 1 }),
    ARGUMENT,
    /its schema is no Standard Schema$/,
  ],
  [
    "defineTask with negative retries",
    () => defineTask({ group: "g", name: "n", retry: -1, run: () => 1 }),
    ARGUMENT,
    /as retry/,
  ],
  [
    "defineTask with a timeout of 0",
    () => defineTask({ group: "g", name: "n", timeout: 0, run: () => 1 }),
    ARGUMENT,
    /leave it out for no bound$/,
  ],
  [
    "two definitions of one name",
    () => tasks([add, add]),
    ARGUMENT,
    /"add" is defined twice in group "g"$/,
  ],
  [
    "a definition that is none",
    () => tasks([{}] as never),
    ARGUMENT,
    /is not made by defineTask$/,
  ],

  [
    "an atomic operation without task",
    () => kit.atomic().set(["a"], 1).commit(),
    ARGUMENT,
    /there is no task in it; use the database's own atomic\(\)$/,
  ],
  [
    "an atomic operation below the prefix",
    () => kit.atomic().set(["taskkit", "x"], 1).initiateTask("g", "n").commit(),
    ARGUMENT,
    /below Taskkit's own prefix/,
  ],
  [
    "an atomic operation with a bad key",
    () => kit.atomic().set([{}] as never, 1).initiateTask("g", "n").commit(),
    ARGUMENT,
    /a key is an array of strings, numbers/,
  ],
  [
    "an atomic operation with a bad versionstamp",
    () => kit.atomic().check(["a"], "x").initiateTask("g", "n").commit(),
    ARGUMENT,
    /is no versionstamp/,
  ],
  [
    "an atomic operation with a value that is too large",
    () => kit.atomic().set(["a"], "x".repeat(70_000)).initiateTask("g", "n").commit(),
    ARGUMENT,
    /^Cannot write to the database: /,
  ],
  [
    "an eager task in an atomic operation",
    () => kit.atomic().initiateTask("g", "n", 1, { eager: true }),
    ARGUMENT,
    /eager and unique are not to be had$/,
  ],
  [
    "more tasks than fit one commit",
    () => {
      const atomic = kit.atomic();
      for (let n = 0; n < 600; n++) atomic.initiateTask("g", "n");
      return atomic.commit();
    },
    ARGUMENT,
    /do not fit one commit .*; make it smaller, or use initiateTasks$/,
  ],
  [
    "an atomic operation that is committed twice",
    async () => {
      const atomic = kit.atomic().initiateTask("g", "n");
      await atomic.commit();
      await atomic.commit();
    },
    ARGUMENT,
    /^Cannot commit: it was committed before; build another one$/,
  ],

  [
    "stop with an option that does not exist",
    async () => {
      const worker = await kit.startWorker({ groups: { g: 1 } });
      try {
        await worker.stop({ graze: 5 } as never);
      } finally {
        await worker.stop();
      }
    },
    ARGUMENT,
    /did you mean "grace"\?$/,
  ],
  [
    "stop with a grace that is none",
    async () => {
      const worker = await kit.startWorker({ groups: { g: 1 } });
      try {
        await worker.stop({ grace: "soon" });
      } finally {
        await worker.stop();
      }
    },
    ARGUMENT,
    /^Cannot read grace/,
  ],
];

for (const [what, act, code, message] of LINES) {
  test(`bad input: ${what}`, async () => {
    await assert.rejects(async () => await act(), (error) => {
      assert(error instanceof TaskkitError, String(error));
      assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
      assert(!error.message.includes("\n"), error.message);
      return true;
    });
  });
}

test("bad input: nothing of all that was written", async () => {
  const { tasks: written } = await kit.listTasks();
  // But for the atomic operation that was committed before it was committed again.
  assert.equal(written.length, 1, JSON.stringify(written));
  assert.deepEqual(await kit.getWorkers(), []);
});

test("bad input: a Kit without a handler neither works nor runs anything eagerly", async () => {
  await using bare = await Kit.open({ kv: new SimDatabase().connect() });
  for (
    const act of [
      () => bare.startWorker({ groups: { g: 1 } }),
      () => bare.initiateTask("g", "n", 1, { eager: true }),
    ]
  ) {
    await assert.rejects(act, { code: ARGUMENT, message: /open the Kit with a handler$/ });
  }
  assert.deepEqual((await bare.listTasks()).tasks, []);
});

test("bad input: everything after close() says so, and close() twice does no harm", async () => {
  const closed = await Kit.open({ kv: new SimDatabase().connect(), handler: new Handler() });
  const result = await closed.initiateTask("g", "n");
  const atomic = closed.atomic().initiateTask("g", "n");
  await Promise.all([closed.close(), closed.close()]);
  await closed.close();
  const acts: (() => unknown)[] = [
    () => closed.initiateTask("g", "n"),
    () => closed.initiateTask(add, 1),
    () => closed.initiateTasks([]),
    () => closed.atomic(),
    () => atomic.commit(),
    () => closed.getResult(result.id),
    () => result.get(),
    () => closed.getTask(result.id),
    () => closed.getTaskData(result.id),
    () => closed.listTasks(),
    () => closed.getWorkers(),
    () => closed.stats(),
    () => closed.pause(),
    () => closed.resume(),
    () => closed.shutdown(),
    () => closed.cancel(result.id),
    () => closed.retry(result.id),
    () => closed.startWorker({ groups: { g: 1 } }),
    () => closed.start({ groups: { g: 1 } }),
    () => closed.drain({ groups: { g: 1 } }),
    () => closed.check(),
  ];
  for (const act of acts) {
    await assert.rejects(async () => await act(), {
      code: "KIT_CLOSED",
      message: /^Cannot .*: the Kit is closed$/,
    }, String(act));
  }
});

test("bad input: two Kits on one file are fine", async () => {
  const path = join(folder, "two.db");
  await using one = await Kit.open({ kv: path, handler: new Handler() });
  await using two = await Kit.open({ kv: path });
  await using _worker = await one.startWorker({ groups: { g: 1 } });
  const result = await two.initiateTask("g", "n", "hello");
  assert.equal(await result.get({ timeout: "30s" }), "hello");
});
