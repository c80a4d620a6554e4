/**
 * Records that cannot be read: flipped bytes, another type, from the future, in every kind of key.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Key } from "../../src/store/port.ts";
import { Fleet } from "./fleet.ts";
import { fill } from "./processes.ts";

/** What came of a run. */
export interface BadRecordsReport {
  readonly tasks: number;
  /** Records that were damaged, by kind of key. */
  readonly damaged: Readonly<Record<string, number>>;
  /** Tasks that none of it was about, and that have not succeeded. */
  readonly harmed: number;
  /** What the check says before and after two repairs. */
  readonly problems: number;
  readonly left: readonly string[];
  /** Records from the future, which nobody touched. */
  readonly newer: number;
}

const DAMAGES: readonly ((value: Uint8Array) => Uint8Array | string)[] = [
  (value) =>
    value.map((byte, n) => n === Math.floor(Math.random() * value.length) ? byte ^ 0xff : byte),
  (value) => value.subarray(0, value.length >> 1),
  () => Uint8Array.of(),
  () => "a string",
  (value) => Uint8Array.of(0, ...value.subarray(1)),
];

/** Damages a part of the records that wait, then lets a worker process drain the rest. */
export async function runBadRecords(
  options: { tasks: number; damages: number },
): Promise<BadRecordsReport> {
  await using fleet = new Fleet();
  await using open = await fleet.open();
  const { kit, kv } = open;
  await kit.pause(["work"]);
  await fill(kit, options.tasks);
  const keys: Key[] = [];
  for await (const { key } of kv.list({ prefix: ["taskkit"] }, { batchSize: 500 })) {
    if (key[1] === "task" || key[1] === "due") keys.push(key);
  }
  const touched = new Set<unknown>();
  const damaged: Record<string, number> = {};
  for (let n = 0; n < options.damages; n++) {
    const key = keys[Math.floor(Math.random() * keys.length)] ?? [];
    const { value } = await kv.get(key);
    if (!(value instanceof Uint8Array)) continue;
    const damage = DAMAGES[n % DAMAGES.length];
    if (damage === undefined) continue;
    await kv.atomic().set(key, damage(value)).commit();
    touched.add(key.at(-1));
    damaged[String(key[1])] = (damaged[String(key[1])] ?? 0) + 1;
  }
  // One from the future, as its own version would write it: record and due entry in one commit.
  const future = keys.find((key) => key[1] === "due" && !touched.has(key.at(-1))) ?? [];
  const { value } = await kv.get(future);
  if (value instanceof Uint8Array) {
    const newer = Uint8Array.of(2, ...value.subarray(1));
    await kv.atomic().set(future, newer).set(["taskkit", "task", String(future.at(-1))], newer)
      .commit();
    touched.add(future.at(-1));
  }
  await kv.atomic().set(["taskkit", "lease", "nobody", "x"], Uint8Array.of(1, 2, 3))
    .set(["taskkit", "worker", "nobody"], "no bytes").commit();

  const worker = await fleet.worker({ notes: false, concurrency: 20, lease: "2s", poll: "500ms" });
  await kit.resume(["work"]);
  const succeeded = async () => {
    let harmed = 0;
    for (const key of keys) {
      const id = String(key.at(-1));
      if (key[1] !== "task" || touched.has(id)) continue;
      if ((await kit.getTask(id)).state !== "succeeded") harmed++;
    }
    return harmed;
  };
  let harmed = await succeeded();
  for (let n = 0; n < 100 && harmed > 0; n++) {
    await sleep(200);
    harmed = await succeeded();
  }
  await worker.stop();
  const before = await kit.check({ repair: true });
  await kit.check({ repair: true });
  const after = await kit.check();
  return {
    tasks: options.tasks,
    damaged,
    harmed,
    problems: before.problems.length + before.more,
    left: after.problems.map(({ key, message }) => `${key}: ${message}`),
    newer: after.newer,
  };
}
