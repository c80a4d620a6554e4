/**
 * The database of a simulation: what Deno KV stores and promises, in memory, with everything that
 * happens to it on view.
 *
 * Connections ({@linkcode SimKv}) come and go and may lie about what happened; the database itself
 * never does. Checkers of invariants hang on it: they see every commit that is applied, with what
 * was there before and after it, without any delay.
 *
 * What it takes over from the real engines:
 * - keys in the order of their encoded bytes; values copied in and out; all keys that one commit
 *   sets share one versionstamp of 20 hexadecimal digits, which grows by 1 to 9 a commit;
 * - `expireIn` is counted by the writer's wall clock, and collected up to a minute late: until then
 *   reads show the key, a check for absence fails, and a later `set` without it clears it.
 *
 * @module
 */

import { assert } from "@std/assert";
import type { Timer } from "../core/clock.ts";
import type { Entry, Key } from "../store/port.ts";
import { OrderedMap } from "./ordered_map.ts";
import { keyText, type PackedKey, packKey } from "./packed_key.ts";
import type { SeededRandom } from "./prng.ts";
import { type Dialect, type DialectName, DIALECTS } from "./sim_dialect.ts";
import { CALM, INSTANT, type KvFaults } from "./sim_faults.ts";
import { type ConnectOptions, SimKv } from "./sim_kv.ts";
import { VirtualTime } from "./virtual_clock.ts";

/** `Deno.openKv` wakes up at least so often to collect what has expired. */
const EXPIRY_LATE_MS_MAX = 60_000;
const VERSION_STEP_MAX = 9;

/** What is stored under a key. It never changes: a later commit puts another one in its place. */
export interface Stored {
  /** The key as it was set. */
  readonly key: Key;
  /** Its bytes. */
  readonly packed: PackedKey;
  /** The database's own copy: to be read only. */
  readonly value: unknown;
  /** The version of the commit that set it. */
  readonly versionstamp: string;
  /**
   * When it may be collected, by the right time in milliseconds since the epoch; null for never.
   */
  readonly expiresAtMs: number | null;
}

/** What a commit did to one key. */
export interface Change {
  /** The key that was set or deleted. */
  readonly key: Key;
  /** What was there, or null. */
  readonly before: Stored | null;
  /** What is there now, or null. */
  readonly after: Stored | null;
}

/**
 * Something that was applied. A key that a commit changes twice has two changes, in their order.
 */
export interface CommitEvent {
  /**
   * A commit of a connection, the collection of what has expired, or a record put in or taken out
   * from outside.
   */
  readonly kind: "commit" | "expiry" | "planted";
  /** The name of the connection. */
  readonly by: string;
  /** Virtual time, in milliseconds since the start of the world. */
  readonly atMs: number;
  /** The version that all its keys got. */
  readonly versionstamp: string;
  /** What it did, in its order. */
  readonly changes: readonly Change[];
}

/** A commit that a check refused. */
export interface RefusalEvent {
  /** The name of the connection. */
  readonly by: string;
  /** Virtual time, in milliseconds since the start of the world. */
  readonly atMs: number;
  /** The first key whose check failed. */
  readonly key: Key;
  /** What the commit would have set or deleted. */
  readonly keys: readonly Key[];
}

/** An atomic operation as it arrives. */
export interface AtomicWrite {
  /** The name of the connection. */
  readonly by: string;
  /**
   * The process it comes from; only watches of this process are told where watches do not cross
   * processes.
   */
  readonly owner: unknown;
  /** What must be so. */
  readonly checks: readonly { key: Key; packed: PackedKey; versionstamp: string | null }[];
  /** What is to be. */
  readonly mutations: readonly {
    key: Key;
    packed: PackedKey;
    /** Null deletes. */
    set: { readonly value: unknown; readonly expiresAtMs: number | null } | null;
  }[];
}

/** Options of {@linkcode SimDatabase}. */
export interface SimDatabaseOptions {
  /** The world that the database lives in. @default {one of its own} */
  readonly time?: VirtualTime;
  /**
   * Where latencies, faults and delays come from. Without it nothing goes wrong by chance, and
   * delays are the least ones.
   */
  readonly random?: SeededRandom;
  /** Which engine and client to be like. @default {"deno"} */
  readonly dialect?: DialectName;
  /** Checks that one atomic operation takes. @default {100 for "deno", 10 for "npm"} */
  readonly checksMax?: number;
  /**
   * What goes wrong on connections that do not say otherwise.
   *
   * @default {{@linkcode INSTANT}, or {@linkcode CALM} with `random`}
   */
  readonly faults?: KvFaults;
  /**
   * How late what has expired is collected at most, in milliseconds. Without `random`, always so
   * late.
   *
   * @default {60,000}
   */
  readonly expiryLateMsMax?: number;
  /**
   * Whether watches see commits of other processes.
   *
   * @default {false for "deno", where processes share a file}
   */
  readonly watchesCrossProcesses?: boolean;
  /**
   * Whether a watch tells at once what is there, also if that is nothing. `@deno/kv` does so only
   * with `raw`.
   *
   * @default {true}
   */
  readonly watchesTellAbsence?: boolean;
}

