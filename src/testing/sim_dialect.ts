/**
 * How the engines and clients behind a {@linkcode KvPort} differ: their limits, and the words in
 * which they refuse. All of it was read off the real ones; the conformance suite asks them the same
 * questions as the simulated KV.
 *
 * @module
 */

/** `deno`: `Deno.openKv` on a file or in memory. `npm`: `@deno/kv` on a denokv server. */
export type DialectName = "deno" | "npm";

/** What can be wrong with a call. */
export type Refusal =
  | "checks"
  | "mutations"
  | "reads"
  | "entries"
  | "watched"
  | "keyToRead"
  | "keyToWrite"
  | "value"
  | "commitBytes"
  | "commitKeyBytes"
  | "emptyKey"
  | "versionstamp"
  | "limit"
  | "batchSize"
  | "expireIn"
  | "cursor"
  | "cursorBounds";

/** One engine with its client. */
export interface Dialect {
  /** What it is called. */
  readonly name: DialectName;
  /** Checks that one atomic operation takes. */
  readonly checksMax: number;
  /** Bytes of a key that can be looked for. A longer one can never have been written. */
  readonly keyToReadBytesMax: number;
  /**
   * Whether the engine runs in the process of its user: what the process sends stands still with
   * it.
   */
  readonly isEmbedded: boolean;
  /** Whether a watch ends when its connection is closed; else its reader waits for ever. */
  readonly closeEndsWatches: boolean;
  /**
   * Whether bytes are taken when `commit()` is called; else some time later, so that the caller
   * must leave them alone.
   */
  readonly copiesAtOnce: boolean;
  /** Whether other values are cloned in `set()`; else in `commit()`. */
  readonly clonesAtSet: boolean;
  /** Why a call is refused. `received` is the limit, or what was passed. */
  refuse(refusal: Refusal, received: unknown): Error;
  /** What a call gets on a connection that is closed. */
  closed(method: string): Error;
  /** What a call gets whose connection broke; it may or may not have been applied. */
  broken(): Error;
}

/** What Deno throws for a resource that is closed; Bun has no class of this name. */
class BadResource extends Error {
  override readonly name = "BadResource";
}

function denoWords(refusal: Refusal, received: unknown): string {
  switch (refusal) {
    case "checks":
      return `Too many checks (max ${received})`;
    case "mutations":
      return `Too many mutations (max ${received})`;
    case "reads":
      return `Too many ranges (max ${received})`;
    case "entries":
      return `Too many entries (max ${received})`;
    case "watched":
      return `Too many keys (max ${received})`;
    case "keyToRead":
      return `Key too large for read (max ${received} bytes)`;
    case "keyToWrite":
      return `Key too large for write (max ${received} bytes)`;
    case "value":
      return `Value too large (max ${received} bytes)`;
    case "commitBytes":
      return `Total mutation size too large (max ${received} bytes)`;
    case "commitKeyBytes":
      return `Total key size too large (max ${received} bytes)`;
    case "emptyKey":
      return "key cannot be empty";
    case "versionstamp":
      return "Invalid check";
    case "limit":
      return `Limit must be a positive integer: received ${received}`;
    case "batchSize":
      return `batchSize must be a positive integer: received ${received}`;
    case "expireIn":
      return `expireIn must be a non-negative integer: received ${received}`;
    case "cursor":
      return "invalid cursor";
    case "cursorBounds":
      return "cursor out of bounds";
  }
}

function npmError(refusal: Refusal, received: unknown): Error {
  const refused = (why: string) => new Error(`Unexpected response status: 400 ${why}`);
  switch (refusal) {
    case "checks":
      return refused("Too many checks included in atomic write.");
    case "mutations":
      return refused("Too many mutations / enqueues included in atomic write.");
    case "reads":
      return refused("Too many read ranges requested in one read request.");
    case "watched":
      return refused("Too many keys watched in a single watch request.");
    case "keyToRead":
    case "keyToWrite":
      return refused("A key exceeds the key size limit.");
    case "value":
      return refused("A value exceeds the value size limit.");
    case "commitBytes":
    case "commitKeyBytes":
      return refused("The total size of the atomic write is too large.");
    case "emptyKey":
      return new TypeError("Key cannot be empty");
    case "versionstamp":
      return new TypeError(`Invalid byte '${String(received).charAt(0)}'`);
    case "limit":
      return new TypeError(`Bad 'limit': ${received}`);
    case "entries":
    case "batchSize":
      return new TypeError(`Bad 'batchSize': ${received}`);
    case "expireIn":
      return new TypeError(
        `Bad 'expireIn', expected optional positive integer, found ${received}`,
      );
    case "cursor":
    case "cursorBounds":
      return new Error("Invalid cursor");
  }
}

const DENO: Dialect = {
  name: "deno",
  checksMax: 100,
  keyToReadBytesMax: 2_048,
  isEmbedded: true,
  closeEndsWatches: true,
  copiesAtOnce: true,
  clonesAtSet: true,
  refuse: (refusal, received) =>
    refusal === "limit" || refusal === "batchSize"
      ? new Error(denoWords(refusal, received))
      : new TypeError(denoWords(refusal, received)),
  closed: () => new BadResource("Bad resource ID"),
  broken: () => new Error("KV Connect failed to call the database: error sending request"),
};

const NPM: Dialect = {
  name: "npm",
  checksMax: 10,
  keyToReadBytesMax: 2_049,
  isEmbedded: false,
  closeEndsWatches: false,
  copiesAtOnce: false,
  clonesAtSet: false,
  refuse: npmError,
  closed: (method) => new Error(`Cannot call '.${method}' after '.close' is called`),
  broken: () => new TypeError("fetch failed"),
};

/** The engines and clients by name. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = { deno: DENO, npm: NPM };
