/**
 * Finds duplicate files below a folder: one task a file, which reads and hashes it. Read it as the tutorial of Taskkit.
 *
 *     deno task demo [folder]                     the current folder, if none is named
 *     bun examples/find_duplicates.ts [folder]
 *
 * @module
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import process from "node:process";
import { defineTask, Kit, type Result, TaskFailed, tasks } from "@taskkit/taskkit";
import { count, inBatches, temporaryFolder, walk } from "./shared/files.ts";
import { Report } from "./shared/report.ts";
import { chosenFolder, Progress, stopOnCtrlC } from "./shared/terminal.ts";

// 1. A task is a function with a name. What it returns is its result; when it throws, it is tried again by its own rule.
const hashFile = defineTask({
  group: "files",
  name: "hash",
  retry: (task) => task.retryCount < 2 ? `${100 * 2 ** task.retryCount}ms` : null,
  async run(path: string, { signal }) {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of createReadStream(path, { signal })) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { hash: hash.digest("base64url"), bytes };
  },
});
type Hashed = { hash: string; bytes: number };

const folder = chosenFolder();
const stop = stopOnCtrlC();
await using temporary = await temporaryFolder();
const report = new Report(folder);
const files = () => walk(folder, { except: temporary.path, onError: report.fail });
const progress = new Progress(await count(walk(folder, { except: temporary.path }), stop));

// 2. A Kit is a database with tasks in it. Here it is one SQLite file, which goes away with the program.
await using kit = await Kit.open({ kv: `${temporary.path}/tasks.db`, handler: tasks([hashFile]) });

// 3. A worker takes the oldest tasks and runs eight of them at once. It could as well be another process, or many.
const worker = { groups: { files: 8 }, grace: "1s", log: progress.log };
await using _worker = await kit.startWorker(worker);

// 4. Tasks are initiated, hundreds of them in one commit. Each leaves a handle on its result.
let collected = Promise.resolve();
for await (const paths of inBatches(files(), 500)) {
  const entries = paths.map((path) => ({ group: "files", name: "hash", data: path }));
  // The worker never waits: while the results of one batch come in, the next one goes into the database.
  const [results] = await Promise.all([kit.initiateTasks(entries), collected]);
  if (stop.aborted) break;
  collected = collect(paths, results);
}
await collected;

progress.close();
report.print({ isComplete: !stop.aborted });
process.exitCode = stop.aborted ? 130 : 0;

// 5. A result is there, or comes, or does not: then get() throws what became of the task.
async function collect(paths: string[], results: Result[]): Promise<void> {
  for (const [i, path] of paths.entries()) {
    try {
      const { hash, bytes } = await results[i]?.get({ signal: stop }) as Hashed;
      report.add(path, hash, bytes);
    } catch (error) {
      if (stop.aborted) return;
      report.fail(path, error instanceof TaskFailed ? error.error.message : String(error));
    }
    progress.step();
  }
}
