import { test } from "node:test";
import assert from "node:assert/strict";
import { systemClock } from "../../src/core/clock.ts";
import { Bells } from "../../src/store/bells.ts";
import { openConnection } from "../../src/store/connection.ts";

test("a change of the file wakes those alone whose key has changed", async () => {
  const { kv } = await openConnection(":memory:");
  let change = () => {};
  const watchFile = (onChange: () => void) => {
    change = onChange;
    return () => {};
  };
  const bells = new Bells(kv, systemClock, { watchFile, canWatch: false });
  const wakes = { a: 0, b: 0 };
  let woken = Promise.withResolvers<void>();
  bells.listen([["a"]], () => {
    wakes.a++;
    woken.resolve();
  });
  bells.listen([["b"]], () => wakes.b++);
  // What was never read counts as changed.
  change();
  await woken.promise;
  assert.deepEqual(wakes, { a: 1, b: 1 });

  woken = Promise.withResolvers();
  await kv.atomic().set(["c"], 1).commit();
  change();
  await kv.atomic().set(["a"], 1).commit();
  change();
  await woken.promise;
  bells.close();
  kv.close();
  assert.deepEqual(wakes, { a: 2, b: 1 });
});
