/**
 * Which attempts have to answer for the end of their thread.
 *
 * @module
 */

/** What is known of an end. */
export interface End {
  /** The attempt that was named: 0 for one that had ended before, null if none was named. */
  readonly named: number | null;
  /** The attempt that held the thread; 0 if none is known. */
  readonly holder: number;
  /** The attempts that had begun and not ended. */
  readonly begun: readonly number[];
}

/**
 * The attempts to blame. The one that was named, else the one that held the thread, else the only one; if it cannot be
 * told, all of them: to spare the culprit would let it end threads for ever.
 */
export function toBlame({ named, holder, begun }: End): readonly number[] {
  if (named === 0) return [];
  if (named !== null && begun.includes(named)) return [named];
  if (begun.includes(holder)) return [holder];
  return begun;
}
