/**
 * The composition root: the only file that knows every part.
 *
 * @module
 */

import { hostname } from "node:os";
import process from "node:process";
import { systemClock } from "./core/clock.ts";
import { checkTimeout, type TaskDefinition } from "./core/define.ts";
import { type Duration, shown, toMilliseconds } from "./core/duration.ts";
import { HandlerInvalid, InvalidArgument, KitClosed } from "./core/errors.ts";
import { TaskHandler } from "./core/handler.ts";
import { IdSource, isId } from "./core/ids.ts";
import {
  CONCURRENCY_DEFAULT,
  CONCURRENCY_MAX,
  DRAIN_GRACE_MS_DEFAULT,
  DRAIN_LEASE_MS_DEFAULT,
  DRAIN_MS_DEFAULT,
  GRACE_MS_DEFAULT,
  GROUPS_MAX,
  INITIATE_MAX,
  KV_PROBE_CHECKS,
  LEAKED_THREADS_MAX_DEFAULT,
  LEASE_MS_DEFAULT,
  LIST_PAGE_MAX,
  POLL_MS_DEFAULT,
  PREFIX_PARTS_MAX,
  THREADS_MAX,
} from "./core/limits.ts";
import { type Log, LOG_LEVELS } from "./core/log.ts";
import { printable } from "./core/printable.ts";
import { systemRandom } from "./core/random.ts";
import { isTerminal, TASK_STATES, type TaskRecord, toInit, toTask } from "./core/task.ts";
import { checkBoolean, checkFields, checkInteger, checkName } from "./core/validate.ts";
import { Drain } from "./drain.ts";
import { defaultExecutorKind, defaultThreads, Executors } from "./executor/create.ts";
import type { ExecutorKind } from "./executor/executor.ts";
import { loadHandler } from "./executor/load_handler.ts";
import { checkPermissions } from "./executor/permissions.ts";
import { WriteRecorder } from "./executor/run_handler.ts";
import type {
  DrainOptions,
  InitiateEntry,
  InitiateOptions,
  KitAtomic,
  KitOptions,
  ListOptions,
  RunningWorker,
  Stats,
  TaskInfo,
  TaskPlace,
  WorkerInfo,
  WorkerOptions,
} from "./options.ts";
import { Result, type ResultHost } from "./result.ts";
import { readSchedules } from "./schedule/entry.ts";
import { ScheduleStore } from "./schedules.ts";
import { listWorkers } from "./store/beat.ts";
import { Bells } from "./store/bells.ts";
import { check, type CheckReport } from "./store/check.ts";
import { type Connection, type KvClient, openConnection } from "./store/connection.ts";
import { checkFormat, measureChecks } from "./store/format.ts";
import { type Command, readControl, say } from "./store/control.ts";
import { entryToOrder, type OrderHost, toDraft, toDrafts, toOrder } from "./draft.ts";
import { type Draft, enqueue, enqueueWith } from "./store/enqueue.ts";
import { Keyspace } from "./store/keyspace.ts";
import { cancel, type CancelOutcome, readTask, revive } from "./store/operate.ts";
import {
  countAhead,
  countRunning,
  countTasks,
  listTasks,
  type Progress,
  readProgress,
} from "./store/read.ts";
import { readPayload } from "./store/records.ts";
import type { Store } from "./store/store.ts";
import { Turns } from "./store/turns.ts";
import { toUserChanges } from "./store/user_writes.ts";
import { settleEagerly } from "./worker/eager.ts";
import { type GroupSetup, type StopReason, Worker } from "./worker/worker.ts";

const OPEN_FIELDS = ["kv", "client", "handler", "prefix", "clock", "random"];
const WORKER_FIELDS = [
  "groups",
  "threads",
  "leakedThreads",
  "pollInterval",
  "grace",
  "lease",
  "schedules",
  "timeZone",
  "maintenance",
  "signal",
  "log",
  "logLevel",
];
const DRAIN_FIELDS = [
  "for",
  ...WORKER_FIELDS.filter((name) =>
    !["pollInterval", "maintenance", "signal", "threads"].includes(name)
  ),
];
/** A watch over a network may be slow to begin. */
const DRAIN_POLL_MS = 1_000;
const GROUP_FIELDS = ["concurrency", "executor", "permissions", "memory", "timeout"];

