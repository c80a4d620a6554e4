/**
 * Every error that Taskkit throws on purpose. Each extends {@linkcode TaskkitError} and carries a stable `code`.
 *
 * @module
 */

/** What the stored form of an error keeps: plain, bounded data. */
export interface StoredError {
  /** The class or `name` of the error. */
  readonly name: string;
  /** Its message, at most 2 KB. */
  readonly message: string;
  /** Its `code`, where it had one. */
  readonly code?: string;
  /** The first lines of its stack. */
  readonly stack?: string;
}

/** The stable codes of {@linkcode TaskkitError}. */
export type ErrorCode =
  | "INVALID_ARGUMENT"
  | "INVALID_DATA"
  | "DATA_TOO_LARGE"
  | "HANDLER_INVALID"
  | "KV_UNAVAILABLE"
  | "KIT_CLOSED"
  | "NEWER_VERSION"
  | "CORRUPT_RECORD"
  | "OUTCOME_UNKNOWN"
  | "CONFLICT"
  | "TASK_NOT_FOUND"
  | "TASK_FAILED"
  | "TASK_DISCARDED"
  | "TASK_CANCELLED"
  | "TASK_TIMED_OUT"
  | "TASK_POISONED"
  | "EXECUTOR_LOST"
  | "LEASE_LOST"
  | "WORKER_STOPPING"
  | "RESULT_GET_TIMED_OUT"
  | "RESULT_GET_PREVENTED"
  | "DISCARD_TASK"
  | "UNKNOWN_TASK"
  | "INVALID_SCHEDULE"
  | "UNSUPPORTED";

/**
 * The base of all errors that Taskkit throws on purpose. What a handler of yours throws is yours.
 *
 * @example Tell errors apart by their code
 * ```ts
 * import { Kit, TaskkitError } from "@taskkit/taskkit";
 *
 * try {
 *   await Kit.open({ kv: "" });
 * } catch (error) {
 *   if (!(error instanceof TaskkitError)) throw error;
 *   console.log(error.code); // INVALID_ARGUMENT
 * }
 * ```
 */
export class TaskkitError extends Error {
  /** A stable, machine-readable name of what went wrong. */
  readonly code: ErrorCode;

  /** Builds an error with a stable code. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * An argument that cannot be used: a name, an option, a duration, a date. The message says what can
 * be. `INVALID_ARGUMENT`
 *
 * @example A due time in words that mean nothing here
 * ```ts
 * import { InvalidArgument, Kit } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * try {
 *   await kit.initiateTask("mail", "greet", "Ada", { due: "tomorrow" });
 * } catch (error) {
 *   if (!(error instanceof InvalidArgument)) throw error;
 *   // 'Cannot read due: "tomorrow" is no duration; write milliseconds or text such as "90s", …'
 *   console.log(error.message.includes('such as "90s"')); // true
 * }
 * const result = await kit.initiateTask("mail", "greet", "Ada", { due: "1d" });
 * console.log((await kit.getTask(result.id)).state); // queued
 * ```
 */
export class InvalidArgument extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("INVALID_ARGUMENT", message, options);
  }
}

/**
 * Data or a result that cannot be encoded or decoded, does not fit its schema (`INVALID_DATA`), or
 * has more than 1 MiB (`DATA_TOO_LARGE`).
 *
 * @example What is too large is kept elsewhere, and the task told where
 * ```ts
 * import { InvalidData, Kit } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * const upload = { path: "uploads/film.mp4", bytes: new Uint8Array(2 * 1024 ** 2) };
 * try {
 *   await kit.initiateTask("films", "convert", upload.bytes);
 * } catch (error) {
 *   if (!(error instanceof InvalidData) || error.code !== "DATA_TOO_LARGE") throw error;
 *   await kit.initiateTask("films", "convert", { path: upload.path });
 * }
 * console.log((await kit.listTasks()).tasks.length); // 1
 * ```
 */
