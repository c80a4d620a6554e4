/**
 * One database file, written in one runtime and worked on in the other, as real processes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runFixture, type Runtime, runtimes } from "./runtimes.ts";

const { own, other } = runtimes;
const skip = other === null ? "the other runtime is not on the PATH" : false;
const both: readonly Runtime[] = other === null ? [own] : [own, other];

async function inFolder(prove: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "taskkit-cross-"));
  try {
    await prove(join(folder, "tasks.db"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(runtime: Runtime, ...args: readonly string[]): Promise<unknown> {
  return JSON.parse(await runFixture(runtime, "peer", args));
}

interface Initiated {
  readonly ids: Readonly<Record<string, string>>;
  readonly more: Readonly<Record<string, string>>;
  readonly isHeld: boolean;
}

for (const [writer, worker] of [[own, other], [other, own]] as const) {
  const title = `what ${writer?.name} writes, ${worker?.name} works on, and both read the results`;
  test(title, { skip }, async () => {
    assert(writer !== null && worker !== null);
    await inFolder(async (path) => {
      const { ids, more, isHeld } = await run(writer, "initiate", path) as Initiated;
      assert.equal(isHeld, true);
      const count = Object.keys(ids).length + 1;
      assert.deepEqual(await run(worker, "work", path, `${count}`), { ran: count });
      const all = JSON.stringify({ ...ids, ...more });
      for (const reader of both) {
        const told = await run(reader, "read", path, all) as Record<string, string>;
        const { unique, cancelled, ...rest } = told;
        assert.deepEqual([unique, cancelled], ["{name:string unique,got:number 1}", "cancelled 0"]);
        assert.deepEqual(rest, await run(reader, "expect"));
      }
    });
  });
}

test("workers of both runtimes share one file, and nothing runs twice", { skip }, async () => {
  assert(other !== null);
  await inFolder(async (path) => {
    const rounds = [];
    for (let n = 0; n < 4; n++) rounds.push(await run(n % 2 === 0 ? own : other, "initiate", path));
    const names = new Set(rounds.flatMap((round) => Object.values((round as Initiated).ids)));
    const ones = new Set(rounds.map((round) => (round as Initiated).more.unique));
    const count = `${names.size + ones.size}`;
    const [a, b] = await Promise.all([
      run(own, "work", path, count),
      run(other, "work", path, count),
    ]);
    const ran = (told: unknown) => (told as { ran: number }).ran;
    assert.equal(ran(a) + ran(b), Number(count));
  });
});
