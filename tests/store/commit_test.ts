import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgument, KvUnavailable } from "../../src/core/errors.ts";
import { COMMIT_DEADLINE_MS, SEND_DEADLINE_MS } from "../../src/core/limits.ts";
import { bytesOfKey, Changes, commit, firstLine, isClosed } from "../../src/store/commit.ts";
import type { KvPort } from "../../src/store/port.ts";
import { packKey } from "../../src/testing/packed_key.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import { interfered, testOnEach } from "./world.ts";

function oneSet(): Changes {
  const changes = new Changes();
  changes.set(["k"], Uint8Array.of(1));
  return changes;
}

/** A context whose time passes by itself. */
function context(dialect: "deno" | "npm" = "deno", around: (kv: KvPort) => KvPort = (kv) => kv) {
  const database = new SimDatabase({ dialect });
  const driver = database.time.drive();
  const sim = database.connect();
  return {
    sim,
    database,
    kv: around(sim),
    clock: database.time.clock(),
    random: new SeededRandom("commit"),
    [Symbol.dispose]: () => driver[Symbol.dispose](),
  };
}

testOnEach("a commit that is answered well says its version", async (world) => {
  const answer = await commit(world.a, oneSet());
  assert.deepEqual(answer, {
    kind: "committed",
    versionstamp: (await world.kv.get(["k"])).versionstamp,
  });
});

testOnEach("a failed check is a doubtful answer, and says that it was a refusal", async (world) => {
  const changes = oneSet();
  changes.check(["k"], "00000000000000000000");
  const answer = await commit(world.a, changes);
  assert.deepEqual({ ...answer, error: null }, { kind: "doubtful", error: null, isRefused: true });
  assert.equal((await world.kv.get(["k"])).versionstamp, null);
});

test("a broken connection is a doubtful answer, and no refusal", async () => {
  for (const dialect of ["deno", "npm"] as const) {
    using world = context(dialect);
    world.sim.inject({ kind: "lostAnswer", isRepeated: false });
    const answer = await commit(world, oneSet());
    assert(answer.kind === "doubtful" && !answer.isRefused);
  }
});

test("no answer within the deadline is a doubtful answer", async () => {
  using world = context();
  world.sim.inject({ kind: "blackhole" });
  const answer = await commit(world, oneSet());
  assert(answer.kind === "doubtful" && !answer.isRefused);
  assert.equal(world.clock.monotonic(), SEND_DEADLINE_MS);
});

test("a locked file is tried again, after pauses that grow", async () => {
  using world = context();
  for (let n = 0; n < 20; n++) world.sim.inject({ kind: "locked" });
  assert.equal((await commit(world, oneSet())).kind, "committed");
  assert(world.clock.monotonic() > 50 && world.clock.monotonic() < 2_000);
});

test("a file that stays locked ends as unavailable within the deadline: nothing was applied", async () => {
  using world = context();
  for (let n = 0; n < 10_000; n++) world.sim.inject({ kind: "locked" });
  await assert.rejects(commit(world, oneSet()), (error) => {
    assert(error instanceof KvUnavailable);
    assert.match(error.message, /^Cannot write to the database: it was locked .* for 30000 ms$/);
    return true;
  });
  assert(world.clock.monotonic() <= COMMIT_DEADLINE_MS);
});

testOnEach("what cannot be stored is refused at once, and nothing is applied", async (world) => {
  const tries: ((changes: Changes) => void)[] = [
    (changes) => changes.set(["big"], new Uint8Array(65_537)),
    (changes) => changes.set(["k".repeat(2_100)], Uint8Array.of(1)),
    (changes) => changes.set(["f"], () => {}),
    (changes) => {
      for (let n = 0; n < 14; n++) changes.set(["many", n], new Uint8Array(65_000));
    },
    (changes) => {
      for (let n = 0; n < 101; n++) changes.check(["c", n], null);
    },
  ];
  for (const add of tries) {
    const changes = oneSet();
    add(changes);
    await assert.rejects(commit(world.a, changes), (error) => {
      assert(error instanceof InvalidArgument, String(error));
      assert.match(error.message, /^Cannot write to the database: .+$/);
      assert(!error.message.includes("\n"));
      return true;
    });
    assert.equal((await world.kv.get(["k"])).versionstamp, null);
  }
});

test("a connection that was closed before is unavailable; one that the other side closed is doubtful", async () => {
  for (const dialect of ["deno", "npm"] as const) {
    using world = context(dialect);
    world.sim.close();
    await assert.rejects(commit(world, oneSet()), KvUnavailable);
  }
  const texts = [
    "The socket connection was closed unexpectedly",
    "Database is closed.",
    "connection closed before message completed",
    "Unexpected response status: 429 Too Many Requests",
    "Unexpected response status: 503",
  ];
  for (const text of texts) {
    using world = context(
      "deno",
      (kv) =>
        interfered(
          kv,
          (call, proceed) =>
            call.kind === "commit" ? Promise.reject(new TypeError(text)) : proceed(),
        ),
    );
    const answer = await commit(world, oneSet());
    assert(answer.kind === "doubtful" && !answer.isRefused, text);
  }
});

test("what a closed connection says is told from the rest", () => {
  const badResource = Object.assign(new Error("Bad resource ID"), { name: "BadResource" });
  assert(isClosed(badResource));
  assert(isClosed(new Error("Cannot call '.get' after '.close' is called")));
  for (const error of [new Error("closed"), "Bad resource ID", null, undefined]) {
    assert(!isClosed(error));
  }
});

test("changes count at least the bytes that the engine counts", () => {
  const keys = [
    ["task", "x"],
    ["é\u0000", 5, -1.5],
    [true, Uint8Array.of(0, 1, 0), 2n ** 70n],
    ["😀".repeat(10)],
  ];
  for (const key of keys) assert(bytesOfKey(key) >= packKey(key).length);
  const changes = new Changes();
  changes.set(keys[0] ?? [], new Uint8Array(100));
  const others = new Changes();
  others.set(keys[1] ?? [], "no bytes");
  others.delete(...keys);
  others.check(["x"], null);
  changes.add(others);
  assert.deepEqual(
    [changes.sets.length, changes.deletes.length, changes.checks.length, changes.mutations],
    [2, 4, 1, 6],
  );
  assert(changes.bytes >= 100 + others.bytes);
});

test("long keys weigh more than their bytes, since they have a bound of their own", () => {
  const changes = new Changes();
  for (let n = 0; n < 100; n++) changes.set(["k".repeat(700), n], new Uint8Array(0));
  assert(changes.bytes > 700_000);
});

test("an error is told by its first line", () => {
  assert.equal(firstLine(new Error("ValueTooLong\n\nStack backtrace:\n 0: x")), "ValueTooLong");
  assert.equal(firstLine("text"), "text");
});