export class InvalidData extends TaskkitError {
  /** Builds the error from its message. */
  constructor(
    message: string,
    options?: ErrorOptions & { code?: "INVALID_DATA" | "DATA_TOO_LARGE" },
  ) {
    super(options?.code ?? "INVALID_DATA", message, options);
  }
}

/**
 * A schedule that cannot be used: it has a bad field, or never fires. Found out when the schedule
 * is built, not when it should have fired. `INVALID_SCHEDULE`
 *
 * @example February has no 31st
 * ```ts
 * import { CronSchedule, InvalidSchedule } from "@taskkit/taskkit";
 *
 * try {
 *   new CronSchedule("0 12 31 2 *");
 * } catch (error) {
 *   if (!(error instanceof InvalidSchedule)) throw error;
 *   // 'Cannot create a CronSchedule: "0 12 31 2 *" would never fire, for no day matches it'
 *   console.log(error.code); // INVALID_SCHEDULE
 * }
 * const lastDay = new CronSchedule("0 12 L 2 *");
 * console.log(lastDay.next(Date.UTC(2028, 0, 1), "UTC") === Date.UTC(2028, 1, 29, 12)); // true
 * ```
 */
export class InvalidSchedule extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("INVALID_SCHEDULE", message, options);
  }
}

/**
 * A handler module that cannot be loaded or has no usable default export, or a handler that is
 * none. `HANDLER_INVALID`
 *
 * @example A module that is not there
 * ```ts
 * import { HandlerInvalid, Kit } from "@taskkit/taskkit";
 *
 * try {
 *   await Kit.open({
 *     kv: ":memory:",
 *     handler: new URL("./no_such_handler.ts", import.meta.url), // relative to this file
 *   });
 * } catch (error) {
 *   if (!(error instanceof HandlerInvalid)) throw error;
 *   console.log(error.message.includes("no_such_handler.ts")); // true
 * }
 * ```
 */
export class HandlerInvalid extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("HANDLER_INVALID", message, options);
  }
}

/**
 * The database cannot be opened, read or written; the message says what to do. Workers do not stop
 * for it: they try again until the database is back. `KV_UNAVAILABLE`
 *
 * @example A folder that does not exist
 * ```ts
 * import { Kit, KvUnavailable } from "@taskkit/taskkit";
 *
 * try {
 *   await Kit.open({ kv: "no/such/folder/tasks.db" });
 * } catch (error) {
 *   if (!(error instanceof KvUnavailable)) throw error;
 *   console.log(error.message.includes("make it first")); // true
 * }
 * ```
 */
export class KvUnavailable extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("KV_UNAVAILABLE", message, options);
  }
}

/**
 * The Kit was closed, before the call or while it waited. `KIT_CLOSED`
 *
 * @example A Kit that closes while somebody waits
 * ```ts
 * import { Kit, KitClosed } from "@taskkit/taskkit";
 *
 * const kit = await Kit.open({ kv: ":memory:" });
 * const result = await kit.initiateTask("mail", "greet", "Ada");
 * const waiting = result.get().catch((error) => error instanceof KitClosed);
 * await kit.close();
 * console.log(await waiting); // true; the task itself stays where it is
 * ```
 */
export class KitClosed extends TaskkitError {
  /** Builds the error for the call that came too late. */
  constructor(act: string) {
    super("KIT_CLOSED", `Cannot ${act}: the Kit is closed`);
  }
}

/**
 * The runtime cannot do what was asked: processes on Deno Deploy, permissions in Bun. `UNSUPPORTED`
 *
 * @example Processes where they are to be had, else in the worker itself
 * ```ts
 * import { type Kit, type RunningWorker, Unsupported } from "@taskkit/taskkit";
 *
 * async function startAnywhere(kit: Kit): Promise<RunningWorker> {
 *   try {
 *     return await kit.startWorker({ groups: { films: { executor: "process" } } });
 *   } catch (error) {
 *     if (!(error instanceof Unsupported)) throw error;
 *     return await kit.startWorker({ groups: { films: { executor: "inline" } } });
 *   }
 * }
 * ```
 */
