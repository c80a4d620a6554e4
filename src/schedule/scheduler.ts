/**
 * Fires the entries of schedulers. Every worker runs one; whoever comes first at a point makes its task, and the others
 * find the entry moved on. It sleeps until the next point of any entry.
 *
 * An entry of the program is looked after by the workers that were started with it, an entry of the database by all.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { nextTurn } from "../core/clock.ts";
import { InvalidSchedule, KvUnavailable, UnreadableRecord } from "../core/errors.ts";
import {
  SCHEDULE_AHEAD_MS_MAX,
  SCHEDULE_FIRES_AT_ONCE_MAX,
  SCHEDULE_LOOK_MS,
  SCHEDULE_LOOK_MS_MIN,
  SCHEDULE_PAUSE_FIRST_MS,
  SCHEDULE_PAUSE_MS_MAX,
} from "../core/limits.ts";
import { scheduledTaskId } from "../core/ids.ts";
import { newTask } from "../core/task.ts";
import { serve, Waker } from "../core/waker.ts";
import type { Listener } from "../store/bells.ts";
import type { Draft } from "../store/enqueue.ts";
import {
  changeSchedule,
  fireSchedule,
  isLastTaskAlive,
  listSchedules,
  pointsPerCommit,
  type ScheduleName,
  type ScheduleRecord,
  type StoredSchedule,
} from "../store/schedules.ts";
import type { Store } from "../store/store.ts";
import { type EntryTask, fromStored, type ReadEntry, toStoredJSON } from "./entry.ts";
import { begin, plan } from "./plan.ts";
import { nextPoint, readPolicies } from "./schedule.ts";

/** What the scheduler tells its worker. */
export interface SchedulerHost {
  /** The tasks of these points were made, by this scheduler. */
  onFired(entry: ReadEntry, points: readonly number[]): void;
  /** These points were left out since the task before them has not ended. */
  onSkipped(entry: ReadEntry, points: readonly number[]): void;
  /** A clock that ran ahead decided everything up to `decidedMs`: until then the entry fires nothing. */
  onAhead(entry: ReadEntry, decidedMs: number): void;
  onTrouble(what: string, error: unknown): void;
}

/** An entry that is looked after. */
interface Known {
  entry: ReadEntry;
  stored: StoredSchedule;
  /** The next point; null if there is none. Undefined until it is planned. */
  nextMs: number | null | undefined;
  /** How often in a row it could not be planned or fired. */
  troubles: number;
  /** Not to be planned before, by the monotonic clock. */
  retryAt: number;
}

/** After so many entries that were only planned, the event loop gets its turn. */
const PLANS_IN_A_ROW_MAX = 50;

/** Fires entries until it is stopped. */
export class Scheduler {
  readonly #store: Store;
  readonly #host: SchedulerHost;
  readonly #code: ReadonlyMap<string, ReadEntry>;
  readonly #waker: Waker;
  #known = new Map<string, Known>();
  /** What was told of entries that stand in the database, so that it is told once. */
  #told = new Map<string, string>();
  #isStopped = false;
  #lookedAt = -Infinity;
  #mustLook = true;
  #isQuiet = false;
  #loop: Promise<void> = Promise.resolve();
  #listener: Listener | null = null;

  constructor(store: Store, code: readonly ReadEntry[], host: SchedulerHost) {
    this.#store = store;
    this.#code = new Map(code.map((entry) => [nameOf(entry), entry]));
    this.#host = host;
    this.#waker = new Waker(store.clock);
  }

