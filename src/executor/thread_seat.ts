/**
 * A thread of a pool with the attempts it was given: those that it has begun, and those that can still be taken back.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { THREAD_JOBS_MAX } from "../core/limits.ts";
import { type Command, compact, packReason } from "./protocol.ts";
import type { Submitted } from "./submitted.ts";
import type { Thread } from "./thread_handle.ts";

/** An attempt that a thread was given. */
export interface Given {
  readonly attempt: Submitted;
  /** Since when, by the monotonic clock. */
  readonly sinceMs: number;
  /** Where in the shared memory the thread takes it; see `claims.ts`. */
  readonly claim: number;
}

/** A thread and its attempts. */
export class ThreadSeat {
  readonly thread: Thread;
  readonly #clock: Clock;
  readonly #given = new Map<number, Given>();
  #outbox: Command[] = [];
  #askedMs: number | null = null;

  constructor(thread: Thread, clock: Clock) {
    this.thread = thread;
    this.#clock = clock;
  }

  /** How many attempts it has. */
  get size(): number {
    return this.#given.size;
  }

  /** How busy it is: by its attempts, more if one of them holds it, and most if it does not answer. */
  get load(): number {
    return this.size + (this.holder === 0 ? 0 : 0.5) +
      (this.#askedMs === null ? 0 : THREAD_JOBS_MAX);
  }

  /** The attempt that holds it, as far as is known; 0 if none is known. */
  get holder(): number {
    return this.thread.claims.holder();
  }

  /** When it was asked for a sign of life; null while it owes none. */
  get askedMs(): number | null {
    return this.#askedMs;
  }

  /** Its attempts, in the order in which it was given them. */
  get attempts(): Submitted[] {
    return [...this.#given.values()].map(({ attempt }) => attempt);
  }

  /** Its attempt of this number. */
  find(n: number): Submitted | undefined {
    return this.#given.get(n)?.attempt;
  }

  /** Gives it an attempt. Says whether there was room. */
  offer(attempt: Submitted): boolean {
    const { n, job: { task }, hooks: { signal, onBegin } } = attempt;
    const claim = this.thread.claims.offer(n);
    if (claim === null) return false;
    this.#given.set(n, { attempt, claim, sinceMs: this.#clock.monotonic() });
    this.#send({
      kind: "run",
      n,
      claim,
      isTimed: onBegin !== undefined,
      aborted: signal.aborted ? packReason(signal.reason) : null,
      task: { ...task, data: compact(task.data) },
    });
    return true;
  }

  /** Takes an attempt back that it has not begun. Says whether that worked. */
  withdraw({ n }: Submitted): boolean {
    const given = this.#given.get(n);
    if (given === undefined || !this.thread.claims.withdraw(given.claim, n)) return false;
    this.#remove(given);
    return true;
  }

  /** Passes on that an attempt which it has begun is aborted. */
  abort({ n, hooks: { signal } }: Submitted): void {
    this.#send({ kind: "abort", n, reason: packReason(signal.reason) });
  }

  /** An attempt of it has ended. */
  release({ n }: Submitted): void {
    const given = this.#given.get(n);
    if (given !== undefined) this.#remove(given);
  }

  /** The attempts that it has not begun, in the order in which it was given them. */
  waiting(): Given[] {
    return [...this.#given.values()].filter((given) => !this.#hasBegun(given));
  }

  /** The first of them. */
  firstWaiting(): Given | null {
    for (const given of this.#given.values()) if (!this.#hasBegun(given)) return given;
    return null;
  }

  /** Asks it for a sign of life, unless it owes one. */
  ask(): void {
    if (this.#askedMs !== null) return;
    this.#askedMs = this.#clock.monotonic();
    this.#send({ kind: "ping" });
  }

  /** It gave a sign of life. */
  answered(): void {
    this.#askedMs = null;
  }

  #hasBegun({ attempt, claim }: Given): boolean {
    return this.thread.claims.hasBegun(claim, attempt.n);
  }

  #remove({ attempt, claim }: Given): void {
    this.#given.delete(attempt.n);
    this.thread.claims.release(claim);
  }

  /** Commands of one turn go as one message: that is twice as fast for small attempts. */
  #send(command: Command): void {
    if (this.#outbox.length === 0) {
      queueMicrotask(() => {
        this.thread.post(this.#outbox);
        this.#outbox = [];
      });
    }
    this.#outbox.push(command);
  }
}