export class Unsupported extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("UNSUPPORTED", message, options);
  }
}

/**
 * A record that cannot be read: damaged (`CORRUPT_RECORD`), or written by a newer version of
 * Taskkit (`NEWER_VERSION`). Workers leave such a task alone and go on with the others.
 *
 * @example A task from the future
 * ```ts
 * import { deserialize, serialize } from "node:v8";
 * import { openKv } from "@deno/kv";
 * import { Kit, UnreadableRecord } from "@taskkit/taskkit";
 *
 * const kv = await openKv(":memory:", { encodeV8: serialize, decodeV8: deserialize });
 * {
 *   await using kit = await Kit.open({ kv });
 *   const { id } = await kit.initiateTask("mail", "greet", "Ada");
 *   await kv.set(["taskkit", "task", id], Uint8Array.of(99, 0)); // as later code might
 *   try {
 *     await kit.getTask(id);
 *   } catch (error) {
 *     if (!(error instanceof UnreadableRecord)) throw error;
 *     console.log(error.code); // NEWER_VERSION: update this process; it does no harm until then
 *   }
 * }
 * kv.close();
 * ```
 */
export class UnreadableRecord extends TaskkitError {
  /** Builds the error from its code and message. */
  constructor(code: "CORRUPT_RECORD" | "NEWER_VERSION", message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/**
 * Another writer came first, or the state of things forbids it; trying again changes nothing.
 * `CONFLICT`
 *
 * @example A task that succeeded is not started anew
 * ```ts
 * import { Conflict, defineTask, Kit, tasks } from "@taskkit/taskkit";
 *
 * const greet = defineTask({ group: "mail", name: "greet", run: (to: string) => `hello ${to}` });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([greet]) });
 * const first = await kit.initiateTask(greet, "Ada", { eager: true });
 * try {
 *   await kit.retry(first.id); // is for those that failed, were discarded or cancelled
 * } catch (error) {
 *   if (!(error instanceof Conflict)) throw error;
 *   await kit.initiateTask(greet, "Ada"); // once more is a task of its own
 * }
 * ```
 */
export class Conflict extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("CONFLICT", message, options);
  }
}

/**
 * The database did not say in time whether it applied a write: it may be applied, now or later,
 * once or not at all. `ids` name the tasks that it was about; they are empty for schedules, pauses
 * and the like, where the same call again does no harm. `OUTCOME_UNKNOWN`
 *
 * @example Initiate a task, and find out later what became of it
 * ```ts
 * import { Kit, OutcomeUnknown, TaskNotFound } from "@taskkit/taskkit";
 *
 * async function initiate(kit: Kit, order: number): Promise<string> {
 *   try {
 *     return (await kit.initiateTask("mail", "receipt", { order })).id;
 *   } catch (error) {
 *     if (!(error instanceof OutcomeUnknown)) throw error;
 *     return error.ids[0] ?? ""; // note it: it is the task's id, if there is a task
 *   }
 * }
 * async function exists(kit: Kit, id: string): Promise<boolean> {
 *   try {
 *     await kit.getTask(id);
 *     return true;
 *   } catch (error) {
 *     if (error instanceof TaskNotFound) return false; // so far
 *     throw error;
 *   }
 * }
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * console.log(await exists(kit, await initiate(kit, 7))); // true
 * ```
 */
export class OutcomeUnknown extends TaskkitError {
  /** The tasks that the write was about. */
  readonly ids: readonly string[];

  /** Builds the error from what was tried and the ids it was about. */
  constructor(act: string, ids: readonly string[], options?: ErrorOptions) {
    super(
      "OUTCOME_UNKNOWN",
      `Cannot say whether it was possible to ${act}: the database did not answer in time`,
      options,
    );
    this.ids = ids;
  }
}

