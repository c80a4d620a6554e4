/**
 * What every transaction is given: a connection, its measured bounds, the keys, time, ids, and the doorbells.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { KvUnavailable, TaskkitError } from "../core/errors.ts";
import type { IdSource } from "../core/ids.ts";
import {
  KV_GET_MANY_KEYS_MAX,
  LIST_REQUEST_MAX,
  READ_DEADLINE_MS,
  REMOTE_DEADLINE_MS,
} from "../core/limits.ts";
import type { Random } from "../core/random.ts";
import type { Bells } from "./bells.ts";
import { type CommitContext, firstLine, whenUnlocked } from "./commit.ts";
import type { Keyspace } from "./keyspace.ts";
import type { Turns } from "./turns.ts";
import type { Entry, Key, KvPort, ListOptions, Selector } from "./port.ts";

/** A database as the transactions see it. */
export interface Store extends CommitContext {
  readonly kv: KvPort;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: IdSource;
  readonly bells: Bells;
  readonly turns: Turns;
  /** Checks that one commit may have on this connection. */
  readonly checksMax: number;
  /** Whether a commit crosses a network, so that several under way pay. */
  readonly remote: boolean;
}

/** One entry. */
export function readOne(context: CommitContext, key: Key): Promise<Entry> {
  return inTime(context, fewMs(context), () => context.kv.get(key));
}

/** Many entries, in the order of their keys; not a snapshot. */
export async function readMany(store: Store, keys: readonly Key[]): Promise<Entry[]> {
  const pages: Promise<Entry[]>[] = [];
  for (let i = 0; i < keys.length; i += KV_GET_MANY_KEYS_MAX) {
    const some = keys.slice(i, i + KV_GET_MANY_KEYS_MAX);
    pages.push(inTime(store, fewMs(store), () => store.kv.getMany(some)));
  }
  return (await Promise.all(pages)).flat();
}

/** How long a few keys may take. */
function fewMs({ remote }: CommitContext): number {
  return remote === true ? REMOTE_DEADLINE_MS : READ_DEADLINE_MS;
}

/** One page of a listing. */
export async function readPage(
  store: Store,
  selector: Selector,
  options: ListOptions & { limit: number },
): Promise<Entry[]> {
  const batchSize = Math.min(options.limit, LIST_REQUEST_MAX);
  const collect = async (progress: () => void) => {
    const entries: Entry[] = [];
    for await (const entry of store.kv.list(selector, { ...options, batchSize })) {
      // Each batch is a request of its own, and has its own time.
      if (entries.push(entry) % batchSize === 0) progress();
    }
    return entries;
  };
  return await inTime(store, fewMs(store), collect);
}

/**
 * Rejects with a {@linkcode KvUnavailable} when the database cannot be read, or does not answer in time, counted anew with
 * each progress; a client may otherwise repeat for ever.
 */
async function inTime<T>(
  context: CommitContext,
  deadlineMs: number,
  read: (progress: () => void) => Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const giveUp = () =>
    late.reject(
      new KvUnavailable(`Cannot read from the database: it did not answer in ${deadlineMs} ms`),
    );
  let timer = context.clock.timer(deadlineMs, giveUp);
  const progress = () => {
    timer.cancel();
    timer = context.clock.timer(deadlineMs, giveUp);
  };
  try {
    return await Promise.race([whenUnlocked(context, () => read(progress)), late.promise]);
  } catch (error) {
    if (error instanceof TaskkitError) throw error;
    throw new KvUnavailable(`Cannot read from the database: ${firstLine(error)}`, { cause: error });
  } finally {
    timer.cancel();
  }
}
