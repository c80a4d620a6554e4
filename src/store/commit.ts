/**
 * The only caller of `atomic().commit()`.
 *
 * Deno KV answers a commit in four ways, and only two of them can be believed:
 *
 * | answer | what it means here |
 * |---|---|
 * | ok | `committed` |
 * | `database is locked` (embedded, another process commits) | nothing was applied: tried again after a random pause that doubles; from then on there are turns (`turns.ts`) |
 * | the changes cannot be stored, the connection is closed | nothing was applied: thrown |
 * | `{ ok: false }`, any other error, no answer before the deadline | **doubtful**: over KV Connect the client repeats a commit whose answer was lost, so "a check failed" may mean "my own first try won" |
 *
 * Whoever gets `doubtful` reads back what it wrote: every operation leaves a token (`op`) in what it changes, and checks
 * at least one key that it also changes, so that a late or repeated copy of the commit cannot apply a second time.
 * Repeating the very same commit is therefore always safe.
 *
 * | operation | reads back | found | not found |
 * |---|---|---|---|
 * | enqueue | the first record | committed | repeated |
 * | claim | the lease | committed | left to others; a lease that turns up later is given back by the next beat |
 * | settle | the lease, then a record | `op` there: committed; lease at another version: repeated from there | lost: a rescue was first, the outcome is dropped |
 * | rescue, cancel, revive, control, schedule | the record | `op` there: committed | started again from what is there now |
 * | beat | the worker's key | `op` there: alive | declared dead: the worker fences itself |
 *
 * @module
 */

import { assert } from "@std/assert";
import { type Clock, sleep } from "../core/clock.ts";
import { InvalidArgument, KvUnavailable } from "../core/errors.ts";
import {
  COMMIT_DEADLINE_MS,
  KV_COMMIT_BYTES_MAX,
  KV_COMMIT_KEY_BYTES_MAX,
  KV_COMMIT_MUTATIONS_MAX,
  LOCKED_PAUSE_FIRST_MS,
  LOCKED_PAUSE_MS_MAX,
  LOCKED_PAUSE_SMALL_MS_MAX,
  REMOTE_DEADLINE_MS,
  SEND_DEADLINE_MS,
  SMALL_COMMIT_MUTATIONS_MAX,
} from "../core/limits.ts";
import type { Random } from "../core/random.ts";
import type { Key, KvPort } from "./port.ts";
import type { Turns } from "./turns.ts";

interface Check {
  readonly key: Key;
  readonly versionstamp: string | null;
}

interface Set {
  readonly key: Key;
  readonly value: unknown;
  readonly expireIn: number | undefined;
}

/** What a mutation counts beside its value and its key. */
const MUTATION_BYTES = 50;
/** Keys have a bound of their own, which is reached first where they are long. */
const KEY_WEIGHT = KV_COMMIT_BYTES_MAX / KV_COMMIT_KEY_BYTES_MAX;

/** What one atomic operation checks and changes, being put together. */
export class Changes {
  readonly checks: Check[] = [];
  readonly sets: Set[] = [];
  readonly deletes: Key[] = [];
  #bytes = 0;
  #keyBytes = 0;

  /** What they take of the {@linkcode KV_COMMIT_BYTES_MAX} of a commit, roughly; values that are no bytes are not counted. */
  get bytes(): number {
    return Math.max(this.#bytes, this.#keyBytes * KEY_WEIGHT);
  }
  /** How many mutations they are. */
  get mutations(): number {
    return this.sets.length + this.deletes.length;
  }

  /** Refuses the whole commit unless the key is still at this version (null: absent). */
  check(key: Key, versionstamp: string | null): void {
    this.checks.push({ key, versionstamp });
  }
  set(key: Key, value: unknown, expireIn?: number): void {
    this.sets.push({ key, value, expireIn });
    const keyBytes = bytesOfKey(key);
    this.#keyBytes += keyBytes;
    this.#bytes += MUTATION_BYTES + 2 * keyBytes + (value instanceof Uint8Array ? value.length : 0);
  }
  delete(...keys: Key[]): void {
    this.deletes.push(...keys);
    for (const key of keys) this.#bytes += MUTATION_BYTES + bytesOfKey(key);
  }
  /** Adds all of the others. */
  add(others: Changes): void {
    this.checks.push(...others.checks);
    this.sets.push(...others.sets);
    this.deletes.push(...others.deletes);
    this.#bytes += others.#bytes;
    this.#keyBytes += others.#keyBytes;
  }
}

/** The bytes of a key as the engine stores it, at most. */
export function bytesOfKey(key: Key): number {
  let bytes = 0;
  for (const part of key) {
    if (typeof part === "string") bytes += 2 + bytesOfText(part);
    else if (part instanceof Uint8Array) bytes += 2 + 2 * part.length;
    else if (typeof part === "bigint") bytes += 10 + part.toString(16).length;
    else bytes += 9;
  }
  return bytes;
}

function bytesOfText(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // A zero is escaped with a second byte.
    bytes += unit === 0 ? 2 : unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
  }
  return bytes;
}

/** Whether it is a commit like that of one task, which somebody may wait for: it takes no turns and is tried again soon. */
export function isSmall({ mutations }: Changes): boolean {
  return mutations <= SMALL_COMMIT_MUTATIONS_MAX;
}

