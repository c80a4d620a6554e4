import { test } from "node:test";
import assert from "node:assert/strict";
import { Kit, type Task, TaskHandler } from "../../mod.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { Key, KvPort } from "../../src/store/port.ts";
import { openConnection } from "../../src/store/connection.ts";

class Handler extends TaskHandler {
  override handle(task: Task): unknown {
    return this.decodeData(task);
  }
}

const keys = new Keyspace(["taskkit"]);
const LARGE = "x".repeat(100_000);

/** A database with tasks in several states, and a way to damage it. */
async function world(
  act: (
    kit: Kit,
    kv: KvPort,
    ids: { queued: string; unique: string; ended: string },
  ) => Promise<void>,
): Promise<void> {
  const { kv } = await openConnection(":memory:");
  try {
    await using kit = await Kit.open({ kv, handler: new Handler() });
    const queued = await kit.initiateTask("mail", "send", LARGE, { due: "1h" });
    const unique = await kit.initiateTask("mail", "send", 1, { due: "1h", unique: "one" });
    const ended = await kit.initiateTask("mail", "send", LARGE, { eager: true });
    await act(kit, kv, { queued: queued.id, unique: unique.id, ended: ended.id });
  } finally {
    kv.close();
  }
}

async function find(kv: KvPort, kind: string): Promise<{ key: Key; value: unknown }> {
  for await (const entry of kv.list({ prefix: ["taskkit", kind] })) return entry;
  throw new Error(`there is no ${kind}`);
}

async function damage(kv: KvPort, key: Key): Promise<void> {
  await kv.atomic().set(key, Uint8Array.of(1, 2, 3)).commit();
}

async function messages(kit: Kit): Promise<string[]> {
  const { problems, more } = await kit.check();
  assert.equal(more, 0);
  assert.ok(problems.every(({ repaired }) => !repaired));
  return problems.map(({ message }) => message).sort();
}

test("a sound database has no problem", () =>
  world(async (kit) => {
    const report = await kit.check();
    assert.deepEqual({ ...report, entries: 0 }, {
      entries: 0,
      tasks: 3,
      newer: 0,
      problems: [],
      more: 0,
    });
    assert.ok(report.entries >= 3 + 2 + 1 + 3);
  }));

const DAMAGES: {
  name: string;
  found: string[];
  /** What a repair cannot put right, or leaves to the next one. */
  left?: string[];
  act: (kv: KvPort, ids: { queued: string; unique: string; ended: string }) => Promise<unknown>;
}[] = [
  {
    name: "a due entry is gone",
    found: ["a queued task has no due entry"],
    act: async (kv) => kv.atomic().delete((await find(kv, "due")).key).commit(),
  },
  {
    name: "a due entry was written by another commit",
    found: ["a queued task has a stale due entry", "a queued task has a stale due entry"],
    act: async (kv) => {
      const { key, value } = await find(kv, "due");
      await kv.atomic().set(key, value).commit();
    },
  },
  {
    name: "a record is gone",
    found: [
      "a due entry has no task",
      "a unique key is held by a task that has ended or is not there",
    ],
    act: (kv, { unique }) => kv.atomic().delete(keys.task(unique)).commit(),
  },
  {
    name: "a record is damaged",
    found: [
      "a unique key is held by a task that has ended or is not there",
      "the record of a task cannot be read",
      "the task of a due entry cannot be read",
    ],
    left: [
      "a record that could not be read was set aside",
      "a record that could not be read was set aside",
    ],
    act: (kv, { unique }) => damage(kv, keys.task(unique)),
  },
  {
    name: "a due entry is damaged",
    found: ["a queued task has a stale due entry", "a queued task has a stale due entry"],
    act: async (kv) => damage(kv, (await find(kv, "due")).key),
  },
  {
    name: "a unique key is gone",
    found: ["a task does not hold its unique key"],
    act: (kv) => kv.atomic().delete(keys.unique("one")).commit(),
  },
  {
    name: "a unique key names nobody",
    found: [
      "a task's unique key is held by another one",
      "a unique key is held by a task that has ended or is not there",
    ],
    act: (kv) => kv.atomic().set(keys.unique("one"), new TextEncoder().encode("nobody")).commit(),
  },
  {
    name: "a lease lists a task that does not run",
    found: ["a lease lists 1 tasks that do not run under it"],
    act: (kv, { queued }) => {
      const text = JSON.stringify({ tasks: [queued], cancel: [], op: "x" });
      const value = new Uint8Array([1, ...new TextEncoder().encode(text)]);
      return kv.atomic().set(keys.lease("nobody", "lease"), value).commit();
    },
  },
  {
    name: "a schedule is damaged",
    found: ["a schedule cannot be read"],
    left: ["a record that could not be read was set aside"],
    act: (kv) => kv.atomic().set(keys.schedule("main", "k"), new Uint8Array([1, 2])).commit(),
  },
  {
    name: "a lease and a heartbeat are damaged",
    found: ["a lease cannot be read", "the heartbeat of a worker cannot be read"],
    left: [
      "a record that could not be read was set aside",
      "a record that could not be read was set aside",
    ],
    act: async (kv) => {
      await damage(kv, keys.lease("nobody", "lease"));
      await damage(kv, keys.worker("nobody"));
    },
  },
  {
    name: "a chunk is gone",
    found: ["a part of a task's data is missing"],
    left: ["a part of a task's data is missing"],
    act: (kv, { queued }) => kv.atomic().delete(keys.chunk(queued, 0, 1)).commit(),
  },
  {
    name: "the marks for the sweep are gone",
    found: [
      "a part of large data belongs to nothing",
      "the large data of an ended task is not marked for the sweep",
    ],
    act: async (kv, { ended }) => {
      for await (const { key } of kv.list({ prefix: ["taskkit", "sweep"] })) {
        await kv.atomic().delete(key).commit();
      }
      await kv.atomic().set(keys.chunk(ended, 9, 0), Uint8Array.of(1)).commit();
    },
  },
  {
    name: "a foreign key lies below the prefix",
    found: ["a key that Taskkit does not know lies below the prefix"],
    left: ["a key that Taskkit does not know lies below the prefix"],
    act: (kv) => kv.atomic().set(["taskkit", "mine"], "all").commit(),
  },
];

