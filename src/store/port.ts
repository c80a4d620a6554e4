/**
 * The part of Deno KV that Taskkit uses. `Deno.Kv`, the `Kv` of `@deno/kv` and the simulated KV all fit it.
 * Values are always bytes: they read the same in Deno, Bun and Node.
 *
 * @module
 */

/** One part of a key. */
export type KeyPart = string | number | bigint | boolean | Uint8Array;
/** A key of Deno KV. */
export type Key = readonly KeyPart[];

/** What is stored under a key; `versionstamp` is null where nothing is. */
export interface Entry {
  /** Where it is stored. */
  readonly key: Key;
  /** What is stored there, or null. */
  readonly value: unknown;
  /** The version of the commit that wrote it; a later commit has a greater one. */
  readonly versionstamp: string | null;
}

/** A range of keys, `start` included and `end` excluded. */
export type Selector =
  | { readonly prefix: Key; readonly start?: Key; readonly end?: Key }
  | { readonly start: Key; readonly end: Key };

/** Options of {@linkcode KvPort.list}. */
export interface ListOptions {
  /** At most so many entries. Default: all. */
  readonly limit?: number;
  /** The greatest key first. Default: false. */
  readonly reverse?: boolean;
  /** Entries that are read at once, each batch a snapshot of its own. */
  readonly batchSize?: number;
  /** Goes on where an earlier listing stopped. */
  readonly cursor?: string;
}

/** An atomic operation being built. */
export interface AtomicPort {
  /** Refuses the whole commit unless each key is still at its version (null: absent). */
  check(...checks: { key: Key; versionstamp: string | null }[]): this;
  /** Writes a value; `expireIn` in milliseconds, after which it may be removed. */
  set(key: Key, value: unknown, options?: { expireIn?: number }): this;
  /** Deletes a key. */
  delete(key: Key): this;
  /** Commits. `ok` is false, and nothing was written, if a check failed. */
  commit(): Promise<{ ok: true; versionstamp: string } | { ok: false }>;
}

/** A connection to Deno KV. */
export interface KvPort {
  /** Reads one key. */
  get(key: Key): Promise<Entry>;
  /** Reads up to 10 keys, all at one moment. */
  getMany(keys: readonly Key[]): Promise<Entry[]>;
  /** Reads a range of keys in order. */
  list(selector: Selector, options?: ListOptions): AsyncIterator<Entry> & AsyncIterable<Entry>;
  /** Begins an atomic operation. */
  atomic(): AtomicPort;
  /** With `raw`, what happened is not filtered: a lost connection is an error, and absent keys give a first event too. */
  watch(keys: readonly Key[], options?: { raw?: boolean }): ReadableStream<Entry[]>;
  /** Closes the connection. */
  close(): void;
}