/**
 * There is no task with this id, or its ttl has passed. `TASK_NOT_FOUND`
 *
 * @example An outcome that was not kept
 * ```ts
 * import { defineTask, Kit, TaskNotFound, tasks } from "@taskkit/taskkit";
 *
 * const greet = defineTask({ group: "mail", name: "greet", run: (to: string) => `hello ${to}` });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([greet]) });
 * const result = await kit.initiateTask(greet, "Ada", { eager: true, ttl: 0 });
 * try {
 *   await result.get();
 * } catch (error) {
 *   if (!(error instanceof TaskNotFound)) throw error;
 *   console.log(error.id === result.id); // true: who wants the outcome asks for a longer ttl
 * }
 * ```
 */
export class TaskNotFound extends TaskkitError {
  /** The id that was looked for. */
  readonly id: string;

  /** Builds the error for an id. */
  constructor(id: string) {
    super(
      "TASK_NOT_FOUND",
      `Cannot find task "${id}": it was never initiated, or its ttl has passed`,
    );
    this.id = id;
  }
}

/**
 * The task failed for good; `error` is what its last attempt left. `TASK_FAILED`
 *
 * @example Look at the reason, then let it run again
 * ```ts
 * import { defineTask, Kit, TaskFailed, tasks } from "@taskkit/taskkit";
 *
 * let isServerUp = false;
 * const send = defineTask({
 *   group: "mail",
 *   name: "send",
 *   retry: 0,
 *   run: (to: string) => {
 *     if (!isServerUp) throw new RangeError("no mail server");
 *     return `sent to ${to}`;
 *   },
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([send]) });
 * const result = await kit.initiateTask(send, "ada@example.com", { eager: true });
 * try {
 *   await result.get();
 * } catch (error) {
 *   if (!(error instanceof TaskFailed)) throw error;
 *   console.log(`${error.error.name}: ${error.error.message}`); // RangeError: no mail server
 *   isServerUp = true;
 *   await kit.retry(error.id);
 * }
 * await using worker = await kit.startWorker();
 * console.log(await result.get({ timeout: "10s" })); // sent to ada@example.com
 * ```
 */
export class TaskFailed extends TaskkitError {
  /** The task that failed. */
  readonly id: string;
  /** The stored error of the last attempt. */
  readonly error: StoredError;

  /** Builds the error from what is stored. */
  constructor(id: string, error: StoredError) {
    super("TASK_FAILED", `Task "${id}" failed: ${error.name}: ${error.message}`);
    this.id = id;
    this.error = error;
  }
}

/**
 * The task was discarded by its handler; `error` says why. `TASK_DISCARDED`
 *
 * @example A result that is no longer wanted
 * ```ts
 * import { defineTask, DiscardTask, Kit, TaskDiscarded, tasks } from "@taskkit/taskkit";
 *
 * const remind = defineTask({
 *   group: "mail",
 *   name: "remind",
 *   run: ({ isPaid }: { isPaid: boolean }) => {
 *     if (isPaid) throw new DiscardTask("the invoice was paid");
 *   },
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([remind]) });
 * const result = await kit.initiateTask(remind, { isPaid: true }, { eager: true });
 * try {
 *   await result.get();
 * } catch (error) {
 *   if (!(error instanceof TaskDiscarded)) throw error;
 *   console.log(error.error.message); // the invoice was paid
 * }
 * ```
 */
export class TaskDiscarded extends TaskkitError {
  /** The task that was discarded. */
  readonly id: string;
  /** The stored reason. */
  readonly error: StoredError;

  /** Builds the error from what is stored. */
  constructor(id: string, error: StoredError) {
    super("TASK_DISCARDED", `Task "${id}" was discarded: ${error.message}`);
    this.id = id;
    this.error = error;
  }
}

