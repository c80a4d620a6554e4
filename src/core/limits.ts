/**
 * Every bound of Taskkit in one place, with the relations between them asserted when the module loads.
 *
 * @module
 */

import { assert } from "@std/assert";
import { DAY, SECOND } from "@std/datetime/constants";

// ── Deno KV (measured; the same on every engine but for the checks) ──
export const KV_VALUE_BYTES_MAX = 65_536;
export const KV_KEY_BYTES_MAX = 2_048;
export const KV_COMMIT_MUTATIONS_MAX = 1_000;
/** Of the engine's 819,200; the rest is room for keys, which the engine counts too. */
export const KV_COMMIT_BYTES_MAX = 700_000;
/** Checks a commit that every engine takes. A connection may allow more. */
export const KV_COMMIT_CHECKS_MIN = 10;
export const KV_GET_MANY_KEYS_MAX = 10;
export const KV_WATCH_KEYS_MAX = 10;
export const KV_LIST_BATCH_MAX = 1_000;

// ── Tasks ──
export const NAME_BYTES_MAX = 200;
export const DATA_BYTES_MAX = 1_048_576;
export const DATA_NODES_MAX = 200_000;
/** Record and inline data; larger data goes to chunks. */
export const RECORD_INLINE_BYTES_MAX = 48_000;
export const CHUNK_BYTES = 60_000;
/** Records up to this size are copied into their due entry, so that a claim need not read them. */
export const DUE_COPY_BYTES_MAX = 4_096;
export const TTL_MS_DEFAULT = 7 * DAY;
export const PRIORITY_MAX = 9;
export const PRIORITY_DEFAULT = 5;
export const RETRIES_DEFAULT = 10;
export const ATTEMPTS_MAX = 1_000_000;
export const LOST_LEASES_MAX = 3;

// ── Stored errors ──
export const ERROR_NAME_CHARS_MAX = 200;
export const ERROR_MESSAGE_CHARS_MAX = 2_000;
export const ERROR_STACK_LINES_MAX = 8;
export const ERROR_STACK_CHARS_MAX = 2_000;

// ── Time ──
export const DURATION_MS_MAX = 100 * 366 * DAY;
export const INSTANT_MS_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
export const LEASE_MS_DEFAULT = 15 * SECOND;
export const BEAT_MS_DEFAULT = 5 * SECOND;
export const SWEEP_MS_DEFAULT = 5 * SECOND;
export const POLL_MS_DEFAULT = 5 * SECOND;
export const GRACE_MS_DEFAULT = 30 * SECOND;
export const COMMIT_DEADLINE_MS = 30 * SECOND;

// ── Workers ──
export const CONCURRENCY_MAX = 1_000;
export const GROUPS_MAX = 100;
/** Tasks one claim takes at most: the window of a due listing. */
export const CLAIM_BATCH_MAX = 100;
export const SETTLE_BATCH_MAX = 400;
export const LIST_PAGE_MAX = 1_000;

assert(RECORD_INLINE_BYTES_MAX + 8_192 < KV_VALUE_BYTES_MAX, "a record with inline data fits a value");
assert(CHUNK_BYTES < KV_VALUE_BYTES_MAX, "a chunk fits a value");
assert(BEAT_MS_DEFAULT * 3 <= LEASE_MS_DEFAULT, "two beats may be late before a lease is lost");
assert(LEASE_MS_DEFAULT + BEAT_MS_DEFAULT + SWEEP_MS_DEFAULT * 2 <= 30 * SECOND, "a rescue is done within 30 s");
