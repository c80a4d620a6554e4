/**
 * Listings of a simulated KV: which keys a selector means, cursors, and reading batch by batch,
 * each of which is a snapshot of its own instant.
 *
 * @module
 */

import type { Entry, Key, Selector } from "../store/port.ts";
import { type PackedKey, packKey } from "./packed_key.ts";

/** A selector with just the fields that it has. */
export interface Shape {
  /** Above all keys that are meant. */
  readonly prefix: Key | undefined;
  /** The first key that is meant. */
  readonly start: Key | undefined;
  /** The first key that is not meant any more. */
  readonly end: Key | undefined;
}

/**
 * The fields of a selector.
 *
 * @throws {TypeError} If they do not go together.
 */
export function shapeOf(selector: Selector): Shape {
  const { prefix, start, end }: { prefix?: Key; start?: Key; end?: Key } = selector;
  if (prefix !== undefined && start !== undefined && end !== undefined) {
    throw new TypeError(
      "Selector can not specify both 'start' and 'end' key when specifying 'prefix'",
    );
  }
  if (prefix === undefined && (start === undefined || end === undefined)) {
    throw new TypeError(
      "Selector must specify either 'prefix' or both 'start' and 'end' key",
    );
  }
  return { prefix, start, end };
}

/**
 * The first key of a selector, and the first one after it.
 *
 * @throws {TypeError} If `start` or `end` are not below the prefix, or the wrong way round.
 */
export function boundsOf({ prefix, start, end }: Shape): [PackedKey, PackedKey] {
  const packedStart = start === undefined ? undefined : packKey(start);
  const packedEnd = end === undefined ? undefined : packKey(end);
  if (prefix === undefined) {
    const [from, to] = [packedStart ?? "", packedEnd ?? ""];
    if (from > to) throw new TypeError("Start key is greater than end key");
    return [from, to];
  }
  const packed = packKey(prefix);
  for (const [name, bound] of [["Start", packedStart], ["End", packedEnd]] as const) {
    if (bound !== undefined && (!bound.startsWith(packed) || bound === packed)) {
      throw new TypeError(`${name} key is not in the keyspace defined by prefix`);
    }
  }
  return [packedStart ?? `${packed}\0`, packedEnd ?? `${packed}\xff`];
}

/** How many bytes all keys of a selector begin with: what a cursor leaves out. */
export function commonLength(shape: Shape): number {
  if (shape.prefix !== undefined) return packKey(shape.prefix).length;
  const [start, end] = boundsOf(shape);
  let length = 0;
  while (length < start.length && start[length] === end[length]) length++;
  return length;
}

/** What is left of a key, in a form that callers keep. */
export function encodeCursor(rest: PackedKey): string {
  return btoa(rest).replaceAll("+", "-").replaceAll("/", "_");
}

/** What a cursor left of a key, or null if it is no cursor. */
export function decodeCursor(cursor: string): PackedKey | null {
  try {
    return atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
}

/** An entry as it was read, with its key's place. */
export interface Listed {
  /** What a reader gets. */
  readonly entry: Entry;
  /** The bytes of its key. */
  readonly packed: PackedKey;
}

/** What a listing needs of its connection. */
export interface ListSource {
  /** Entries that are read at once. */
  readonly batchSize: number;
  /** Entries that are given out at most. */
  readonly limit: number | undefined;
  /** Where the caller wants to go on. */
  readonly cursor: string | undefined;
  /** Reads the next batch, after the last key that was read. */
  readBatch(after: PackedKey | undefined): Promise<Listed[]>;
  /** The cursor of a key. */
  cursorOf(packed: PackedKey): string;
  /** The cursor once nothing is left, where that has one of its own. */
  readonly cursorAtEnd: string | undefined;
}

/**
 * A listing under way.
 *
 * @example
 * ```ts
 * import { SimDatabase } from "@taskkit/taskkit/testing";
 *
 * const kv = new SimDatabase().connect();
 * await kv.atomic().set(["a", 1], "one").set(["a", 2], "two").commit();
 * for await (const { key, value } of kv.list({ prefix: ["a"] })) console.log(key, value);
 * ```
 */
export class SimList implements AsyncIterator<Entry>, AsyncIterable<Entry> {
  readonly #source: ListSource;
  #batch: Listed[] = [];
  #next = 0;
  #count = 0;
  #last: PackedKey | undefined;
  #cursor: string | undefined;
  #isLastBatch = false;

  /** @ignore Use `list` of a connection. */
  constructor(source: ListSource) {
    this.#source = source;
    this.#cursor = source.cursor;
  }

  /**
   * Where to go on after the entry that was read last.
   *
   * @throws {Error} If none was read.
   */
  get cursor(): string {
    if (this.#cursor !== undefined) return this.#cursor;
    if (this.#last === undefined) throw new Error("Cannot get cursor before first iteration");
    return this.#source.cursorOf(this.#last);
  }

  /** The next entry; reads a batch if none is left of the last one. */
  next(): Promise<IteratorResult<Entry>> {
    const { limit } = this.#source;
    if (limit !== undefined && this.#count >= limit) return ended();
    if (this.#next < this.#batch.length || this.#isLastBatch) return this.#take();
    return this.#source.readBatch(this.#last).then((batch) => {
      this.#batch = batch;
      this.#next = 0;
      this.#isLastBatch = batch.length < this.#source.batchSize;
      return this.#take();
    });
  }

  /** The listing itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Promise<IteratorResult<Entry>> {
    const listed = this.#batch[this.#next];
    if (listed === undefined) {
      if (this.#source.cursorAtEnd !== undefined) this.#cursor = this.#source.cursorAtEnd;
      return ended();
    }
    this.#next++;
    this.#count++;
    this.#last = listed.packed;
    this.#cursor = undefined;
    return Promise.resolve({ done: false, value: listed.entry });
  }
}

function ended(): Promise<IteratorResult<Entry>> {
  return Promise.resolve({ done: true, value: undefined });
}
