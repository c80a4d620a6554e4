/**
 * Every key of Taskkit, built and read in this file alone.
 *
 * | key below the prefix | value | exists while |
 * |---|---|---|
 * | `task, id` | the record; **the versioned key** | from initiate to ttl after the end |
 * | `due, group, priority, dueMs, id` | a copy of the record | queued |
 * | `lease, worker, id` | ids claimed together; **the fence** of what their worker writes | one of them runs |
 * | `worker, id` | heartbeat | the worker lives |
 * | `unique, key` | id of its holder | the holder has not ended |
 * | `data, id, part, n` | one chunk of large data (part 0) or of attempt `part`'s result | as the record |
 * | `sweep, atMs, id` | nothing: when the task's chunks may be deleted | the task has chunks and has ended, or was not committed yet |
 * | `progress, id` | what a handler told last | a day |
 * | `bell, "group" or "worker", name`; `bell, "schedule"` | doorbell: a token | always |
 * | `format` | the version of the key layout | always |
 * | `control` | pause and shutdown | always |
 * | `schedule, scheduler, key` | state of one entry | the entry exists |
 * | `aside, …key` | the bytes of a record that could not be read | until `taskkit check --repair` |
 *
 * The design's index of ended tasks is left out: the ttl collects them by itself, ids sort by time, and a filtered walk
 * over `task` reads 200 k records a second, so the index would cost every settle and serve only rare questions.
 *
 * @module
 */

import { isId } from "../core/ids.ts";
import { PRIORITY_MAX } from "../core/limits.ts";
import type { Entry, Key, KeyPart, Selector } from "./port.ts";

/** What a due key says. */
export interface DueKey {
  readonly priority: number;
  readonly dueMs: number;
  readonly id: string;
}

/** Builds and reads the keys below one prefix. */
export class Keyspace {
  readonly prefix: Key;

  constructor(prefix: Key) {
    this.prefix = prefix;
  }

