/**
 * A full disk: a small tmpfs that is filled and freed while tasks are initiated and worked on.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Breach } from "./checker.ts";
import { Fleet, idle } from "./fleet.ts";

const SIZE = "16m";

/** A small disk, or why there can be none here. */
function mountDisk(): { path: string } | { reason: string } {
  const path = mkdtempSync(join(tmpdir(), "taskkit-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", path], { stdio: "pipe" });
    return { path };
  } catch {
    rmSync(path, { recursive: true });
    return { reason: "a tmpfs cannot be mounted here (it takes root on Linux)" };
  }
}

function unmount(path: string): void {
  execFileSync("umount", ["-l", path], { stdio: "pipe" });
  rmSync(path, { recursive: true, force: true });
}

/** Why no disk can be filled here, or null. */
export function withoutDisk(): string | null {
  const disk = mountDisk();
  if ("reason" in disk) return disk.reason;
  unmount(disk.path);
  return null;
}

/** What came of a run. */
export interface DiskReport {
  readonly breaches: readonly Breach[];
  readonly fills: number;
  readonly tasks: number;
  /** Calls that were refused with a typed error, or whose outcome is unknown. */
  readonly refused: number;
  readonly unknown: number;
  /** Commits of the workers that failed for want of room, and were tried again. */
  readonly failedCommits: number;
}

/** Fills and frees the disk again and again. */
export async function runDisk(options: { fills: number; fullMs: number }): Promise<DiskReport> {
  const disk = mountDisk();
  if ("reason" in disk) throw new Error(disk.reason);
  try {
    await using fleet = new Fleet({ kv: join(disk.path, "tasks.db") });
    const work = { concurrency: 4, lease: "2s", poll: "500ms" };
    const workers = await Promise.all([0, 1].map(() => fleet.worker(work)));
    const initiator = fleet.spawn({ role: "initiator", batch: 5, pauseMs: 20, handlerMs: 20 });
    await initiator.ready;
    for (let n = 0; n < options.fills; n++) {
      await sleep(options.fullMs);
      const ballast = join(disk.path, "ballast");
      fill(ballast);
      await sleep(options.fullMs);
      rmSync(ballast);
    }
    const counts = await initiator.stop();
    {
      await using open = await fleet.open();
      await idle(open.kit, 60_000);
    }
    await Promise.all(workers.map((worker) => worker.stop()));
    const failed = fleet.events().filter((event) =>
      event.kind === "log" && event.event === "worker.trouble" && /full/.test(event.message)
    );
    return {
      failedCommits: failed.length,
      breaches: await fleet.verify({ concurrency: 4, rescueMs: Infinity }),
      fills: options.fills,
      tasks: counts.done,
      refused: counts.refused,
      unknown: counts.unknown,
    };
  } finally {
    unmount(disk.path);
  }
}

/** Writes until nothing more fits. */
function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      const bytes = new Uint8Array(size);
      try {
        while (writeSync(file, bytes) === size);
      } catch {
        // No room for so much: smaller pieces may fit.
      }
    }
  } finally {
    closeSync(file);
  }
}
