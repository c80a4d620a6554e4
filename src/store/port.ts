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
  readonly key: Key;
  readonly value: unknown;
  readonly versionstamp: string | null;
}

/** A range of keys, `start` included and `end` excluded. */
export type Selector =
  | { readonly prefix: Key; readonly start?: Key; readonly end?: Key }
  | { readonly start: Key; readonly end: Key };

/** Options of {@linkcode KvPort.list}. */
export interface ListOptions {
  readonly limit?: number;
  readonly reverse?: boolean;
  readonly batchSize?: number;
  readonly cursor?: string;
}

/** An atomic operation being built. */
export interface AtomicPort {
  check(...checks: { key: Key; versionstamp: string | null }[]): this;
  set(key: Key, value: unknown, options?: { expireIn?: number }): this;
  delete(key: Key): this;
  commit(): Promise<{ ok: true; versionstamp: string } | { ok: false }>;
}

/** A connection to Deno KV. */
export interface KvPort {
  get(key: Key): Promise<Entry>;
  getMany(keys: readonly Key[]): Promise<Entry[]>;
  list(selector: Selector, options?: ListOptions): AsyncIterator<Entry> & AsyncIterable<Entry>;
  atomic(): AtomicPort;
  /** With `raw`, what happened is not filtered: a lost connection is an error, and absent keys give a first event too. */
  watch(keys: readonly Key[], options?: { raw?: boolean }): ReadableStream<Entry[]>;
  close(): void;
}
