/**
 * Which jobs of a thread have begun, in memory that worker and thread share. A thread that computes reads no messages, so
 * the jobs behind it must be taken away without its help, and never be run twice:
 *
 * - The worker offers a job by writing its number into a free cell.
 * - The thread takes it by exchanging the number for its negative, just before it runs it.
 * - The worker takes it back by exchanging the number for 0. Whoever exchanges first has it.
 *
 * Cell 0 holds the number of the job whose handler runs right now and has not yet waited for anything; 0 if there is none.
 *
 * @module
 */

import { assert } from "@std/assert";
import { THREAD_JOBS_MAX } from "../core/limits.ts";

const NOW = 0;

/** Numbers of jobs stay within an Int32. */
export const JOB_NUMBER_MAX = 2 ** 31 - 2;

/** The shared memory of one thread, seen from either side. */
export class Claims {
  readonly #cells: Int32Array;
  readonly #free: number[] = [];

  constructor(memory = new SharedArrayBuffer((THREAD_JOBS_MAX + 1) * 4)) {
    this.#cells = new Int32Array(memory);
    for (let cell = this.#cells.length - 1; cell > NOW; cell--) this.#free.push(cell);
  }

  /** What is sent to the thread. */
  get memory(): SharedArrayBuffer {
    const { buffer } = this.#cells;
    assert(buffer instanceof SharedArrayBuffer, "claims lie in shared memory");
    return buffer;
  }

  // ── The worker's side ──

  /** Offers a job and returns its cell; null if there is no room. */
  offer(n: number): number | null {
    const cell = this.#free.pop();
    if (cell === undefined) return null;
    Atomics.store(this.#cells, cell, n);
    return cell;
  }

  /** Takes a job back that has not begun. Says whether that worked. */
  withdraw(cell: number, n: number): boolean {
    return Atomics.compareExchange(this.#cells, cell, n, 0) === n;
  }

  /** Whether an offered job has begun. */
  hasBegun(cell: number, n: number): boolean {
    return Atomics.load(this.#cells, cell) === -n;
  }

  /** The cell of a job that ended or was withdrawn may be used again. */
  release(cell: number): void {
    this.#free.push(cell);
  }

  /** The job that holds the thread, as far as is known; 0 if none is known. */
  holder(): number {
    return Atomics.load(this.#cells, NOW);
  }

  // ── The thread's side ──

  /** Takes an offered job. Says whether it is still on offer. */
  begin(cell: number, n: number): boolean {
    return Atomics.compareExchange(this.#cells, cell, n, -n) === n;
  }

  /** Says which job's handler is about to run; 0 once it has returned or waits. */
  hold(n: number): void {
    Atomics.store(this.#cells, NOW, n);
  }
}
