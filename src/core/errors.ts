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
 * The base of all errors of Taskkit.
 *
 * @example
 * ```ts
 * import { Kit, TaskkitError } from "@taskkit/taskkit";
 *
 * try {
 *   await Kit.open({ kv: "", handler: { handle() {} } as never });
 * } catch (error) {
 *   if (error instanceof TaskkitError) console.log(error.code); // "INVALID_ARGUMENT"
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

/** An argument that cannot be used: a name, an option, a duration, a date. `INVALID_ARGUMENT` */
export class InvalidArgument extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("INVALID_ARGUMENT", message, options);
  }
}

/** Data or a result that cannot be encoded, decoded, or does not fit its schema. `INVALID_DATA` or `DATA_TOO_LARGE` */
export class InvalidData extends TaskkitError {
  /** Builds the error from its message. */
  constructor(
    message: string,
    options?: ErrorOptions & { code?: "INVALID_DATA" | "DATA_TOO_LARGE" },
  ) {
    super(options?.code ?? "INVALID_DATA", message, options);
  }
}

/** A schedule that cannot be used: it has a bad field, or never fires. `INVALID_SCHEDULE` */
export class InvalidSchedule extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("INVALID_SCHEDULE", message, options);
  }
}

/** A handler module that cannot be loaded, or has no usable default export. `HANDLER_INVALID` */
export class HandlerInvalid extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("HANDLER_INVALID", message, options);
  }
}

/** The database cannot be opened, read or written. `KV_UNAVAILABLE` */
export class KvUnavailable extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("KV_UNAVAILABLE", message, options);
  }
}

/** The Kit was closed. `KIT_CLOSED` */
export class KitClosed extends TaskkitError {
  /** Builds the error for the call that came too late. */
  constructor(act: string) {
    super("KIT_CLOSED", `Cannot ${act}: the Kit is closed`);
  }
}

/** The runtime cannot do what was asked. `UNSUPPORTED` */
export class Unsupported extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("UNSUPPORTED", message, options);
  }
}

/** A record that cannot be read: damaged (`CORRUPT_RECORD`), or written by a newer version (`NEWER_VERSION`). */
export class UnreadableRecord extends TaskkitError {
  /** Builds the error from its code and message. */
  constructor(code: "CORRUPT_RECORD" | "NEWER_VERSION", message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** Another writer came first, and it stays so. `CONFLICT` */
export class Conflict extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("CONFLICT", message, options);
  }
}

/**
 * The database did not say whether it applied a write. It may be applied, now or later, once or not at all;
 * `ids` name the tasks that it was about. `OUTCOME_UNKNOWN`
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

/** There is no task with this id, or its ttl has passed. `TASK_NOT_FOUND` */
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

/** The task failed for good; `error` is what its last attempt left. `TASK_FAILED` */
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

/** The task was discarded by its handler; `error` says why. `TASK_DISCARDED` */
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

/** The task was cancelled. `TASK_CANCELLED` */
export class TaskCancelled extends TaskkitError {
  /** The task that was cancelled. */
  readonly id: string;

  /** Builds the error for an id. */
  constructor(id: string) {
    super("TASK_CANCELLED", `Task "${id}" was cancelled`);
    this.id = id;
  }
}

/** An attempt took longer than its `timeout`. The reason of `context.signal`, and the error that is stored. `TASK_TIMED_OUT` */
export class TaskTimedOut extends TaskkitError {
  /** Builds the error from the task's id and its timeout. */
  constructor(id: string, timeoutMs: number) {
    super(
      "TASK_TIMED_OUT",
      `Attempt of task "${id}" took longer than its timeout of ${timeoutMs} ms`,
    );
  }
}

/** The thread or process in which an attempt ran went away. The error that is stored for the attempt. `EXECUTOR_LOST` */
export class ExecutorLost extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("EXECUTOR_LOST", message, options);
  }
}

/** The worker could not renew its lease, or was declared dead; somebody else may run the task now. A reason of `context.signal`. `LEASE_LOST` */
export class LeaseLost extends TaskkitError {
  /** Builds the error from why the lease was lost. */
  constructor(why: string) {
    super("LEASE_LOST", `The lease of this attempt was lost: ${why}`);
  }
}

/** The worker stops and its grace is over; the attempt is given back and does not count. A reason of `context.signal`. `WORKER_STOPPING` */
export class WorkerStopping extends TaskkitError {
  /** Builds the error. */
  constructor() {
    super(
      "WORKER_STOPPING",
      "The worker stops and its grace is over: the attempt is given back and does not count",
    );
  }
}

/** The workers that ran the task died three times in a row. The error that is stored. `TASK_POISONED` */
export class TaskPoisoned extends TaskkitError {
  /** Builds the error from the number of workers that were lost. */
  constructor(id: string, lost: number) {
    super(
      "TASK_POISONED",
      `Task "${id}" was given up: ${lost} workers in a row died while they ran it`,
    );
  }
}

/** The task had not ended when `timeout` was over. `RESULT_GET_TIMED_OUT` */
export class ResultGetTimedOut extends TaskkitError {
  /** The task that was waited for. */
  readonly id: string;

  /** Builds the error from the task's id and the timeout. */
  constructor(id: string, timeoutMs: number) {
    super(
      "RESULT_GET_TIMED_OUT",
      `Cannot get the result of task "${id}": it had not ended after ${timeoutMs} ms`,
    );
    this.id = id;
  }
}

/** A result was waited for inside a handler, which can deadlock the worker. `RESULT_GET_PREVENTED` */
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
 * Thrown by a handler (from `handle` or `getRetryInterval`) to end a task without result and without retry.
 *
 * @example
 * ```ts
 * import { DiscardTask, type Task, TaskHandler } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): string {
 *     if (task.name !== "greet") throw new DiscardTask(`unknown task "${task.name}"`);
 *     return "hello";
 *   }
 * }
 * ```
 */
export class DiscardTask extends TaskkitError {
  /** Builds the reason for the discard. */
  constructor(message = "discarded by its handler", options?: ErrorOptions) {
    super("DISCARD_TASK", message, options);
  }
}

/**
 * The running code does not know this task or cannot read its data, as happens while versions of the code overlap.
 * The task is put back for a while, without using an attempt, for a worker that knows it. `UNKNOWN_TASK`
 */
export class UnknownTask extends TaskkitError {
  /** Builds the error from its message. */
  constructor(message: string, options?: ErrorOptions) {
    super("UNKNOWN_TASK", message, options);
  }
}
