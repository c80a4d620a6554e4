/**
 * A connection to a simulated database: the same port, words and limits as the real ones, and
 * everything that can go wrong on the way, by chance from the seed or one by one on demand.
 *
 * A call goes through four moments, each an event of virtual time: it is made; its request arrives,
 * and is applied at one instant; its answer arrives; and the code that waited goes on. A request or
 * an answer can be late, lost or doubled, the process can be paused or killed, the server stopped
 * and the connection closed between any two of them.
 *
 * | what goes wrong | what the database sees | what the caller sees |
 * |---|---|---|
 * | lost request | nothing | an error of the connection; or the answer to the client's own repeat |
 * | lost answer | the commit | the same; the repeat of a commit that checks what it changes says `{ ok: false }` |
 * | zombie | the commit, and a copy of it much later | the answer to the first |
 * | blackhole | nothing; or the commit, much later | nothing, ever |
 * | locked, disk full | nothing | an error |
 * | server down | nothing | an error; or nothing until the server is back |
 * | watch lost, dead | — | one change untold; all of them |
 *
 * @module
 */

import type { Entry, Key, KvPort, ListOptions, Selector } from "../store/port.ts";
import { keyText, type PackedKey, packKey } from "./packed_key.ts";
import { type CommitResult, prepare, SimAtomic, withOwnValues } from "./sim_atomic.ts";
import { copied, type SimDatabase } from "./sim_database.ts";
import type { Refusal } from "./sim_dialect.ts";
import { drawFault, type Fault, type KvFaults, latencyMs } from "./sim_faults.ts";
import {
  boundsOf,
  commonLength,
  decodeCursor,
  encodeCursor,
  type Shape,
  shapeOf,
  SimList,
} from "./sim_list.ts";
import { WatchStream } from "./sim_watch.ts";
import type { VirtualClock } from "./virtual_clock.ts";

/** Of the bounds of a range, each of which may be a key with one byte behind it. */
const BOUND_BYTES_MAX = 2_049;
const BATCH_DEFAULT = 100;
/** Of a listing that does not say how many to read at once. */
const BATCH_IMPLIED_MAX = 500;
const BATCH_MAX = 1_000;
const GET_MANY_MAX = 10;
const WATCHED_MAX = 10;
/** A client that repeats by itself does so after this long. */
const REPEAT_MS = 250;
/** How long the embedded engine waits for the write lock. */
const LOCK_WAIT_MS_MAX = 5_000;
/**
 * How long `@deno/kv` repeats what the server answers with a 5xx: ten times, after 1, 2, … 10 s.
 */
const SERVER_ERROR_MS = 55_000;

/** Options of {@linkcode SimDatabase.connect}. */
export interface ConnectOptions {
  /**
   * The process that the connection belongs to. Without it the connection is never paused or killed
   * by a process.
   */
  readonly clock?: VirtualClock;
  /** What traces call it. @default {the process's name, or "connection 1", …} */
  readonly name?: string;
  /** What goes wrong on this connection. @default {what the database says at each moment} */
  readonly faults?: KvFaults;
  /**
   * Whether the client repeats by itself what broke.
   *
   * @default {by chance, if there is a seed; else not}
   */
  readonly repeats?: boolean;
}

/** Which calls {@linkcode SimKv.inject} means. */
export interface InjectOptions {
  /** Which kind of call. @default {"commit"} */
  readonly on?: "commit" | "read" | "any";
  /** So many of them go well first. @default {0} */
  readonly skip?: number;
}

interface Injected {
  readonly fault: Fault;
  readonly on: "commit" | "read" | "any";
  skip: number;
}

/** What a call does when its request arrives, and how a trace names it. */
interface Operation<T> {
  /** The method's name, as the client's own errors say it. */
  readonly method: string;
  readonly isCommit: boolean;
  readonly detail: PackedKey;
  readonly text: () => string;
  run(): T;
}

