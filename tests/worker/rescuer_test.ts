import { test } from "node:test";
import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { IdSource } from "../../src/core/ids.ts";
import { systemRandom } from "../../src/core/random.ts";
import { beat, listWorkers } from "../../src/store/beat.ts";
import { Bells } from "../../src/store/bells.ts";
import { Turns } from "../../src/store/turns.ts";
import { openConnection } from "../../src/store/connection.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { Store } from "../../src/store/store.ts";
import { Rescuer } from "../../src/worker/rescuer.ts";

test("a worker is held to be dead after its own lease's time, not after the observer's", async () => {
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now };
  const { kv, hints } = await openConnection(":memory:");
  const store: Store = {
    kv,
    keys: new Keyspace(["t"]),
    clock,
    random: systemRandom,
    ids: new IdSource(clock, systemRandom),
    bells: new Bells(kv, clock, hints),
    turns: new Turns(null, clock),
    checksMax: 100,
    remote: false,
  };
  const about = { host: "", pid: 1, runtime: "", startedMs: 0, groups: {}, running: 0, op: "op" };
  for (const leaseMs of [2_000, 60_000]) {
    await beat(store, `lease of ${leaseMs}`, null, { ...about, stopping: false, leaseMs });
  }
  const rescuer = new Rescuer(store, {
    sweepMs: 1_000,
    id: () => "observer",
    onWorkers: () => {},
    onRescued: () => {},
    onTrouble: (error) => assert.fail(String(error)),
  });
  const alive = async (at: number) => {
    now = at;
    await rescuer.sweep();
    return (await listWorkers(store)).map(({ id }) => id);
  };
  assert.deepEqual(await alive(0), ["lease of 2000", "lease of 60000"]);
  assert.deepEqual(await alive(1_000), ["lease of 2000", "lease of 60000"]);
  assert.deepEqual(await alive(2_000), ["lease of 60000"]);
  for (let at = 3_000; at < 60_000; at += 1_000) {
    assert.deepEqual(await alive(at), ["lease of 60000"]);
  }
  assert.deepEqual(await alive(60_000), []);
  kv.close();
});
