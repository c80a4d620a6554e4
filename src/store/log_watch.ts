/**
 * Tells of changes of a SQLite file by its log, to which every commit of every process is written.
 *
 * A watch costs nothing while nothing happens, and an event for every page of every commit while much does: half a core
 * beside three busy processes. So it is held only while nothing happens; the first event ends it, and the time of the
 * last write is read every few milliseconds until it has stood still for a while.
 *
 * @module
 */

import { statSync, watch } from "node:fs";
import type { Clock, Timer } from "../core/clock.ts";

/** How often the time of the last write is read. */
const LOOK_MS = 5;
/** After so long without a write nothing happens, it seems; far longer than the steps in which file systems tell the time. */
const QUIET_MS = 50;

/** A file that can be watched and asked when it was written last. */
export interface WatchedFile {
  /** Calls `onEvent` when something happens to it; returns how to end that, or null where it cannot be watched. */
  watch(onEvent: () => void): (() => void) | null;
  /** Changes with every write, unless two of them are a few milliseconds apart. */
  stamp(): number;
}

/** The log of a SQLite file. */
export function logOf(path: string): WatchedFile {
  const log = `${path}-wal`;
  return {
    watch(onEvent) {
      try {
        const watcher = watch(log, { persistent: false }, onEvent);
        // The file may go away under it; the poll behind every wait goes on.
        watcher.on("error", () => watcher.close());
        return () => watcher.close();
      } catch {
        return null;
      }
    },
    stamp: () => statSync(log, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  };
}

/** Calls `onChange` soon after writes; returns how to end that, or null where the file cannot be watched. */
export function watchChanges(
  file: WatchedFile,
  clock: Clock,
  onChange: () => void,
): (() => void) | null {
  let timer: Timer | null = null;
  let unwatch = file.watch(onEvent);
  if (unwatch === null) return null;
  let isEnded = false;
  let stamp = 0;
  let changedAt = 0;

  function onEvent(): void {
    if (isEnded || timer !== null) return;
    unwatch?.();
    unwatch = null;
    changed(file.stamp());
    look();
  }
  function changed(now: number): void {
    stamp = now;
    changedAt = clock.monotonic();
    onChange();
  }
  function look(): void {
    timer = clock.timer(LOOK_MS, () => {
      timer = null;
      if (isEnded) return;
      if (clock.monotonic() - changedAt > QUIET_MS) unwatch = file.watch(onEvent);
      // Read after the watch has begun, so that nothing falls between.
      const now = file.stamp();
      if (now !== stamp) {
        unwatch?.();
        unwatch = null;
        changed(now);
      }
      if (unwatch === null) look();
    });
  }
  return () => {
    isEnded = true;
    timer?.cancel();
    unwatch?.();
  };
}