/**
 * The task was cancelled. It rejects `Result.get`; in a handler it is the reason of
 * `context.signal`. `TASK_CANCELLED`
 *
 * @example Cancel a task that somebody waits for
 * ```ts
 * import { Kit, TaskCancelled } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * const result = await kit.initiateTask("mail", "remind", "Ada", { due: "7d" });
 * console.log(await kit.cancel(result.id)); // cancelled
 * try {
 *   await result.get();
 * } catch (error) {
 *   if (!(error instanceof TaskCancelled)) throw error;
 *   console.log(error.id === result.id); // true
 * }
 * ```
 */
export class TaskCancelled extends TaskkitError {
  /** The task that was cancelled. */
  readonly id: string;

  /** Builds the error for an id. */
  constructor(id: string) {
    super("TASK_CANCELLED", `Task "${id}" was cancelled`);
    this.id = id;
  }
}

/**
 * An attempt took longer than its `timeout`: the reason of `context.signal`, and the error that is
 * stored. The handler's rule for retries decides what follows. `TASK_TIMED_OUT`
 *
 * @example A handler that passes its signal on ends in time
 * ```ts
 * import { setTimeout } from "node:timers/promises";
 * import { defineTask, Kit, TaskFailed, tasks } from "@taskkit/taskkit";
 *
 * const slow = defineTask({
 *   group: "web",
 *   name: "slow",
 *   timeout: "20ms",
 *   retry: 0,
 *   run: (_: undefined, { signal }) => setTimeout(3_600_000, "an hour later", { signal }),
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([slow]) });
 * try {
 *   await (await kit.initiateTask(slow, undefined, { eager: true })).get();
 * } catch (error) {
 *   if (!(error instanceof TaskFailed)) throw error;
 *   console.log(error.error.code); // TASK_TIMED_OUT
 * }
 * ```
 */
export class TaskTimedOut extends TaskkitError {
  /** Builds the error from the task's id and its timeout. */
  constructor(id: string, timeoutMs: number) {
    super(
      "TASK_TIMED_OUT",
      `Attempt of task "${id}" took longer than its timeout of ${timeoutMs} ms`,
    );
  }
}

/**
 * The thread or process in which an attempt ran went away: it exited, was killed, or ran out of
 * memory. The error that the rule for retries sees, and that is stored. `EXECUTOR_LOST`
 *
 * @example What brings its process down is tried once more, not ten times
 * ```ts
 * import { defineTask, ExecutorLost, Kit, TaskFailed, tasks } from "@taskkit/taskkit";
 *
 * const render = defineTask({
 *   group: "films",
 *   name: "render",
 *   retry: (task, error) => task.retryCount < (error instanceof ExecutorLost ? 1 : 10) ? 0 : null,
 *   run: (): void => {
 *     throw new ExecutorLost("The process exited with code 137"); // as if it had
 *   },
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([render]) });
 * await using worker = await kit.startWorker({ log: () => {} });
 * const result = await kit.initiateTask(render, undefined);
 * try {
 *   await result.get({ timeout: "10s" });
 * } catch (error) {
 *   if (!(error instanceof TaskFailed)) throw error;
 *   const { attempt } = await kit.getTask(error.id);
 *   console.log(error.error.code, attempt); // EXECUTOR_LOST 2
 * }
 * ```
 */
export class ExecutorLost extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("EXECUTOR_LOST", message, options);
  }
}

/**
 * The worker could not renew its lease, or was declared dead; another one may run the task by now.
 * A reason of `context.signal`; nothing that this attempt still returns is accepted. `LEASE_LOST`
 *
 * @example Clean up after an attempt, but not behind the back of the next one
 * ```ts
 * import { defineTask, Kit, LeaseLost, tasks } from "@taskkit/taskkit";
 *
 * const removed: string[] = [];
 * const unpack = defineTask({
 *   group: "files",
 *   name: "unpack",
 *   run: (archive: string, { signal }) => {
 *     try {
 *       signal.throwIfAborted(); // between its steps
 *       return `${archive}, unpacked`;
 *     } finally {
 *       // What lies there may be the other worker's if the lease was lost.
 *       if (!(signal.reason instanceof LeaseLost)) removed.push(`${archive}.part`);
 *     }
 *   },
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([unpack]) });
 * await (await kit.initiateTask(unpack, "a.zip", { eager: true })).get();
 * console.log(removed.join()); // a.zip.part
 * ```
 */
