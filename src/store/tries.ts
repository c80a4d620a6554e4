/**
 * Looking again after a doubtful answer: at once, and then after random pauses that double.
 *
 * @module
 */

import { sleep } from "../core/clock.ts";
import { KvUnavailable, OutcomeUnknown } from "../core/errors.ts";
import {
  DOUBT_MS_MAX,
  DOUBT_PAUSE_FIRST_MS,
  DOUBT_PAUSE_MS_MAX,
  DOUBT_TRIES_MAX,
} from "../core/limits.ts";
import { type Changes, commit, type CommitAnswer, isClosed } from "./commit.ts";
import type { Store } from "./store.ts";

/** Commits, and remembers whether the answer was doubtful. */
export type Send = (changes: Changes) => Promise<CommitAnswer>;

/**
 * Tries an operation until `turn` knows what came of it: anything but null. As long as nothing doubtful was sent, an error
 * is what it says. After that a database that cannot be read or written is no answer, so it is asked again.
 *
 * @throws {OutcomeUnknown} If something was sent, and in the end nobody can say whether it was applied.
 */
export async function untilKnown<T>(
  store: Store,
  about: { readonly act: string; readonly ids: readonly string[] },
  turn: (send: Send) => Promise<T | null>,
): Promise<T> {
  let doubt: { cause: unknown } | null = null;
  const send: Send = async (changes) => {
    const answer = await commit(store, changes);
    if (answer.kind === "doubtful") doubt = { cause: answer.error };
    return answer;
  };
  for await (const _ of tries(store)) {
    try {
      const known = await turn(send);
      if (known !== null) return known;
    } catch (error) {
      if (doubt === null || !(error instanceof KvUnavailable)) throw error;
      doubt = { cause: error };
      if (isClosed(error.cause)) break;
    }
  }
  throw new OutcomeUnknown(about.act, about.ids, doubt ?? {});
}

/** Bounded tries, numbered from 0; the first two come at once, since most doubts are lost races. */
export async function* tries(store: Store): AsyncGenerator<number> {
  const { clock } = store;
  const end = clock.monotonic() + DOUBT_MS_MAX;
  for (let n = 0; n < DOUBT_TRIES_MAX && clock.monotonic() < end; n++) {
    await pause(store, n);
    yield n;
  }
}

/** The pause before try `n`, counted from 0. */
export async function pause(
  { clock, random }: Store,
  n: number,
  signal?: AbortSignal,
): Promise<void> {
  if (n < 2) return;
  const ms = Math.min(DOUBT_PAUSE_FIRST_MS * 2 ** (n - 2), DOUBT_PAUSE_MS_MAX);
  await sleep(clock, ms * (0.5 + random.next()), signal);
}
