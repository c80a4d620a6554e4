import assert from "node:assert/strict";
import { test } from "node:test";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { Key } from "../../src/store/port.ts";
import { packKey } from "../../src/testing/packed_key.ts";

const ID = "019b796d-d600-7000-8000-078eee237ce0";
const keys = new Keyspace(["app", "taskkit"]);

function entry(key: Key) {
  return { key, value: null, versionstamp: "1" };
}

test("every key lies below the prefix, and no two are the same", () => {
  const all: Key[] = [
    keys.format(),
    keys.control(),
    keys.task(ID),
    keys.task("due"),
    keys.due("g", 5, 1, ID),
    keys.lease("w", "l"),
    keys.worker("w"),
    keys.unique("u"),
    keys.chunk(ID, 0, 0),
    keys.chunk(ID, 1, 0),
    keys.chunk(ID, 0, 1),
    keys.sweep(1, ID),
    keys.progress(ID),
    keys.groupBell("w"),
    keys.workerBell("w"),
    keys.scheduleBell(),
    keys.schedule("s", "k"),
    keys.aside(keys.task(ID)),
  ];
  assert.equal(new Set(all.map(packKey)).size, all.length);
  for (const key of all) {
    assert.deepEqual(key.slice(0, 2), ["app", "taskkit"]);
    assert(keys.owns(key));
  }
});

test("a key is ours below the prefix, and so is whatever the prefix lies below", () => {
  assert(keys.owns(["app"]));
  assert(keys.owns(["app", "taskkit"]));
  assert(keys.owns(["app", "taskkit", "x", 5]));
  for (const key of [["app", "other"], ["taskkit"], ["app", "taskkit "], ["APP"], [1]]) {
    assert(!keys.owns(key));
  }
});

test("a due key is read back; one that none of ours looks like is not", () => {
  assert.deepEqual(keys.readDue(entry(keys.due("g", 9, 77, ID))), {
    priority: 9,
    dueMs: 77,
    id: ID,
  });
  const due = (...parts: Key) => ["app", "taskkit", "due", "g", ...parts];
  for (
    const key of [
      due(),
      due(5),
      due(5, 1),
      due(5, 1, "no id"),
      due(5, 1, ID, "more"),
      due(10, 1, ID),
      due(-1, 1, ID),
      due(0.5, 1, ID),
      due(Infinity, 1, ID),
      due(NaN, 1, ID),
      due(5, -1, ID),
      due(5, 1.5, ID),
      due(5, Infinity, ID),
      due(5n, 1, ID),
      due("5", 1, ID),
      due(5, 1, 7),
    ]
  ) assert.equal(keys.readDue(entry(key)), null);
});

test("leases, marks and tasks are read back, foreign keys are not", () => {
  assert.deepEqual(keys.readLease(entry(keys.lease("w", "l"))), { worker: "w", id: "l" });
  assert.equal(keys.readLease(entry(["app", "taskkit", "lease", "w"])), null);
  assert.equal(keys.readLease(entry(["app", "taskkit", "lease", 5, "l"])), null);
  assert.deepEqual(keys.readSweep(entry(keys.sweep(5, ID))), { atMs: 5, id: ID });
  assert.equal(keys.readSweep(entry(["app", "taskkit", "sweep", "5", ID])), null);
  assert.equal(keys.readTask(entry(keys.task(ID))), ID);
  for (const rest of [[], ["x"], [5], [ID, "more"], [ID.toUpperCase()]]) {
    assert.equal(keys.readTask(entry(["app", "taskkit", "task", ...rest])), null);
  }
});

test("a due entry belongs to a record that stands in its group, with its priority and due time", () => {
  const record = { group: "g", priority: 5, dueMs: 7, id: ID };
  const own = entry(keys.due("g", 5, 7, ID));
  assert(keys.isDueOf(own, record));
  for (const other of [{ group: "h" }, { priority: 4 }, { dueMs: 8 }, { id: "x" }]) {
    assert(!keys.isDueOf(own, { ...record, ...other }));
  }
});

test("due keys sort by priority, then due time, then id", () => {
  const sorted = [
    keys.due("g", 0, 5, ID),
    keys.due("g", 1, 0, ID),
    keys.due("g", 1, 9, ID),
    keys.due("g", 1, 10, `${ID}0`),
    keys.due("g", 1, 10, `${ID}1`),
    keys.due("g", 9, 0, ID),
  ].map(packKey);
  assert.deepEqual(sorted, [...sorted].sort());
});
