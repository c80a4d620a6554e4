/**
 * How the kinds of KV are known to differ. One row a difference: the suite has a test for each,
 * which holds a backend to its column; everything else must be the same everywhere.
 *
 * @module
 */

/** A call that is refused: what its error says. */
export type Refused =
  | "checks"
  | "mutations"
  | "getMany"
  | "valueBytes"
  | "keyToWriteBytes"
  | "keyToReadBytes"
  | "commitBytes"
  | "emptyKey"
  | "versionstamp"
  | "limit"
  | "batchSize"
  | "expireIn"
  | "cursor"
  | "closed";

/** One kind of KV in its differences. */
export interface Traits {
  /** Checks that one commit takes. */
  readonly checksMax: number;
  /** Bytes of a key that can be looked for. */
  readonly keyToReadBytesMax: number;
  /** How often the bytes of a key count that a commit sets; the bound is 819,200. */
  readonly setKeyCounts: 1 | 2;
  /** Bytes of all keys that one commit sets, if they have a bound of their own. */
  readonly setKeyBytesMax: number | null;
  /** Entries that a listing with limit 150 reads at once. */
  readonly batchOfLimit150: number;
  /** What the cursor is after the last entry: empty, or that of the last entry. */
  readonly cursorAtEnd: "empty" | "last";
  /** Whether a listing of a prefix in reverse ends with the key that is the prefix itself. */
  readonly reverseTellsPrefix: boolean;
  /** Whether -0 and 0 are two keys. */
  readonly tellsMinusZero: boolean;
  /** Whether an empty key is absent, or refused, when it is read. */
  readonly readsEmptyKey: boolean;
  /** Whether bytes are copied when `commit()` is called, or later. */
  readonly copiesAtOnce: boolean;
  /** Whether objects are copied when `set()` is called, or at `commit()`. */
  readonly clonesAtSet: boolean;
  /** Whether `list` throws at once on a closed connection, or when the first entry is asked for. */
  readonly closedListThrows: "at once" | "first entry";
  /** Whether `close()` ends the streams of `watch`, or leaves their readers waiting for ever. */
  readonly closeEndsWatches: boolean;
  /** What errors say. */
  readonly refused: Readonly<Record<Refused, RegExp>>;
}

/** `Deno.openKv` on a file or in memory; and whatever the client checks before it asks a server. */
const deno: Traits = {
  checksMax: 100,
  keyToReadBytesMax: 2_048,
  setKeyCounts: 2,
  setKeyBytesMax: 81_920,
  batchOfLimit150: 150,
  cursorAtEnd: "empty",
  reverseTellsPrefix: false,
  tellsMinusZero: true,
  readsEmptyKey: true,
  copiesAtOnce: true,
  clonesAtSet: true,
  closedListThrows: "first entry",
  closeEndsWatches: true,
  refused: {
    checks: /^TypeError: Too many checks \(max 100\)/,
    mutations: /^TypeError: Too many mutations \(max 1000\)/,
    getMany: /^TypeError: Too many ranges \(max 10\)/,
    valueBytes: /^TypeError: Value too large \(max 65536 bytes\)/,
    keyToWriteBytes: /^TypeError: Key too large for write \(max 2048 bytes\)/,
    keyToReadBytes: /^TypeError: Key too large for read \(max 2049 bytes\)/,
    commitBytes: /^TypeError: Total mutation size too large \(max 819200 bytes\)/,
    emptyKey: /^TypeError: key cannot be empty/,
    versionstamp: /^TypeError: Invalid check/,
    limit: /^Error: Limit must be a positive integer: received 0/,
    batchSize: /^Error: batchSize must be a positive integer: received 0/,
    expireIn: /^TypeError: expireIn must be a non-negative integer: received -1/,
    cursor: /^TypeError: invalid cursor/,
    closed: /^BadResource: Bad resource ID/,
  },
};

/** `@deno/kv` on a server. */
const npmServer: Traits = {
  checksMax: 10,
  keyToReadBytesMax: 2_049,
  setKeyCounts: 1,
  setKeyBytesMax: null,
  batchOfLimit150: 100,
  cursorAtEnd: "last",
  reverseTellsPrefix: true,
  tellsMinusZero: false,
  readsEmptyKey: false,
  copiesAtOnce: false,
  clonesAtSet: false,
  closedListThrows: "at once",
  closeEndsWatches: false,
  refused: {
    checks: /^Error: Unexpected response status: 400 Too many checks included/,
    mutations: /^Error: Unexpected response status: 400 Too many mutations/,
    getMany: /^Error: Unexpected response status: 400 Too many read ranges/,
    valueBytes: /^Error: Unexpected response status: 400 A value exceeds the value size limit/,
    keyToWriteBytes: /^Error: Unexpected response status: 400 A key exceeds the key size limit/,
    keyToReadBytes: /^Error: Unexpected response status: 400 A key exceeds the key size limit/,
    commitBytes: /^Error: Unexpected response status: 400 The total size of the atomic write/,
    emptyKey: /^TypeError: Key cannot be empty/,
    versionstamp: /^TypeError: Invalid byte/,
    limit: /^TypeError: Bad 'limit': 0/,
    batchSize: /^TypeError: Bad 'batchSize': 0/,
    expireIn: /^TypeError: Bad 'expireIn'/,
    cursor: /^Error: Invalid cursor/,
    closed: /^Error: Cannot call '\.\w+' after '\.close' is called/,
  },
};

/** `@deno/kv` on a file: the same client, with the engine in the process. */
const npmFile: Traits = {
  ...npmServer,
  copiesAtOnce: true,
  refused: {
    ...npmServer.refused,
    checks: /^Error: TooManyChecks/,
    mutations: /^Error: TooManyMutations/,
    getMany: /^Error: TooManyReadRanges/,
    valueBytes: /^Error: ValueTooLong/,
    keyToWriteBytes: /^Error: KeyTooLong/,
    keyToReadBytes: /^Error: KeyTooLong/,
    commitBytes: /^Error: AtomicWriteTooLarge/,
  },
};

/** `Deno.openKv` on a server: Deno's client, which checks most, and the server's checks. */
const denoServer: Traits = {
  ...deno,
  checksMax: 10,
  refused: {
    ...deno.refused,
    checks: /^Error: KV Connect failed to call .* Too many checks included in atomic write/,
  },
};

/**
 * The simulated ones are like the one that they are named after, and order keys as the engines do.
 */
const simDeno: Traits = deno;
const simNpm: Traits = { ...npmServer, tellsMinusZero: true, reverseTellsPrefix: false };

/** All kinds by name. */
export const TRAITS = { deno, denoServer, npmFile, npmServer, simDeno, simNpm } as const;
