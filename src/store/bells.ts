/**
 * Doorbells: who waits for a key to change is woken, from three sides:
 *
 * - in this process, at once, by whoever committed the change (`ring`);
 * - by a watch on the log of the SQLite file, from everybody on this machine, where the database is a file we opened: it
 *   tells of every commit, so those keys are read whose change somebody waits for, and only who waits for one that did
 *   change is woken;
 * - by `watch` over the connection otherwise: KV Connect, and a KV that was passed open.
 *
 * All three are hints: they coalesce, come early, or not at all. Whoever waits looks for itself, and polls.
 *
 * @module
 */

import { type Clock, sleep } from "../core/clock.ts";
import {
  KV_GET_MANY_KEYS_MAX,
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

/** Who waits for a change of a key, and the version at which it was seen last; unknown at first. */
interface Bell {
  readonly key: Key;
  readonly ears: Set<Ear>;
  version?: string | null;
}

/** A change of the file may be told before the commit can be seen: look at once, and again until it is this old. */
const VISIBLE_MS = 10;
/** Between the first look and the second, which sees most commits. */
const SECOND_LOOK_MS = 2;
/** Between later looks; under load every commit of every process is a change. */
const LOOK_PAUSE_MS = 5;
const LOOK_PAUSE_MS_EACH = 0.2;

/** The doorbells of one connection. */
export class Bells {
  readonly #kv: KvPort;
  readonly #clock: Clock;
  readonly #hints: Hints;
  readonly #bells = new Map<string, Bell>();
  #unwatchFile: (() => void) | null = null;
  #changedAt = -Infinity;
  #looking: AbortController | null = null;
  readonly #streams = new Set<AbortController>();

  constructor(kv: KvPort, clock: Clock, hints: Hints) {
    this.#kv = kv;
    this.#clock = clock;
    this.#hints = hints;
  }

  /** Wakes whoever in this process listens to one of the keys. */
  ring(keys: Iterable<Key>): void {
    if (this.#bells.size === 0) return;
    for (const key of keys) {
      for (const ear of this.#bells.get(nameOf(key))?.ears ?? []) ear.wake();
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
      const bell: Bell = this.#bells.get(name) ?? { key, ears: new Set() };
      bell.ears.add(ear);
      this.#bells.set(name, bell);
    }
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
      const bell = this.#bells.get(name);
      bell?.ears.delete(ear);
      if (bell?.ears.size === 0) this.#bells.delete(name);
    }
    if (this.#bells.size > 0) return;
    this.#unwatchFile?.();
    this.#unwatchFile = null;
    this.#looking?.abort();
  }

  #fileChanged(): void {
    this.#changedAt = this.#clock.monotonic();
    // One that is being ended looks at what was listened to before.
    if (this.#looking === null || this.#looking.signal.aborted) void this.#lookAround();
  }

  /** Looks until the last change of the file is old enough to have been seen. */
  async #lookAround(): Promise<void> {
    const looking = this.#looking = new AbortController();
    for (let n = 0; !looking.signal.aborted; n++) {
      const lookedAt = this.#clock.monotonic();
      try {
        await this.#look();
      } catch {
        // The poll behind every wait bridges the gap.
      }
      if (lookedAt - this.#changedAt > VISIBLE_MS) break;
      const pauseMs = n === 0 ? SECOND_LOOK_MS : LOOK_PAUSE_MS;
      const eachMs = this.#bells.size * LOOK_PAUSE_MS_EACH;
      await sleep(this.#clock, Math.max(pauseMs, eachMs), looking.signal);
    }
    if (this.#looking === looking) this.#looking = null;
  }

  /** Reads every key that somebody listens to, and wakes those whose key has changed since it was read last. */
  async #look(): Promise<void> {
    const bells = [...this.#bells.values()];
    for (let i = 0; i < bells.length; i += KV_GET_MANY_KEYS_MAX) {
      const some = bells.slice(i, i + KV_GET_MANY_KEYS_MAX);
      const entries = await this.#kv.getMany(some.map(({ key }) => key));
      for (const [n, bell] of some.entries()) {
        const version = entries[n]?.versionstamp ?? null;
        if (bell.version === version) continue;
        bell.version = version;
        for (const ear of bell.ears) ear.wake();
      }
    }
  }

  /** Follows a few keys over the connection. A stream may end, fail, or die without a word: it is renewed in each case. */
  async #follow(keys: readonly Key[], wake: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const renewed = new AbortController();
      const end = () => renewed.abort();
      signal.addEventListener("abort", end, { once: true });
      const timer = this.#clock.timer(WATCH_RENEW_MS, end);
      try {
        // Raw: otherwise the npm client reads events in a promise that nobody awaits, and a server that goes away ends the
        // process by an unhandled rejection.
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
    for (const { ears } of [...this.#bells.values()]) {
      for (const ear of [...ears]) this.#forget(ear);
    }
  }
}

/** Told apart well enough for a hint. */
function nameOf(key: Key): string {
  return key.join("\0");
}
