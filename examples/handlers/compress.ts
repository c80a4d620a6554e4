/**
 * The handler of examples/compress_files.ts. It is a module of its own, since threads load it by its URL.
 *
 * Compressing computes, and holds its thread; between blocks of the file the handler lets go, tells how far it is, and
 * looks whether it is still wanted.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { DiscardTask, type Task, type TaskContext, TaskHandler } from "@taskkit/taskkit";

/** What a task "compress" is given. */
export interface CompressData {
  readonly from: string;
  readonly to: string;
}

/** What comes of it. */
export interface Compressed {
  readonly bytes: number;
  readonly compressedBytes: number;
  /** Of the file as it was. */
  readonly sha256: string;
}

const BLOCK_BYTES = 256 * 1024;

export default class Handler extends TaskHandler {
  override async handle(task: Task, context: TaskContext): Promise<Compressed> {
    if (task.name !== "compress") throw new DiscardTask(`unknown task "${task.name}"`);
    return await compress(task, this.decodeData<CompressData>(task), context);
  }

  /** A file that is gone, or may not be read, will not come back by waiting. */
  override getRetryInterval(task: Task, error: unknown): string | null {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "EACCES") return null;
    return task.retryCount < 3 ? "500ms" : null;
  }
}

/**
 * A task may run twice, so each attempt writes a file of its own and renames it when it is whole: whoever looks sees
 * the whole compressed file or none.
 */
async function compress(
  task: Task,
  { from, to }: CompressData,
  context: TaskContext,
): Promise<Compressed> {
  await mkdir(dirname(to), { recursive: true });
  const partPath = `${to}.${task.id}.${context.attempt}.part`;
  const source = await open(from);
  try {
    const target = await open(partPath, "w");
    try {
      const { size } = await source.stat();
      const hash = createHash("sha256");
      const block = new Uint8Array(BLOCK_BYTES);
      let bytes = 0;
      let compressedBytes = 0;
      for (;;) {
        context.signal.throwIfAborted();
        const { bytesRead } = await source.read(block, 0, block.length, bytes);
        if (bytesRead === 0 && bytes > 0) break;
        const read = block.subarray(0, bytesRead);
        hash.update(read);
        // One gzip member a block: a file of several members is a gzip file.
        const member = gzipSync(read, { level: 9 });
        await target.write(member);
        bytes += bytesRead;
        compressedBytes += member.length;
        context.progress(Math.min(bytes / Math.max(size, 1), 1), from);
        if (bytesRead === 0) break;
      }
      await target.close();
      await rename(partPath, to);
      return { bytes, compressedBytes, sha256: hash.digest("hex") };
    } finally {
      await target.close().catch(() => {});
    }
  } finally {
    await source.close();
    await rm(partPath, { force: true });
  }
}