/**
 * A connection to a {@linkcode SimDatabase}.
 *
 * @example
 * ```ts
 * import { SimDatabase } from "@taskkit/taskkit/testing";
 *
 * const kv = new SimDatabase().connect();
 * kv.inject({ kind: "lostAnswer", isRepeated: false });
 * await kv.atomic().set(["a"], 1).commit().catch(() => console.log("no answer"));
 * console.log((await kv.get(["a"])).value); // 1: it was applied all the same
 * ```
 */
export class SimKv implements KvPort {
  /** What traces call it. */
  readonly name: string;
  readonly #database: SimDatabase;
  readonly #clock: VirtualClock | undefined;
  readonly #ownFaults: KvFaults | undefined;
  readonly #repeats: boolean | undefined;
  readonly #calls = new Set<Call<unknown>>();
  readonly #watches = new Set<WatchStream>();
  #injected: Injected[] = [];
  #isClosed = false;
  #isKilled = false;

  /** @ignore Use {@linkcode SimDatabase.connect}. */
  constructor(database: SimDatabase, name: string, options: ConnectOptions) {
    this.#database = database;
    this.#clock = options.clock;
    this.name = options.name ?? options.clock?.name ?? name;
    this.#ownFaults = options.faults;
    this.#repeats = options.repeats;
  }

  /** What goes wrong by chance at the moment. */
  get faults(): KvFaults {
    return this.#ownFaults ?? this.#database.faults;
  }

  /**
   * Makes something go wrong with the next call of a kind, or a later one. Several add up, in their
   * order.
   */
  inject(fault: Fault, { on = "commit", skip = 0 }: InjectOptions = {}): void {
    this.#injected.push({ fault, on, skip });
  }

