/**
 * Recurring schedules at run time: look at them, change them, make them fire.
 *
 * @module
 */

import { type Instant, toEpochMs } from "./core/duration.ts";
import { Conflict, InvalidArgument, InvalidSchedule, KvUnavailable } from "./core/errors.ts";
import type { TaskHandler } from "./core/handler.ts";
import { SCHEDULE_LIST_POINTS_MAX, SCHEDULE_POINTS_MAX } from "./core/limits.ts";
import { checkInteger, checkName } from "./core/validate.ts";
import {
  fromStored,
  madeBy,
  readEntry,
  type ScheduleEntry,
  toStoredJSON,
} from "./schedule/entry.ts";
import { begin, pointsBetween } from "./schedule/plan.ts";
import { nextPoint } from "./schedule/schedule.ts";
import { describe, draftOf } from "./schedule/scheduler.ts";
import { type Draft, enqueue } from "./store/enqueue.ts";
import {
  changeSchedule,
  fireSchedule,
  listSchedules,
  pointsPerCommit,
  readSchedule,
  removeSchedule,
  type ScheduleRecord,
  type StoredSchedule,
} from "./store/schedules.ts";
import type { Store } from "./store/store.ts";
import { tries } from "./store/tries.ts";

/** An entry as an onlooker sees it. */
export interface ScheduleInfo {
  /** The scheduler it belongs to. */
  readonly scheduler: string;
  /** Its key within the scheduler. */
  readonly key: string;
  /** The group of its tasks. */
  readonly group: string;
  /** The name of its tasks. */
  readonly name: string;
  /**
   * `"stored"`: it lives in the database alone, and every worker looks after it. `"code"`: a worker was started with it; it
   * fires as long as one that has it runs, and stays in the list until it is removed.
   */
  readonly source: "code" | "stored";
  /** The schedule as plain data; null for one of the user's own kind. */
  readonly schedule: unknown;
  /** The time zone whose clocks it follows, unless the schedule has its own. */
  readonly timeZone: string;
  /** Whether it is paused. */
  readonly paused: boolean;
  /** Every point up to this is decided. */
  readonly decided: Date;
  /** Its next points, as many as were asked for; empty for a paused one and for one of the user's own kind. */
  readonly next: readonly Date[];
  /** The task of its last point. */
  readonly lastTask: string | null;
  /** Why its points cannot be told: what is stored of its schedule is none. Null if all is well. */
  readonly error: string | null;
}

/** Names one entry: its key in the scheduler `"main"`, or both. */
export type ScheduleName = string | { readonly scheduler: string; readonly key: string };

const SCHEDULER_DEFAULT = "main";

/**
 * The recurring schedules of a database; `kit.schedules`.
 *
 * @example
 * ```ts
 * import { CronSchedule, Kit } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * await kit.schedules.set({
 *   key: "report",
 *   group: "mail",
 *   name: "report",
 *   schedule: new CronSchedule("30 4 * * 1", { timeZone: "Asia/Tokyo" }),
 * });
 * for (const { key, next } of await kit.schedules.list({ next: 2 })) console.log(key, next);
 * ```
 */
export class ScheduleStore {
  readonly #store: Store;
  readonly #handler: TaskHandler;
  readonly #checkOpen: (act: string) => void;

  /** Made by a `Kit`. */
  constructor(store: Store, handler: TaskHandler, checkOpen: (act: string) => void) {
    this.#store = store;
    this.#handler = handler;
    this.#checkOpen = checkOpen;
  }

