/**
 * Atomic operations of a simulated KV: how they are built, what is refused, and when their values
 * stop being the caller's.
 *
 * @module
 */

import { serialize } from "node:v8";
import type { AtomicPort, Key } from "../store/port.ts";
import { type PackedKey, packKey } from "./packed_key.ts";
import { type AtomicWrite, copyOf } from "./sim_database.ts";
import type { Dialect } from "./sim_dialect.ts";

const MUTATIONS_MAX = 1_000;
const COMMIT_BYTES_MAX = 819_200;
/** Of the keys that a commit sets, in the embedded engine. */
const COMMIT_KEY_BYTES_MAX = 81_920;
const VALUE_BYTES_MAX = 65_536;
const KEY_BYTES_MAX = 2_048;
const VERSIONSTAMP = /^[0-9a-fA-F]{20}$/;

/** How a commit ends. */
export type CommitResult = { ok: true; versionstamp: string } | { ok: false };

interface Mutation {
  readonly key: Key;
  /** Null deletes. */
  readonly set: { readonly value: unknown; readonly expireIn: number | undefined } | null;
}

/**
 * An atomic operation being built.
 *
 * @example
 * ```ts
 * import { SimDatabase } from "@taskkit/taskkit/testing";
 *
 * const kv = new SimDatabase().connect();
 * const atomic = kv.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], 1);
 * console.log((await atomic.commit()).ok); // true
 * console.log((await atomic.commit()).ok); // false
 * ```
 */
export class SimAtomic implements AtomicPort {
  /** @ignore */
  readonly checks: { key: Key; versionstamp: string | null }[] = [];
  /** @ignore */
  readonly mutations: Mutation[] = [];
  readonly #dialect: Dialect;
  readonly #commit: (atomic: SimAtomic) => Promise<CommitResult>;

  /** @ignore Use `atomic` of a connection. */
  constructor(dialect: Dialect, commit: (atomic: SimAtomic) => Promise<CommitResult>) {
    this.#dialect = dialect;
    this.#commit = commit;
  }

  /** Lets the operation apply only if these keys are at these versions; null means absent. */
  check(...checks: { key: Key; versionstamp: string | null }[]): this {
    this.checks.push(...checks);
    return this;
  }

  /** Sets a key, for `expireIn` milliseconds at least if that is given. */
  set(key: Key, value: unknown, options?: { expireIn?: number }): this {
    const expireIn = options?.expireIn;
    const { isEmbedded, clonesAtSet } = this.#dialect;
    if (
      expireIn !== undefined &&
      !(Number.isSafeInteger(expireIn) && expireIn >= (isEmbedded ? 0 : 1))
    ) throw this.#dialect.refuse("expireIn", expireIn);
    this.mutations.push({ key, set: { value: clonesAtSet ? cloneOf(value) : value, expireIn } });
    return this;
  }

  /** Deletes a key. */
  delete(key: Key): this {
    this.mutations.push({ key, set: null });
    return this;
  }

  /** Sends the operation. */
  commit(): Promise<CommitResult> {
    return this.#commit(this);
  }
}

/** An atomic operation that may be sent. */
export interface Prepared extends AtomicWrite {
  /** Whether the bytes in it are copies. */
  readonly hasOwnValues: boolean;
}

/** Who sends an atomic operation, and when by the clock of the sender. */
export interface Sender extends Pick<AtomicWrite, "by" | "owner"> {
  /** The engine and client. */
  readonly dialect: Dialect;
  /** How many checks it takes. */
  readonly checksMax: number;
  /** The sender's wall clock, from which `expireIn` counts. */
  readonly wallMs: number;
}

/**
 * What an atomic operation says, checked against the limits.
 *
 * @throws What the engine and its client throw.
 */
export function prepare(atomic: SimAtomic, sender: Sender): Prepared {
  const { dialect, checksMax, by, owner, wallMs } = sender;
  if (atomic.checks.length > checksMax) throw dialect.refuse("checks", checksMax);
  if (atomic.mutations.length > MUTATIONS_MAX) throw dialect.refuse("mutations", MUTATIONS_MAX);
  let bytes = 0;
  let keyBytes = 0;
  const checks = atomic.checks.map(({ key, versionstamp }) => {
    const stamp = versionstamp ?? null;
    if (stamp !== null && !VERSIONSTAMP.test(stamp)) throw dialect.refuse("versionstamp", stamp);
    const packed = packKey(key);
    // denokv takes any key in a check: of what can never be written it is always true that it is
    // absent.
    if (dialect.isEmbedded) assertWritable(packed, dialect);
    bytes += packed.length;
    return { key: ownKey(key), packed, versionstamp: stamp };
  });
  const mutations = atomic.mutations.map(({ key, set }) => {
    const packed = packKey(key);
    assertWritable(packed, dialect);
    bytes += packed.length;
    if (set === null) return { key: ownKey(key), packed, set };
    const { expireIn } = set;
    const value = dialect.clonesAtSet ? set.value : cloneOf(set.value);
    const size = value instanceof Uint8Array ? value.byteLength : serialize(value).byteLength;
    if (size > VALUE_BYTES_MAX) throw dialect.refuse("value", VALUE_BYTES_MAX);
    bytes += size;
    if (dialect.isEmbedded) bytes += packed.length; // It counts the keys of sets twice.
    keyBytes += packed.length;
    const expiresAtMs = expireIn === undefined ? null : wallMs + expireIn;
    return { key: ownKey(key), packed, set: { value, expiresAtMs } };
  });
  if (bytes > COMMIT_BYTES_MAX) throw dialect.refuse("commitBytes", COMMIT_BYTES_MAX);
  if (dialect.isEmbedded && keyBytes > COMMIT_KEY_BYTES_MAX) {
    throw dialect.refuse("commitKeyBytes", COMMIT_KEY_BYTES_MAX);
  }
  const write = { by, owner, checks, mutations, hasOwnValues: false };
  return dialect.copiesAtOnce ? withOwnValues(write) : write;
}

/** The atomic operation with bytes that are not the caller's any more. */
export function withOwnValues(write: Prepared): Prepared {
  if (write.hasOwnValues) return write;
  const mutations = write.mutations.map((mutation) => {
    const { set } = mutation;
    if (!(set?.value instanceof Uint8Array)) return mutation;
    return { ...mutation, set: { ...set, value: copyOf(set.value) } };
  });
  return { ...write, mutations, hasOwnValues: true };
}

function assertWritable(packed: PackedKey, dialect: Dialect): void {
  if (packed === "") throw dialect.refuse("emptyKey", packed);
  if (packed.length > KEY_BYTES_MAX) throw dialect.refuse("keyToWrite", KEY_BYTES_MAX);
}

/** A copy of a key as the engines store it. */
function ownKey(key: Key): Key {
  return key.map((part) =>
    typeof part === "string"
      ? part.toWellFormed()
      : part instanceof Uint8Array
      ? new Uint8Array(part)
      : part
  );
}

/**
 * A copy of all but bytes, which have a time of their own; in the words of the clients for what has
 * no copy.
 */
function cloneOf(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== "object" && typeof value !== "function") {
    return value;
  }
  try {
    return structuredClone(value);
  } catch (error) {
    throw new TypeError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
