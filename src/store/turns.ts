/**
 * Turns: processes that write the same SQLite file hard go one after another instead of in each other's way.
 *
 * SQLite does not let a commit wait that was overtaken while it read: it refuses it with `database is locked`, and all its
 * work is lost; and whoever follows another process's commit begins with an empty page cache. So once a commit was refused
 * that way, claims, settles and bulks are made in turns of a few milliseconds, several commits each. A turn belongs to the
 * process that made the file `…-turn` beside the database.
 *
 * A turn is a courtesy and protects nothing: whatever it lets through is safe by the checks of its own commit. So a turn
 * whose file has stood for too long (its process was killed or stopped) is simply taken over, and where no such file can
 * be made, or only one process writes, everything goes on without.
 *
 * @module
 */

import { closeSync, openSync, statSync, unlinkSync } from "node:fs";
import { type Clock, sleep, type Timer } from "../core/clock.ts";
import {
  TURN_LINGER_MS,
  TURN_LOOK_MS,
  TURN_MS,
  TURN_PAUSE_MS,
  TURN_STALE_MS,
  TURNS_KEPT_MS,
} from "../core/limits.ts";

/** The file that one process at a time makes. */
export interface TurnFile {
  /** Makes it. False if it is there already; null if it cannot be made at all. */
  make(): boolean | null;
  /** When it was made; null if it is not there. */
  stamp(): number | null;
  remove(): void;
}

/** The turns of one connection. */
export class Turns {
  readonly #file: TurnFile | null;
  readonly #clock: Clock;
  #overtakenAt = -Infinity;
  /** When our turn began; null while it is not ours. */
  #beganAt: number | null = null;
  #endedAt = -Infinity;
  /** How long we waited for our last turn. */
  #waitedMs = 0;
  #acts = 0;
  #lingering: Timer | null = null;
  #entering: Promise<void> | null = null;
  #ended: PromiseWithResolvers<void> | null = null;
  #isClosed = false;

  /** Without a file nobody waits for anybody. */
  constructor(file: TurnFile | null, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /** Another process was in the way: for a while there are turns. */
  overtaken(): void {
    this.#overtakenAt = this.#clock.monotonic();
  }

  /** Acts in a turn of ours, together with whatever else does; at once if nobody was in the way lately. Never within another act. */
  async take<T>(act: () => Promise<T>): Promise<T> {
    if (this.#file === null || !(await this.#enter(this.#file))) return await act();
    try {
      return await act();
    } finally {
      this.#leave(this.#file);
    }
  }

  /** Ends our turn. */
  close(): void {
    this.#isClosed = true;
    if (this.#file !== null) this.#end(this.#file);
  }

  /** Joins our turn, or waits for the next. False if there are no turns. */
  async #enter(file: TurnFile): Promise<boolean> {
    while (!this.#isClosed) {
      const now = this.#clock.monotonic();
      if (this.#beganAt === null) {
        if (now - this.#overtakenAt > TURNS_KEPT_MS) return false;
        await (this.#entering ??= this.#begin(file).finally(() => this.#entering = null));
      } else if (now - this.#beganAt < TURN_MS) {
        this.#acts++;
        return true;
      } else {
        await (this.#ended ??= Promise.withResolvers()).promise;
      }
    }
    return false;
  }

  /** Waits until the turn is ours, or there are none any more. */
  async #begin(file: TurnFile): Promise<void> {
    // Others have waited about as long as we did; those that have waited longest go first.
    const pauseMs = Math.max(TURN_PAUSE_MS, this.#waitedMs / 2);
    const restMs = this.#endedAt + pauseMs - this.#clock.monotonic();
    if (restMs > 0) await sleep(this.#clock, restMs);
    const cameAt = this.#clock.monotonic();
    let seen: number | null = null;
    let seenAt = cameAt;
    while (!this.#isClosed) {
      const isMade = file.make();
      const now = this.#clock.monotonic();
      if (isMade === null) this.#overtakenAt = -Infinity;
      if (isMade === true) this.#beganAt = now;
      this.#waitedMs = now - cameAt;
      if (isMade !== false) return;
      this.#overtakenAt = now;
      const stamp = file.stamp();
      if (stamp !== seen) [seen, seenAt] = [stamp, now];
      else if (now - seenAt > TURN_STALE_MS) file.remove();
      await sleep(this.#clock, TURN_LOOK_MS);
    }
  }

  /** Our turn ends with its last act once its time is over; or when nothing follows soon. */
  #leave(file: TurnFile): void {
    this.#acts--;
    if (this.#acts > 0 || this.#beganAt === null) return;
    if (this.#clock.monotonic() - this.#beganAt >= TURN_MS) return this.#end(file);
    this.#lingering?.cancel();
    this.#lingering = this.#clock.timer(TURN_LINGER_MS, () => {
      if (this.#acts === 0) this.#end(file);
    });
  }

  #end(file: TurnFile): void {
    this.#lingering?.cancel();
    if (this.#beganAt !== null) file.remove();
    this.#beganAt = null;
    this.#endedAt = this.#clock.monotonic();
    this.#ended?.resolve();
    this.#ended = null;
  }
}

/** The file beside a database whose maker's turn it is. */
export function turnFileOf(path: string): TurnFile {
  const file = `${path}-turn`;
  return {
    make() {
      try {
        closeSync(openSync(file, "wx"));
        return true;
      } catch (error) {
        const isThere = error instanceof Error && "code" in error && error.code === "EEXIST";
        return isThere ? false : null;
      }
    },
    stamp: () => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null,
    remove() {
      try {
        unlinkSync(file);
      } catch {
        // Another process took it over, and has ended its turn.
      }
    },
  };
}
