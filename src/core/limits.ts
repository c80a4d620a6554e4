/**
 * Every bound of Taskkit in one place, with the relations between them asserted when the module loads.
 *
 * @module
 */

import { assert } from "@std/assert";
import { DAY, MINUTE, SECOND } from "@std/datetime/constants";

// ── Deno KV (measured; the same on every engine but for the checks) ──
export const KV_VALUE_BYTES_MAX = 65_536;
export const KV_KEY_BYTES_MAX = 2_048;
export const KV_COMMIT_MUTATIONS_MAX = 1_000;
/** Of the engine's 819,200; the rest is room for keys, which the engine counts too. */
export const KV_COMMIT_BYTES_MAX = 700_000;
/** Of the 81,920 that the embedded engine takes of all keys that a commit sets. */
export const KV_COMMIT_KEY_BYTES_MAX = 70_000;
/** Checks a commit that every engine takes. A connection may allow more. */
export const KV_COMMIT_CHECKS_MIN = 10;
/** Checks that are tried at open; more in one commit would not make a claim faster. */
export const KV_PROBE_CHECKS = 100;
export const KV_GET_MANY_KEYS_MAX = 10;
export const KV_WATCH_KEYS_MAX = 10;
/** Entries that a listing asks for at once. */
export const LIST_REQUEST_MAX = 500;

// ── Tasks ──
export const NAME_BYTES_MAX = 200;
export const DATA_BYTES_MAX = 1_048_576;
export const DATA_NODES_MAX = 200_000;
/**
 * Data or a result up to this size lies in the record; larger ones go to chunks of their own. Small, because a claim
 * rewrites the record and a due entry copies it: a claim then never reads or writes what it does not need.
 */
export const INLINE_BYTES_MAX = 4_096;
export const CHUNK_BYTES = 60_000;
/** How long chunks whose task was never committed are kept. */
export const ORPHAN_MS = 3_600 * SECOND;
/** The shortest time a finished record stays in the database, whatever its ttl, so that a late copy of an old write meets it. */
export const TOMBSTONE_MS_MIN = 120 * SECOND;
export const TTL_MS_DEFAULT = 7 * DAY;
export const PRIORITY_MAX = 9;
export const PRIORITY_DEFAULT = 5;
export const RETRIES_DEFAULT = 10;
/** Retries that a definition may ask for. */
export const RETRIES_MAX = 1_000_000;
export const LOST_LEASES_MAX = 3;
/**
 * How long a task that the running code does not know is left to others. Doubles each time it comes back, up to the
 * maximum, which is not longer since a worker that knows it may be one of many that do not.
 */
export const PARK_MS = 30 * SECOND;
export const PARK_MS_MAX = 5 * MINUTE;
export const PARK_JITTER = 0.2;

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
/** A drain works for so long by default; a lease of it is so short that the next drain can see it lost. */
export const DRAIN_MS_DEFAULT = 20 * SECOND;
export const DRAIN_LEASE_MS_DEFAULT = 6 * SECOND;
/** A host that scales to zero gives 5 s: what runs has this long, and 1 s more to notice that it is aborted. */
export const DRAIN_GRACE_MS_DEFAULT = 2 * SECOND;
/** A drain ends when nothing was due for so long. */
export const DRAIN_QUIET_MS = 500;
export const DRAIN_LOOK_MS = 50;
export const COMMIT_DEADLINE_MS = 30 * SECOND;
/** One try of a commit: the tries of a locked file share the deadline above. */
export const SEND_DEADLINE_MS = 10 * SECOND;
export const READ_DEADLINE_MS = 10 * SECOND;
/** One commit, or one read of a few keys, over a network: a request that hangs as its server goes away is soon repeated. */
export const REMOTE_DEADLINE_MS = 4 * SECOND;
/** Over HTTP; who waited for the answer has given up before. */
export const REQUEST_DEADLINE_MS = 15 * SECOND;
/** Pause after another process was first to commit to the same file; doubles up to the maximum. */
export const LOCKED_PAUSE_FIRST_MS = 1;
export const LOCKED_PAUSE_MS_MAX = 50;
/** How long processes that were in each other's way go on to write in turns, how long a turn is, and how long it waits for more. */
export const TURNS_KEPT_MS = 2 * SECOND;
export const TURN_MS = 20;
export const TURN_LINGER_MS = 2;
/** How long a process stays away after its turn, and how often those that wait look: the former is longer. */
export const TURN_PAUSE_MS = 2;
export const TURN_LOOK_MS = 1;
/** The process of a turn that lasts so long is taken for dead. */
export const TURN_STALE_MS = 200;
/** The maximum for a small commit, such as one initiation: it is soon done, and somebody may wait for it. */
export const LOCKED_PAUSE_SMALL_MS_MAX = 10;
export const SMALL_COMMIT_MUTATIONS_MAX = 10;
/** Pause before an operation whose outcome is doubtful is looked at again; doubles up to the maximum. */
export const DOUBT_PAUSE_FIRST_MS = 20;
export const DOUBT_PAUSE_MS_MAX = 1 * SECOND;
export const SWEEP_PAGE_MAX = 100;
/** How often a waiting result looks by itself, behind its doorbells. */
export const RESULT_POLL_FIRST_MS = 100;
export const RESULT_POLL_MS_MAX = 2 * SECOND;
/** What one look has, even if the timeout of who waits is over sooner: with 0 they ask for what is there now. */
export const RESULT_LOOK_MS_MIN = 1 * SECOND;
/** Results that watch their task over the connection at once; more of them poll. */
export const RESULT_WATCHES_MAX = 50;
/** With the pauses above, about 15 s of looking again before an outcome is reported as unknown. */
export const DOUBT_TRIES_MAX = 22;
/**
 * Nor are new tries begun after this long, where each of them waits for a database that does not answer. Who waits for a
 * result without a timeout waits for such a database as long.
 */