for (const { name, found, left = [], act } of DAMAGES) {
  test(`check() finds and repairs: ${name}`, () =>
    world(async (kit, kv, ids) => {
      await act(kv, ids);
      assert.deepEqual(await messages(kit), found);
      await kit.check({ repair: true });
      assert.deepEqual(await messages(kit), left);
    }));
}

test("the second repair deletes what the first one set aside", () =>
  world(async (kit, kv, { unique }) => {
    await damage(kv, keys.task(unique));
    const first = await kit.check({ repair: true });
    assert.ok(first.problems.every(({ repaired }) => repaired), "all repaired");
    await kit.check({ repair: true });
    assert.deepEqual(await messages(kit), []);
  }));

test("check() counts a record from the future and leaves it alone", () =>
  world(async (kit, kv, { queued }) => {
    const value = Uint8Array.of(2, 0);
    const due = await find(kv, "due");
    await kv.atomic().set(keys.task(queued), value).set(due.key, value).commit();
    const report = await kit.check({ repair: true });
    assert.deepEqual(report.problems, []);
    assert.equal(report.newer, 1);
    assert.deepEqual([...(await kv.get(keys.task(queued))).value as Uint8Array], [...value]);
  }));

test("check() puts a task that runs without a lease back", () =>
  world(async (kit, kv) => {
    const entered = Promise.withResolvers<void>();
    const leave = Promise.withResolvers<void>();
    class Slow extends TaskHandler {
      override async handle(): Promise<void> {
        entered.resolve();
        await leave.promise;
      }
    }
    await using other = await Kit.open({ kv, handler: new Slow() });
    const { id } = await other.initiateTask("slow", "wait");
    const worker = await other.startWorker({ groups: { slow: 1 }, log: () => {} });
    await entered.promise;
    await kv.atomic().delete((await find(kv, "lease")).key).commit();
    assert.deepEqual(await messages(kit), ["a running task has no lease that lists it"]);
    await kit.pause(["slow"]);
    await kit.check({ repair: true });
    assert.deepEqual(await messages(kit), []);
    leave.resolve();
    await worker.stop();
    const { state, attempt, retryCount } = await kit.getTask(id);
    assert.deepEqual({ state, attempt, retryCount }, {
      state: "queued",
      attempt: 1,
      retryCount: 0,
    });
  }));
