/**
 * Compresses the files below a folder in threads, with progress, and proves that they can be restored.
 *
 *     deno run -A examples/compress_files.ts [folder] [--out folder] [--threads number]
 *     bun examples/compress_files.ts [folder] [--out folder] [--threads number]
 *
 * Without `--out` the compressed files go away with the program. Try `--threads 1` and `--threads 2` on a folder with a
 * few hundred megabytes.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { Kit, type Result, TaskFailed } from "@taskkit/taskkit";
import type { CompressData, Compressed } from "./handlers/compress.ts";

const FILES_MAX = 10_000;

const { positionals: [folder = "."], values: options } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
  },
});
const threads = Number(options.threads);
const temporary = await mkdtemp(join(tmpdir(), "compress-files-"));
const out = resolve(options.out ?? join(temporary, "compressed"));

try {
  await compressAll();
} finally {
  await rm(temporary, { recursive: true });
}

async function compressAll(): Promise<void> {
  // A handler that computes is given by its URL, so that threads can load it.
  await using kit = await Kit.open({
    kv: join(temporary, "tasks.db"),
    handler: new URL("./handlers/compress.ts", import.meta.url),
  });
  // Two more tasks than threads, so that none waits for the database. A file that takes a minute is given up.
  await using _worker = await kit.startWorker({
    groups: { files: { executor: "thread", concurrency: threads + 2, timeout: "1m" } },
    threads,
  });

  const begunMs = performance.now();
  const files = await filesBelow(resolve(folder));
  const results = await kit.initiateTasks(
    files.map((from) => {
      const to = `${join(out, relative(resolve(folder), from))}.gz`;
      return { group: "files", name: "compress", data: { from, to } satisfies CompressData };
    }),
  );
  const sums = { files: 0, bytes: 0, compressedBytes: 0, failed: 0 };
  const show = setInterval(() => {
    // What ends while it is looked for is no longer shown.
    showProgress(kit, sums.files, files.length).catch(() => {});
  }, 500);
  try {
    for (const [i, from] of files.entries()) {
      const done = await outcome(from, results[i]);
      if (done === null) sums.failed++;
      else {
        sums.files++;
        sums.bytes += done.bytes;
        sums.compressedBytes += done.compressedBytes;
        await prove(`${join(out, relative(resolve(folder), from))}.gz`, done);
      }
    }
  } finally {
    clearInterval(show);
  }
  const seconds = (performance.now() - begunMs) / 1_000;
  const percent = sums.bytes === 0 ? 100 : 100 * sums.compressedBytes / sums.bytes;
  console.log(
    `${sums.files} files, ${megabytes(sums.bytes)} → ${megabytes(sums.compressedBytes)} ` +
      `(${percent.toFixed(0)} %), all proven to be restorable; ${sums.failed} failed`,
  );
  console.log(
    `${seconds.toFixed(1)} s with ${threads} threads: ${megabytes(sums.bytes / seconds)} a second`,
  );
}

async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/[/\\](node_modules|\.git)[/\\]/.test(file) && !file.startsWith(out))
    .slice(0, FILES_MAX);
}

/** What came of a file; null if it failed, which is said. */
async function outcome(from: string, result: Result | undefined): Promise<Compressed | null> {
  try {
    return await result?.get() as Compressed;
  } catch (error) {
    if (!(error instanceof TaskFailed)) throw error;
    console.error(`${from}: ${error.error.message}`);
    return null;
  }
}

/** What was compressed can be had back. */
async function prove(path: string, { sha256 }: Compressed): Promise<void> {
  const restored = gunzipSync(await readFile(path));
  if (createHash("sha256").update(restored).digest("hex") !== sha256) {
    throw new Error(`"${path}" does not hold what was compressed`);
  }
}

/** What runs now, and how far it is; on a terminal alone. */
async function showProgress(kit: Kit, done: number, all: number): Promise<void> {
  if (!process.stdout.isTTY) return;
  const { tasks } = await kit.listTasks({ group: "files", state: "running" });
  const running = await Promise.all(tasks.map(async ({ id }) => (await kit.getTask(id)).progress));
  const parts = running.flatMap((progress) =>
    progress === null ? [] : [`${Math.round(100 * progress.fraction)} %`]
  );
  process.stdout.write(`\r\x1b[K${done} of ${all} files; running: ${parts.join(", ")}\r`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