export const DOUBT_MS_MAX = 60 * SECOND;
/** A watch is opened anew after this long, since it may have died without a word. */
export const WATCH_RENEW_MS = 60 * SECOND;
export const WATCH_PAUSE_MS = 1 * SECOND;

/** How long a handler may go on after its signal was aborted, before its attempt is settled without it. */
export const ABORT_GRACE_MS = 1 * SECOND;
/** How long a worker waits for the handler's own rule about retries, where no attempt runs any more. */
export const RETRY_RULE_MS_MAX = 10 * SECOND;
export const PROGRESS_PAUSE_MS = 1 * SECOND;
export const PROGRESS_KEPT_MS = DAY;
export const CHUNK_SWEEP_MS = 60 * SECOND;
/** How long a worker keeps to its own window of the due list after it lost a race. */
export const CONTENDED_MS = 1 * SECOND;
/** How long an idle worker lets each of those before it go first: about the time of a commit. */
export const STAND_BACK_MS_EACH = 4;
export const STAND_BACK_MS_MAX = 100;
/** Work, in milliseconds of the handlers' own recent time, that a worker claims ahead of its free slots. */
export const AHEAD_MS = 20;
/** What was claimed ahead and has not been started after this long is given back. */
export const AHEAD_PATIENCE_MS = 250;
/** A lease of a worker's own that it never heard of for this long came from a claim whose answer was lost: it is given back. */
export const PHANTOM_LEASE_MS = 45 * SECOND;
/** Pause of a service whose database does not answer; doubles up to the maximum. */
export const SERVICE_PAUSE_FIRST_MS = 100;
export const SERVICE_PAUSE_MS_MAX = 2 * SECOND;

// ── Workers ──
export const AHEAD_TASKS_MAX = 200;
export const SETTLES_REMOTE_MAX = 8;
export const CONCURRENCY_DEFAULT = 10;
export const CONCURRENCY_MAX = 1_000;
/** Tasks in one call of initiateTasks. */
export const INITIATE_MAX = 100_000;
export const PREFIX_PARTS_MAX = 8;
export const GROUPS_MAX = 100;
/** Tasks one claim takes at most: the window of a due listing. */
export const CLAIM_BATCH_MAX = 100;
/** Claims of one group that are under way at once: one is being listed while the other is being committed. */
export const CLAIMS_AT_ONCE_MAX = 2;
export const SETTLE_BATCH_MAX = 200;
export const LIST_PAGE_MAX = 1_000;
/** Tasks that are counted to tell what one of them waits behind. */
export const PLACE_TASKS_MAX = 1_000;

// ── Threads and processes ──
export const THREADS_MAX = 64;
export const PROCESSES_MAX = 64;
/** How long a thread or process may take to load its handler module. */
export const EXECUTOR_START_MS = 60 * SECOND;
/** A thread that was terminated and has not ended after this long cannot be stopped: it counts as leaked. */
export const THREAD_END_MS = 1 * SECOND;
/** Leaked threads after which a worker drains and exits for its supervisor, unless it is told otherwise. */
export const LEAKED_THREADS_MAX_DEFAULT = 3;
/** How long a process that was asked to end may take before it is killed. */
export const PROCESS_END_MS = 2 * SECOND;
/** How long what a process said last is waited for, once it has ended. */
export const LAST_WORDS_MS = 500;
/** Pause before a slot whose thread or process died is filled again; doubles up to the maximum. */
export const REFILL_PAUSE_FIRST_MS = 100;
export const REFILL_PAUSE_MS_MAX = 30 * SECOND;
/** A job that its thread has not begun after this long is offered to a thread that answers. */
export const STUCK_MS = 100;
/** A thread without a running attempt that does not answer for this long is replaced. */
export const UNRESPONSIVE_MS = 30 * SECOND;
/** Jobs that one thread may hold, begun or not. */
export const THREAD_JOBS_MAX = 1_024;
/** What a handler may tell: lines at once and lines a second; and how often its progress crosses the border. */
export const LOG_BURST = 100;
export const LOG_LINES_PER_SECOND = 50;
export const PROGRESS_CROSSES_MS = 100;
export const LOG_MESSAGE_CHARS_MAX = 2_000;
export const LOG_FIELDS_MAX = 100;
export const LOG_FIELDS_DEPTH_MAX = 4;
/** Reports a second that are taken from one thread or process, outcomes apart; far more than the rules above let through. */
export const REPORTS_PER_SECOND = 20_000;
export const REPORTS_BATCH_MAX = 10_000;
/** Messages that make no sense, after which a thread or process is ended. */
export const NONSENSE_MAX = 1_000;
/** A message between a worker and one of its processes: data or a result in text form, and the user's writes. */
export const FRAME_BYTES_MAX = 4 * 1_048_576;
/** How often the memory of a process with a bound is looked at. */
export const MEMORY_LOOK_MS = 250;

