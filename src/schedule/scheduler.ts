/**
 * Fires the entries of schedulers. Every worker runs one; whoever comes first at a point makes its task, and the others
 * find the entry moved on. It sleeps until the next point of any entry.
 *
 * An entry of the program is looked after by the workers that were started with it, an entry of the database by all.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { SCHEDULE_LOOK_MS } from "../core/limits.ts";
import { scheduledTaskId } from "../core/ids.ts";
import { serve, Waker } from "../core/waker.ts";
import type { Listener } from "../store/bells.ts";
import type { Draft } from "../store/enqueue.ts";
import {
  fireSchedule,
  isLastTaskAlive,
  listSchedules,
  pointsPerCommit,
  putSchedule,
  readSchedule,
  type StoredSchedule,
} from "../store/schedules.ts";
import type { Store } from "../store/store.ts";
import { type EntryTask, fromStored, type ReadEntry, toStoredJSON } from "./entry.ts";
import { begin, plan } from "./plan.ts";
import { readPolicies } from "./schedule.ts";

/** What the scheduler tells its worker. */
export interface SchedulerHost {
  onFired(entry: ReadEntry, points: readonly number[]): void;
  onSkipped(entry: ReadEntry, points: readonly number[]): void;
  onTrouble(what: string, error: unknown): void;
}

interface Known {
  readonly entry: ReadEntry;
  stored: StoredSchedule;
  /** The next point; null if there is none. Undefined until it is planned. */
  nextMs: number | null | undefined;
}

/** How soon an entry that could not be fired is planned again. */
const TROUBLE_PAUSE_MS = 1_000;

/** Fires entries until it is stopped. */
export class Scheduler {
  readonly #store: Store;
  readonly #host: SchedulerHost;
  readonly #code: readonly ReadEntry[];
  readonly #waker: Waker;
  #known = new Map<string, Known>();
  #isStopped = false;
  #lookedAt = -Infinity;
  #mustLook = true;
  #loop: Promise<void> = Promise.resolve();
  #listener: Listener | null = null;

  constructor(store: Store, code: readonly ReadEntry[], host: SchedulerHost) {
    this.#store = store;
    this.#code = code;
    this.#host = host;
    this.#waker = new Waker(store.clock);
  }