  /**
   * Notes the entries of the program in the database. A new one begins now; so does one whose schedule was changed. Rejects
   * if the database is away.
   *
   * @throws {InvalidSchedule} If a schedule of the user's own fails, or breaks its contract.
   */
  async register(): Promise<void> {
    if (this.#code.size === 0) return;
    const nowMs = this.#store.clock.now();
    for (const entry of this.#code.values()) checkSchedule(entry, nowMs);
    const noted = new Map<string, StoredSchedule>();
    for (const stored of await listSchedules(this.#store)) noted.set(nameOf(stored), stored);
    await this.#inLanes([...this.#code.values()], async (entry) => {
      if (this.#toNote(entry, noted.get(nameOf(entry)) ?? null) !== null) await this.#note(entry);
    });
  }

  /** Whether it has looked, and every point that was due then has its task. */
  get isQuiet(): boolean {
    return this.#isQuiet;
  }

  /** Begins to fire. */
  start(): void {
    this.#listener = this.#store.bells.listen([this.#store.keys.scheduleBell()], () => {
      this.#mustLook = true;
      this.#waker.ring();
    });
    this.#loop = serve(this.#waker, () => this.#isStopped, () => this.#turn(), (error) => {
      this.#host.onTrouble("schedules", error);
      return SCHEDULE_PAUSE_FIRST_MS * (0.5 + this.#store.random.next());
    });
  }