// ── Schedules ──
export const SCHEDULE_DATA_BYTES_MAX = 30_000;
export const SCHEDULE_ENTRIES_MAX = 10_000;
export const SCHEDULE_LIST_POINTS_MAX = 100;
/** How often the entries of the database are looked at without being told. */
export const SCHEDULE_LOOK_MS = 30 * SECOND;
/** How often at most, however often they change. */
export const SCHEDULE_LOOK_MS_MIN = 200;
/** Entries whose commits are under way at once. */
export const SCHEDULE_FIRES_AT_ONCE_MAX = 8;
/** How soon an entry that could not be fired is tried again: at first, and at most. */
export const SCHEDULE_PAUSE_FIRST_MS = SECOND;
export const SCHEDULE_PAUSE_MS_MAX = MINUTE;
/** Clocks that differ by more are worth a warning: what the one ahead decided, the others wait for. */
export const SCHEDULE_AHEAD_MS_MAX = MINUTE;
/** Points that one plan fires or one listing returns; the rest comes with the next. */
export const SCHEDULE_POINTS_MAX = 1_000;
/** A point this old still counts as on time: longer than a slow commit or a restart, shorter than an outage. */
export const SCHEDULE_ON_TIME_MS = MINUTE;
/** Points closer together than their promised lateness would mean nothing. */
export const SCHEDULE_INTERVAL_MS_MIN = 100;
export const CRON_PATTERN_CHARS_MAX = 1_000;
/** The calendar repeats after this many years, weekdays included: what matches no day in them never will. */
export const CALENDAR_YEARS = 400;
/** Names of time zones whose clocks are remembered; there are some 600. */
export const ZONES_MAX = 1_000;
/** Stretches of 400 days that are remembered a zone. */
export const ZONE_SPANS_MAX = 64;

assert(
  2 * INLINE_BYTES_MAX + 4 * (ERROR_MESSAGE_CHARS_MAX + ERROR_STACK_CHARS_MAX) +
      8 * NAME_BYTES_MAX <
    KV_VALUE_BYTES_MAX,
  "a record with inline data, result and error fits a value",
);
assert(CHUNK_BYTES < KV_VALUE_BYTES_MAX, "a chunk fits a value");
assert(
  TURN_PAUSE_MS > TURN_LOOK_MS,
  "after a turn those that wait look before its process is back",
);
assert(TURN_STALE_MS > 2 * TURN_MS, "a turn that lasts is not taken for a dead process's");
assert(BEAT_MS_DEFAULT * 3 <= LEASE_MS_DEFAULT, "two beats may be late before a lease is lost");
assert(
  LEASE_MS_DEFAULT + BEAT_MS_DEFAULT + SWEEP_MS_DEFAULT * 2 <= 30 * SECOND,
  "a rescue is done within 30 s",
);
assert(
  REQUEST_DEADLINE_MS > SEND_DEADLINE_MS && REQUEST_DEADLINE_MS > READ_DEADLINE_MS,
  "an answer that somebody waits for is not cut off",
);
assert(
  DRAIN_GRACE_MS_DEFAULT + ABORT_GRACE_MS < 4 * SECOND,
  "a drain gives its leases back before its host kills it",
);
assert(
  2 * DRAIN_LEASE_MS_DEFAULT < DRAIN_MS_DEFAULT,
  "one drain is long enough to see that a lease was lost, and to take it back",
);
assert(SCHEDULE_ON_TIME_MS > COMMIT_DEADLINE_MS, "a point whose commit was slow is still on time");
assert(SETTLE_BATCH_MAX * 4 + 100 < KV_COMMIT_MUTATIONS_MAX, "a settle fits a commit");
assert(
  PHANTOM_LEASE_MS > COMMIT_DEADLINE_MS + 10 * SECOND,
  "a claim that is under way is no phantom",
);
