/**
 * Transaction: pause, resume and shutdown, for every worker of the database, of all groups or some.
 *
 * ```text
 * reads    the control record
 * checks   the control record
 * sets     the control record; workers watch it
 * doubtful reads again: our token is there → committed; otherwise once more
 * ```
 *
 * A pause stays until it is taken back. A shutdown reaches the workers that run now: each remembers the count that it
 * found at its start.
 *
 * @module
 */

import { UnreadableRecord } from "../core/errors.ts";
import { Changes } from "./commit.ts";
import { decodeJson, encodeJson, isCount, isText, isTexts, must } from "./record_codec.ts";
import { readOne, type Store } from "./store.ts";
import { untilKnown } from "./tries.ts";

/** What operators said. */
export interface Control {
  readonly pausedAll: boolean;
  readonly paused: readonly string[];
  /** How many shutdowns there were, of all groups and of each. */
  readonly shutdownAll: number;
  readonly shutdown: ReadonlyMap<string, number>;
  readonly op: string;
}

const NOTHING_SAID: Control = {
  pausedAll: false,
  paused: [],
  shutdownAll: 0,
  shutdown: new Map(),
  op: "",
};

/** What operators can say. */
export type Command = "pause" | "resume" | "shutdown";

/** What operators said last. */
export async function readControl(store: Store): Promise<Control> {
  return decode((await readOne(store, store.keys.control())).value);
}

/**
 * Says it; `groups` null means all.
 *
 * @throws {OutcomeUnknown} If the database did not say in time.
 */
export async function say(
  store: Store,
  command: Command,
  groups: readonly string[] | null,
): Promise<void> {
  const op = store.ids.token();
  const key = store.keys.control();
  await untilKnown(store, { act: command, ids: [] }, async (send) => {
    const entry = await readOne(store, key);
    const control = decode(entry.value);
    if (control.op === op) return true;
    const said = apply(control, command, groups);
    const shutdown = Object.fromEntries(said.shutdown);
    const changes = new Changes();
    changes.check(key, entry.versionstamp);
    changes.set(key, encodeJson({ ...said, shutdown, op }));
    return (await send(changes)).kind === "committed" || null;
  });
  store.bells.ring([key]);
}

function apply(control: Control, command: Command, groups: readonly string[] | null): Control {
  const paused = new Set(control.paused);
  switch (command) {
    case "pause":
      if (groups === null) return { ...control, pausedAll: true };
      return { ...control, paused: [...paused.union(new Set(groups))] };
    case "resume":
      if (groups === null) return { ...control, pausedAll: false, paused: [] };
      return { ...control, paused: [...paused.difference(new Set(groups))] };
    case "shutdown": {
      if (groups === null) return { ...control, shutdownAll: control.shutdownAll + 1 };
      const counts = new Map(control.shutdown);
      for (const group of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
      return { ...control, shutdown: counts };
    }
  }
}

function decode(value: unknown): Control {
  if (value === null) return NOTHING_SAID;
  try {
    return decodeJson(value, "control record", (fields) => {
      const shutdown = fields.shutdown;
      if (typeof shutdown !== "object" || shutdown === null) {
        throw new Error("its shutdown is no object");
      }
      return {
        pausedAll: fields.pausedAll === true,
        paused: must(fields.paused, isTexts),
        shutdownAll: must(fields.shutdownAll, isCount),
        shutdown: new Map(Object.entries(shutdown).map(([group, n]) => [group, must(n, isCount)])),
        op: must(fields.op, isText),
      };
    });
  } catch (error) {
    // A damaged record must stop neither the workers nor those who would say something anew.
    if (error instanceof UnreadableRecord && error.code === "CORRUPT_RECORD") return NOTHING_SAID;
    throw error;
  }
}
