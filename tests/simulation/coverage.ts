/**
 * Rare events that a long run must have met: what never occurred was never tested.
 *
 * Checkers note those that they see; here is what only refusals, late copies and unclear answers tell.
 *
 * @module
 */

import type { TaskRecord } from "../../src/core/task.ts";
import type { Key } from "../../src/store/port.ts";
import type { RefusalEvent, SimDatabase, SimKv } from "./ground.ts";
import { PREFIX, type View } from "./view.ts";
import type { Seen } from "./view.ts";

/** Every event that must occur in a long run over all profiles. */
export const RARE: readonly string[] = [
  "answer of a claim lost, then recovered",
  "answer of a settle lost, and the settle applied",
  "attempt given back",
  "cancel of a queued task",
  "cancel of a running task",
  "cancel reaches the handler",
  "cancel, then end",
  "cancel, then success",
  "claim from another window",
  "claim lost a race",
  "clock set back",
  "clock set forward",
  "corrupt control",
  "corrupt due",
  "corrupt lease",
  "corrupt schedule",
  "corrupt task",
  "corrupt worker",
  "due entry of nothing",
  "end, then cancel",
  "failed task started anew",
  "groups put on hold",
  "late copy refused",
  "late commit applied",
  "outcome told as unknown",
  "page full of rows that nobody can claim",
  "phantom lease given back",
  "poison",
  "record from the future",
  "rescue",
  "rescue of an orphan",
  "rescue refused: a settle was first",
  "rescue refused: the worker beat again",
  "result not found after its ttl",
  "retry",
  "schedule point skipped for overlap",
  "schedule's double fire refused",
  "settle refused: a rescue was first",
  "settle refused: a cancel was first",
  "stale outcome dropped",
  "unique key held",
  "unique key raced",
  "worker fenced itself",
  "worker reborn under a new id",
];

/** A key that a commit would set (or delete: null). */
export interface Written {
  readonly key: Key;
  readonly value: unknown;
}

/** So many rows that nobody can claim fill a page of any claim in the simulation. */
const PAGE = 6;

/** What watches a world for rare events. */
export interface Watch {
  /** A commit of a process came back without a clear yes. */
  unclear(written: readonly Written[]): void;
  commit(seen: Seen): void;
  started(lease: string | undefined): void;
}

/** Notes rare events of one world. */
export function watchRare(
  { view, database, cover, isLate, skipped }: {
    view: View;
    /** How many rows that nobody can claim were put in front of group a. */
    skipped: () => number;
    database: SimDatabase;
    cover: (event: string) => void;
    isLate: () => boolean;
  },
): Watch {
  const unclearLeases = new Set<string>();
  /** Leases that are gone or changed, and what did it. */
  const rescued = new Set<string>();
  const cancelled = new Set<string>();
  const born = new Map<string, string>();
  const started = new Set<string>();

  const refused = ({ by, key, keys }: RefusalEvent) => {
    if (isLate()) return cover("late copy refused");
    const kind = key[0] === PREFIX ? key[1] : "";
    const id = String(key.at(-1));
    switch (kind) {
      case "task":
        if (keys.some((one) => one[1] === "lease")) cover("claim lost a race");
        return;
      case "lease": {
        const isOwn = view.owners.get(String(key[2])) === by;
        if (isOwn && rescued.has(id)) cover("settle refused: a rescue was first");
        else if (isOwn && cancelled.has(id)) cover("settle refused: a cancel was first");
        else if (!isOwn && keys.some((one) => one[1] === "lease")) {
          cover("rescue refused: a settle was first");
        }
        return;
      }
      case "worker":
        if (keys.some((one) => one[1] === "lease") || !keys.some((one) => one[1] === "worker")) {
          cover("rescue refused: the worker beat again");
        } else if (view.owners.get(id) !== by) cover("rescue refused: the worker beat again");
        return;
      case "schedule":
        if (keys.some((one) => one[1] === "task")) cover("schedule's double fire refused");
        return;
      case "unique":
        cover("unique key raced");
        return;
    }
  };
  database.onRefusal(refused);

  return {
    unclear(written) {
      for (const { key } of written) if (key[1] === "lease") unclearLeases.add(String(key[3]));
      const task = written.find(({ key }) => key[0] === PREFIX && key[1] === "task");
      if (task === undefined || !(task.value instanceof Uint8Array)) return;
      const isSettle = view.tasks.get(String(task.key[2]))?.lease === null &&
        written.some(({ key }) => key[1] === "lease");
      const stored = database.peek(task.key)?.value;
      if (isSettle && stored instanceof Uint8Array && isSame(stored, task.value)) {
        cover("answer of a settle lost, and the settle applied");
      }
    },
    commit({ event, by, leases, tasks, workers }) {
      if (event.kind !== "commit") return;
      if (isLate()) cover("late commit applied");
      for (const { id, worker, before, after } of leases) {
        const owner = view.owners.get(worker);
        if (before !== null && owner !== undefined && owner !== by) {
          if ((after?.cancel.length ?? 0) > before.cancel.length) cancelled.add(id);
          else rescued.add(id);
        }
        if (before === null || owner !== by || after !== null || started.has(id)) continue;
        // Given back by its own worker, which never started anything of it.
        const isGivenBack = tasks.some((task) =>
          task.before?.lease?.id === id && task.after?.state === "queued" &&
          task.after.released > task.before.released
        );
        if (isGivenBack && unclearLeases.has(id)) cover("phantom lease given back");
      }
      if (skipped() >= PAGE && tasks.some(({ after }) => isRunningIn(after, "a"))) {
        cover("page full of rows that nobody can claim");
      }
      for (const { parts, before, after } of workers) {
        if (before !== null || after === null) continue;
        const id = String(parts[0]);
        const first = born.get(by);
        if (first === undefined) born.set(by, id);
        else if (first !== id) cover("worker reborn under a new id");
      }
    },
    started(lease) {
      if (lease === undefined || started.has(lease)) return;
      started.add(lease);
      if (unclearLeases.has(lease)) cover("answer of a claim lost, then recovered");
    },
  };
}

function isRunningIn(record: TaskRecord | null, group: string): boolean {
  return record?.state === "running" && record.group === group;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Tells `unclear` of every commit of a connection that was not answered with a clear yes. */
export function tap(kv: SimKv, unclear: (written: readonly Written[]) => void): void {
  const atomic = kv.atomic.bind(kv);
  kv.atomic = () => {
    const operation = atomic();
    const commit = operation.commit.bind(operation);
    operation.commit = async () => {
      const tell = () =>
        unclear(operation.mutations.map(({ key, set }) => ({ key, value: set?.value ?? null })));
      try {
        const result = await commit();
        if (!result.ok) tell();
        return result;
      } catch (error) {
        tell();
        throw error;
      }
    };
    return operation;
  };
}