  /**
   * All entries (of one scheduler, if it is named), each with its next points: `next` of them, 0 to 100, 1 by default. An
   * entry whose record cannot be read is left out; workers tell of it.
   */
  async list(options: { scheduler?: string; next?: number } = {}): Promise<ScheduleInfo[]> {
    this.#checkOpen("list schedules");
    const { scheduler, next = 1 } = options;
    checkInteger(next, "next", 0, SCHEDULE_LIST_POINTS_MAX);
    if (scheduler !== undefined) checkName(scheduler, "a scheduler");
    const all = await listSchedules(this.#store, scheduler);
    return all.map((stored) => this.#info(stored, next));
  }

  #info(stored: StoredSchedule, nextMax: number): ScheduleInfo {
    const { record, scheduler, key } = stored;
    const { group, name, source, schedule, timeZone, paused, lastTask } = record;
    let next: Date[] = [];
    let error: string | null = null;
    try {
      if (!paused && nextMax > 0) next = this.#next(stored, nextMax);
    } catch (cause) {
      error = cause instanceof Error ? cause.message : String(cause);
    }
    const decided = new Date(record.decidedMs);
    return {
      scheduler,
      key,
      group,
      name,
      source,
      schedule,
      timeZone,
      paused,
      decided,
      next,
      lastTask,
      error,
    };
  }

  #next(stored: StoredSchedule, nextMax: number): Date[] {
    const entry = fromStored(stored);
    const points: Date[] = [];
    let point = Math.max(stored.record.decidedMs, this.#store.clock.now());
    while (entry !== null && points.length < nextMax) {
      const next = nextPoint(entry.schedule, point, entry.timeZone);
      if (next === null) break;
      point = next;
      points.push(new Date(point));
    }
    return points;
  }

  /**
   * Adds an entry to the database, or changes it. Every worker looks after it from then on. A new one begins now; so does
   * one whose schedule changes. One that is paused stays so.
   *
   * @param options The scheduler it belongs to (default: `"main"`), and the IANA time zone of a schedule that has none of
   * its own (default: `"UTC"`).
   * @throws {InvalidSchedule} If its schedule is none, or of a kind that cannot be stored.
   * @throws {InvalidArgument} If a name or an option cannot be used.
   * @throws {InvalidData} If the data does not fit the definition or cannot be encoded.
   * @throws {Conflict} If an entry of the program has the same name.
   */
  async set(
    entry: ScheduleEntry,
    options: { scheduler?: string; timeZone?: string } = {},
  ): Promise<void> {
    this.#checkOpen("set a schedule");
    const { scheduler = SCHEDULER_DEFAULT, timeZone = "UTC" } = options;
    const read = await readEntry(
      checkName(scheduler, "a scheduler"),
      entry,
      timeZone,
      this.#handler,
    );
    if (toStoredJSON(read.schedule) === null) {
      throw new InvalidSchedule(
        `Cannot set entry "${read.key}": only a RegularSchedule, CronSchedule or IntervalSchedule can be stored; ` +
          "start workers with it instead",
      );
    }
    const how = { act: "set the schedule", overDamaged: true };
    await changeSchedule(this.#store, read, how, (stored) => {
      if (stored?.record.source === "code") {
        throw new Conflict(
          `Cannot set entry "${read.key}": a program's own entry has that name; change it there`,
        );
      }
      const record = stored?.record ?? null;
      const state = begin(read.schedule, {
        state: record,
        nowMs: this.#store.clock.now(),
        timeZone,
      });
      const { decidedMs, fingerprint } = state;
      const { paused = false, lastTask = null } = record ?? {};
      return { ...describe(read, "stored"), paused, lastTask, decidedMs, fingerprint };
    });
  }