/** @ignore What the database tells of a change; implemented by the watches of connections. */
export interface Watcher {
  changed(owner: unknown): void;
  serverStopped(): void;
  serverStarted(): void;
}

/**
 * A simulated Deno KV database.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SimDatabase } from "@taskkit/taskkit/testing";
 *
 * const database = new SimDatabase();
 * const kv = database.connect();
 * await kv.atomic().set(["greeting"], new Uint8Array([104, 105])).commit();
 * assert.deepEqual((await kv.get(["greeting"])).value, new Uint8Array([104, 105]));
 * assert.equal(database.size, 1);
 * ```
 */
export class SimDatabase {
  /** The world that the database lives in. */
  readonly time: VirtualTime;
  /** Where latencies, faults and delays come from. */
  readonly random: SeededRandom | undefined;
  /** Which engine and client it is like. */
  readonly dialect: Dialect;
  /** Checks that one atomic operation takes. */
  readonly checksMax: number;
  /** Whether watches see commits of other processes. */
  readonly watchesCrossProcesses: boolean;
  /** Whether a watch tells at once that nothing is there. */
  readonly watchesTellAbsence: boolean;
  /** What goes wrong on connections that do not say otherwise. May be changed at any time. */
  faults: KvFaults;
  readonly #expiryLateMsMax: number;
  readonly #stored = new OrderedMap<Stored>();
  /** By expiry time, then key. */
  readonly #expiring = new OrderedMap<Stored>();
  readonly #watchers = new Map<PackedKey, Set<Watcher>>();
  readonly #commitObservers = new Set<(event: CommitEvent) => void>();
  readonly #refusalObservers = new Set<(event: RefusalEvent) => void>();
  #version = 0;
  #connections = 0;
  #sweep: Timer | null = null;
  #sweepAtMs = Infinity;
  #downs = 0;
  #isDown = false;
  #lockedUntilMs = 0;

  /** Makes an empty database. */
  constructor(options: SimDatabaseOptions = {}) {
    this.time = options.time ?? new VirtualTime();
    this.random = options.random;
    this.dialect = DIALECTS[options.dialect ?? "deno"];
    this.checksMax = options.checksMax ?? this.dialect.checksMax;
    this.faults = options.faults ?? (options.random === undefined ? INSTANT : CALM);
    this.#expiryLateMsMax = options.expiryLateMsMax ?? EXPIRY_LATE_MS_MAX;
    this.watchesCrossProcesses = options.watchesCrossProcesses ?? !this.dialect.isEmbedded;
    this.watchesTellAbsence = options.watchesTellAbsence ?? true;
  }

  /** How many keys there are. */
  get size(): number {
    return this.#stored.size;
  }

