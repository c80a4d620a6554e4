/**
 * The second layer of the API: one typed definition a task, gathered into a handler.
 *
 * @module
 */

import { type Duration, shown, toMilliseconds } from "./duration.ts";
import { InvalidArgument, InvalidData, UnknownTask } from "./errors.ts";
import {
  defaultRetryInterval,
  type RetryInterval,
  type TaskContext,
  TaskHandler,
} from "./handler.ts";
import { RETRIES_MAX } from "./limits.ts";
import type { Task } from "./task.ts";
import { checkFields, checkInteger, checkName } from "./validate.ts";

/** What Taskkit uses of a Standard Schema (https://standardschema.dev). Schemas of Zod, Valibot, ArkType and others fit. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The schema's own part. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema answers. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with the data. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** How often and when to try again: a number of retries at the default intervals, or a rule of one's own. */
export type Retry =
  | number
  | ((task: Task, error: unknown) => RetryInterval | Promise<RetryInterval>);

/** What {@linkcode defineTask} takes. */
export interface TaskOptions<Input, Output, R> {
  /** The group whose workers take it. */
  readonly group: string;
  /** Its name; unique among the definitions given to one {@linkcode tasks}. */
  readonly name: string;
  /** Checks the data when the task is initiated and again before it runs; what it returns is what `run` gets. */
  readonly schema?: StandardSchema<Input, Output>;
  /** Default: 10 retries, exponential with jitter. A number changes how many; a function is a rule of its own. */
  readonly retry?: Retry;
  /** How long an attempt may take, unless the task says so itself. Default: what the group says, else no bound. */
  readonly timeout?: Duration;
  /** Does the work. */
  readonly run: (data: Output, context: TaskContext, task: Task) => R | Promise<R>;
}

/** A typed task. Made by {@linkcode defineTask}, initiated by `kit.initiateTask(definition, data)`. */
export interface TaskDefinition<Input = unknown, R = unknown> {
  /** The group whose workers take it. */
  readonly group: string;
  /** Its name. */
  readonly name: string;
  /** How long an attempt may take, in milliseconds; null for no bound. */
  readonly timeoutMs: number | null;
  /** Rejects data that does not fit the schema, when the task is initiated. */
  validate(data: Input): Promise<void>;
  /** Runs an attempt on data that was decoded. */
  run(data: unknown, context: TaskContext, task: Task): Promise<R>;
  /** The rule for retries. */
  retry(task: Task, error: unknown): RetryInterval | Promise<RetryInterval>;
}

/**
 * Defines a typed task. Data that does not fit is refused when the task is initiated; data that no longer fits when the
 * task is about to run, as happens while versions of the code overlap, is left for a worker that knows it.
 *
 * @throws {InvalidArgument} If a field is missing, unknown, or out of bounds.
 *
 * @example
 * ```ts
 * import { defineTask, Kit, tasks } from "@taskkit/taskkit";
 *
 * const double = defineTask({ group: "math", name: "double", run: (n: number) => 2 * n });
 *
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([double]) });
 * const result = await kit.initiateTask(double, 21, { eager: true });
 * console.log(await result.get()); // 42, and a number for the type checker too
 * ```
 *
 * @example With a schema, here one of Zod
 * ```ts ignore
 * import * as z from "zod";
 *
 * const resize = defineTask({
 *   group: "images",
 *   name: "resize",
 *   schema: z.object({ file: z.string(), width: z.number().int().default(800) }),
 *   run: ({ file, width }, { signal }) => resizeImage(file, width, signal),
 * });
 * await kit.initiateTask(resize, { file: "a.jpg" }); // with 3 for file: InvalidData
 * ```
 */