  /** Ends; resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#listener?.stop();
    this.#waker.ring();
    await this.#loop;
  }

  async #note(entry: ReadEntry): Promise<void> {
    try {
      const options = { act: "note the schedule", overDamaged: true };
      await changeSchedule(this.#store, entry, options, (stored) => this.#toNote(entry, stored));
    } catch (error) {
      // A record from the future is looked after by workers from there; the first look tells of it.
      if (!(error instanceof UnreadableRecord)) throw error;
    }
  }

  /** What is to be stored of an entry of the program; null if that is what is stored. */
  #toNote(entry: ReadEntry, stored: StoredSchedule | null): Omit<ScheduleRecord, "op"> | null {
    const record = stored?.record ?? null;
    const { decidedMs, fingerprint } = begin(entry.schedule, {
      state: record,
      nowMs: this.#store.clock.now(),
      timeZone: entry.timeZone,
    });
    const { paused = false, lastTask = null, op = "" } = record ?? {};
    const wanted = { ...describe(entry, "code"), paused, lastTask, decidedMs, fingerprint };
    const isStored = record !== null && record.fingerprint === fingerprint &&
      descriptionOf(record) === descriptionOf({ ...wanted, op });
    return isStored ? null : wanted;
  }

  /** Fires what is due; returns how long to sleep. */
  async #turn(): Promise<number> {
    this.#isQuiet = false;
    if (this.#untilLookMs() <= 0) await this.#look();
    const due = [...this.#known.values()].filter((known) => this.#isDue(known));
    await this.#inLanes(due, (known) => this.#tryToFire(known));
    // As of now: what came first in this turn may be due again.
    const sleepMs = this.#sleepMs();
    this.#isQuiet = sleepMs > 0 && !this.#mustLook;
    return sleepMs;
  }

  #untilLookMs(): number {
    const sinceMs = this.#store.clock.monotonic() - this.#lookedAt;
    return (this.#mustLook ? SCHEDULE_LOOK_MS_MIN : SCHEDULE_LOOK_MS) - sinceMs;
  }

  #isDue({ stored, nextMs, retryAt }: Known): boolean {
    const { clock } = this.#store;
    if (stored.record.paused || nextMs === null) return false;
    return nextMs === undefined ? clock.monotonic() >= retryAt : clock.now() >= nextMs;
  }

  #sleepMs(): number {
    const { clock } = this.#store;
    const [wallMs, monotonicMs] = [clock.now(), clock.monotonic()];
    let sleepMs = Math.max(0, this.#untilLookMs());
    for (const { stored, nextMs, retryAt } of this.#known.values()) {
      if (stored.record.paused || nextMs === null) continue;
      const waitMs = nextMs === undefined ? retryAt - monotonicMs : nextMs - wallMs;
      sleepMs = Math.min(sleepMs, Math.max(0, waitMs));
    }
    return sleepMs;
  }

  /** Does something for each item, a few at once, and lets others have their turn in between. */
  async #inLanes<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
    const { clock } = this.#store;
    let next = 0;
    const lane = async () => {
      while (next < items.length && !this.#isStopped) {
        const item = items[next++] as T;
        await act(item);
        if (next % PLANS_IN_A_ROW_MAX === 0) await nextTurn(clock);
      }
    };
    const lanes = Math.min(SCHEDULE_FIRES_AT_ONCE_MAX, items.length);
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  /** Reads all entries: those of the database may have been added, changed or removed. */
  async #look(): Promise<void> {
    this.#mustLook = false;
    this.#lookedAt = this.#store.clock.monotonic();
    const known = new Map<string, Known>();
    const toldBefore = this.#told;
    this.#told = new Map();
    const keepTold = (name: string) => {
      const told = toldBefore.get(name);
      if (told !== undefined) this.#told.set(name, told);
    };
    const stored = await this.#list((name, version, error) => {
      keepTold(nameOf(name));
      this.#tellOnce(name, version, () => this.#host.onTrouble(titleOf(name), error));
    });
    for (const one of stored) {
      const name = nameOf(one);
      keepTold(name);
      const before = this.#known.get(name);
      if (before?.stored.version === one.version) {
        known.set(name, before);
        this.#tellIfAhead(before);
        continue;
      }
      const entry = this.#entryOf(one, before);
      if (entry === null) continue;
      const now = { entry, stored: one, nextMs: undefined, troubles: 0, retryAt: -Infinity };
      known.set(name, now);
      this.#tellIfAhead(now);
    }
    this.#known = known;
  }

  async #list(
    onUnreadable: (name: ScheduleName, version: string, error: unknown) => void,
  ): Promise<StoredSchedule[]> {
    try {
      return await listSchedules(
        this.#store,
        undefined,
        (entry) => onUnreadable(entry, entry.version, entry.error),
      );
    } catch (error) {
      this.#mustLook = true;
      throw error;
    }
  }

  /** The entry behind a record, if it is ours to look after. What it was before is kept where that is the same. */
  #entryOf(stored: StoredSchedule, before?: Known): ReadEntry | null {
    if (stored.record.source === "code") return this.#code.get(nameOf(stored)) ?? null;
    if (
      before !== undefined && before.stored.record.source === "stored" &&
      descriptionOf(before.stored.record) === descriptionOf(stored.record)
    ) return before.entry;
    try {
      return fromStored(stored);
    } catch (error) {
      this.#tellOnce(
        stored,
        stored.version,
        () => this.#host.onTrouble(titleOf(stored), error),
      );
      return null;
    }
  }

  #tellIfAhead({ entry, stored: { record, version } }: Known): void {
    const aheadMs = record.decidedMs - this.#store.clock.now();
    if (record.paused || aheadMs <= SCHEDULE_AHEAD_MS_MAX) return;
    this.#tellOnce(entry, version, () => this.#host.onAhead(entry, record.decidedMs));
  }

  #tellOnce(name: ScheduleName, what: string, tell: () => void): void {
    if (this.#told.get(nameOf(name)) === what) return;
    this.#told.set(nameOf(name), what);
    tell();
  }

  /** One that cannot be fired, for whatever reason, must not stop the others. It is tried again, ever more seldom. */
  async #tryToFire(known: Known): Promise<void> {
    try {
      await this.#fire(known);
      known.troubles = 0;
    } catch (error) {
      const { clock, random } = this.#store;
      const pauseMs = Math.min(
        SCHEDULE_PAUSE_FIRST_MS * 2 ** known.troubles,
        SCHEDULE_PAUSE_MS_MAX,
      );
      known.troubles++;
      known.nextMs = undefined;
      known.retryAt = clock.monotonic() + pauseMs * (0.5 + random.next());
      this.#host.onTrouble(titleOf(known.entry), error);
    }
  }

  /**
   * Fires the points that are due, as many as one commit takes; where there are more, the entry is due again in the next
   * turn, so that an entry that catches up does not hold up the others.
   */
  async #fire(known: Known): Promise<void> {
    while (!this.#isStopped) {
      const { entry, stored } = known;
      const { schedule, timeZone } = entry;
      const { overlap, jitterMs } = readPolicies(schedule, `fire ${titleOf(entry)}`);
      const planned = plan(schedule, {
        state: stored.record,
        nowMs: this.#store.clock.now(),
        timeZone,
        limit: pointsPerCommit(this.#store, entry.data.length),
      });
      known.nextMs = planned.nextMs;
      if (planned.state === stored.record) return;

      let { points } = planned;
      if (overlap === "skip" && points.length > 0) {
        // One task at a time: the first of them, unless the one before has not ended.
        points = await isLastTaskAlive(this.#store, stored) ? [] : points.slice(0, 1);
      }
      const drafts = points.map((point) => draftOf(this.#store, entry, point, jitterMs));
      const lastTask = drafts.at(-1)?.record.id ?? stored.record.lastTask;
      const fired = await fireSchedule(this.#store, stored, { ...planned.state, lastTask }, drafts);
      if (fired.stored === null) {
        // Removed meanwhile.
        this.#known.delete(nameOf(entry));
        return;
      }
      if (fired.isOurs) {
        known.stored = fired.stored;
        this.#tellFired(entry, planned.points.slice(points.length), fired.made.map(pointOf));
        return;
      }
      if (fired.stored.version === stored.version) {
        throw new KvUnavailable(`Cannot fire ${titleOf(entry)}: the database did not take it`);
      }
      // Another scheduler was first, or somebody changed the entry: plan again from what is there now.
      const now = this.#entryOf(fired.stored, known);
      if (now === null) {
        this.#known.delete(nameOf(entry));
        return;
      }
      known.entry = now;
      known.stored = fired.stored;
      if (fired.stored.record.paused) return;
    }
  }

  #tellFired(entry: ReadEntry, skipped: readonly number[], made: readonly number[]): void {
    if (made.length > 0) this.#host.onFired(entry, made);
    if (skipped.length > 0) this.#host.onSkipped(entry, skipped);
  }
}

/** Refuses what would fail at its first point; what is of Taskkit's own kinds was checked when it was made. */
function checkSchedule({ schedule, timeZone, key }: ReadEntry, nowMs: number): void {
  try {
    nextPoint(schedule, nowMs, timeZone);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidSchedule(`Cannot use entry "${key}": its schedule fails: ${why}`, { cause });
  }
}

function pointOf({ scheduledMs, dueMs }: { scheduledMs: number | null; dueMs: number }): number {
  return scheduledMs ?? dueMs;
}

/** An entry, for messages. */
function titleOf({ scheduler, key }: ScheduleName): string {
  return `schedule "${scheduler}/${key}"`;
}

/** The task that an entry makes at a point. */
export function draftOf(store: Store, entry: EntryTask, point: number, jitterMs: number): Draft {
  const id = scheduledTaskId(entry.scheduler, entry.key, point);
  return {
    data: entry.data,
    record: newTask({
      id,
      group: entry.group,
      name: entry.name,
      priority: entry.priority,
      dueMs: point + Math.floor(jitterMs * store.random.next()),
      createdMs: store.clock.now(),
      ttlMs: entry.ttlMs,
      timeoutMs: entry.timeoutMs,
      scheduledMs: point,
      unique: null,
      op: store.ids.token(),
    }),
  };
}

/** What is stored of an entry beside its state. */
export function describe(entry: ReadEntry, source: "code" | "stored") {
  return {
    source,
    group: entry.group,
    name: entry.name,
    data: Buffer.from(entry.data).toString("base64"),
    ttlMs: entry.ttlMs,
    priority: entry.priority,
    timeoutMs: entry.timeoutMs,
    schedule: toStoredJSON(entry.schedule),
    timeZone: entry.timeZone,
  };
}

function nameOf({ scheduler, key }: ScheduleName): string {
  return JSON.stringify([scheduler, key]);
}

/** What makes an entry of the database another one: all but its state. */
function descriptionOf(record: ScheduleRecord): string {
  const { source, group, name, data, ttlMs, priority, timeoutMs, schedule, timeZone } = record;
  return JSON.stringify([
    source,
    group,
    name,
    data,
    ttlMs,
    priority,
    timeoutMs,
    schedule,
    timeZone,
  ]);
}