export class LeaseLost extends TaskkitError {
  /** Builds the error from why the lease was lost. */
  constructor(why: string) {
    super("LEASE_LOST", `The lease of this attempt was lost: ${why}`);
  }
}

/**
 * The worker stops and its grace is over; the attempt is given back and does not count. A reason of
 * `context.signal`. `WORKER_STOPPING`
 *
 * @example A worker that is stopped gives its task back
 * ```ts
 * import { setTimeout } from "node:timers/promises";
 * import { defineTask, Kit, tasks, WorkerStopping } from "@taskkit/taskkit";
 *
 * const started = Promise.withResolvers<void>();
 * const reason = Promise.withResolvers<unknown>();
 * const crawl = defineTask({
 *   group: "web",
 *   name: "crawl",
 *   run: (_: undefined, { signal }) => {
 *     signal.addEventListener("abort", () => reason.resolve(signal.reason));
 *     started.resolve();
 *     return setTimeout(3_600_000, "an hour later", { signal });
 *   },
 * });
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([crawl]) });
 * await using worker = await kit.startWorker({ log: () => {} });
 * const { id } = await kit.initiateTask(crawl, undefined);
 * await started.promise;
 * await worker.stop({ grace: 0 });
 * console.log(await reason.promise instanceof WorkerStopping); // true
 * console.log((await kit.getTask(id)).state); // queued: for the next worker
 * ```
 */
export class WorkerStopping extends TaskkitError {
  /** Builds the error. */
  constructor() {
    super(
      "WORKER_STOPPING",
      "The worker stops and its grace is over: the attempt is given back and does not count",
    );
  }
}

/**
 * The workers that ran the task died three times in a row. The error that is stored, so that the
 * task does not bring down one worker after another. `TASK_POISONED`
 *
 * @example Look for such tasks, and what they were given
 * ```ts
 * import { Kit } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * const { tasks } = await kit.listTasks({ state: "failed" });
 * for (const { id, name, error } of tasks) {
 *   if (error?.code !== "TASK_POISONED") continue;
 *   console.log(id, name, await kit.getTaskData(id));
 *   // Once its group runs in processes (`executor: "process"`), which may die alone: kit.retry(id)
 * }
 * ```
 */
export class TaskPoisoned extends TaskkitError {
  /** Builds the error from the number of workers that were lost. */
  constructor(id: string, lost: number) {
    super(
      "TASK_POISONED",
      `Task "${id}" was given up: ${lost} workers in a row died while they ran it`,
    );
  }
}

/**
 * The task had not ended when `timeout` was over, or (then there is a `cause`) the database could not be read to tell.
 * The task itself goes on. `RESULT_GET_TIMED_OUT`
 *
 * @example Look where it is instead of waiting on
 * ```ts
 * import { Kit, ResultGetTimedOut } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" });
 * const result = await kit.initiateTask("mail", "remind", "Ada", { due: "1d" });
 * try {
 *   await result.get({ timeout: "10ms" });
 * } catch (error) {
 *   if (!(error instanceof ResultGetTimedOut)) throw error;
 *   const { state, due } = await kit.getTask(error.id);
 *   console.log(state, due > new Date()); // queued true
 * }
 * ```
 */
export class ResultGetTimedOut extends TaskkitError {
  /** The task that was waited for. */
  readonly id: string;

