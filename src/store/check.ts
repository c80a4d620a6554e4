/**
 * Reads a whole database, live and in pages, and tells what is wrong: index ⇔ record, both ways, and whether every
 * record can be read.
 *
 * | entry | must hold |
 * |---|---|
 * | `task` | it can be read and bears its own id; queued → its due entry exists at its version; running → its lease lists it; not ended → it holds its unique key; its chunks are there, and a mark for the sweep once it has ended |
 * | `due` | its record is queued, at its version |
 * | `lease` | it can be read and lists tasks; each of them runs under it |
 * | `unique` | its holder has not ended and names the key |
 * | `data` | its record refers to it, or a mark for the sweep does |
 * | `worker` | it can be read |
 * | `aside` | there is none: each is a record that could not be read |
 *
 * Others work meanwhile, and a listing is no snapshot: what looks wrong is looked at again, its entries in one read that is
 * a snapshot, until it is right or has stood still and wrong for two looks. A record from the future is only counted.
 *
 * A repair is a commit that checks every entry it was judged by. It loses no bytes: what cannot be read is set aside, and
 * only what an earlier call or a worker set aside is deleted.
 *
 * @module
 */

import { sleep } from "../core/clock.ts";
import { UnreadableRecord } from "../core/errors.ts";
import { isTerminal, type Payload, type TaskRecord } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import { Changes, commit } from "./commit.ts";
import type { Entry, Key, KeyPart } from "./port.ts";
import { decodeTask, isTombstone } from "./record_codec.ts";
import { addTask, decodeLease, decodeWorker, encodeLease, hasChunks, sweepAt } from "./records.ts";
import { decodeSchedule } from "./schedules.ts";
import { readMany, readPage, type Store } from "./store.ts";

/** Something that is wrong with the database. */
export interface CheckProblem {
  /** The key it was found at, below the prefix, as JSON. */
  readonly key: string;
  /** What is wrong. */
  readonly message: string;
  /** Whether it was repaired by this call. */
  readonly repaired: boolean;
}

/** What a check found. */
export interface CheckReport {
  /** Entries that were looked at. */
  readonly entries: number;
  /** Of those, tasks. */
  readonly tasks: number;
  /** Records of a newer version, which were left alone. */
  readonly newer: number;
  /** What is wrong; at most 1,000. */
  readonly problems: readonly CheckProblem[];
  /** How many more problems there are. */
  readonly more: number;
}

const PAGE = 200;
const PROBLEMS_MAX = 1_000;
const LOOKS_MAX = 20;
const LOOK_PAUSE_MS = 25;
/** Entries that one read gives as a snapshot; a commit has as many checks on every engine. */
const TOGETHER = 10;
/** One repair can lay another problem bare: a lease that is set aside leaves tasks without one. */
const PASSES_MAX = 5;

/** What must hold between some entries. The entry that was listed is the first. */
interface Rule {
  readonly keys: readonly Key[];
  /** What is wrong, or null. Entries may have changed since the rule was made: then nothing is. */
  judge(entries: readonly Entry[]): Wrong | null;
}

interface Wrong {
  readonly message: string;
  /** What would put it right; null if only a person can. */
  readonly repair: Changes | null;
}

/** Checks the database, and repairs it if told so. */
export async function check(store: Store, options: { repair: boolean }): Promise<CheckReport> {
  const checker = new Checker(store, options.repair);
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const repaired = await checker.pass(pass === 0);
    if (repaired === 0) break;
  }
  return checker.report();
}

class Checker {
  readonly #store: Store;
  readonly #repair: boolean;
  readonly #problems = new Map<string, CheckProblem>();
  #more = 0;
  #entries = 0;
  #tasks = 0;
  #newer = 0;

  constructor(store: Store, repair: boolean) {
    this.#store = store;
    this.#repair = repair;
  }

