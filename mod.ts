/**
 * Background tasks on nothing but Deno KV: one import, no broker; the same code on one SQLite file and on a denokv server,
 * in Deno and in Bun.
 *
 * @example Define tasks, work on them, wait for a result
 * ```ts
 * import { defineTask, Kit, tasks } from "@taskkit/taskkit";
 *
 * const wordCount = defineTask({
 *   group: "text",
 *   name: "word-count",
 *   timeout: "10s",
 *   run: (text: string) => text.split(/\s+/).filter((word) => word !== "").length,
 * });
 *
 * await using kit = await Kit.open({ kv: ":memory:", handler: tasks([wordCount]) });
 * await using worker = await kit.startWorker({ groups: { text: 4 } });
 *
 * const result = await kit.initiateTask(wordCount, "to be or not to be");
 * console.log(await result.get({ timeout: "10s" })); // 6
 * ```
 *
 * @module
 */

export { Kit } from "./src/kit.ts";
export { defineConfig, type TaskkitConfig } from "./src/config.ts";
export type {
  DrainOptions,
  GroupOptions,
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
} from "./src/options.ts";
export { type ScheduleInfo, type ScheduleName, ScheduleStore } from "./src/schedules.ts";
export type { EntryOptions, ScheduleEntry, Schedules } from "./src/schedule/entry.ts";
export type {
  MissedPolicy,
  OverlapPolicy,
  Schedule,
  SchedulePolicies,
} from "./src/schedule/schedule.ts";
export {
  RegularSchedule,
  type RegularScheduleFields,
  type RegularScheduleOptions,
  type ScheduleField,
} from "./src/schedule/regular.ts";
export { CronSchedule } from "./src/schedule/cron.ts";
export { IntervalSchedule, type IntervalScheduleOptions } from "./src/schedule/interval.ts";
export { type GetOptions, Result } from "./src/result.ts";
export {
  type AtomicWrites,
  type RetryInterval,
  type TaskContext,
  TaskHandler,
  type TaskLog,
  type UserKey,
} from "./src/core/handler.ts";
export {
  defineTask,
  type Retry,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
  type TaskDefinition,
  type TaskOptions,
  tasks,
} from "./src/core/define.ts";
export type { Task, TaskState } from "./src/core/task.ts";
export type { Duration, Instant } from "./src/core/duration.ts";
export type { Log, LogEntry, LogLevel } from "./src/core/log.ts";
export type { Clock, Timer } from "./src/core/clock.ts";
export type { Random } from "./src/core/random.ts";
export type { CancelOutcome } from "./src/store/operate.ts";
export type { CheckProblem, CheckReport } from "./src/store/check.ts";
export type { GroupStats, Progress } from "./src/store/read.ts";
export type { KvClient, KvSource } from "./src/store/connection.ts";
export type {
  AtomicPort as KvAtomic,
  Entry as KvEntry,
  Key as KvKey,
  KeyPart as KvKeyPart,
  KvPort,
  ListOptions as KvListOptions,
  Selector as KvSelector,
} from "./src/store/port.ts";
export type { ExecutorKind } from "./src/executor/executor.ts";
export type { PermissionGrant, PermissionKind, Permissions } from "./src/executor/permissions.ts";
export type { StopReason } from "./src/worker/worker.ts";
export {
  Conflict,
  DiscardTask,
  type ErrorCode,
  ExecutorLost,
  HandlerInvalid,
  InvalidArgument,
  InvalidData,
  InvalidSchedule,
  KitClosed,
  KvUnavailable,
  LeaseLost,
  OutcomeUnknown,
  ResultGetPrevented,
  ResultGetTimedOut,
  type StoredError,
  TaskCancelled,
  TaskDiscarded,
  TaskFailed,
  TaskkitError,
  TaskNotFound,
  TaskPoisoned,
  TaskTimedOut,
  UnknownTask,
  UnreadableRecord,
  Unsupported,
  WorkerStopping,
} from "./src/core/errors.ts";