  /** The last versionstamp that was given out. */
  get versionstamp(): string {
    return versionstampOf(this.#version);
  }

  /** The right time, in milliseconds since the epoch. */
  get wallMs(): number {
    return this.time.wallStartMs + this.time.nowMs;
  }

  /** A new connection. */
  connect(options: ConnectOptions = {}): SimKv {
    this.#connections++;
    return new SimKv(this, `connection ${this.#connections}`, options);
  }

  // ── For checkers: without delay, past all faults ──

  /**
   * Calls `observer` after every change that is applied, before anything else happens; what it
   * throws ends the run of the world. Returns how to stop it.
   */
  onCommit(observer: (event: CommitEvent) => void): () => void {
    this.#commitObservers.add(observer);
    return () => this.#commitObservers.delete(observer);
  }

  /** Calls `observer` for every commit that a check refuses. Returns how to stop it. */
  onRefusal(observer: (event: RefusalEvent) => void): () => void {
    this.#refusalObservers.add(observer);
    return () => this.#refusalObservers.delete(observer);
  }

  /** What is stored under a key, or null. */
  peek(key: Key): Stored | null {
    return this.#stored.get(packKey(key)) ?? null;
  }

  /**
   * Everything below a prefix (not the prefix itself), or everything, in order. To be read only.
   */
  entries(prefix: Key = []): Stored[] {
    const packed = packKey(prefix);
    return this.#stored.range(`${packed}\0`, `${packed}\xff`);
  }

  /** A copy of everything, in order. */
  snapshot(): Entry[] {
    return this.entries().map(copied);
  }

  // ── From outside: what no connection of the program under test did ──

  /** Puts a record in, however damaged or foreign. */
  plant(key: Key, value: unknown): void {
    const packed = packKey(key);
    const set = { value: copyOf(value), expiresAtMs: null };
    this.#change("planted", "outside", [{ key: copyOfKey(key), packed, set }], undefined);
  }

  /** Takes a record out; false if it was not there. */
  erase(key: Key): boolean {
    const packed = packKey(key);
    if (this.#stored.get(packed) === undefined) return false;
    this.#change("planted", "outside", [{ key, packed, set: null }], undefined);
    return true;
  }

  /** Flips one bit of the bytes under a key, as a bad disk does; false if there are none. */
  flipBit(key: Key, random: SeededRandom): boolean {
    const stored = this.peek(key);
    if (!(stored?.value instanceof Uint8Array) || stored.value.length === 0) return false;
    const bytes = new Uint8Array(stored.value);
    const index = random.int(0, bytes.length - 1);
    bytes[index] = (bytes[index] as number) ^ (1 << random.int(0, 7));
    this.plant(key, bytes);
    return true;
  }

  /**
   * Takes the server down: what is on its way is lost, what comes is refused; what is stored stays.
   */
  stop(): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#downs++;
    this.time.trace("database", "stopped");
    for (const watcher of this.#everyWatcher()) watcher.serverStopped();
  }

  /** Brings the server back. */
  start(): void {
    if (!this.#isDown) return;
    this.#isDown = false;
    this.time.trace("database", "started");
    for (const watcher of this.#everyWatcher()) watcher.serverStarted();
  }

  /** Whether the server is down. */
  get isDown(): boolean {
    return this.#isDown;
  }

  /** How often the server went down so far: an answer from before the last time is lost. */
  get downs(): number {
    return this.#downs;
  }

  /**
   * Holds the file's write lock for a while, as a process does that is stopped within a
   * transaction: commits wait, and after five seconds throw `database is locked`.
   */
  lock(ms: number): void {
    this.#lockedUntilMs = Math.max(this.#lockedUntilMs, this.time.nowMs + ms);
    this.time.trace("database", "locked", String(ms));
  }

  /** How long the lock will still be held, in milliseconds. */
  get lockedMs(): number {
    return Math.max(0, this.#lockedUntilMs - this.time.nowMs);
  }

  // ── For connections ──

  /** @ignore What is stored under a packed key. */
  read(packed: PackedKey): Stored | undefined {
    return this.#stored.get(packed);
  }

  /** @ignore A range, as it is at this instant. */
  readRange(start: PackedKey, end: PackedKey, limit: number, reverse: boolean): Stored[] {
    return this.#stored.range(start, end, limit, reverse);
  }

  /** @ignore Applies an atomic operation if all its checks hold; else changes nothing. */
  write(write: AtomicWrite): { ok: true; versionstamp: string } | { ok: false } {
    for (const { key, packed, versionstamp } of write.checks) {
      if ((this.#stored.get(packed)?.versionstamp ?? null) === versionstamp) continue;
      if (this.#refusalObservers.size > 0) {
        const keys = write.mutations.map((mutation) => mutation.key);
        const event = { by: write.by, atMs: this.time.nowMs, key, keys };
        this.#tell(this.#refusalObservers, event);
      }
      return { ok: false };
    }
    return {
      ok: true,
      versionstamp: this.#change("commit", write.by, write.mutations, write.owner),
    };
  }

  /** @ignore Tells a watcher of every change of a key from now on. */
  watch(packed: PackedKey, watcher: Watcher): void {
    const watchers = this.#watchers.get(packed);
    if (watchers === undefined) this.#watchers.set(packed, new Set([watcher]));
    else watchers.add(watcher);
  }

  /** @ignore The end of {@linkcode watch}. */
  unwatch(packed: PackedKey, watcher: Watcher): void {
    const watchers = this.#watchers.get(packed);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(packed);
  }

  #everyWatcher(): Set<Watcher> {
    return new Set([...this.#watchers.values()].flatMap((watchers) => [...watchers]));
  }

  #change(
    kind: CommitEvent["kind"],
    by: string,
    mutations: AtomicWrite["mutations"],
    owner: unknown,
  ): string {
    this.#version += this.random?.int(1, VERSION_STEP_MAX) ?? 1;
    const versionstamp = versionstampOf(this.#version);
    const isObserved = this.#commitObservers.size > 0;
    const changes: Change[] = [];
    let touched: Set<Watcher> | undefined;
    for (const { key, packed, set } of mutations) {
      const before = this.#stored.get(packed) ?? null;
      if (before !== null && before.expiresAtMs !== null) {
        this.#expiring.delete(expiryKey(before.expiresAtMs, packed));
      }
      let after: Stored | null = null;
      if (set !== null) {
        after = { key, packed, value: set.value, versionstamp, expiresAtMs: set.expiresAtMs };
        this.#stored.set(packed, after);
        if (after.expiresAtMs !== null) {
          this.#expiring.set(expiryKey(after.expiresAtMs, packed), after);
          this.#planSweep(after.expiresAtMs);
        }
      } else if (before !== null) {
        this.#stored.delete(packed);
      }
      if (isObserved) changes.push({ key, before, after });
      const watchers = this.#watchers.get(packed);
      if (watchers !== undefined) {
        touched ??= new Set();
        for (const watcher of watchers) touched.add(watcher);
      }
    }
    if (touched !== undefined) {
      for (const watcher of touched) watcher.changed(owner);
    }
    if (isObserved) {
      const event = { kind, by, atMs: this.time.nowMs, versionstamp, changes };
      this.#tell(this.#commitObservers, event);
    }
    return versionstamp;
  }

  /** What an observer throws is no error of the database: it ends the run of the world. */
  #tell<E>(observers: Iterable<(event: E) => void>, event: E): void {
    for (const observer of observers) {
      try {
        observer(event);
      } catch (error) {
        this.time.fail(error);
      }
    }
  }

  /**
   * Collects what has expired, up to a minute after it did; sooner if the next one expires much
   * sooner.
   */
  #planSweep(expiresAtMs: number): void {
    const dueMs = Math.max(0, expiresAtMs - this.wallMs) + this.time.nowMs;
    if (this.#sweep !== null && this.#sweepAtMs <= dueMs + this.#expiryLateMsMax) return;
    const lateMs = this.#expiryLateMsMax * (this.random?.next() ?? 1);
    this.#sweep?.cancel();
    this.#sweepAtMs = dueMs + lateMs;
    this.#sweep = this.time.schedule(this.#sweepAtMs - this.time.nowMs, () => this.#collect(), {
      background: true,
      quiet: true,
    });
  }

  #collect(): void {
    this.#sweep = null;
    const expired = this.#expiring.range("", expiryKey(this.wallMs, "\xff"));
    if (expired.length > 0) {
      const mutations = expired.map(({ key, packed }) => ({ key, packed, set: null }));
      this.time.trace(
        "database",
        "expired",
        expired.map(({ packed }) => packed).join(""),
        () => expired.map(({ key }) => keyText(key)).join(" "),
      );
      this.#change("expiry", "expiry", mutations, undefined);
    }
    const next = this.#expiring.first();
    if (next !== undefined) {
      assert(next.expiresAtMs !== null, "what expires says when");
      this.#planSweep(next.expiresAtMs);
    }
  }
}

/** A fresh copy of what is stored, as a reader gets it. */
export function copied({ key, value, versionstamp }: Stored): Entry {
  return { key: copyOfKey(key), value: copyOf(value), versionstamp };
}

/** A copy of a value that shares no bytes with it. */
export function copyOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return copyOfBytes(value);
  return typeof value === "object" && value !== null ? structuredClone(value) : value;
}

/**
 * Copies are cut from large buffers, which is ten times as fast in V8 as a buffer for each. So the
 * bytes that a reader gets may stand anywhere in a larger buffer; those of `@deno/kv` do, too.
 */
const SLAB_BYTES = 65_536;
const SLICE_BYTES_MAX = 4_096;
let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

function copyOfBytes(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SLICE_BYTES_MAX) return new Uint8Array(bytes);
  if (slabUsed + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const start = slabUsed;
  slabUsed += length;
  slab.set(bytes, start);
  return slab.subarray(start, slabUsed);
}

/** A copy of a key that shares nothing with it. */
export function copyOfKey(key: Key): Key {
  return key.map((part) => part instanceof Uint8Array ? new Uint8Array(part) : part);
}

function versionstampOf(version: number): string {
  return `${version.toString(16).padStart(16, "0")}0000`;
}

function expiryKey(expiresAtMs: number, packed: PackedKey): string {
  return packKey([expiresAtMs]) + packed;
}
