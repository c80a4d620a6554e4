/**
 * How many tests a part ran, read from what it printed.
 *
 * @module
 */

/** Tests by how they ended. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** How a test runner counts at the end of its output. */
export type Runner = "deno" | "bun";

/** Nothing ran. */
export const NONE: Counts = { passed: 0, failed: 0, skipped: 0 };

// deno-lint-ignore no-control-regex -- colours begin with the escape character
const COLOUR = /\x1b\[[0-9;]*m/g;
const DENO_END =
  /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored)?/gm;
const BUN_END = /^Ran \d+ tests? across \d+ files?/gm;
const BUN_LINE = /^ *(\d+) (pass|fail|skip|todo|errors?)$/gm;

/** The sum of counts. */
export function sum(all: readonly Counts[]): Counts {
  return all.reduce((left, right) => ({
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  }), NONE);
}

/** Counts as the closing line that people and machines read. */
export function plainLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function last<T>(items: Iterable<T>): T | undefined {
  return [...items].at(-1);
}

function readDeno(output: string): Counts | null {
  const end = last(output.matchAll(DENO_END));
  if (end === undefined) return null;
  const [, passed, failed, skipped] = end;
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped ?? 0) };
}

function readBun(output: string): Counts | null {
  const end = last(output.matchAll(BUN_END));
  if (end === undefined) return null;
  // The counts are the lines right above the end; what a test printed further up may look the same.
  const lines = output.slice(0, end.index).trimEnd().split("\n");
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (let line = lines.pop(); line !== undefined; line = lines.pop()) {
    const [match] = line.matchAll(BUN_LINE);
    if (match === undefined) {
      if (/^ *\d+ expect\(\) calls?$/.test(line)) continue;
      break;
    }
    const [, amount, kind = ""] = match;
    if (kind === "pass") counts.passed += Number(amount);
    else if (kind === "skip" || kind === "todo") counts.skipped += Number(amount);
    else counts.failed += Number(amount);
  }
  return counts;
}

/** What a test runner counted at the end of `output`, or null where it did not come to count. */
export function readCounts(runner: Runner, output: string): Counts | null {
  const plain = output.replaceAll(COLOUR, "");
  return runner === "bun" ? readBun(plain) : readDeno(plain);
}