  report(): CheckReport {
    return {
      entries: this.#entries,
      tasks: this.#tasks,
      newer: this.#newer,
      problems: [...this.#problems.values()],
      more: this.#more,
    };
  }

  /** Walks once over everything. Returns how much was repaired. */
  async pass(isFirst: boolean): Promise<number> {
    const { keys } = this.#store;
    this.#entries = this.#tasks = this.#newer = 0;
    let repaired = 0;
    let selector = keys.all();
    while (true) {
      const page = await readPage(this.#store, selector, { limit: PAGE });
      this.#entries += page.length;
      for (const [rule, entries] of await this.#look(page, isFirst)) {
        repaired += await this.#confirm(rule, entries);
      }
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) return repaired;
      selector = keys.after(keys.prefix, last);
    }
  }

  /** The rules of a page that seem to be broken. */
  async #look(page: readonly Entry[], isFirst: boolean): Promise<Map<Rule, Entry[]>> {
    const rules: { rule: Rule; entry: Entry }[] = [];
    for (const entry of page) {
      for (const rule of this.#rulesOf(entry, isFirst)) rules.push({ rule, entry });
    }
    const others = await readMany(this.#store, rules.flatMap(({ rule }) => rule.keys.slice(1)));
    const broken = new Map<Rule, Entry[]>();
    let at = 0;
    for (const { rule, entry } of rules) {
      const count = rule.keys.length - 1;
      const entries = [entry, ...others.slice(at, at + count)];
      at += count;
      if (rule.judge(entries) !== null) broken.set(rule, entries);
    }
    return broken;
  }

  /** Looks again until it is right, or the same entries were wrong twice. Returns 1 if it was repaired. */
  async #confirm(rule: Rule, seen: readonly Entry[]): Promise<number> {
    const { clock } = this.#store;
    let before = seen;
    for (let look = 0; look < LOOKS_MAX; look++) {
      await sleep(clock, LOOK_PAUSE_MS);
      const entries = await readMany(this.#store, rule.keys);
      const wrong = rule.judge(entries);
      if (wrong === null || await this.#isMarked(rule, entries)) return 0;
      const isStill = entries.every(({ versionstamp }, i) =>
        versionstamp === before[i]?.versionstamp
      );
      before = entries;
      if (!isStill) continue;
      const isRepaired = this.#repair && wrong.repair !== null &&
        await this.#apply(entries, wrong.repair);
      this.#tell(rule, wrong.message, isRepaired);
      return isRepaired ? 1 : 0;
    }
    // It changes all the time: somebody works on it.
    return 0;
  }

  async #apply(entries: readonly Entry[], repair: Changes): Promise<boolean> {
    for (const { key, versionstamp } of entries) repair.check(key, versionstamp);
    return (await commit(this.#store, repair)).kind === "committed";
  }

  #tell({ keys: [key = []] }: Rule, message: string, repaired: boolean): void {
    const parts = key.slice(this.#store.keys.prefix.length);
    const text = JSON.stringify(parts, (_, part) => typeof part === "bigint" ? `${part}n` : part);
    const name = `${text} ${message}`;
    if (!this.#problems.has(name) && this.#problems.size === PROBLEMS_MAX) this.#more++;
    else this.#problems.set(name, { key: text, message, repaired });
  }

  /** Whether a chunk that no record refers to is known to the sweep, which deletes it in time. */
  async #isMarked(rule: Rule, entries: readonly Entry[]): Promise<boolean> {
    const { keys } = this.#store;
    const [chunk] = entries;
    const [kind, id] = chunk === undefined ? [] : keys.parts(chunk);
    if (kind !== "data" || rule.keys.length !== 2) return false;
    let selector = keys.sweeps();
    while (true) {
      const page = await readPage(this.#store, selector, { limit: PAGE });
      if (page.some((mark) => keys.readSweep(mark)?.id === id)) return true;
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined || !("prefix" in selector)) return false;
      selector = keys.after(selector.prefix, last);
    }
  }

  #rulesOf(entry: Entry, isFirst: boolean): Rule[] {
    const [kind, ...parts] = this.#store.keys.parts(entry);
    switch (kind) {
      case "task":
        this.#tasks++;
        return this.#taskRules(entry, parts);
      case "due":
        return this.#dueRules(entry, parts);
      case "lease":
        return this.#leaseRules(entry);
      case "unique":
        return this.#uniqueRules(entry, parts);
      case "worker":
        return this.#workerRules(entry);
      case "data":
        return this.#chunkRules(entry, parts);
      case "sweep":
        return this.#store.keys.readSweep(entry) === null ? [foreign(entry)] : [];
      case "aside":
        return isFirst ? [asideRule(entry)] : [];
      case "bell":
      case "control":
      case "format":
      case "progress":
        return [];
      case "schedule":
        return this.#scheduleRules(entry);
      default:
        return [foreign(entry)];
    }
  }

  #scheduleRules(entry: Entry): Rule[] {
    const store = this.#store;
    if (store.keys.readSchedule(entry) === null) return [foreign(entry)];
    if (isNewer(entry, decodeSchedule)) this.#newer++;
    return [{
      keys: [entry.key],
      judge: ([schedule]) => {
        if (schedule === undefined || !isDamaged(schedule, decodeSchedule)) return null;
        return { message: "a schedule cannot be read", repair: moveAside(store, [schedule]) };
      },
    }];
  }

  /** The task of an entry's value; a newer one is counted, and like a tombstone it has no rules. */
  #read(entry: Entry | undefined): TaskRecord | "damaged" | "other" | null {
    if (entry === undefined || entry.versionstamp === null) return null;
    if (isTombstone(entry.value)) return "other";
    try {
      return decodeTask(entry.value);
    } catch (error) {
      return error instanceof UnreadableRecord && error.code === "NEWER_VERSION"
        ? "other"
        : "damaged";
    }
  }

  #taskRules(entry: Entry, parts: readonly KeyPart[]): Rule[] {
    const store = this.#store;
    const { keys } = store;
    const record = this.#read(entry);
    if (record === "other" && !isTombstone(entry.value)) this.#newer++;
    if (record === "other" || record === null) return [];
    if (record === "damaged" || record.id !== parts[0]) {
      return [{
        keys: [entry.key],
        judge: ([task]) => {
          const now = this.#read(task);
          if (task === undefined || now === null || now === "other") return null;
          if (now !== "damaged" && now.id === parts[0]) return null;
          return {
            message: "the record of a task cannot be read",
            repair: moveAside(store, [task]),
          };
        },
      }];
    }
    const rules: Rule[] = [];
    const still = (task: Entry | undefined): TaskRecord | null => {
      const now = this.#read(task);
      return typeof now === "object" && now !== null && task?.versionstamp === entry.versionstamp
        ? now
        : null;
    };
    if (record.state === "queued") {
      const { group, priority, dueMs, id } = record;
      rules.push({
        keys: [entry.key, keys.due(group, priority, dueMs, id)],
        judge: ([task, due]) => {
          const now = still(task);
          if (now === null || due?.versionstamp === task?.versionstamp) return null;
          const what = isAbsent(due) ? "has no due entry" : "has a stale due entry";
          return { message: `a queued task ${what}`, repair: rewritten(store, now) };
        },
      });
    }
    if (record.lease !== null) {
      rules.push({
        keys: [entry.key, keys.lease(record.lease.worker, record.lease.id)],
        judge: ([task, lease]) => {
          const now = still(task);
          if (now === null) return null;
          const tasks = this.#readLease(lease);
          if (tasks === "newer" || (Array.isArray(tasks) && tasks.includes(now.id))) return null;
          const op = store.ids.token();
          const nowMs = store.clock.now();
          return {
            message: "a running task has no lease that lists it",
            repair: rewritten(store, transition(now, { kind: "rescue", op, nowMs })),
          };
        },
      });
    }
    if (record.unique !== null && !isTerminal(record.state)) {
      const { unique } = record;
      rules.push({
        keys: [entry.key, keys.unique(unique)],
        judge: ([task, holder]) => {
          const now = still(task);
          if (now === null || textOf(holder) === now.id) return null;
          const repair = new Changes();
          repair.set(keys.unique(unique), new TextEncoder().encode(now.id));
          return isAbsent(holder)
            ? { message: "a task does not hold its unique key", repair }
            : { message: "a task's unique key is held by another one", repair: null };
        },
      });
    }
    rules.push(...this.#payloadRules(entry, record, still));
    return rules;
  }

  #payloadRules(
    entry: Entry,
    record: TaskRecord,
    still: (task: Entry | undefined) => TaskRecord | null,
  ): Rule[] {
    const { keys, clock } = this.#store;
    if (record.expiresMs !== null && record.expiresMs <= clock.now()) return [];
    const rules: Rule[] = [];
    for (const payload of [record.data, record.result]) {
      const chunks = payload === null
        ? []
        : chunksOf(payload).map(({ part, n }) => keys.chunk(record.id, part, n));
      for (let i = 0; i < chunks.length; i += TOGETHER - 1) {
        rules.push({
          keys: [entry.key, ...chunks.slice(i, i + TOGETHER - 1)],
          judge: ([task, ...others]) =>
            still(task) === null || others.every(({ versionstamp }) => versionstamp !== null)
              ? null
              : { message: "a part of a task's data is missing", repair: null },
        });
      }
    }
    if (isTerminal(record.state) && hasChunks(record)) {
      const mark = keys.sweep(sweepAt(record), record.id);
      rules.push({
        keys: [entry.key, mark],
        judge: ([task, sweep]) => {
          if (still(task) === null || !isAbsent(sweep)) return null;
          const repair = new Changes();
          repair.set(mark, new Uint8Array(0));
          return { message: "the large data of an ended task is not marked for the sweep", repair };
        },
      });
    }
    return rules;
  }