export function defineTask<Input, R, Output>(
  options: TaskOptions<Input, Output, R> & { readonly schema: StandardSchema<Input, Output> },
): TaskDefinition<Input, R>;
/** Defines a task whose data has the type that `run` takes, and is not validated. */
export function defineTask<Data, R>(
  options: TaskOptions<Data, Data, R> & { readonly schema?: undefined },
): TaskDefinition<Data, R>;
export function defineTask<Input, R, Output>(
  options: TaskOptions<Input, Output, R>,
): TaskDefinition<Input, R> {
  checkFields(options, "the options of defineTask", [
    "group",
    "name",
    "schema",
    "retry",
    "timeout",
    "run",
  ]);
  const { schema, retry, run } = options;
  const group = checkName(options.group, "the group of a task");
  const name = checkName(options.name, "the name of a task");
  if (typeof run !== "function") {
    throw new InvalidArgument(`Cannot define task "${name}": run is no function`);
  }
  if (schema !== undefined && typeof schema?.["~standard"]?.validate !== "function") {
    throw new InvalidArgument(`Cannot define task "${name}": its schema is no Standard Schema`);
  }
  if (retry !== undefined && typeof retry !== "function") {
    checkInteger(retry, "retry", 0, RETRIES_MAX);
  }
  const timeoutMs = options.timeout === undefined ? null : checkTimeout(options.timeout);
  return {
    group,
    name,
    timeoutMs,
    async validate(data) {
      if (schema === undefined) return;
      const { issues } = await schema["~standard"].validate(data);
      if (issues !== undefined) {
        throw new InvalidData(
          `Cannot initiate task "${name}": its data does not fit: ${describe(issues)}`,
        );
      }
    },
    async run(data, context, task) {
      if (schema === undefined) return await run(data as Output, context, task);
      const checked = await schema["~standard"].validate(data);
      if (checked.issues !== undefined) {
        throw new UnknownTask(
          `Cannot run task "${name}": its data does not fit: ${describe(checked.issues)}`,
        );
      }
      return await run(checked.value, context, task);
    },
    retry(task, error) {
      if (typeof retry === "function") return retry(task, error);
      if (retry === undefined) return defaultRetryInterval(task);
      return task.retryCount < retry
        ? defaultRetryInterval({ ...task, retryCount: Math.min(task.retryCount, 9) })
        : null;
    },
  };
}

/**
 * A timeout in milliseconds.
 *
 * @throws {InvalidArgument} If it is no duration, or 0.
 */
export function checkTimeout(timeout: Duration): number {
  const ms = toMilliseconds(timeout, "timeout");
  if (ms === 0) throw new InvalidArgument("Cannot use a timeout of 0: leave it out for no bound");
  return ms;
}

function describe(issues: readonly SchemaIssue[]): string {
  const texts = issues.slice(0, 5).map(({ message, path }) => {
    const at = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(
      ".",
    );
    return at === "" ? message : `${at}: ${message}`;
  });
  return texts.join("; ") + (issues.length > 5 ? `; and ${issues.length - 5} more` : "");
}

/** A handler made of definitions. */
class DefinedTasks extends TaskHandler {
  readonly #byName: ReadonlyMap<string, TaskDefinition>;
  /** The groups of the definitions: what a worker works on when nothing else is said. */
  readonly groups: readonly string[];

  constructor(byName: ReadonlyMap<string, TaskDefinition>) {
    super();
    this.#byName = byName;
    this.groups = [...new Set([...byName.values()].map(({ group }) => group))];
  }

  override handle(task: Task, context: TaskContext): unknown {
    const definition = this.#find(task);
    if (definition === undefined) {
      throw new UnknownTask(
        `Cannot run task "${task.name}" of group "${task.group}": this worker does not define it`,
      );
    }
    return definition.run(this.#decode(task), context, task);
  }

  /** Data that this code cannot read may be another version's: its task is left for a worker that can. */
  #decode(task: Task): unknown {
    try {
      return this.decodeData(task);
    } catch (error) {
      throw new UnknownTask(
        `Cannot run task "${task.name}": its data cannot be decoded: ${
          error instanceof Error ? error.message : error
        }`,
        { cause: error },
      );
    }
  }

  override getRetryInterval(task: Task, error: unknown): RetryInterval | Promise<RetryInterval> {
    return this.#find(task)?.retry(task, error) ?? null;
  }

  override getTimeout(task: Task): number | null {
    return this.#find(task)?.timeoutMs ?? null;
  }

  #find({ group, name }: Task): TaskDefinition | undefined {
    return this.#byName.get(definitionKey(group, name));
  }
}

/**
 * Gathers definitions into a handler for `Kit.open`.
 *
 * @throws {InvalidArgument} If two of them have the same group and name.
 *
 * @example
 * ```ts
 * import { defineTask, tasks } from "@taskkit/taskkit";
 *
 * const greet = defineTask({ group: "mail", name: "greet", run: (name: string) => `Hello ${name}` });
 * export default tasks([greet]);
 * ```
 */
export function tasks(
  definitions: readonly TaskDefinition[],
): TaskHandler & { readonly groups: readonly string[] } {
  const byName = new Map<string, TaskDefinition>();
  for (const definition of definitions) {
    if (typeof definition?.run !== "function") {
      throw new InvalidArgument(
        `Cannot gather tasks: ${shown(definition)} is not made by defineTask`,
      );
    }
    const key = definitionKey(definition.group, definition.name);
    if (byName.has(key)) {
      throw new InvalidArgument(
        `Cannot gather tasks: "${definition.name}" is defined twice in group "${definition.group}"`,
      );
    }
    byName.set(key, definition);
  }
  return new DefinedTasks(byName);
}

function definitionKey(group: string, name: string): string {
  return JSON.stringify([group, name]);
}