  /**
   * Ends the connection as the death of its process does: nothing that was or will be called on it
   * ever comes back.
   */
  kill(): void {
    this.#isKilled = true;
    for (const watch of this.#watches) watch.silence();
    this.#watches.clear();
    this.#calls.clear();
  }

  /** What is stored under a key. */
  get(key: Key): Promise<Entry> {
    return this.#call("get", () => {
      const packed = this.#packToGet(key);
      return this.#read("get", packed, () => keyText(key), () => this.#entry(key, packed));
    });
  }

  /** What is stored under up to ten keys, at one instant and in their order. */
  getMany(keys: readonly Key[]): Promise<Entry[]> {
    return this.#call("getMany", () => {
      if (keys.length > GET_MANY_MAX) throw this.#refusal("reads", GET_MANY_MAX);
      const packed = keys.map((key) => this.#packToGet(key));
      const text = () => keys.map(keyText).join(" ");
      return this.#read(
        "getMany",
        packed.join(""),
        text,
        () => keys.map((key, index) => this.#entry(key, packed[index] as PackedKey)),
      );
    });
  }

  /** The entries of a selector in the order of their keys; each batch is a snapshot. */
  list(selector: Selector, options: ListOptions = {}): SimList {
    const { dialect } = this.#database;
    if (!dialect.isEmbedded) this.#assertOpen("list");
    const { limit, reverse = false, cursor } = options;
    for (const name of ["limit", "batchSize"] as const) {
      const value = options[name];
      if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
        throw this.#refusal(name, value);
      }
    }
    const shape = shapeOf(selector);
    const batchSize = this.#batchSize(options);
    // This client looks at the keys at once; the embedded engine when it reads the first batch.
    if (!dialect.isEmbedded) boundsOf(shape);
    return new SimList({
      batchSize,
      limit,
      cursor: dialect.isEmbedded ? cursor : undefined,
      cursorAtEnd: dialect.isEmbedded ? "" : undefined,
      cursorOf: (packed) => encodeCursor(packed.slice(commonLength(shape))),
      readBatch: (after) =>
        this.#call("list", () => {
          if (batchSize > BATCH_MAX) throw this.#refusal("entries", BATCH_MAX);
          let [start, end] = boundsOf(shape);
          const boundary = after ?? this.#boundary(cursor, shape, reverse);
          if (boundary !== undefined && reverse) end = boundary;
          else if (boundary !== undefined) start = `${boundary}\0`;
          if (start.length > BOUND_BYTES_MAX || end.length > BOUND_BYTES_MAX) {
            throw this.#refusal("keyToRead", BOUND_BYTES_MAX);
          }
          const text = () => keyText(shape.prefix ?? shape.start ?? []);
          return this.#read("list", start, text, () => {
            const stored = this.#database.readRange(start, end, batchSize, reverse);
            return stored.map((one) => ({ entry: copied(one), packed: one.packed }));
          });
        }),
    });
  }

  /** A new atomic operation. */
  atomic(): SimAtomic {
    return new SimAtomic(this.#database.dialect, (atomic) => this.#commit(atomic));
  }

  /** A stream that hints at changes of up to ten keys. */
  watch(keys: readonly Key[]): ReadableStream<Entry[]> {
    this.#assertOpen("watch");
    if (keys.length > WATCHED_MAX) throw this.#refusal("watched", WATCHED_MAX);
    const packed = keys.map((key) => this.#packToGet(key));
    const stream = new WatchStream({
      database: this.#database,
      owner: this.#clock,
      packed,
      read: () => keys.map((key, index) => this.#entry(key, packed[index] as PackedKey)),
      faults: () => this.faults,
      deliver: (deliver) => this.#wake(deliver),
      ended: () => this.#watches.delete(stream),
    });
    if (this.#isDead()) stream.silence();
    else {
      this.#watches.add(stream);
      this.#database.time.trace(
        this.name,
        "watch",
        packed.join(""),
        () => keys.map(keyText).join(" "),
      );
    }
    // It has what a reader uses of a ReadableStream, without its hidden microtasks, whose number
    // differs by runtime.
    return stream as unknown as ReadableStream<Entry[]>;
  }

  /** Closes the connection; every later call is refused. */
  close(): void {
    this.#assertOpen("close");
    this.#isClosed = true;
    if (this.#isDead()) return;
    this.#database.time.trace(this.name, "close");
    const { dialect } = this.#database;
    // What is under way is cut off in the embedded engine, and goes on over the network.
    if (dialect.isEmbedded) {
      for (const call of this.#calls) {
        call.isUnsent = this.#database.random?.chance(0.5) ?? false;
        call.reject(new TypeError("Database is closed."));
      }
      this.#calls.clear();
    }
    for (const watch of this.#watches) {
      if (dialect.closeEndsWatches) watch.end();
      else watch.silence();
    }
    this.#watches.clear();
  }

  #commit(atomic: SimAtomic): Promise<CommitResult> {
    return this.#call("commit", () => {
      const database = this.#database;
      let write = prepare(atomic, {
        dialect: database.dialect,
        checksMax: database.checksMax,
        by: this.name,
        owner: this.#clock,
        wallMs: this.#clock?.now() ?? database.wallMs,
      });
      let detail = "";
      for (const { packed, set } of write.mutations) detail += set === null ? `-${packed}` : packed;
      const text = () =>
        write.mutations.map(({ key, set }) => (set === null ? "-" : "") + keyText(key)).join(" ");
      return {
        method: "commit",
        isCommit: true,
        detail,
        text,
        run: () => {
          write = withOwnValues(write);
          const result = database.write(write);
          database.time.trace(this.name, result.ok ? "committed" : "refused", detail, text);
          return result;
        },
      };
    });
  }

  #batchSize({ batchSize, limit }: ListOptions): number {
    if (this.#database.dialect.isEmbedded) {
      return batchSize ?? Math.min(limit ?? BATCH_DEFAULT, BATCH_IMPLIED_MAX);
    }
    // @deno/kv never reads more at once, whatever it is asked for.
    if (batchSize !== undefined && batchSize > BATCH_MAX) {
      throw this.#refusal("batchSize", batchSize);
    }
    return Math.min(batchSize ?? BATCH_DEFAULT, BATCH_IMPLIED_MAX, limit ?? Infinity);
  }

  #packToGet(key: Key): PackedKey {
    const { dialect } = this.#database;
    const packed = packKey(key);
    if (packed === "" && !dialect.isEmbedded) throw this.#refusal("emptyKey", key);
    if (packed.length > dialect.keyToReadBytesMax) {
      throw this.#refusal("keyToRead", BOUND_BYTES_MAX);
    }
    return packed;
  }

  #entry(key: Key, packed: PackedKey): Entry {
    const stored = this.#database.read(packed);
    return stored === undefined ? { key, value: null, versionstamp: null } : copied(stored);
  }

  /** The key that a caller's cursor stands for. */
  #boundary(cursor: string | undefined, shape: Shape, reverse: boolean): PackedKey | undefined {
    if (cursor === undefined) return undefined;
    const { isEmbedded } = this.#database.dialect;
    const rest = decodeCursor(cursor);
    if (rest === null || cursor === "" && !isEmbedded) throw this.#refusal("cursor", cursor);
    const [start, end] = boundsOf(shape);
    const boundary = start.slice(0, commonLength(shape)) + rest;
    const isOutside = reverse ? boundary > end : `${boundary}\0` < start;
    if (isEmbedded && isOutside) throw this.#refusal("cursorBounds", cursor);
    return boundary;
  }

  #refusal(refusal: Refusal, received: unknown): Error {
    return this.#database.dialect.refuse(refusal, received);
  }

  #assertOpen(method: string): void {
    if (this.#isClosed) throw this.#database.dialect.closed(method);
  }

  #isDead(): boolean {
    return this.#isKilled || this.#clock?.state === "killed";
  }

  #read<T>(method: string, detail: PackedKey, text: () => string, run: () => T): Operation<T> {
    return {
      method,
      isCommit: false,
      detail,
      text,
      run: () => {
        this.#database.time.trace(this.name, method, detail, text);
        return run();
      },
    };
  }

  /**
   * Sends a call on its way. What is wrong with its arguments rejects it, as in the real clients.
   */
  #call<T>(method: string, prepare: () => Operation<T>): Promise<T> {
    if (this.#isDead()) return new Promise(() => {});
    try {
      this.#assertOpen(method);
      const operation = prepare();
      const fault = this.#nextFault(operation.isCommit);
      if (
        fault === null && this.faults.latency === null && !this.#database.isDown &&
        this.#database.lockedMs === 0
      ) return Promise.resolve(operation.run());
      return this.#send(operation, fault);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #nextFault(isCommit: boolean): Fault | null {
    for (const [index, injected] of this.#injected.entries()) {
      if (injected.on !== "any" && (injected.on === "commit") !== isCommit) continue;
      if (injected.skip-- > 0) continue;
      this.#injected.splice(index, 1);
      return injected.fault;
    }
    const { random } = this.#database;
    return random === undefined || this.faults.latency === null
      ? null
      : drawFault(this.faults, random, isCommit);
  }

  #send<T>(operation: Operation<T>, fault: Fault | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const call: Call<T> = new Call(operation, resolve, reject);
      this.#calls.add(call as Call<unknown>);
      if (fault !== null) {
        const { detail, text } = operation;
        this.#database.time.trace(this.name, `${operation.method}: ${fault.kind}`, detail, text);
      }
      const slowMs = fault?.kind === "slow" ? fault.ms : 0;
      this.#onTheWay(slowMs + this.#latencyMs(), () => this.#arrive(call, fault));
    });
  }

  /** The request has arrived at the database. */
  #arrive<T>(call: Call<T>, fault: Fault | null): void {
    const database = this.#database;
    const { operation } = call;
    if (call.isUnsent) return;
    if (database.isDown) return this.#break(call, undefined);
    if (operation.isCommit && database.lockedMs > 0) {
      const waitMs = Math.min(database.lockedMs, LOCK_WAIT_MS_MAX - call.lockWaitMs);
      if (waitMs <= 0) return this.#answerError(call, new TypeError("database is locked"));
      call.lockWaitMs += waitMs;
      this.#onTheWay(waitMs, () => this.#arrive(call, fault));
      return;
    }
    switch (fault?.kind) {
      case "lostRequest":
        return this.#break(call, fault.isRepeated);
      case "lostAnswer":
        operation.run();
        return this.#break(call, fault.isRepeated);
      case "blackhole":
        if (fault.appliedAfterMs !== undefined) this.#applyLater(operation, fault.appliedAfterMs);
        return;
      case "locked":
        return this.#answerError(call, new TypeError("database is locked"));
      case "diskFull":
        return this.#refuseForDisk(call);
      case "zombie":
        this.#applyLater(operation, fault.afterMs);
        return this.#apply(call);
      case "slow":
      case undefined:
        return this.#apply(call);
    }
  }

  #apply<T>(call: Call<T>): void {
    const result = call.operation.run();
    const { downs } = this.#database;
    this.#answer(call, () => {
      // The server went down while the answer was on its way.
      if (this.#database.downs !== downs) this.#break(call, undefined);
      else this.#end(call, () => call.resolve(result));
    });
  }

  #applyLater<T>(operation: Operation<T>, afterMs: number): void {
    const zombie = () => {
      this.#database.time.trace(this.name, "zombie", operation.detail, operation.text);
      operation.run();
    };
    this.#database.time.schedule(afterMs, zombie, { background: true, quiet: true });
  }

  /** The connection broke under a call: the client repeats it, or gives up. */
  #break<T>(call: Call<T>, isRepeated: boolean | undefined): void {
    const { random, dialect } = this.#database;
    const repeats = isRepeated ?? this.#repeats ?? random?.chance(0.5) ?? false;
    if (repeats) this.#onTheWay(REPEAT_MS + this.#latencyMs(), () => this.#arrive(call, null));
    else this.#answerError(call, dialect.broken());
  }

  #refuseForDisk<T>(call: Call<T>): void {
    if (this.#database.dialect.isEmbedded) {
      return this.#answerError(call, new TypeError("database or disk is full"));
    }
    const error = new Error(
      "fetchAtomicWrite: Out of retries (max=10): 500 An internal server error occurred.",
    );
    this.#onTheWay(SERVER_ERROR_MS, () => this.#answerError(call, error));
  }

  #answerError<T>(call: Call<T>, error: unknown): void {
    this.#answer(call, () => this.#end(call, () => call.reject(error)));
  }

  #answer<T>(call: Call<T>, arrived: () => void): void {
    if (this.faults.latency === null) return arrived();
    this.#wake(() => {
      if (this.#calls.has(call as Call<unknown>)) arrived();
    });
  }

  #end<T>(call: Call<T>, settle: () => void): void {
    if (this.#calls.delete(call as Call<unknown>) && !this.#isDead()) settle();
  }

  #latencyMs(): number {
    const { latency } = this.faults;
    return latency === null ? 0 : latencyMs(latency, this.#database.random);
  }

  /**
   * Something is under way to the database. Where that is a thread of the process, it stands still
   * with it.
   */
  #onTheWay(ms: number, arrive: () => void): void {
    if (ms === 0) return arrive();
    const { time, dialect } = this.#database;
    const clock = dialect.isEmbedded ? this.#clock : undefined;
    time.schedule(ms, arrive, { quiet: true, ...(clock === undefined ? {} : { clock }) });
  }

  /** Something comes back to the process. */
  #wake(deliver: () => void): void {
    const { latency } = this.faults;
    if (latency === null) queueMicrotask(deliver);
    else if (this.#clock === undefined) this.#database.time.schedule(this.#latencyMs(), deliver);
    else this.#clock.schedule(this.#latencyMs(), deliver);
  }
}

/** A call that waits for its answer. */
class Call<T> {
  readonly operation: Operation<T>;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
  /** How long it waited for the write lock so far. */
  lockWaitMs = 0;
  /** Its request will not arrive: the connection was closed before it was sent. */
  isUnsent = false;

  constructor(
    operation: Operation<T>,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.operation = operation;
    this.resolve = resolve;
    this.reject = reject;
  }
}