/** Encodes for a Kit without a handler. */
class CodecOnly extends TaskHandler {
  override handle(): never {
    throw new HandlerInvalid("Cannot run a task: the Kit was opened without a handler");
  }
}

/**
 * A database of tasks: initiates them, waits for them, looks at them, and starts workers for them.
 *
 * @example
 * ```ts
 * import { Kit, type Task, TaskHandler } from "@taskkit/taskkit";
 *
 * class Handler extends TaskHandler {
 *   override handle(task: Task): string {
 *     return `hello ${this.decodeData<string>(task)}`;
 *   }
 * }
 *
 * await using kit = await Kit.open({ kv: ":memory:", handler: new Handler() });
 * await using worker = await kit.startWorker({ groups: { mail: 4 } });
 * const result = await kit.initiateTask("mail", "greet", "Ada");
 * console.log(await result.get({ timeout: "10s" })); // "hello Ada"
 * ```
 */
export class Kit implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #store: Store;
  readonly #handler: TaskHandler;
  readonly #handlerUrl: URL | null;
  readonly #hasHandler: boolean;
  readonly #closing = new AbortController();
  readonly #workers = new Set<Worker>();
  readonly #host: ResultHost;
  /** The recurring schedules of the database. */
  readonly schedules: ScheduleStore;
  #drain: Drain | null = null;
  #closed: Promise<void> | null = null;

  private constructor(
    connection: Connection,
    store: Store,
    handler: TaskHandler | null,
    handlerUrl: URL | null,
  ) {
    this.#connection = connection;
    this.#store = store;
    this.#handler = handler ?? new CodecOnly();
    this.#hasHandler = handler !== null;
    this.#handlerUrl = handlerUrl;
    this.#host = { store, handler: this.#handler, closed: this.#closing.signal };
    this.schedules = new ScheduleStore(store, this.#handler, (act) => this.#checkOpen(act));
  }

  /**
   * Opens a database. Close the Kit when it is done with, best by `await using`.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used.
   * @throws {HandlerInvalid} If the handler module cannot be loaded or has no usable default export.
   * @throws {KvUnavailable} If the database cannot be opened; the message says what to do.
   * @throws {UnreadableRecord} If the database was laid out by a newer version (`NEWER_VERSION`).
   */
  static async open(options: KitOptions = {}): Promise<Kit> {
    checkFields(options, "the options of Kit.open", OPEN_FIELDS);
    const { clock = systemClock, random = systemRandom } = options;
    const keys = new Keyspace(checkPrefix(options.prefix ?? "taskkit"));
    const handler = await toHandler(options.handler);
    const connection = await openConnection(options.kv, checkClient(options.client ?? "npm"));
    const { kv } = connection;
    try {
      await checkFormat({ kv, clock, random }, keys);
      const checksMax = await measureChecks({ kv, clock, random }, keys);
      const bells = new Bells(kv, clock, connection.hints);
      const ids = new IdSource(clock, random);
      const turns = new Turns(connection.turnFile, clock);
      const remote = connection.remote ?? checksMax < KV_PROBE_CHECKS;
      return new Kit(
        connection,
        { kv, keys, clock, random, ids, bells, checksMax, remote, turns },
        handler,
        options.handler instanceof URL ? options.handler : null,
      );
    } catch (error) {
      if (connection.owned) kv.close();
      throw error;
    }
  }

  /**
   * Initiates a task and returns a handle on its outcome.
   *
   * @param definition A task made by `defineTask`; or a group, a name and data.
   * @throws {InvalidArgument} If a name, an option, or the due time cannot be used.
   * @throws {InvalidData} If the data does not fit the definition, cannot be encoded (`INVALID_DATA`), or has more than
   * 1 MiB (`DATA_TOO_LARGE`).
   * @throws {Conflict} If it ran eagerly and one of its handler's own checks failed; nothing is stored then.
   * @throws {KvUnavailable} If the database cannot be written.
   * @throws {OutcomeUnknown} If the database did not say in time whether it was written; `ids` has the task's.
   *
   * @example Later, before others, and only one of its kind
   * ```ts
   * import { Kit } from "@taskkit/taskkit";
   *
   * await using kit = await Kit.open({ kv: ":memory:" });
   * const options = { due: "10m", priority: 1, unique: "rebuild the index" };
   * const first = await kit.initiateTask("search", "rebuild", null, options);
   * const second = await kit.initiateTask("search", "rebuild", null, options);
   * console.log(first.id === second.id); // true, until the task ends
   * ```
   */
  initiateTask<Input, R>(
    definition: TaskDefinition<Input, R>,
    data: Input,
    options?: InitiateOptions,
  ): Promise<Result<R>>;
  /** Initiates a task of a group by its name; the data is encoded by the Kit's handler. */
  initiateTask(
    group: string,
    name: string,
    data?: unknown,
    options?: InitiateOptions,
  ): Promise<Result>;
  async initiateTask(
    first: string | TaskDefinition,
    second: unknown,
    third?: unknown,
    fourth?: InitiateOptions,
  ): Promise<Result> {
    this.#checkOpen("initiate a task");
    let draft: Draft;
    let options: InitiateOptions;
    if (typeof first === "string") {
      options = fourth ?? {};
      draft = this.#draft(first, checkName(second, "the name of a task"), third, options);
    } else {
      options = (third ?? {}) as InitiateOptions;
      draft = await this.#draftDefined(first, second, options);
    }
    if (options.eager === true) return await this.#runEagerly(draft);
    const [id] = await enqueue(this.#store, [draft]);
    return new Result(this.#host, id ?? draft.record.id);
  }

  /**
   * Initiates many tasks: hundreds share one commit, so this is much faster than one by one. Each commit is atomic, the
   * whole call is not; use {@linkcode Kit.atomic} where it must be.
   *
   * @throws {InvalidArgument} If one of them cannot be used, or there are more than 100,000; then none is written.
   * @throws {InvalidData} If the data of one of them cannot be used; then none is written.
   * @throws {OutcomeUnknown} If the database did not say in time; some may be written.
   *
   * @example
   * ```ts
   * import { Kit } from "@taskkit/taskkit";
   *
   * await using kit = await Kit.open({ kv: ":memory:" });
   * const files = ["a.jpg", "b.jpg", "c.jpg"];
   * await kit.initiateTasks(files.map((data) => ({ group: "images", name: "resize", data })));
   * console.log((await kit.stats()).groups.images?.queued); // 3
   * ```
   */
  async initiateTasks(entries: readonly InitiateEntry[]): Promise<Result[]> {
    this.#checkOpen("initiate tasks");
    if (!Array.isArray(entries)) throw new InvalidArgument("Cannot initiate tasks: pass an array");
    checkInteger(entries.length, "the number of tasks", 0, INITIATE_MAX);
    const orders = entries.map((entry) => {
      const order = entryToOrder(this.#orderHost, entry);
      if (entry.eager !== true) return order;
      throw new InvalidArgument("Cannot initiate tasks: eager is for initiateTask alone");
    });
    const ids = await enqueue(this.#store, toDrafts(this.#store.ids, orders));
    return ids.map((id) => new Result(this.#host, id));
  }

  /**
   * The user's own writes and tasks in one atomic commit. There must be at least one task in it.
   *
   * @example
   * ```ts
   * import { Kit } from "@taskkit/taskkit";
   *
   * await using kit = await Kit.open({ kv: ":memory:" });
   * const order = { id: 7, total: 12 };
   * const committed = await kit.atomic()
   *   .set(["order", order.id], order)
   *   .initiateTask("mail", "receipt", { id: order.id })
   *   .commit();
   * console.log(committed.ok); // true
   * ```
   */
  atomic(): KitAtomic {
    this.#checkOpen("build an atomic operation");
    const recorder = new WriteRecorder();
    const drafts: Draft[] = [];
    let isCommitting = false;
    const atomic: KitAtomic = {
      check: (key, versionstamp) => (recorder.check(key, versionstamp), atomic),
      set: (key, value, options) => (recorder.set(key, value, options), atomic),
      delete: (key) => (recorder.delete(key), atomic),
      initiateTask: (group, name, data, options = {}) => {
        if (options.eager !== undefined || options.unique !== undefined) {
          throw new InvalidArgument(
            "Cannot initiate a task in an atomic operation: eager and unique are not to be had",
          );
        }
        drafts.push(this.#draft(group, name, data, options));
        return atomic;
      },
      commit: async () => {
        this.#checkOpen("commit");
        if (isCommitting) {
          throw new InvalidArgument("Cannot commit: it was committed before; build another one");
        }
        isCommitting = true;
        const isCommitted = await enqueueWith(
          this.#store,
          drafts,
          toUserChanges(this.#store, recorder.writes),
        );
        if (!isCommitted) return { ok: false };
        return { ok: true, results: drafts.map(({ record }) => new Result(this.#host, record.id)) };
      },
    };
    return atomic;
  }

  /**
   * A handle on the outcome of a task that was initiated elsewhere. Nothing is read yet.
   *
   * @throws {InvalidArgument} If it is no id.
   */
  getResult<R = unknown>(id: string): Result<R> {
    this.#checkOpen("get a result");
    return new Result<R>(this.#host, checkId(id));
  }

  /**
   * One task, with the progress that its handler told.
   *
   * @throws {TaskNotFound} If there is none with this id, or its ttl has passed.
   */
  async getTask(id: string): Promise<TaskInfo & { readonly progress: Progress | null }> {
    this.#checkOpen("get a task");
    const { record } = await readTask(this.#store, checkId(id));
    return { ...toInfo(record), progress: await readProgress(this.#store, record) };
  }

  /**
   * What a queued task waits behind; null if it is not queued. However many tasks there are, few of them are read.
   *
   * @throws {TaskNotFound} If there is none with this id, or its ttl has passed.
   *
   * @example
   * ```ts
   * import { Kit } from "@taskkit/taskkit";
   *
   * await using kit = await Kit.open({ kv: ":memory:" });
   * await kit.initiateTask("mail", "greet", "Ada");
   * const { id } = await kit.initiateTask("mail", "greet", "Bob");
   * console.log((await kit.getPlace(id))?.ahead); // 1
   * ```
   */
  async getPlace(id: string): Promise<TaskPlace | null> {
    this.#checkOpen("get a task's place");
    const { record } = await readTask(this.#store, checkId(id));
    if (record.state !== "queued") return null;
    const { paused, pausedAll } = await readControl(this.#store);
    return {
      ahead: await countAhead(this.#store, record),
      running: await countRunning(this.#store, record.group),
      paused: paused.includes(record.group),
      pausedAll,
    };
  }

  /**
   * The data of a task, decoded.
   *
   * @throws {TaskNotFound} If there is none with this id, or its ttl has passed.
   */
  async getTaskData(id: string): Promise<unknown> {
    this.#checkOpen("get a task's data");
    const { record } = await readTask(this.#store, checkId(id));
    const bytes = await readPayload(this.#store, id, record.data);
    return this.#handler.decodeData(toTask(toInit(record, bytes)));
  }

  /**
   * A page of tasks, the newest first. A page may be shorter than `limit` although there are more: `cursor` tells. What
   * cannot be read is left out.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used.
   *
   * @example All failed tasks of a group
   * ```ts
   * import { Kit } from "@taskkit/taskkit";
   *
   * await using kit = await Kit.open({ kv: ":memory:" });
   * let cursor: string | null = null;
   * do {
   *   const page: Awaited<ReturnType<Kit["listTasks"]>> = await kit.listTasks({
   *     group: "images",
   *     state: "failed",
   *     cursor,
   *   });
   *   for (const { id, error } of page.tasks) console.log(id, error?.message);
   *   cursor = page.cursor;
   * } while (cursor !== null);
   * ```
   */
  async listTasks(
    options: ListOptions = {},
  ): Promise<{ tasks: TaskInfo[]; cursor: string | null }> {
    this.#checkOpen("list tasks");
    checkFields(options, "the options of listTasks", ["group", "state", "name", "limit", "cursor"]);
    const { limit = 100, cursor = null, ...filter } = options;
    checkInteger(limit, "limit", 1, LIST_PAGE_MAX);
    if (filter.state !== undefined && !TASK_STATES.includes(filter.state)) {
      throw new InvalidArgument(
        `Cannot list tasks: ${shown(filter.state)} is no state; there are ${
          TASK_STATES.join(", ")
        }`,
      );
    }
    const page = await listTasks(this.#store, filter, {
      limit,
      cursor: cursor === null ? null : checkId(cursor),
    });
    return { tasks: page.records.map(toInfo), cursor: page.cursor };
  }

  /** The workers of the database, dead ones included until they are noticed. */
  async getWorkers(): Promise<WorkerInfo[]> {
    this.#checkOpen("get workers");
    return (await listWorkers(this.#store)).flatMap(({ id, record }) =>
      record === null ? [] : [{
        id,
        host: record.host,
        pid: record.pid,
        runtime: record.runtime,
        started: new Date(record.startedMs),
        lastBeat: new Date(record.beatMs),
        groups: record.groups,
        running: record.running,
        stopping: record.stopping,
      }]
    );
  }

  /** Counts every task by group and state, about 200,000 tasks a second; and what is paused. */
  async stats(): Promise<Stats> {
    this.#checkOpen("get stats");
    const [groups, control] = [await countTasks(this.#store), await readControl(this.#store)];
    const sorted = [...groups].sort(([a], [b]) => a < b ? -1 : 1);
    return {
      groups: Object.fromEntries(sorted),
      pausedAll: control.pausedAll,
      paused: control.paused,
    };
  }

  /**
   * Reads the whole database in pages, while everybody works on, and tells what is wrong with it: records that cannot be
   * read, and indexes that do not fit them. With `repair` it puts right what it can, one commit a problem; what cannot be
   * read is set aside, and deleted by the repair after that.
   *
   * @throws {InvalidArgument} If an option is unknown.
   */
  async check(options: { repair?: boolean } = {}): Promise<CheckReport> {
    this.#checkOpen("check the database");
    checkFields(options, "the options of check", ["repair"]);
    return await check(this.#store, { repair: options.repair ?? false });
  }

  /** No worker of the database claims tasks of these groups (default: of any) until they are resumed. What runs goes on. */
  async pause(groups?: readonly string[]): Promise<void> {
    await this.#say("pause", groups);
  }

  /** Takes a pause of these groups (default: every pause) back. */
  async resume(groups?: readonly string[]): Promise<void> {
    await this.#say("resume", groups);
  }

  /** Stops the workers that run now, wherever they are: their work on these groups (default: on all). */
  async shutdown(groups?: readonly string[]): Promise<void> {
    await this.#say("shutdown", groups);
  }

  async #say(command: Command, groups: readonly string[] | undefined): Promise<void> {
    this.#checkOpen(command);
    if (groups !== undefined && !Array.isArray(groups)) {
      throw new InvalidArgument(`Cannot ${command}: pass an array of groups, or nothing for all`);
    }
    await say(this.#store, command, groups?.map((group) => checkName(group, "a group")) ?? null);
  }

  /**
   * Cancels a task. A queued one is cancelled at once; a running one is told through its `context.signal` and ends as
   * cancelled unless it succeeds first. In neither case does a new attempt start.
   *
   * @returns `"cancelled"`, `"requested"` for a running one, or `"ended"` if it had ended before.
   * @throws {TaskNotFound} If there is none with this id.
   * @throws {OutcomeUnknown} If the database did not say in time; cancelling again does no harm.
   */
  async cancel(id: string): Promise<CancelOutcome> {
    this.#checkOpen("cancel a task");
    return await cancel(this.#store, checkId(id));
  }

  /**
   * Starts a task anew that failed, was discarded or cancelled: at once, with all its retries before it.
   *
   * @throws {TaskNotFound} If there is none with this id.
   * @throws {Conflict} If it has not ended, or succeeded, or another task holds its unique key.
   * @throws {OutcomeUnknown} If the database did not say in time; look at the task's state.
   */
  async retry(id: string): Promise<void> {
    this.#checkOpen("retry a task");
    await revive(this.#store, checkId(id));
  }

  /**
   * Works until SIGTERM, SIGINT (Ctrl-C), `signal`, or {@linkcode Kit.shutdown}, and resolves after a graceful stop, to
   * why it stopped. A second SIGTERM or Ctrl-C stops at once, without the grace; a third one ends the process.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used, or the Kit has no handler.
   * @throws {HandlerInvalid} If a thread or process cannot load the handler module.
   * @throws {Unsupported} If the runtime cannot do what a group asks for.
   *
   * @example A program that only works; here its only task ends it
   * ```ts
   * import { defineTask, Kit, tasks } from "@taskkit/taskkit";
   *
   * const end = new AbortController();
   * const last = defineTask({ group: "mail", name: "last", run: () => end.abort() });
   * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([last]) });
   * await kit.initiateTask(last, undefined);
   * console.log(await kit.start({ groups: { mail: 4 }, signal: end.signal })); // stopped
   * ```
   */
  async start(options: WorkerOptions = {}): Promise<StopReason> {
    let worker: RunningWorker | null = null;
    let signals = 0;
    const off = () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    };
    const stop = () => void worker?.stop(signals === 1 ? {} : { grace: 0 });
    const onSignal = () => {
      signals++;
      // Whoever has no patience for that either is not held up: the next one does what it would have done.
      if (signals > 1) off();
      stop();
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    try {
      worker = await this.startWorker(options);
      if (signals > 0) stop();
      return await worker.finished;
    } finally {
      off();
    }
  }

  /**
   * Starts a worker and returns as soon as it works; {@linkcode Kit.start} is the form that waits for its end.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used, or the Kit has no handler.
   * @throws {InvalidSchedule} If a schedule is none, or two entries of a scheduler have the same key.
   * @throws {HandlerInvalid} If a thread or process cannot load the handler module.
   * @throws {Unsupported} If the runtime cannot do what a group asks for.
   */
  async startWorker(options: WorkerOptions = {}): Promise<RunningWorker> {
    checkFields(options, "the options of the worker", WORKER_FIELDS);
    const { signal } = options;
    const worker = await this.#startWorker(options, "start a worker");
    const stop = async (stopOptions: { grace?: Duration } = {}) => {
      checkFields(stopOptions, "the options of stop", ["grace"]);
      const { grace } = stopOptions;
      await worker.stop(grace === undefined ? undefined : toMilliseconds(grace, "grace"));
    };
    const onAbort = () => void worker.stop();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    void worker.finished.then(() => signal?.removeEventListener("abort", onAbort));
    return {
      get id() {
        return worker.id;
      },
      finished: worker.finished,
      stop,
      [Symbol.asyncDispose]: () => stop(),
    };
  }

  /**
   * Works for a bounded time and resolves: as soon as nothing is due, or when the time is over; with whether nothing was
   * left to do. For hosts that scale to zero, such as Deno Deploy: call it after each initiation and by a cron tick.
   *
   * One drain runs at a time in a Kit; a call while one is under way prolongs that one. SIGINT and SIGTERM stop it: what
   * runs has 2 s to finish, is then aborted and given back without using an attempt, within 4 s in all; then the signal
   * does what it would have done. The worker's lease is 6 s by default, so that a drain of more than 12 s takes back what
   * an earlier one left that was killed.
   *
   * @throws {InvalidArgument} If an option is unknown or cannot be used, or the Kit has no handler.
   */
  async drain(options: DrainOptions = {}): Promise<boolean> {
    checkFields(options, "the options of drain", DRAIN_FIELDS);
    const { for: duration, ...rest } = options;
    const forMs = positive(duration, "for", DRAIN_MS_DEFAULT);
    // One that is about to end looks no more: what came since then is for the next.
    while (this.#drain !== null) {
      const isOn = this.#drain.prolong(forMs);
      const isDrained = await this.#drain.ended;
      if (isOn) return isDrained;
    }
    this.#checkOpen("drain");
    const start = () =>
      this.#startWorker({
        lease: DRAIN_LEASE_MS_DEFAULT,
        grace: DRAIN_GRACE_MS_DEFAULT,
        pollInterval: DRAIN_POLL_MS,
        ...rest,
      }, "drain");
    const drain = this.#drain = new Drain(this.#store, forMs, start);
    const done = () => {
      this.#drain = null;
    };
    drain.ended.then(done, done);
    return await drain.ended;
  }

  async #startWorker(options: WorkerOptions, act: string): Promise<Worker> {
    this.#checkOpen(act);
    if (!this.#hasHandler) {
      throw new InvalidArgument(`Cannot ${act}: open the Kit with a handler`);
    }
    const { log, logLevel, signal, schedules = {}, timeZone = "UTC", maintenance = true } = options;
    checkBoolean(maintenance, "maintenance");
    if (log !== undefined && typeof log !== "function") {
      throw new InvalidArgument(`Cannot use ${shown(log)} as log: pass a function`);
    }
    if (logLevel !== undefined && !LOG_LEVELS.includes(logLevel)) {
      const levels = LOG_LEVELS.map((level) => `"${level}"`).join(", ");
      throw new InvalidArgument(`Cannot use ${shown(logLevel)} as logLevel: there are ${levels}`);
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new InvalidArgument(`Cannot use ${shown(signal)} as signal: pass an AbortSignal`);
    }
    const entries = await readSchedules(schedules, timeZone, this.#handler);
    // It may have been closed meanwhile, or be about to; a worker that nobody stops any more must not start.
    if (this.#closed !== null) throw new KitClosed(act);
    const leakedMax = checkInteger(
      options.leakedThreads ?? LEAKED_THREADS_MAX_DEFAULT,
      "leakedThreads",
      1,
      THREADS_MAX,
    );
    const executors = new Executors({
      handler: this.#handler,
      handlerUrl: this.#handlerUrl,
      threads: checkInteger(options.threads ?? defaultThreads(), "threads", 1, THREADS_MAX),
      clock: this.#store.clock,
      random: this.#store.random,
      log: log ?? logToConsole,
      onLeak: (leaked) => {
        if (leaked >= leakedMax) void worker.stop(undefined, "leaked");
      },
    });
    const worker: Worker = new Worker({
      store: this.#store,
      handler: this.#handler,
      groups: this.#groups(options.groups, executors),
      pollMs: positive(options.pollInterval, "pollInterval", POLL_MS_DEFAULT),
      graceMs: options.grace === undefined
        ? GRACE_MS_DEFAULT
        : toMilliseconds(options.grace, "grace"),
      leaseMs: positive(options.lease, "lease", LEASE_MS_DEFAULT),
      maintenance,
      entries,
      log: log ?? logToConsole,
      logLevel: logLevel ?? (log === undefined ? "warn" : "info"),
      host: hostname(),
      pid: process.pid,
      runtime: runtimeName(),
    });
    this.#workers.add(worker);
    void worker.finished.then(() => this.#workers.delete(worker));
    await worker.start();
    return worker;
  }

  #groups(options: WorkerOptions["groups"], executors: Executors): Map<string, GroupSetup> {
    const groups = options ?? defaultGroups(this.#handler);
    const names = Object.keys(groups);
    checkInteger(names.length, "the number of groups", 1, GROUPS_MAX);
    return new Map(
      Object.entries(groups).map(([name, value]) => {
        const group = typeof value === "number" ? { concurrency: value } : value;
        checkFields(group, `the options of group "${name}"`, GROUP_FIELDS);
        const { executor: kind, permissions, memory, timeout } = group;
        const concurrency = checkInteger(
          group.concurrency ?? CONCURRENCY_DEFAULT,
          `the concurrency of group "${name}"`,
          1,
          CONCURRENCY_MAX,
        );
        return [checkName(name, "a group"), {
          concurrency,
          executor: executors.create({
            group: name,
            kind: checkExecutorKind(kind ?? defaultExecutorKind(this.#handlerUrl), name),
            concurrency,
            ...(permissions === undefined ? {} : {
              permissions: checkPermissions(permissions, `the permissions of group "${name}"`),
            }),
            ...(memory === undefined ? {} : { memoryMb: memory }),
          }),
          timeoutMs: timeout === undefined ? null : checkTimeout(timeout),
        }];
      }),
    );
  }

  get #orderHost(): OrderHost {
    return { handler: this.#handler, clock: this.#store.clock };
  }

  /** The draft of a task whose group and name are given. */
  #draft(group: string, name: string, data: unknown, options: InitiateOptions): Draft {
    return toDraft(this.#store.ids, toOrder(this.#orderHost, group, name, data, options));
  }

  async #draftDefined(
    definition: TaskDefinition,
    data: unknown,
    options: InitiateOptions,
  ): Promise<Draft> {
    if (typeof definition?.validate !== "function") {
      throw new InvalidArgument(
        `Cannot initiate ${
          shown(definition)
        }: pass a task made by defineTask, or a group and a name`,
      );
    }
    await definition.validate(data);
    return this.#draft(definition.group, definition.name, data, options);
  }

  async #runEagerly(draft: Draft): Promise<Result> {
    if (!this.#hasHandler) {
      throw new InvalidArgument("Cannot run a task eagerly: open the Kit with a handler");
    }
    if (draft.record.unique !== null) {
      throw new InvalidArgument("Cannot run a task eagerly: unique is not to be had");
    }
    await settleEagerly(this.#store, this.#handler, draft);
    return new Result(this.#host, draft.record.id);
  }

  #checkOpen(act: string): void {
    if (this.#closing.signal.aborted) throw new KitClosed(act);
  }

  /** Stops this Kit's workers gracefully and closes the database, unless it was passed open. Twice does no harm. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    this.#closing.abort();
    this.#store.bells.close();
    this.#store.turns.close();
    if (this.#connection.owned) this.#store.kv.close();
  }

  /** Closes the Kit at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkClient(client: unknown): KvClient {
  if (client === "npm" || client === "builtin") return client;
  throw new InvalidArgument(`Cannot use ${shown(client)} as client: pass "npm" or "builtin"`);
}

function checkPrefix(prefix: unknown): string[] {
  const parts: unknown[] = Array.isArray(prefix) ? prefix : [prefix];
  checkInteger(parts.length, "the number of parts of prefix", 1, PREFIX_PARTS_MAX);
  return parts.map((part) => checkName(part, "prefix"));
}

async function toHandler(handler: KitOptions["handler"]): Promise<TaskHandler | null> {
  if (handler === undefined) return null;
  if (handler instanceof TaskHandler) return handler;
  if (handler instanceof URL) return await loadHandler(handler);
  throw new HandlerInvalid(
    `Cannot use ${
      shown(handler)
    } as handler: pass an instance of a class that extends TaskHandler, or the URL of its ` +
      `module: new URL("./handler.ts", import.meta.url)`,
  );
}

function checkId(id: unknown): string {
  if (isId(id)) return id;
  throw new InvalidArgument(`Cannot use ${shown(id)} as the id of a task: it is no UUID`);
}

function checkExecutorKind(kind: unknown, group: string): ExecutorKind {
  if (kind === "inline" || kind === "thread" || kind === "process") return kind;
  throw new InvalidArgument(
    `Cannot use ${
      shown(kind)
    } as the executor of group "${group}": there are "inline", "thread" and "process"`,
  );
}

function positive(duration: Duration | undefined, what: string, defaultMs: number): number {
  if (duration === undefined) return defaultMs;
  const ms = toMilliseconds(duration, what);
  if (ms === 0) throw new InvalidArgument(`Cannot use 0 as ${what}: it must be longer`);
  return ms;
}

function defaultGroups(handler: TaskHandler): Record<string, number> {
  const groups: unknown = Reflect.get(handler, "groups");
  if (Array.isArray(groups)) {
    return Object.fromEntries(groups.map((group) => [group, CONCURRENCY_DEFAULT]));
  }
  throw new InvalidArgument(
    "Cannot start a worker: say which groups it works on, such as { groups: { mail: 4 } }",
  );
}

function toInfo(record: TaskRecord): TaskInfo {
  const date = (ms: number | null) => ms === null ? null : new Date(ms);
  return {
    id: record.id,
    group: record.group,
    name: record.name,
    state: record.state,
    priority: record.priority,
    due: new Date(record.dueMs),
    created: new Date(record.createdMs),
    started: date(record.startedMs),
    ended: date(record.endedMs),
    expires: date(record.expiresMs),
    scheduled: date(record.scheduledMs),
    attempt: record.attempt,
    retryCount: Math.max(0, record.attempt - 1 - record.released),
    ttl: record.ttlMs,
    timeout: record.timeoutMs,
    unique: record.unique,
    worker: record.lease?.worker ?? null,
    error: isTerminal(record.state) && record.state === "succeeded" ? null : record.error,
  };
}

const logToConsole: Log = (entry) => {
  const about = entry.task === undefined
    ? ""
    : ` task "${entry.task}" (${entry.group}/${entry.name})`;
  console[entry.level](printable(`taskkit:${about} ${entry.message}`));
};

function runtimeName(): string {
  if (globalThis.Deno?.version !== undefined) return `deno ${Deno.version.deno}`;
  return process.versions.bun === undefined
    ? `node ${process.versions.node}`
    : `bun ${process.versions.bun}`;
}
