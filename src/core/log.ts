/**
 * What a worker tells: plain entries, given to a function of the caller's.
 *
 * @module
 */

/** How important an entry is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** All levels, the least important first. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** One entry of the log. `event` is stable and machine-readable, `message` is for people. */
export interface LogEntry {
  /** How important it is. */
  readonly level: LogLevel;
  /** What happened, as a stable name such as `"task.succeeded"`. */
  readonly event: string;
  /** What happened, for people. */
  readonly message: string;
  /** Wall clock, epoch milliseconds. */
  readonly at: number;
  /** The task it is about. */
  readonly task?: string;
  /** Its group. */
  readonly group?: string;
  /** Its name. */
  readonly name?: string;
  /** Its attempt. */
  readonly attempt?: number;
  /** How long it took, in milliseconds. */
  readonly ms?: number;
  /** More, as plain data. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** Receives every entry. It must not throw; if it does, the entry is lost and nothing else. */
export type Log = (entry: LogEntry) => void;

/** Calls `log`, and keeps its exceptions away from the worker. */
export function guarded(log: Log): Log {
  return (entry) => {
    try {
      const told: unknown = log(entry);
      // One that is asynchronous after all may reject, which would end the process.
      if (told instanceof Promise) told.catch(() => {});
    } catch {
      // A log that throws must not stop the worker that told it something.
    }
  };
}
