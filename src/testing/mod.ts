/**
 * For tests of your own tasks: a Kit on a database in memory and a time that passes only when the test says so; and
 * simulation with crashes, bad networks and many workers. Works in `deno test`, `bun test` and `node:test`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { defineTask, tasks } from "@taskkit/taskkit";
 * import { TestKit } from "@taskkit/taskkit/testing";
 *
 * const double = defineTask({ group: "math", name: "double", run: (n: number) => 2 * n });
 * await using t = await TestKit.open({ handler: tasks([double]), mode: "inline" });
 *
 * const result = await t.kit.initiateTask(double, 21);
 * assert.equal(await result.get(), 42);
 *
 * const performed = await t.perform(double, 4, { attempt: 2 });
 * assert.equal(performed.outcome === "succeeded" && performed.value, 8);
 * ```
 *
 * @module
 */

export {
  type Drained,
  type DrainOptions,
  type InitiatedTask,
  type TaskName,
  TestKit,
  type TestKitOptions,
} from "./test_kit.ts";
export type { Expected } from "./initiated.ts";
export type { UserWrite } from "../core/handler.ts";
export type { Performed, PerformOptions, Told } from "./perform.ts";
export {
  crashEverywhere,
  type Invariant,
  type Scenario,
  type SimEnd,
  type SimProcess,
  type SimReport,
  simulate,
  type SimulateOptions,
  SimulationFailed,
} from "./simulate.ts";
export { CALM, type Fault, INSTANT, type KvFaults, type Latency } from "./sim_faults.ts";
export { ROUGH_FILE, ROUGH_NETWORK } from "./sim_faults.ts";
export {
  type RunEnd,
  type RunOptions,
  type ScheduleOptions,
  type TraceEvent,
  VirtualClock,
  type VirtualClockOptions,
  VirtualTime,
  type VirtualTimeOptions,
} from "./virtual_clock.ts";
export { SeededRandom } from "./prng.ts";
export {
  type Change,
  type CommitEvent,
  type RefusalEvent,
  SimDatabase,
  type SimDatabaseOptions,
  type Stored,
} from "./sim_database.ts";
export type { Dialect, DialectName, Refusal } from "./sim_dialect.ts";
export type { PackedKey } from "./packed_key.ts";
export type { CommitResult, SimAtomic } from "./sim_atomic.ts";
export type { SimList } from "./sim_list.ts";
export { type ConnectOptions, type InjectOptions, SimKv } from "./sim_kv.ts";
