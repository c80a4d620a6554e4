/**
 * Watches of a simulated KV. A watch is a hint: it tells the present state after a change, not each
 * change, and it may fail to tell. As in Deno, what is told waits in a buffer of one until it is
 * read; so the first read after a pause may show an old state, with the present one right behind
 * it.
 *
 * @module
 */

import type { Entry } from "../store/port.ts";
import type { PackedKey } from "./packed_key.ts";
import type { SimDatabase, Watcher } from "./sim_database.ts";
import type { KvFaults } from "./sim_faults.ts";

/** What a watch needs of its connection. */
export interface WatchSource {
  /** Where the keys are. */
  readonly database: SimDatabase;
  /** The process of the connection, or undefined. */
  readonly owner: unknown;
  /** The bytes of the keys. */
  readonly packed: readonly PackedKey[];
  /** The present entries, in the order of the keys. */
  read(): Entry[];
  /** What goes wrong at the moment. */
  faults(): KvFaults;
  /** Calls back in the process after some time on the way. */
  deliver(callback: () => void): void;
  /** The watch needs no care any more. */
  ended(): void;
}

/** What is used of a `ReadableStreamDefaultReader`. */
export interface WatchReader {
  /** What is told next. */
  read(): Promise<IteratorResult<Entry[]>>;
  /** Ends the watch. */
  cancel(): Promise<void>;
  /** Gives the stream free for another reader. */
  releaseLock(): void;
}

interface Waiting {
  readonly resolve: (result: IteratorResult<Entry[]>) => void;
  readonly reject: (error: unknown) => void;
}

/** What readers use of a `ReadableStream`. */
export class WatchStream implements Watcher, AsyncIterable<Entry[]> {
  readonly #source: WatchSource;
  readonly #readers: Waiting[] = [];
  #seen: (string | null)[] | null = null;
  #buffered: Entry[] | null = null;
  #state: "open" | "silent" | "ended" | "failed" = "open";
  #error: unknown = null;
  #isLocked = false;
  #isOnTheWay = false;
  #isBehind = false;

  /** @ignore Use `watch` of a connection. */
  constructor(source: WatchSource) {
    this.#source = source;
    for (const packed of source.packed) source.database.watch(packed, this);
    const isAbsent = source.packed.every((packed) => source.database.read(packed) === undefined);
    if (isAbsent && !source.database.watchesTellAbsence) {
      this.#seen = source.packed.map(() => null);
    } else {
      this.#look();
    }
  }

  /** Whether a reader has it. */
  get locked(): boolean {
    return this.#isLocked;
  }

  /** Takes the stream for one reader. */
  getReader(): WatchReader {
    if (this.#isLocked) throw new TypeError("ReadableStream is locked");
    this.#isLocked = true;
    return {
      read: () => this.#read(),
      cancel: () => this.#cancel(),
      releaseLock: () => {
        this.#isLocked = false;
      },
    };
  }

  /** Ends the watch. */
  cancel(): Promise<void> {
    if (this.#isLocked) {
      return Promise.reject(new TypeError("Cannot cancel a stream locked by a reader"));
    }
    return this.#cancel();
  }

  /** Reads to the end; the watch ends when the loop is left. */
  [Symbol.asyncIterator](): AsyncIterator<Entry[]> {
    const reader = this.getReader();
    return {
      next: () => reader.read(),
      return: () => reader.cancel().then(() => ({ done: true, value: undefined })),
    };
  }

  // ── For the database ──

  /** @ignore */
  changed(owner: unknown): void {
    const { database } = this.#source;
    if (!database.watchesCrossProcesses && owner !== this.#source.owner) return;
    const { random } = database;
    const faults = this.#source.faults();
    if (random?.chance(faults.watchLost)) return;
    if (random?.chance(faults.watchDeath)) return this.silence();
    this.#look();
  }

  /**
   * @ignore The stream to the server breaks: some clients say so, some come back by themselves,
   * some never tell.
   */
  serverStopped(): void {
    const { database } = this.#source;
    if (database.dialect.isEmbedded) return;
    const how = database.random?.int(0, 2) ?? 0;
    if (how === 0) this.#source.deliver(() => this.#fail(database.dialect.broken()));
    else if (how === 1) this.silence();
  }

  /** @ignore */
  serverStarted(): void {
    this.#look();
  }

  // ── For the connection ──

  /** @ignore Tells nothing any more, without a word. */
  silence(): void {
    if (this.#state !== "open") return;
    this.#state = "silent";
    this.#forget();
  }

  /** @ignore Ends the stream, as the close of its connection does. */
  end(): void {
    if (this.#state !== "open" && this.#state !== "silent") return;
    this.#state = "ended";
    this.#forget();
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  #fail(error: unknown): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    this.#forget();
    for (const reader of this.#readers.splice(0)) reader.reject(error);
  }

  #forget(): void {
    for (const packed of this.#source.packed) this.#source.database.unwatch(packed, this);
    this.#source.ended();
  }

  #cancel(): Promise<void> {
    this.end();
    this.#buffered = null;
    return Promise.resolve();
  }

  #read(): Promise<IteratorResult<Entry[]>> {
    if (this.#buffered !== null) {
      const value = this.#buffered;
      this.#buffered = null;
      if (this.#isBehind) this.#look();
      return Promise.resolve({ done: false, value });
    }
    if (this.#state === "ended") return Promise.resolve({ done: true, value: undefined });
    if (this.#state === "failed") return Promise.reject(this.#error);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  /** Brings the present state to the reader, once however many changes there were meanwhile. */
  #look(): void {
    this.#isBehind = true;
    if (this.#isOnTheWay || this.#buffered !== null || this.#state !== "open") return;
    this.#isOnTheWay = true;
    this.#source.deliver(() => {
      this.#isOnTheWay = false;
      if (this.#state !== "open") return;
      this.#isBehind = false;
      const entries = this.#source.read();
      const stamps = entries.map((entry) => entry.versionstamp);
      if (this.#seen?.every((stamp, index) => stamp === stamps[index])) return;
      this.#seen = stamps;
      const reader = this.#readers.shift();
      if (reader === undefined) this.#buffered = entries;
      else reader.resolve({ done: false, value: entries });
    });
  }
}
