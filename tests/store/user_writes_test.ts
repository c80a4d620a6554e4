import assert from "node:assert/strict";
import { test } from "node:test";
import type { UserKey, UserWrite } from "../../src/core/handler.ts";
import { toUserChanges } from "../../src/store/user_writes.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { World } from "./world.ts";

const { a: store } = new World(new SimDatabase().connect(), 10);
const STAMP = "0000000000000000000a";

test("writes become the changes that they ask for", () => {
  const changes = toUserChanges(store, [
    { kind: "set", key: ["a", 1, 2n, true, Uint8Array.of(5)], value: { x: 1 } },
    { kind: "set", key: ["b"], value: "v", expireIn: 1_000 },
    { kind: "delete", key: ["c"] },
    { kind: "check", key: ["d"], versionstamp: null },
    { kind: "check", key: ["e"], versionstamp: STAMP },
  ]);
  assert.deepEqual(changes.sets, [
    { key: ["a", 1, 2n, true, Uint8Array.of(5)], value: { x: 1 }, expireIn: undefined },
    { key: ["b"], value: "v", expireIn: 1_000 },
  ]);
  assert.deepEqual(changes.deletes, [["c"]]);
  assert.deepEqual(changes.checks, [
    { key: ["d"], versionstamp: null },
    { key: ["e"], versionstamp: STAMP },
  ]);
});

test("long keys of bytes fit as far as the engine takes them", () => {
  toUserChanges(store, [{ kind: "delete", key: [new Uint8Array(1_000)] }]);
  toUserChanges(store, [{ kind: "delete", key: ["x".repeat(2_000)] }]);
});

const BAD_KEYS: readonly unknown[] = [
  [],
  "text",
  null,
  undefined,
  {},
  [null],
  [undefined],
  [{}],
  [Symbol("s")],
  [["nested"]],
  ["\ud800"],
  ["x".repeat(2_049)],
  ["taskkit"],
  ["taskkit", "task", "id"],
];

test("a key that is none, or too long, or ours, is refused", () => {
  for (const key of BAD_KEYS) {
    const write = { kind: "delete", key: key as UserKey } as const;
    assert.throws(() => toUserChanges(store, [write]), {
      code: "INVALID_ARGUMENT",
      message: /^Cannot write with the task: /,
    });
  }
});

test("what is no versionstamp, no time to live, or too many, is refused", () => {
  const bad: (readonly UserWrite[])[] = [
    ...["", "x", STAMP.slice(1), 5, undefined, {}].map((versionstamp) => [
      { kind: "check" as const, key: ["a"], versionstamp: versionstamp as string },
    ]),
    ...[-1, 0, 1.5, NaN, "5"].map((expireIn) => [
      { kind: "set" as const, key: ["a"], value: 1, expireIn: expireIn as number },
    ]),
    Array.from({ length: 201 }, (_, n) => ({ kind: "delete" as const, key: ["a", n] })),
    Array.from(
      { length: 9 },
      (_, n) => ({ kind: "check" as const, key: ["a", n], versionstamp: null }),
    ),
  ];
  for (const writes of bad) {
    assert.throws(() => toUserChanges(store, writes), { code: "INVALID_ARGUMENT" });
  }
});