  /**
   * Removes an entry; false if there is none. Its points do not fire any more, and what is remembered of it is forgotten.
   * An entry of a program comes back, and begins anew, when a worker is started with it.
   */
  async remove(name: ScheduleName): Promise<boolean> {
    this.#checkOpen("remove a schedule");
    return await removeSchedule(this.#store, readName(name));
  }

  /**
   * No point of the entry fires until it is resumed; not after a restart with a changed schedule either.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async pause(name: ScheduleName): Promise<void> {
    this.#checkOpen("pause a schedule");
    await this.#change(
      "pause the schedule",
      readName(name),
      (record) => record.paused ? null : { ...record, paused: true },
    );
  }

  /**
   * Takes a pause back. What would have fired meanwhile does not fire late.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async resume(name: ScheduleName): Promise<void> {
    this.#checkOpen("resume a schedule");
    await this.#change("resume the schedule", readName(name), (record) => {
      if (!record.paused) return null;
      const decidedMs = Math.max(record.decidedMs, this.#store.clock.now());
      return { ...record, paused: false, decidedMs };
    });
  }

  /**
   * Initiates a task of the entry now, beside its points, also if it is paused. Returns the task's id.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async trigger(name: ScheduleName): Promise<string> {
    this.#checkOpen("trigger a schedule");
    const { scheduler, key } = readName(name);
    const { record } = existing(await readSchedule(this.#store, { scheduler, key }), key);
    const makes = madeBy(scheduler, key, record);
    const draft = draftOf(this.#store, makes, this.#store.clock.now(), 0);
    const [id] = await enqueue(this.#store, [{
      ...draft,
      record: { ...draft.record, id: this.#store.ids.next(), scheduledMs: null },
    }]);
    return id ?? draft.record.id;
  }

  /**
   * Creates the tasks of the points in a stretch of the past (`from` and `to` included) that do not exist yet, by the
   * schedule as it is now. Returns how many were created; doing it again creates none while those are kept. `overlap` and
   * `jitter` do not matter here, nor does a pause.
   *
   * @throws {InvalidArgument} If there is no such entry, or it is of the user's own kind, or the stretch ends before it
   * begins or in the future, or has more than 1,000 points.
   * @throws {KvUnavailable} If the database does not take it; some of the tasks may have been created.
   */
  async backfill(name: ScheduleName, from: Instant, to: Instant): Promise<number> {
    this.#checkOpen("backfill a schedule");
    const { scheduler, key } = readName(name);
    const [fromMs, toMs] = [toEpochMs(from, "from"), toEpochMs(to, "to")];
    if (toMs < fromMs || toMs > this.#store.clock.now()) {
      throw new InvalidArgument(
        `Cannot backfill "${key}": the stretch ends ${
          toMs < fromMs ? "before it begins" : "in the future"
        }`,
      );
    }
    let stored = existing(await readSchedule(this.#store, { scheduler, key }), key);
    const entry = fromStored(stored);
    if (entry === null) {
      throw new InvalidArgument(
        `Cannot backfill "${key}": only the program that made its schedule knows its points`,
      );
    }
    const { points, more } = pointsBetween(entry.schedule, {
      afterMs: fromMs - 1,
      untilMs: toMs,
      timeZone: entry.timeZone,
    });
    if (more) {
      throw new InvalidArgument(
        `Cannot backfill "${key}": there are more than ${SCHEDULE_POINTS_MAX} points; choose a shorter stretch`,
      );
    }
    const size = pointsPerCommit(this.#store, entry.data.length);
    let created = 0;
    for (let i = 0; i < points.length; i += size) {
      const drafts = points.slice(i, i + size)
        .map((point) => draftOf(this.#store, entry, point, 0));
      const made = await this.#make(stored, drafts);
      stored = made.stored;
      created += made.created;
    }
    return created;
  }

  /** Makes tasks that do not exist, under the entry as it stands. The entry does not move: its own points are still to come. */
  async #make(
    entry: StoredSchedule,
    drafts: readonly Draft[],
  ): Promise<{ stored: StoredSchedule; created: number }> {
    let stored = entry;
    for await (const _ of tries(this.#store)) {
      const fired = await fireSchedule(this.#store, stored, stored.record, drafts);
      stored = existing(fired.stored, entry.key);
      if (fired.isOurs) return { stored, created: fired.made.length };
    }
    throw new KvUnavailable(`Cannot backfill "${entry.key}": the database did not take it`);
  }

  async #change(
    act: string,
    name: { scheduler: string; key: string },
    change: (record: ScheduleRecord) => Omit<ScheduleRecord, "op"> | null,
  ): Promise<void> {
    await changeSchedule(
      this.#store,
      name,
      { act, overDamaged: false },
      (stored) => change(existing(stored, name.key).record),
    );
  }
}

function readName(name: ScheduleName): { scheduler: string; key: string } {
  const { scheduler, key } = typeof name === "string"
    ? { scheduler: SCHEDULER_DEFAULT, key: name }
    : name;
  return {
    scheduler: checkName(scheduler, "a scheduler"),
    key: checkName(key, "the key of an entry"),
  };
}

function existing(stored: StoredSchedule | null, key: string): StoredSchedule {
  if (stored === null) throw new InvalidArgument(`Cannot find a schedule with the key "${key}"`);
  return stored;
}
