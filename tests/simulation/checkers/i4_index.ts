/**
 * I4: index and record agree, both ways, after every commit: a due entry if and only if queued, a lease if and only if
 * running, a unique key if and only if its holder lives.
 *
 * @module
 */

import { isTerminal } from "../../../src/core/task.ts";
import type { Seen } from "../view.ts";
import type { MakeChecker } from "../witness.ts";

/** The checker of I4. */
export const index: MakeChecker = (witness) => {
  const { view } = witness;
  const { database } = view;
  const decoder = new TextDecoder();

  const checkTask = (id: string) => {
    const record = view.tasks.get(id);
    const dues = view.dues.get(id) ?? [];
    const fail = (what: string) => witness.fail("I4", `task ${record?.name ?? id} ${what}`);
    if (record?.state === "queued") {
      const [due] = dues;
      if (due === undefined || dues.length > 1) {
        fail(`is queued and has ${dues.length} due entries`);
      } else if (
        due.group !== record.group || due.priority !== record.priority ||
        due.dueMs !== record.dueMs || due.stored.versionstamp !== view.versions.get(id)
      ) fail("is queued and its due entry is not its own");
    } else if (dues.length > 0) fail(`is ${record?.state ?? "not there"} and has a due entry`);
    if (record?.state === "running") {
      const lease = view.leases.get(record.lease?.id ?? "");
      if (lease === undefined || lease.worker !== record.lease?.worker) {
        fail("runs and its lease is not there");
      } else if (lease.record !== null && !lease.record.tasks.includes(id)) {
        fail("runs and its lease does not list it");
      }
    }
    if (record !== undefined && record.unique !== null) {
      const holder = database.peek(view.keys.unique(record.unique))?.value;
      const isHolder = holder instanceof Uint8Array && decoder.decode(holder) === id;
      if (isHolder === isTerminal(record.state)) {
        fail(
          `is ${record.state} and ${isHolder ? "holds" : "does not hold"} its unique key ` +
            `"${record.unique}"`,
        );
      }
    }
  };

  const checkUniques = ({ uniques }: Seen) => {
    for (const { parts, after } of uniques) {
      if (!(after?.value instanceof Uint8Array)) continue;
      const id = decoder.decode(after.value);
      if (view.damaged.has(id)) continue;
      if (!view.isAlive(id) || view.tasks.get(id)?.unique !== parts[0]) {
        witness.fail("I4", `the unique key "${parts[0]}" is held by a task that is not alive`);
      }
    }
  };

  return {
    commit(seen) {
      if (seen.event.kind === "planted") return;
      const touched = new Set<string>();
      for (const { id } of seen.tasks) touched.add(id);
      for (const { parts } of seen.dues) touched.add(String(parts[3]));
      for (const { id, before, after } of seen.leases) {
        for (const task of before?.tasks ?? []) touched.add(task);
        for (const task of after?.tasks ?? []) {
          touched.add(task);
          const record = view.tasks.get(task);
          if (view.damaged.has(task)) continue;
          if (record?.state !== "running" || record.lease?.id !== id) {
            witness.fail("I4", `a lease lists task ${record?.name ?? task}, which is not under it`);
          }
        }
      }
      for (const id of touched) if (!view.damaged.has(id)) checkTask(id);
      checkUniques(seen);
    },
    end() {
      for (const id of new Set([...view.tasks.keys(), ...view.dues.keys()])) {
        if (!view.damaged.has(id)) checkTask(id);
      }
    },
  };
};
