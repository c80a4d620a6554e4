/**
 * A map whose keys can be read in their order: a list of sorted runs, beside a plain map for single
 * keys.
 *
 * Keys that arrive in order, as Taskkit's do, fill run after run to the brim; a run that is full in
 * the middle splits. A million keys make some two thousand runs, so an insertion moves a few
 * hundred entries at most.
 *
 * @module
 */

const RUN_LENGTH_MAX = 512;

interface Run<V> {
  readonly keys: string[];
  readonly values: V[];
}

/** A map from strings, ordered by their UTF-16 code units. */
export class OrderedMap<V> {
  readonly #values = new Map<string, V>();
  readonly #runs: Run<V>[] = [];

  /** How many entries there are. */
  get size(): number {
    return this.#values.size;
  }

  /** The value of a key. */
  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  /** The value of the smallest key, or undefined if there is none. */
  first(): V | undefined {
    return this.#runs[0]?.values[0];
  }

  /** Puts a value in the place of the one before, if there is one. */
  set(key: string, value: V): void {
    const isNew = !this.#values.has(key);
    this.#values.set(key, value);
    const runIndex = this.#runOf(key);
    const run = this.#runs[runIndex];
    if (run === undefined) {
      this.#runs.push({ keys: [key], values: [value] });
      return;
    }
    const index = lowerBound(run.keys, key);
    if (!isNew) {
      run.values[index] = value;
      return;
    }
    if (run.keys.length >= RUN_LENGTH_MAX) {
      this.#split(runIndex, index);
      // One of the two halves has room now.
      this.#values.delete(key);
      this.set(key, value);
      return;
    }
    if (index === run.keys.length) {
      run.keys.push(key);
      run.values.push(value);
    } else {
      run.keys.splice(index, 0, key);
      run.values.splice(index, 0, value);
    }
  }

  /** Takes a key out; false if it was not there. */
  delete(key: string): boolean {
    if (!this.#values.delete(key)) return false;
    const runIndex = this.#runOf(key);
    const run = this.#runs[runIndex] as Run<V>;
    const index = lowerBound(run.keys, key);
    run.keys.splice(index, 1);
    run.values.splice(index, 1);
    if (run.keys.length === 0) this.#runs.splice(runIndex, 1);
    return true;
  }

  /**
   * At most `limit` values of the keys from `start` (included) to `end` (excluded), in order or in
   * reverse.
   */
  range(start: string, end: string, limit = Infinity, reverse = false): V[] {
    const found: V[] = [];
    if (start >= end) return found;
    if (reverse) {
      let runIndex = this.#runOf(end);
      let run = this.#runs[runIndex];
      let index = run === undefined ? 0 : lowerBound(run.keys, end);
      while (run !== undefined && found.length < limit) {
        if (index === 0) {
          run = this.#runs[--runIndex];
          index = run?.keys.length ?? 0;
          continue;
        }
        index--;
        if ((run.keys[index] as string) < start) break;
        found.push(run.values[index] as V);
      }
      return found;
    }
    let runIndex = this.#runOf(start);
    let run = this.#runs[runIndex];
    let index = run === undefined ? 0 : lowerBound(run.keys, start);
    while (run !== undefined && found.length < limit) {
      if (index === run.keys.length) {
        run = this.#runs[++runIndex];
        index = 0;
        continue;
      }
      if ((run.keys[index] as string) >= end) break;
      found.push(run.values[index] as V);
      index++;
    }
    return found;
  }

  /** The index of the last run whose first key is not above `key`, or 0. */
  #runOf(key: string): number {
    const runs = this.#runs;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((runs[middle] as Run<V>).keys[0] as string) <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }

  /**
   * Makes two runs of a full one: at the end if that is where the next key goes, else in the
   * middle.
   */
  #split(runIndex: number, nextIndex: number): void {
    const run = this.#runs[runIndex] as Run<V>;
    const at = nextIndex === run.keys.length ? nextIndex - 1 : run.keys.length >>> 1;
    this.#runs.splice(runIndex + 1, 0, {
      keys: run.keys.splice(at),
      values: run.values.splice(at),
    });
  }
}

/** The index of the first key that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
