import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers";
import { TaskHandler } from "../../src/core/handler.ts";
import type { Task } from "../../src/core/task.ts";
import { TaskTimedOut } from "../../src/core/errors.ts";
import type { TaskContext } from "../../src/core/handler.ts";
import { LOG_BURST, LOG_LINES_PER_SECOND, PROGRESS_CROSSES_MS } from "../../src/core/limits.ts";
import { Claims } from "../../src/executor/claims.ts";
import { JobRunner } from "../../src/executor/job_runner.ts";
import { packReason, type Report } from "../../src/executor/protocol.ts";
import { ManualClock, newTask } from "./world.ts";

/** Does what the test says. */
class Scripted extends TaskHandler {
  readonly #script: (context: TaskContext, name: string) => unknown;

  constructor(script: (context: TaskContext, name: string) => unknown) {
    super();
    this.#script = script;
  }

  override handle(task: Task, context: TaskContext): unknown {
    return this.#script(context, task.name);
  }
}

function runner(script: (context: TaskContext, name: string) => unknown, claims?: Claims) {
  const clock = new ManualClock();
  const posted: (readonly Report[])[] = [];
  const jobs = new JobRunner(new Scripted(script), {
    clock,
    claims: claims ?? null,
    post: (reports) => posted.push(structuredClone(reports)),
  });
  const run = (n: number, name = "any", claim = 0) =>
    ({ kind: "run", n, claim, isTimed: false, task: newTask(name), aborted: null }) as const;
  return { clock, posted, jobs, run };
}

/** Lets everything happen that waits for nothing but promises. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function outcomes(posted: readonly (readonly Report[])[]): [number, string][] {
  return posted.flat().flatMap((report) =>
    report.kind === "outcome" ? [[report.n, report.outcome.kind] as [number, string]] : []
  );
}

test("outcomes that come together are sent together", async () => {
  const { posted, jobs, run } = runner(() => 1);
  jobs.accept([run(1), run(2), run(3)]);
  await settled();
  assert.equal(posted.length, 1);
  assert.deepEqual(outcomes(posted), [[1, "succeeded"], [2, "succeeded"], [3, "succeeded"]]);
});

test("an outcome that cannot be sent fails alone, those beside it are sent", async () => {
  const { posted, jobs, run } = runner((context, name) =>
    name === "bad" ? context.complete(1, (atomic) => atomic.set(["k"], () => 1)) : 1
  );
  jobs.accept([run(1), run(2, "bad"), run(3)]);
  await settled();
  assert.deepEqual(outcomes(posted), [[1, "succeeded"], [2, "failed"], [3, "succeeded"]]);
});

test("between attempts that compute, messages get their turn", async () => {
  const order: string[] = [];
  const world = runner((context, name) => {
    order.push(context.signal.aborted ? `${name} aborted` : name);
    world.clock.advance(20);
    return name;
  });
  const { jobs, run } = world;
  world.clock.soon = (callback) => void setImmediate(callback);
  jobs.accept([run(1, "a"), run(2, "b"), run(3, "c")]);
  assert.deepEqual(order, ["a"]);
  jobs.accept([{ kind: "abort", n: 2, reason: packReason(new TaskTimedOut("t", 1)) }]);
  jobs.accept([run(4, "d")]);
  for (let i = 0; i < 5; i++) await settled();
  assert.deepEqual(order, ["a", "b aborted", "c", "d"]);
});

test("an attempt that was withdrawn is not run", async () => {
  const worker = new Claims();
  const { posted, jobs, run } = runner((_context, name) => name, new Claims(worker.memory));
  const [first, second] = [worker.offer(1) ?? 0, worker.offer(2) ?? 0];
  worker.withdraw(first, 1);
  jobs.accept([run(1, "a", first), run(2, "b", second)]);
  await settled();
  assert.deepEqual(outcomes(posted), [[2, "succeeded"]]);
});

test("the attempt whose handler runs is seen by the worker, until it waits", async () => {
  const worker = new Claims();
  const holders: number[] = [];
  const { jobs, run } = runner(async () => {
    holders.push(worker.holder());
    await null;
    holders.push(worker.holder());
  }, new Claims(worker.memory));
  jobs.accept([run(7, "a", worker.offer(7) ?? 0)]);
  await settled();
  assert.deepEqual(holders, [7, 0]);
});

test("progress crosses at once, then the newest after each pause", async () => {
  let tell: TaskContext["progress"] = () => {};
  const { clock, posted, jobs, run } = runner((context) => {
    tell = (...args) => context.progress(...args);
    return new Promise(() => {});
  });
  jobs.accept([run(1)]);
  for (const fraction of [0.1, 0.2, 0.3]) tell(fraction);
  clock.advance(PROGRESS_CROSSES_MS);
  tell(0.4);
  clock.advance(PROGRESS_CROSSES_MS - 1);
  tell(0.5);
  clock.advance(1);
  clock.advance(PROGRESS_CROSSES_MS);
  tell(0.6);
  await settled();
  assert.deepEqual(
    posted.flat().map((report) => report.kind === "progress" && report.fraction),
    [0.1, 0.3, 0.5, 0.6],
  );
});

test("lines are let through in a burst, then some a second, and the dropped are counted", async () => {
  let log: TaskContext["log"]["info"] = () => {};
  const { clock, posted, jobs, run } = runner((context) => {
    log = context.log.info;
    return new Promise(() => {});
  });
  jobs.accept([run(1)]);
  for (let i = 0; i < LOG_BURST + 50; i++) log(`first ${i}`);
  clock.advance(1_000);
  for (let i = 0; i < LOG_LINES_PER_SECOND + 5; i++) log(`second ${i}`);
  await settled();
  const lines = posted.flat().flatMap((report) => report.kind === "log" ? [report.message] : []);
  assert.equal(lines.length, LOG_BURST + 1 + LOG_LINES_PER_SECOND);
  assert.deepEqual(lines.slice(LOG_BURST, LOG_BURST + 2), [
    "50 lines of the log were dropped: there were too many",
    "second 0",
  ]);
});

test("what a handler tells after its attempt ended is not sent", async () => {
  let late: TaskContext | null = null;
  const { posted, jobs, run } = runner((context) => {
    late = context;
    return 1;
  });
  jobs.accept([run(1)]);
  await settled();
  const context = late as TaskContext | null;
  context?.log.info("late");
  context?.progress(1);
  assert.deepEqual(posted.flat().map(({ kind }) => kind), ["outcome"]);
});

test("attemptToBlame() names the attempt whose code runs, 0 if it has ended", async () => {
  const blamed: (number | null)[] = [];
  const world = runner(async () => {
    blamed.push(world.jobs.attemptToBlame());
    await null;
    blamed.push(world.jobs.attemptToBlame());
    setImmediate(() => blamed.push(world.jobs.attemptToBlame()));
  });
  world.jobs.accept([world.run(5)]);
  await settled();
  await settled();
  assert.deepEqual([...blamed, world.jobs.attemptToBlame()], [5, 5, 0, null]);
});

test("a ping is answered", () => {
  const { posted, jobs } = runner(() => 1);
  jobs.accept([{ kind: "ping" }]);
  assert.deepEqual(posted, [[{ kind: "pong" }]]);
});
