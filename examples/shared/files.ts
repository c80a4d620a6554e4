/**
 * Files and folders for the examples: nothing of it is about Taskkit.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { mkdtemp, opendir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** How {@linkcode walk} goes. */
export interface WalkOptions {
  /** A folder to leave out. */
  readonly except?: string;
  /** Told of a folder that cannot be read; the walk goes on without it. */
  readonly onError?: (path: string, why: string) => void;
}

/** The files below a folder, one by one. Symbolic links are not followed; what is no plain file is left out. */
export async function* walk(folder: string, options: WalkOptions = {}): AsyncGenerator<string> {
  const folders = [folder];
  for (let current = folders.pop(); current !== undefined; current = folders.pop()) {
    if (current === options.except) continue;
    try {
      for await (const entry of await opendir(current)) {
        const path = join(current, entry.name);
        if (entry.isDirectory()) folders.push(path);
        else if (entry.isFile()) yield path;
      }
    } catch (error) {
      options.onError?.(current, error instanceof Error ? error.message : String(error));
    }
  }
}

/** How many there are; fewer if `stop` aborts. */
export async function count(items: AsyncIterable<unknown>, stop: AbortSignal): Promise<number> {
  let number = 0;
  for await (const _ of items) {
    if (stop.aborted) break;
    number++;
  }
  return number;
}

/** The same, `size` at a time. */
export async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** A new folder in the system's place for such. It goes away with all that is in it at the end of the block or program. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "taskkit-"));
  const options = { recursive: true, force: true };
  const onExit = () => rmSync(path, options);
  process.once("exit", onExit);
  return {
    path,
    async [Symbol.asyncDispose]() {
      process.off("exit", onExit);
      await rm(path, options);
    },
  };
}
