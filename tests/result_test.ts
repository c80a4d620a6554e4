/**
 * Waiting for an outcome, where something comes between.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Kit, type KvPort } from "../mod.ts";
import { openConnection } from "../src/store/connection.ts";

/** A database whose reads, once it is told so, wait for `answer`, which then says how they end. */
function withHeldReads(kv: KvPort): {
  kv: KvPort;
  hold(answer: Promise<never>): Promise<void>;
} {
  let held: Promise<never> | null = null;
  const asked = Promise.withResolvers<void>();
  const slow: KvPort = {
    get(key) {
      if (held === null) return kv.get(key);
      asked.resolve();
      return held;
    },
    getMany: (keys) => kv.getMany(keys),
    list: (selector, options) => kv.list(selector, options),
    atomic: () => kv.atomic(),
    watch: (keys, options) => kv.watch(keys, options),
    close: () => kv.close(),
  };
  return {
    kv: slow,
    hold(answer) {
      held = answer;
      return asked.promise;
    },
  };
}

test("get() whose read fails since the Kit closes rejects with KitClosed", async () => {
  const { kv } = await openConnection(":memory:");
  const slow = withHeldReads(kv);
  const kit = await Kit.open({ kv: slow.kv });
  const result = await kit.initiateTask("mail", "greet", "Ada");
  const answer = Promise.withResolvers<never>();
  const asked = slow.hold(answer.promise);
  const waiting = assert.rejects(result.get(), { name: "KitClosed", code: "KIT_CLOSED" });
  await asked;
  await kit.close();
  answer.reject(new Error("Database is closed."));
  await waiting;
  kv.close();
});

test("get() whose read fails while the Kit is open tells so", async () => {
  const { kv } = await openConnection(":memory:");
  const slow = withHeldReads(kv);
  await using kit = await Kit.open({ kv: slow.kv });
  const result = await kit.initiateTask("mail", "greet", "Ada");
  const answer = Promise.withResolvers<never>();
  const asked = slow.hold(answer.promise);
  const waiting = assert.rejects(result.get(), { name: "KvUnavailable" });
  await asked;
  answer.reject(new Error("disk I/O error"));
  await waiting;
  await kit.close();
  kv.close();
});