  #dueRules(entry: Entry, parts: readonly KeyPart[]): Rule[] {
    const store = this.#store;
    const key = store.keys.readDue(entry);
    if (key === null) return [foreign(entry)];
    return [{
      keys: [entry.key, store.keys.task(key.id)],
      judge: ([due, task]) => {
        if (due === undefined || due.versionstamp === null) return null;
        const record = this.#read(task);
        if (task !== undefined && due.versionstamp === task.versionstamp) {
          if (record !== "damaged") return null;
          return {
            message: "a queued task and its due entry cannot be read",
            repair: moveAside(store, [due, task]),
          };
        }
        const repair = new Changes();
        repair.delete(due.key);
        if (record === null) return { message: "a due entry has no task", repair };
        if (record === "damaged") {
          return {
            message: "the task of a due entry cannot be read",
            repair: moveAside(store, [due]),
          };
        }
        if (record === "other") {
          // A tombstone has no due entry; a record from the future may have one of another layout.
          return isTombstone(task?.value) ? { message: "a due entry has no task", repair } : null;
        }
        const isIts = record.state === "queued" && record.group === parts[0] &&
          record.priority === key.priority && record.dueMs === key.dueMs;
        return isIts
          ? { message: "a queued task has a stale due entry", repair: rewritten(store, record) }
          : { message: `the task of a due entry is ${record.state}, or due elsewhere`, repair };
      },
    }];
  }

  #readLease(entry: Entry | undefined): readonly string[] | "newer" | "damaged" | null {
    if (entry === undefined || entry.versionstamp === null) return null;
    try {
      return decodeLease(entry.value).tasks;
    } catch (error) {
      return error instanceof UnreadableRecord && error.code === "NEWER_VERSION"
        ? "newer"
        : "damaged";
    }
  }

  #leaseRules(entry: Entry): Rule[] {
    const store = this.#store;
    const key = store.keys.readLease(entry);
    if (key === null) return [foreign(entry)];
    const tasks = this.#readLease(entry);
    if (tasks === "newer") {
      this.#newer++;
      return [];
    }
    if (!Array.isArray(tasks) || tasks.length === 0) {
      return [{
        keys: [entry.key],
        judge: ([lease]) => {
          const now = this.#readLease(lease);
          if (lease === undefined || now === null || now === "newer") return null;
          if (now === "damaged") {
            return { message: "a lease cannot be read", repair: moveAside(store, [lease]) };
          }
          const repair = new Changes();
          repair.delete(lease.key);
          return now.length > 0 ? null : { message: "a lease lists no task", repair };
        },
      }];
    }
    const rules: Rule[] = [];
    for (let i = 0; i < tasks.length; i += TOGETHER - 1) {
      const some: string[] = tasks.slice(i, i + TOGETHER - 1);
      rules.push({
        keys: [entry.key, ...some.map((id) => store.keys.task(id))],
        judge: ([lease, ...records]) => {
          const now = this.#readLease(lease);
          if (lease === undefined || !Array.isArray(now)) return null;
          const lost = some.filter((id, n) => {
            const record = this.#read(records[n]);
            if (!now.includes(id) || record === "other") return false;
            return typeof record === "string" || record?.lease?.id !== key.id;
          });
          if (lost.length === 0) return null;
          const repair = new Changes();
          const { cancel } = decodeLease(lease.value);
          const left = now.filter((id: string) => !lost.includes(id));
          if (left.length === 0) repair.delete(lease.key);
          else {
            const value = encodeLease({
              tasks: left,
              cancel: cancel.filter((id) => left.includes(id)),
              op: store.ids.token(),
            });
            repair.set(lease.key, value);
          }
          return { message: `a lease lists ${lost.length} tasks that do not run under it`, repair };
        },
      });
    }
    return rules;
  }

  #uniqueRules(entry: Entry, parts: readonly KeyPart[]): Rule[] {
    const id = textOf(entry);
    if (id === null) return [foreign(entry)];
    return [{
      keys: [entry.key, this.#store.keys.task(id)],
      judge: ([holder, task]) => {
        if (textOf(holder) !== id) return null;
        const record = this.#read(task);
        if (record === "other" && !isTombstone(task?.value)) return null;
        const holds = typeof record === "object" && record !== null &&
          !isTerminal(record.state) && record.unique === parts[0];
        const repair = new Changes();
        repair.delete(entry.key);
        return holds
          ? null
          : { message: "a unique key is held by a task that has ended or is not there", repair };
      },
    }];
  }

  #workerRules(entry: Entry): Rule[] {
    const store = this.#store;
    const isSound = (worker: Entry | undefined): boolean => {
      if (worker === undefined || worker.versionstamp === null) return true;
      try {
        decodeWorker(worker.value);
        return true;
      } catch (error) {
        return error instanceof UnreadableRecord && error.code === "NEWER_VERSION";
      }
    };
    if (isSound(entry)) return [];
    return [{
      keys: [entry.key],
      judge: ([worker]) =>
        worker === undefined || isSound(worker) ? null : {
          message: "the heartbeat of a worker cannot be read",
          repair: moveAside(store, [worker]),
        },
    }];
  }

  #chunkRules(entry: Entry, parts: readonly KeyPart[]): Rule[] {
    const { keys, clock } = this.#store;
    const [id, part, n] = parts;
    if (typeof id !== "string" || typeof part !== "number" || typeof n !== "number") {
      return [foreign(entry)];
    }
    return [{
      keys: [entry.key, keys.task(id)],
      judge: ([chunk, task]) => {
        if (chunk === undefined || chunk.versionstamp === null) return null;
        const record = this.#read(task);
        // What a record that cannot be read refers to is not known.
        if (typeof record === "string" && !isTombstone(task?.value)) return null;
        if (typeof record === "object" && record !== null) {
          const payloads = [record.data, record.result];
          if (payloads.some((payload) => payload?.kind === "chunks" && payload.part === part)) {
            return null;
          }
        }
        const repair = new Changes();
        repair.set(keys.sweep(clock.now(), id), new Uint8Array(0));
        return { message: "a part of large data belongs to nothing", repair };
      },
    }];
  }
}

