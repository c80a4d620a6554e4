/**
 * Doorbells: who waits for a key to change is woken, from three sides:
 *
 * - in this process, at once, by whoever committed the change (`ring`);
 * - by a watch on the log of the SQLite file, from everybody on this machine, where the database is a file we opened;
 * - by `watch` over the connection otherwise: KV Connect, and a KV that was passed open.
 *
 * All three are hints: they coalesce, come early, or not at all. Whoever waits looks for itself, and polls.
 *
 * @module
 */

import { type Clock, sleep, type Timer } from "../core/clock.ts";
import {
  KV_WATCH_KEYS_MAX,
  RESULT_WATCHES_MAX,
  WATCH_PAUSE_MS,
  WATCH_RENEW_MS,
} from "../core/limits.ts";
import type { Key, KvPort } from "./port.ts";

/** Watches a file for changes by other processes; returns how to end it, or null where that is not to be had. */
export type WatchFile = (onChange: () => void) => (() => void) | null;

/** From where a connection can be told of changes. */
export interface Hints {
  readonly watchFile: WatchFile;
  /** Whether `watch` can be used over the connection. */
  readonly canWatch: boolean;
}

/** A listener to take back. */
export interface Listener {
  stop(): void;
}

interface Ear {
  readonly keys: readonly Key[];
  readonly wake: () => void;
}

/** A change of the file may be seen before the commit is visible: look at once, and once more after this. */
const SECOND_LOOK_MS = 10;
/** At most one look in this time for changes of the file; under load every commit of every process is one. */
const FILE_PAUSE_MS = 3;
const FILE_PAUSE_MS_EACH = 0.2;

/** The doorbells of one connection. */
export class Bells {
  readonly #kv: KvPort;
  readonly #clock: Clock;
  readonly #hints: Hints;
  readonly #ears = new Map<string, Set<Ear>>();
  #earCount = 0;
  #unwatchFile: (() => void) | null = null;
  #fileTimer: Timer | null = null;
  #secondLook: Timer | null = null;
  readonly #streams = new Set<AbortController>();

  constructor(kv: KvPort, clock: Clock, hints: Hints) {
    this.#kv = kv;
    this.#clock = clock;
    this.#hints = hints;
  }

  /** Wakes whoever in this process listens to one of the keys. */
  ring(keys: Iterable<Key>): void {
    if (this.#earCount === 0) return;
    for (const key of keys) {
      for (const ear of this.#ears.get(nameOf(key)) ?? []) ear.wake();
    }
  }

  /**
   * Calls `wake` when a task may have ended. There can be thousands of such listeners, so only a few of them watch over
   * the connection; the others poll.
   */
  listenForTask(key: Key, wake: () => void): Listener {
    return this.#listen([key], wake, this.#streams.size < RESULT_WATCHES_MAX);
  }

  /** Calls `wake` whenever one of the keys may have changed, until it is stopped. */
  listen(keys: readonly Key[], wake: () => void): Listener {
    return this.#listen(keys, wake, true);
  }

  #listen(keys: readonly Key[], wake: () => void, watch: boolean): Listener {
    const ear: Ear = { keys, wake };
    for (const key of keys) {
      const name = nameOf(key);
      const ears = this.#ears.get(name) ?? new Set();
      this.#ears.set(name, ears.add(ear));
    }
    this.#earCount++;
    this.#unwatchFile ??= this.#hints.watchFile(() => this.#fileChanged());

    const streams = new AbortController();
    if (watch && this.#hints.canWatch && this.#unwatchFile === null) {
      this.#streams.add(streams);
      for (let i = 0; i < keys.length; i += KV_WATCH_KEYS_MAX) {
        void this.#follow(keys.slice(i, i + KV_WATCH_KEYS_MAX), wake, streams.signal);
      }
    }
    return {
      stop: () => {
        if (streams.signal.aborted) return;
        streams.abort();
        this.#streams.delete(streams);
        this.#forget(ear);
      },
    };
  }

  #forget(ear: Ear): void {
    for (const key of ear.keys) {
      const name = nameOf(key);
      const ears = this.#ears.get(name);
      ears?.delete(ear);
      if (ears?.size === 0) this.#ears.delete(name);
    }
    if (--this.#earCount > 0) return;
    this.#unwatchFile?.();
    this.#unwatchFile = null;
    this.#fileTimer?.cancel();
    this.#fileTimer = null;
    this.#secondLook?.cancel();
    this.#secondLook = null;
  }

  #wakeAll(): void {
    const ears = new Set<Ear>();
    for (const some of this.#ears.values()) for (const ear of some) ears.add(ear);
    for (const ear of ears) ear.wake();
  }

  #fileChanged(): void {
    if (this.#fileTimer !== null || this.#earCount === 0) return;
    this.#wakeAll();
    // Looking costs each listener a read: many of them look less often.
    const pauseMs = Math.max(FILE_PAUSE_MS, this.#earCount * FILE_PAUSE_MS_EACH);
    this.#fileTimer = this.#clock.timer(pauseMs, () => this.#fileTimer = null);
    this.#secondLook?.cancel();
    this.#secondLook = this.#clock.timer(SECOND_LOOK_MS, () => this.#wakeAll());
  }

  /** Follows a few keys over the connection. A stream may end, fail, or die without a word: it is renewed in each case. */
  async #follow(keys: readonly Key[], wake: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const renewed = new AbortController();
      const end = () => renewed.abort();
      signal.addEventListener("abort", end, { once: true });
      const timer = this.#clock.timer(WATCH_RENEW_MS, end);
      try {
        const reader = this.#kv.watch(keys, { raw: true }).getReader();
        const stop = () => void reader.cancel().catch(() => {});
        renewed.signal.addEventListener("abort", stop, { once: true });
        if (renewed.signal.aborted) stop();
        while (!(await reader.read()).done) wake();
      } catch {
        // As if it had ended; the poll behind every wait bridges the gap.
      } finally {
        timer.cancel();
        signal.removeEventListener("abort", end);
      }
      if (!signal.aborted && !renewed.signal.aborted) {
        await sleep(this.#clock, WATCH_PAUSE_MS, signal);
      }
    }
  }

  /** Ends what still listens. */
  close(): void {
    for (const streams of this.#streams) streams.abort();
    for (const ears of [...this.#ears.values()]) for (const ear of [...ears]) this.#forget(ear);
  }
}

function nameOf(key: Key): string {
  return JSON.stringify(key, (_, part) => typeof part === "bigint" ? `${part}n` : part);
}
