/**
 * How late schedule points fire on an idle worker: from the point to the task in the database, and to the start of its
 * handler. Two shapes: one entry that fires every 200 ms, and 100 entries with the same point, once a second.
 *
 * The promise is 100 ms; nothing here fails for being slower.
 *
 * @module
 */

import { IntervalSchedule, Kit, type ScheduleEntry, type Task, TaskHandler } from "../../mod.ts";

/** Milliseconds after the point. */
interface Lateness {
  readonly created: number[];
  readonly started: number[];
}

class Late extends TaskHandler {
  readonly lateness: Lateness = { created: [], started: [] };
  readonly #enough = Promise.withResolvers<void>();
  readonly #count: number;

  constructor(count: number) {
    super();
    this.#count = count;
  }

  get enough(): Promise<void> {
    return this.#enough.promise;
  }

  override handle(task: Task): void {
    const now = Date.now();
    const pointMs = task.scheduled?.getTime() ?? now;
    this.lateness.created.push(task.created.getTime() - pointMs);
    this.lateness.started.push(now - pointMs);
    if (this.lateness.started.length === this.#count) this.#enough.resolve();
  }
}

/** Fires `points` points of each of `entries` entries. */
async function measure(
  kv: string,
  { entries, every, points }: { entries: number; every: string; points: number },
): Promise<Lateness> {
  const handler = new Late(entries * points);
  await using kit = await Kit.open({ kv, handler });
  const schedule = new IntervalSchedule(every);
  const main = Array.from({ length: entries }, (_, i): ScheduleEntry => ({
    key: `e${i}`,
    group: "a",
    name: "noop",
    schedule,
  }));
  await using _worker = await kit.startWorker({ groups: { a: 100 }, schedules: { main } });
  await handler.enough;
  return handler.lateness;
}

/** Measures and prints; returns how many lines it printed. */
export async function benchLateness(newFile: () => string, isShort: boolean): Promise<number> {
  const cases = [
    { name: "a point every 200 ms", entries: 1, every: "200ms", points: isShort ? 10 : 100 },
    { name: "100 entries, the same point", entries: 100, every: "1s", points: isShort ? 2 : 10 },
  ];
  for (const { name, ...shape } of cases) {
    const { created, started } = await measure(newFile(), shape);
    console.log(
      `${`${name}, late by`.padEnd(42)} task ${line(created)}   handler ${line(started)}`,
    );
  }
  return cases.length;
}

function line(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${sorted.at(-1)} ms`;
}