  /** Builds the error from the task's id, the timeout, and as `cause` why the task could not be looked at, if so. */
  constructor(id: string, timeoutMs: number, options?: ErrorOptions) {
    super(
      "RESULT_GET_TIMED_OUT",
      `Cannot get the result of task "${id}": ` +
        (options?.cause === undefined
          ? `it had not ended after ${timeoutMs} ms`
          : `the database could not be read when its timeout of ${timeoutMs} ms was over`),
      options,
    );
    this.id = id;
  }
}

/**
 * A result was waited for inside a handler: a worker whose every slot waits for a task of its own
 * group has none left to run it. `RESULT_GET_PREVENTED`
 *
 * @example Initiate what comes next, and let it come
 * ```ts
 * import { defineTask, Kit, ResultGetPrevented, tasks } from "@taskkit/taskkit";
 *
 * await using kit = await Kit.open({ kv: ":memory:" }); // what handlers initiate tasks with
 * const order = defineTask({
 *   group: "shop",
 *   name: "order",
 *   run: async (id: number) => {
 *     const receipt = await kit.initiateTask("mail", "receipt", id);
 *     try {
 *       await receipt.get();
 *     } catch (error) {
 *       if (!(error instanceof ResultGetPrevented)) throw error;
 *       return receipt.id; // for whoever wants to wait: kit.getResult(id)
 *     }
 *   },
 * });
 * await using shop = await Kit.open({ kv: ":memory:", handler: tasks([order]) });
 * const result = await shop.initiateTask(order, 7, { eager: true });
 * console.log((await kit.getTask(String(await result.get()))).name); // receipt
 * ```
 */
export class ResultGetPrevented extends TaskkitError {
  /** Builds the error for an id. */
  constructor(id: string) {
    super(
      "RESULT_GET_PREVENTED",
      `Cannot wait for the result of task "${id}" inside a handler: a worker that waits for its own group can deadlock; ` +
        `initiate a follow-up task instead, or pass { allowInHandler: true }`,
    );
  }
}

/**
 * Thrown by a handler (by `handle` or `getRetryInterval`) to end a task without result and without
 * retry. Who waits for the task gets a {@linkcode TaskDiscarded}. `DISCARD_TASK`
 *
 * @example A name that the handler does not know
 * ```ts
 * import { DiscardTask, Kit, type Task, TaskHandler } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): string {
 *     if (task.name !== "greet") throw new DiscardTask(`unknown task "${task.name}"`);
 *     return "hello";
 *   }
 * }
 * await using kit = await Kit.open({ kv: ":memory:", handler: new Handler() });
 * const { id } = await kit.initiateTask("mail", "shout", null, { eager: true });
 * console.log((await kit.getTask(id)).state); // discarded
 * ```
 */
export class DiscardTask extends TaskkitError {
  /** Builds the reason for the discard. */
  constructor(message = "discarded by its handler", options?: ErrorOptions) {
    super("DISCARD_TASK", message, options);
  }
}

/**
 * The running code does not know this task or cannot read its data, as happens while versions of
 * the code overlap. Thrown in a handler, it puts the task back, without using an attempt, for a
 * worker that knows it: for 30 s at first, for up to 5 min when it comes back, with a warning.
 * `defineTask` and `tasks` throw it by themselves. `UNKNOWN_TASK`
 *
 * @example Left to a worker that was deployed later
 * ```ts
 * import { Kit, type Task, TaskHandler, UnknownTask } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): string {
 *     if (task.name !== "greet") throw new UnknownTask(`"${task.name}" is not known here yet`);
 *     return "hello";
 *   }
 * }
 * await using kit = await Kit.open({ kv: ":memory:", handler: new Handler() });
 * const { id } = await kit.initiateTask("mail", "shout", null, { eager: true });
 * const { state, retryCount } = await kit.getTask(id);
 * console.log(state, retryCount); // queued 0
 * ```
 */
export class UnknownTask extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("UNKNOWN_TASK", message, options);
  }
}