function chunksOf(payload: Payload): { part: number; n: number }[] {
  if (payload.kind === "inline") return [];
  return Array.from({ length: payload.count }, (_, n) => ({ part: payload.part, n }));
}

function isAbsent(entry: Entry | undefined): boolean {
  return entry === undefined || entry.versionstamp === null;
}

function textOf(entry: Entry | undefined): string | null {
  return entry?.value instanceof Uint8Array ? new TextDecoder().decode(entry.value) : null;
}

/** The changes that write a record, with its due entry, lease apart, as its state wants them. */
function rewritten(store: Store, record: TaskRecord): Changes {
  const changes = new Changes();
  addTask(store, changes, record);
  return changes;
}

/** Moves entries to where they are in nobody's way, byte for byte. */
function isNewer(entry: Entry, decode: (value: unknown) => unknown): boolean {
  return whyUnreadable(entry, decode) === "NEWER_VERSION";
}

function isDamaged(entry: Entry, decode: (value: unknown) => unknown): boolean {
  return whyUnreadable(entry, decode) === "CORRUPT_RECORD";
}

function whyUnreadable(entry: Entry, decode: (value: unknown) => unknown): string | null {
  if (entry.versionstamp === null) return null;
  try {
    decode(entry.value);
    return null;
  } catch (error) {
    if (!(error instanceof UnreadableRecord)) throw error;
    return error.code;
  }
}

function moveAside(store: Store, entries: readonly Entry[]): Changes {
  const changes = new Changes();
  for (const { key, value } of entries) {
    changes.set(store.keys.aside(key), value);
    changes.delete(key);
  }
  return changes;
}

function asideRule(entry: Entry): Rule {
  return {
    keys: [entry.key],
    judge: ([aside]) => {
      if (aside === undefined || aside.versionstamp === null) return null;
      const repair = new Changes();
      repair.delete(aside.key);
      return { message: "a record that could not be read was set aside", repair };
    },
  };
}

function foreign(entry: Entry): Rule {
  return {
    keys: [entry.key],
    judge: ([now]) =>
      now === undefined || now.versionstamp === null
        ? null
        : { message: "a key that Taskkit does not know lies below the prefix", repair: null },
  };
}