  /** Notes the entries of the program in the database. Rejects if that is away. */
  async register(): Promise<void> {
    for (const entry of this.#code) await this.#register(entry);
  }

  /** Begins to fire. */
  start(): void {
    this.#listener = this.#store.bells.listen([this.#store.keys.scheduleBell()], () => {
      this.#mustLook = true;
      this.#waker.ring();
    });
    this.#loop = serve(this.#waker, () => this.#isStopped, () => this.#turn(), (error) => {
      this.#host.onTrouble("schedules", error);
      return 1_000 * (0.5 + this.#store.random.next());
    });
  }

  /** Ends; resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#listener?.stop();
    this.#waker.ring();
    await this.#loop;
  }

  /** Makes the stored entry what the program says. A new one begins now; so does one whose schedule was changed. */
  async #register(entry: ReadEntry): Promise<void> {
    const { scheduler, key } = entry;
    let stored = await readSchedule(this.#store, scheduler, key);
    while (true) {
      const record = stored?.record ?? null;
      const state = begin(entry.schedule, {
        state: record,
        nowMs: this.#store.clock.now(),
        timeZone: entry.timeZone,
      });
      const wanted = {
        ...describe(entry, "code"),
        paused: record?.paused ?? false,
        lastTask: record?.lastTask ?? null,
        decidedMs: state.decidedMs,
        fingerprint: state.fingerprint,
      };
      if (
        record !== null &&
        JSON.stringify({ ...wanted, op: record.op }) === JSON.stringify(sortedLike(wanted, record))
      ) return;
      const written = await putSchedule(
        this.#store,
        scheduler,
        key,
        stored?.version ?? null,
        wanted,
      );
      if (written.isOurs) return;
      stored = written.stored;
    }
  }

  /** Fires what is due; returns how long to sleep. */
  async #turn(): Promise<number> {
    const { clock } = this.#store;
    if (this.#mustLook || clock.monotonic() - this.#lookedAt >= SCHEDULE_LOOK_MS) {
      await this.#look();
    }
    let sleepMs = SCHEDULE_LOOK_MS;
    for (const known of this.#known.values()) {
      if (this.#isStopped) return 0;
      if (known.stored.record.paused) continue;
      if (known.nextMs === undefined || (known.nextMs !== null && known.nextMs <= clock.now())) {
        try {
          await this.#fire(known);
        } catch (error) {
          // Planned anew with the next turn; a schedule that throws must not stop the others.
          this.#host.onTrouble(`schedule "${known.entry.key}"`, error);
          known.nextMs = undefined;
          sleepMs = Math.min(sleepMs, TROUBLE_PAUSE_MS);
        }
      }
      if (typeof known.nextMs === "number") {
        sleepMs = Math.min(sleepMs, Math.max(0, known.nextMs - clock.now()));
      }
    }
    return sleepMs;
  }

  /** Reads all entries: those of the database may have been added, changed or removed. */
  async #look(): Promise<void> {
    this.#mustLook = false;
    this.#lookedAt = this.#store.clock.monotonic();
    const mine = new Map(this.#code.map((entry) => [nameOf(entry), entry]));
    const known = new Map<string, Known>();
    for (const stored of await this.#list()) {
      try {
        const entry = stored.record.source === "code"
          ? mine.get(nameOf(stored)) ?? null
          : fromStored(stored);
        if (entry === null) continue;
        const before = this.#known.get(nameOf(stored));
        const nextMs = before?.stored.version === stored.version ? before.nextMs : undefined;
        known.set(nameOf(stored), { entry, stored, nextMs });
      } catch (error) {
        this.#host.onTrouble(`schedule "${stored.key}"`, error);
      }
    }
    this.#known = known;
  }

  async #list(): Promise<StoredSchedule[]> {
    try {
      return await listSchedules(this.#store);
    } catch (error) {
      this.#mustLook = true;
      throw error;
    }
  }

  /** Fires the points that are due, one commit after another, until the entry has caught up. */
  async #fire(known: Known): Promise<void> {
    const { entry } = known;
    const { schedule, timeZone } = entry;
    const { overlap, jitterMs } = readPolicies(schedule, "fire a schedule");
    while (!this.#isStopped) {
      const nowMs = this.#store.clock.now();
      const { stored } = known;
      const planned = plan(schedule, {
        state: stored.record,
        nowMs,
        timeZone,
        limit: pointsPerCommit(this.#store),
      });
      known.nextMs = planned.nextMs;
      if (planned.state === stored.record) return;
      let { points } = planned;
      if (overlap === "skip" && points.length > 0) {
        // One task at a time: the first of them, unless the one before has not ended.
        const isBusy = await isLastTaskAlive(this.#store, stored);
        const skipped = isBusy ? points : points.slice(1);
        if (skipped.length > 0) this.#host.onSkipped(entry, skipped);
        points = isBusy ? [] : points.slice(0, 1);
      }
      const drafts = points.map((point) => draftOf(this.#store, entry, point, jitterMs));
      const fired = await fireSchedule(this.#store, stored, planned.state, drafts);
      if (fired.stored === null) {
        // Removed meanwhile.
        this.#known.delete(nameOf(entry));
        return;
      }
      known.stored = fired.stored;
      if (fired.isOurs && fired.made.length > 0) {
        this.#host.onFired(entry, fired.made.map(({ scheduledMs }) => scheduledMs ?? 0));
      }
      if (fired.stored.record.paused) return;
      // Another scheduler was first, or there is more: plan again from what is there now.
    }
  }
}

/** The task that an entry makes at a point. */
export function draftOf(store: Store, entry: EntryTask, point: number, jitterMs: number): Draft {
  const id = scheduledTaskId(entry.scheduler, entry.key, point);
  return {
    data: entry.data,
    record: {
      id,
      group: entry.group,
      name: entry.name,
      priority: entry.priority,
      state: "queued",
      dueMs: point + Math.floor(jitterMs * store.random.next()),
      createdMs: store.clock.now(),
      ttlMs: entry.ttlMs,
      timeoutMs: entry.timeoutMs,
      scheduledMs: point,
      unique: null,
      attempt: 0,
      released: 0,
      lost: 0,
      op: store.ids.token(),
      lease: null,
      startedMs: null,
      endedMs: null,
      expiresMs: null,
      error: null,
      result: null,
    },
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

function nameOf({ scheduler, key }: { scheduler: string; key: string }): string {
  return JSON.stringify([scheduler, key]);
}

/** The record's fields in the order of `wanted`, so that both compare as text. */
function sortedLike(wanted: object, record: object): object {
  const fields = Object.keys(wanted).map((field) => [field, Reflect.get(record, field)]);
  return { ...Object.fromEntries(fields), op: Reflect.get(record, "op") };
}
