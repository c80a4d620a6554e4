import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { openConnection } from "../../src/store/connection.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";

function inFolder(prove: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "taskkit-connection-"));
    try {
      await prove(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

test(
  "a path and a file URL open the same file, which is made if it is not there",
  inFolder(async (folder) => {
    const path = join(folder, "a b.db");
    const first = await openConnection(path);
    await first.kv.atomic().set(["k"], Uint8Array.of(7)).commit();
    first.kv.close();
    for (const source of [path, pathToFileURL(path)]) {
      const { kv, owned, remote } = await openConnection(source);
      assert.deepEqual([owned, remote], [true, false]);
      assert.deepEqual([...(await kv.get(["k"])).value as Uint8Array], [7]);
      kv.close();
    }
  }),
);

test(
  "two connections to one file see each other's writes",
  inFolder(async (folder) => {
    const path = join(folder, "tasks.db");
    const [one, two] = [await openConnection(path), await openConnection(path)];
    await one.kv.atomic().set(["k"], Uint8Array.of(7)).commit();
    assert.deepEqual([...(await two.kv.get(["k"])).value as Uint8Array], [7]);
    one.kv.close();
    two.kv.close();
  }),
);

test("an open KV stays its owner's", async () => {
  const kv = new SimDatabase().connect();
  assert.deepEqual(await openConnection(kv).then(({ owned, kv: same }) => [owned, same === kv]), [
    false,
    true,
  ]);
});

test(
  "what is no database is a typed error that says what to do",
  inFolder(async (folder) => {
    const text = join(folder, "text.db");
    writeFileSync(text, "this is no database\n".repeat(1_000));
    const bad: [unknown, string, RegExp][] = [
      [folder, "KV_UNAVAILABLE", /is a folder; pass the path of a file in it$/],
      [join(folder, "absent", "tasks.db"), "KV_UNAVAILABLE", /does not exist; make it first$/],
      [
        join(text, "tasks.db"),
        "KV_UNAVAILABLE",
        /text\.db" is no folder|is it a Deno KV file, and may this process write it\?$/,
      ],
      [text, "KV_UNAVAILABLE", /is it a Deno KV file, and may this process write it\?$/],
      ["", "INVALID_ARGUMENT", /pass a path, a KV Connect URL, an open Deno\.Kv/],
      [null, "INVALID_ARGUMENT", /pass a path/],
      [5, "INVALID_ARGUMENT", /pass a path/],
      [{}, "INVALID_ARGUMENT", /pass a path/],
      [
        "http://example.com",
        "INVALID_ARGUMENT",
        /would receive the access token unencrypted; use https/,
      ],
      ["https://user:secret@example.com", "INVALID_ARGUMENT", /must be plain/],
      ["https://example.com?token=secret", "INVALID_ARGUMENT", /must be plain/],
    ];
    for (const [source, code, message] of bad) {
      await assert.rejects(openConnection(source as string), (error) => {
        assert(error instanceof Error && "code" in error);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        assert.match(error.message, /^Cannot open the database/);
        assert(!error.message.includes("secret") && !error.message.includes("\n"), error.message);
        return true;
      }, String(source));
    }
  }),
);

test("a server needs a token from the environment", async () => {
  const before = process.env.DENO_KV_ACCESS_TOKEN;
  delete process.env.DENO_KV_ACCESS_TOKEN;
  try {
    await assert.rejects(openConnection("https://example.com"), {
      code: "KV_UNAVAILABLE",
      message: /set the environment variable DENO_KV_ACCESS_TOKEN/,
    });
  } finally {
    if (before !== undefined) process.env.DENO_KV_ACCESS_TOKEN = before;
  }
});
