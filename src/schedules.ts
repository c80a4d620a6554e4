/**
 * Recurring schedules at run time: look at them, change them, make them fire.
 *
 * @module
 */

import { type Instant, toEpochMs } from "./core/duration.ts";
import { Conflict, InvalidArgument, InvalidSchedule, OutcomeUnknown } from "./core/errors.ts";
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
import { describe, draftOf } from "./schedule/scheduler.ts";
import { enqueue } from "./store/enqueue.ts";
import {
  fireSchedule,
  listSchedules,
  pointsPerCommit,
  putSchedule,
  readSchedule,
  removeSchedule,
  type ScheduleRecord,
  type StoredSchedule,
} from "./store/schedules.ts";
import type { Store } from "./store/store.ts";

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
  /** `"code"`: it lives in the program of the workers; `"stored"`: in the database alone. */
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
  /** The task that it made last. */
  readonly lastTask: string | null;
}

/** Names one entry: its key in the scheduler `"main"`, or both. */
export type ScheduleName = string | { readonly scheduler: string; readonly key: string };

const SCHEDULER_DEFAULT = "main";
/** How often an entry that others write too is read again. */
const TRIES_MAX = 20;

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

  /** All entries (of one scheduler, if it is named), each with its next points: `next` of them, 0 to 100, 1 by default. */
  async list(options: { scheduler?: string; next?: number } = {}): Promise<ScheduleInfo[]> {
    this.#checkOpen("list schedules");
    const { scheduler, next = 1 } = options;
    checkInteger(next, "next", 0, SCHEDULE_LIST_POINTS_MAX);
    const all = await listSchedules(this.#store, scheduler);
    return all.map((stored) => this.#info(stored, next));
  }

  #info(stored: StoredSchedule, next: number): ScheduleInfo {
    const { record, scheduler, key } = stored;
    const { group, name, source, schedule, timeZone, paused, lastTask } = record;
    let points: number[] = [];
    const entry = paused || next === 0 ? null : fromStored(stored);
    if (entry !== null) {
      let after = Math.max(record.decidedMs, this.#store.clock.now());
      for (
        let point = entry.schedule.next(after, timeZone);
        point !== null;
        point = entry.schedule.next(after, timeZone)
      ) {
        points = [...points, point];
        if (points.length >= next) break;
        after = point;
      }
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
      next: points.map((ms) => new Date(ms)),
      lastTask,
    };
  }

  /**
   * Adds an entry to the database, or changes it. Every worker looks after it from then on. A new one begins now; so does
   * one whose schedule changes.
   *
   * @param options The scheduler it belongs to (default: `"main"`), and the IANA time zone of a schedule that has none of
   * its own (default: `"UTC"`).
   * @throws {InvalidSchedule} If its schedule is none, or of a kind that cannot be stored.
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
        `Cannot store entry "${read.key}": its schedule has no toJSON; pass it to the workers as schedules instead`,
      );
    }
    await this.#change(read.scheduler, read.key, (stored) => {
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

  /** Removes an entry; false if there is none. An entry of a program that still runs comes back with its next start. */
  async remove(name: ScheduleName): Promise<boolean> {
    this.#checkOpen("remove a schedule");
    const { scheduler, key } = readName(name);
    for (let n = 0; n < TRIES_MAX; n++) {
      const stored = await readSchedule(this.#store, scheduler, key);
      if (stored === null) return n > 0;
      if (await removeSchedule(this.#store, stored)) return true;
    }
    throw new OutcomeUnknown("remove the schedule", []);
  }

  /**
   * No point of the entry fires until it is resumed.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async pause(name: ScheduleName): Promise<void> {
    this.#checkOpen("pause a schedule");
    const { scheduler, key } = readName(name);
    await this.#change(scheduler, key, (stored) => ({ ...existing(stored, key), paused: true }));
  }

  /**
   * Takes a pause back. What would have fired meanwhile does not fire late.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async resume(name: ScheduleName): Promise<void> {
    this.#checkOpen("resume a schedule");
    const { scheduler, key } = readName(name);
    await this.#change(scheduler, key, (stored) => {
      const record = existing(stored, key);
      const decidedMs = record.paused
        ? Math.max(record.decidedMs, this.#store.clock.now())
        : record.decidedMs;
      return { ...record, paused: false, decidedMs };
    });
  }

  /**
   * Initiates a task of the entry now, beside its points. Returns the task's id.
   *
   * @throws {InvalidArgument} If there is no such entry.
   */
  async trigger(name: ScheduleName): Promise<string> {
    this.#checkOpen("trigger a schedule");
    const { scheduler, key } = readName(name);
    const record = existing(await readSchedule(this.#store, scheduler, key), key);
    const makes = madeBy(scheduler, key, record);
    const draft = draftOf(this.#store, makes, this.#store.clock.now(), 0);
    const [id] = await enqueue(this.#store, [{
      ...draft,
      record: { ...draft.record, id: this.#store.ids.next(), scheduledMs: null },
    }]);
    return id ?? draft.record.id;
  }

  /**
   * Creates the tasks of the points in a stretch of time (`from` and `to` included) that do not exist yet. Returns how
   * many were created; doing it again creates none while those are kept.
   *
   * @throws {InvalidArgument} If there is no such entry, or it is of the user's own kind, or the stretch has more than
   * 1,000 points.
   */
  async backfill(name: ScheduleName, from: Instant, to: Instant): Promise<number> {
    this.#checkOpen("backfill a schedule");
    const { scheduler, key } = readName(name);
    const [fromMs, toMs] = [toEpochMs(from, "from"), toEpochMs(to, "to")];
    let stored = await readSchedule(this.#store, scheduler, key);
    existing(stored, key);
    let created = 0;
    const entry = stored === null ? null : fromStored(stored);
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
    const size = pointsPerCommit(this.#store);
    for (let i = 0; i < points.length;) {
      if (stored === null) {
        throw new InvalidArgument(`Cannot backfill "${key}": the entry was removed meanwhile`);
      }
      const drafts = points.slice(i, i + size).map((point) =>
        draftOf(this.#store, entry, point, 0)
      );
      const { decidedMs, fingerprint } = stored.record;
      const fired = await fireSchedule(this.#store, stored, { decidedMs, fingerprint }, drafts);
      stored = fired.stored;
      if (!fired.isOurs) continue;
      created += fired.made.length;
      i += size;
    }
    return created;
  }

  async #change(
    scheduler: string,
    key: string,
    change: (stored: StoredSchedule | null) => Omit<ScheduleRecord, "op">,
  ): Promise<void> {
    let stored = await readSchedule(this.#store, scheduler, key);
    for (let n = 0; n < TRIES_MAX; n++) {
      const written = await putSchedule(
        this.#store,
        scheduler,
        key,
        stored?.version ?? null,
        change(stored),
      );
      if (written.isOurs) return;
      stored = written.stored;
    }
    throw new OutcomeUnknown("change the schedule", []);
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

function existing(stored: StoredSchedule | null, key: string): ScheduleRecord {
  if (stored === null) throw new InvalidArgument(`Cannot find a schedule with the key "${key}"`);
  return stored.record;
}