/** What is known about a commit. */
export type CommitAnswer =
  | { readonly kind: "committed"; readonly versionstamp: string }
  /** `isRefused` if the database said that a check failed, which over a network may be the answer to a repeated first try. */
  | { readonly kind: "doubtful"; readonly error: unknown; readonly isRefused: boolean };

/** What commits need to know of their surroundings. */
export interface CommitContext {
  readonly kv: KvPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly turns?: Turns;
  /** Whether it crosses a network. */
  readonly remote?: boolean;
}

/**
 * Commits the changes as one atomic operation.
 *
 * @throws {InvalidArgument} If the changes cannot be stored: out of the engine's bounds, or no clone to be had of a value.
 * @throws {KvUnavailable} If it is certain that nothing was applied: the connection is closed, or the file stays locked.
 */
export async function commit(context: CommitContext, changes: Changes): Promise<CommitAnswer> {
  assert(
    changes.mutations <= KV_COMMIT_MUTATIONS_MAX,
    "a commit fits the engine's bounds",
  );
  const { clock, random } = context;
  const deadline = clock.monotonic() + COMMIT_DEADLINE_MS;
  const pauseMsMax = isSmall(changes) ? LOCKED_PAUSE_SMALL_MS_MAX : LOCKED_PAUSE_MS_MAX;
  for (let pauseMs = LOCKED_PAUSE_FIRST_MS;; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    const sendMs = context.remote === true ? REMOTE_DEADLINE_MS : SEND_DEADLINE_MS;
    const leftMs = Math.min(sendMs, deadline - clock.monotonic());
    const answer = await send(context, changes, leftMs);
    if (answer.kind !== "locked") return answer;
    context.turns?.overtaken();
    if (clock.monotonic() + pauseMs > deadline) {
      throw new KvUnavailable(
        `Cannot write to the database: it was locked by another process for ${COMMIT_DEADLINE_MS} ms`,
        { cause: answer.error },
      );
    }
    await sleep(clock, 1 + random.next() * pauseMs);
  }
}

type Sent = CommitAnswer | { readonly kind: "locked"; readonly error: unknown };

async function send(
  { kv, clock }: CommitContext,
  changes: Changes,
  deadlineMs: number,
): Promise<Sent> {
  let atomic = kv.atomic();
  let promise;
  try {
    for (const check of changes.checks) atomic = atomic.check(check);
    for (const { key, value, expireIn } of changes.sets) {
      atomic = atomic.set(key, value, expireIn === undefined ? undefined : { expireIn });
    }
    for (const key of changes.deletes) atomic = atomic.delete(key);
    promise = atomic.commit();
  } catch (error) {
    throw refusal(error);
  }
  const late = Promise.withResolvers<Sent>();
  const timer = clock.timer(
    deadlineMs,
    () =>
      late.resolve({
        kind: "doubtful",
        error: new KvUnavailable("the database did not answer in time"),
        isRefused: false,
      }),
  );
  try {
    return await Promise.race([promise.then(read, readError), late.promise]);
  } finally {
    timer.cancel();
  }
}

function read(result: { ok: true; versionstamp: string } | { ok: false }): Sent {
  return result.ok
    ? { kind: "committed", versionstamp: result.versionstamp }
    : { kind: "doubtful", error: new Error("a check failed"), isRefused: true };
}

function readError(error: unknown): Sent {
  if (isLocked(error)) return { kind: "locked", error };
  if (isUnstorable(error) || isClosed(error)) throw refusal(error);
  return { kind: "doubtful", error, isRefused: false };
}

/** Another process commits to the same file: nothing was applied. */
function isLocked(error: unknown): boolean {
  return (error instanceof Error ? error.message : String(error)).includes("database is locked");
}

/**
 * Reads or opens, again and again while another process locks the file: it makes its tables, or takes its log over after
 * a process that was killed.
 */
export async function whenUnlocked<T>(
  { clock, random }: Pick<CommitContext, "clock" | "random">,
  act: () => Promise<T>,
): Promise<T> {
  const deadline = clock.monotonic() + COMMIT_DEADLINE_MS;
  for (let pauseMs = LOCKED_PAUSE_FIRST_MS;; pauseMs = Math.min(2 * pauseMs, LOCKED_PAUSE_MS_MAX)) {
    try {
      return await act();
    } catch (error) {
      if (!isLocked(error) || clock.monotonic() + pauseMs > deadline) throw error;
    }
    await sleep(clock, 1 + random.next() * pauseMs);
  }
}

/** What the clients and engines say of changes that cannot be stored, however often they are sent. */
const UNSTORABLE =
  /too many (checks|mutations)|(value|key|size) too large|^(TooMany|ValueTooLong|KeyTooLong|AtomicWriteTooLarge)|not be cloned|response status: 400\b/i;

/** A `TypeError` may also be a lost connection, so the text must tell. */
function isUnstorable(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "DataCloneError" || UNSTORABLE.test(error.message));
}

/**
 * Whether the connection was closed on this side before the call. A connection that the other side closes meanwhile reads
 * much the same ("closed unexpectedly"), and says nothing about what was applied.
 */
export function isClosed(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "BadResource" || /^Cannot call '\.\w+' after '\.close'/.test(error.message);
}

function refusal(error: unknown): InvalidArgument | KvUnavailable {
  const message = `Cannot write to the database: ${firstLine(error)}`;
  return isClosed(error)
    ? new KvUnavailable(message, { cause: error })
    : new InvalidArgument(message, { cause: error });
}

/** What an error says, without the stack that some clients put into it. */
export function firstLine(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
  return line;
}