  #key(...parts: KeyPart[]): Key {
    return [...this.prefix, ...parts];
  }

  all(): Selector {
    return { prefix: this.prefix };
  }
  /** What follows an entry in a listing of `prefix`. */
  after(prefix: Key, last: Entry): Selector {
    return { prefix, start: [...last.key, ""] };
  }
  /** Where the format of the whole database is noted. */
  format(): Key {
    return this.#key("format");
  }
  /** Key below the prefix: what kind of entry it is, and the parts after that. */
  parts(entry: Entry): KeyPart[] {
    return entry.key.slice(this.prefix.length);
  }
  /** Whether a key lies below the prefix, or is one that it lies below. */
  owns(key: Key): boolean {
    const shared = Math.min(key.length, this.prefix.length);
    return this.prefix.slice(0, shared).every((part, i) => part === key[i]);
  }

  task(id: string): Key {
    return this.#key("task", id);
  }
  tasks(from?: string): Selector {
    const prefix = this.#key("task");
    return from === undefined ? { prefix } : { prefix, start: [...prefix, from] };
  }
  /** Tasks that come before an id, or before a key of a listing of them. */
  tasksBefore(before?: string | Key): Selector {
    const prefix = this.#key("task");
    if (before === undefined) return { prefix };
    return { prefix, end: typeof before === "string" ? [...prefix, before] : before };
  }
  /** The id of a task's key; null for a key that none of ours looks like. */
  readTask(entry: Entry): string | null {
    const [id, ...more] = entry.key.slice(this.prefix.length + 1);
    return isId(id) && more.length === 0 ? id : null;
  }

  due(group: string, priority: number, dueMs: number, id: string): Key {
    return this.#key("due", group, priority, dueMs, id);
  }
  /** Everything queued in a group from a priority on. */
  dueFrom(group: string, priority: number): Selector {
    const prefix = this.#key("due", group);
    return { prefix, start: [...prefix, priority] };
  }
  /** What follows an entry in a listing of a group's queue. */
  dueAfter(group: string, last: Entry): Selector {
    return this.after(this.#key("due", group), last);
  }
  /** What is queued in a group at one priority before an instant, or before a task that is due at it. */
  dueBefore(group: string, priority: number, dueMs: number, id?: string): Selector {
    const end = this.#key("due", group, priority, dueMs);
    return {
      start: this.#key("due", group, priority),
      end: id === undefined ? end : [...end, id],
    };
  }
  /** What a due key says; null for a key that none of ours looks like. */
  readDue(entry: Entry): DueKey | null {
    const [priority, dueMs, id, ...more] = entry.key.slice(this.prefix.length + 2);
    if (!isWithin(priority, PRIORITY_MAX) || !isWithin(dueMs, Number.MAX_SAFE_INTEGER)) return null;
    return isId(id) && more.length === 0 ? { priority, dueMs, id } : null;
  }
  /** Whether a due entry stands where its record's due entry stands. */
  isDueOf(
    entry: Entry,
    { group, priority, dueMs, id }: DueKey & { readonly group: string },
  ): boolean {
    return this.due(group, priority, dueMs, id).every((part, i) => part === entry.key[i]);
  }

  lease(worker: string, id: string): Key {
    return this.#key("lease", worker, id);
  }
  leases(worker?: string): Selector {
    return { prefix: worker === undefined ? this.#key("lease") : this.#key("lease", worker) };
  }
  readLease(entry: Entry): { worker: string; id: string } | null {
    const [worker, id] = entry.key.slice(this.prefix.length + 1);
    return typeof worker === "string" && typeof id === "string" ? { worker, id } : null;
  }

  worker(id: string): Key {
    return this.#key("worker", id);
  }
  workers(): Selector {
    return { prefix: this.#key("worker") };
  }

  unique(key: string): Key {
    return this.#key("unique", key);
  }

  chunk(id: string, part: number, n: number): Key {
    return this.#key("data", id, part, n);
  }
  chunks(id: string): Selector {
    return { prefix: this.#key("data", id) };
  }

  sweep(atMs: number, id: string): Key {
    return this.#key("sweep", atMs, id);
  }
  sweeps(): Selector {
    return { prefix: this.#key("sweep") };
  }
  /** Marks whose time has come, all of them or those that follow one. */
  sweepsUntil(atMs: number, after?: Entry): Selector {
    const prefix = this.#key("sweep");
    return {
      start: after === undefined ? [...prefix, 0] : [...after.key, ""],
      end: [...prefix, atMs],
    };
  }
  readSweep(entry: Entry): { atMs: number; id: string } | null {
    const [atMs, id] = entry.key.slice(this.prefix.length + 1);
    return typeof atMs === "number" && typeof id === "string" ? { atMs, id } : null;
  }

  progress(id: string): Key {
    return this.#key("progress", id);
  }

  groupBell(group: string): Key {
    return this.#key("bell", "group", group);
  }
  workerBell(worker: string): Key {
    return this.#key("bell", "worker", worker);
  }

  control(): Key {
    return this.#key("control");
  }

  schedule(scheduler: string, key: string): Key {
    return this.#key("schedule", scheduler, key);
  }
  schedules(scheduler?: string): Selector {
    return {
      prefix: scheduler === undefined ? this.#key("schedule") : this.#key("schedule", scheduler),
    };
  }

  afterSchedule(scheduler: string | undefined, last: Entry): Selector {
    const prefix = scheduler === undefined
      ? this.#key("schedule")
      : this.#key("schedule", scheduler);
    return this.after(prefix, last);
  }
  /** The names of an entry's key; null for a key that none of ours looks like. */
  readSchedule(entry: Entry): { scheduler: string; key: string } | null {
    const [scheduler, key, ...more] = entry.key.slice(this.prefix.length + 1);
    return typeof scheduler === "string" && typeof key === "string" && more.length === 0
      ? { scheduler, key }
      : null;
  }
  scheduleBell(): Key {
    return this.#key("bell", "schedule");
  }

  aside(key: Key): Key {
    return this.#key("aside", ...key.slice(this.prefix.length));
  }
}

function isWithin(part: KeyPart | undefined, max: number): part is number {
  return typeof part === "number" && Number.isInteger(part) && part >= 0 && part <= max;
}
