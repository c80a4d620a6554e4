/**
 * A worker and its supervisor, in real processes.
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { wantsSupervisor } from "../../src/cli/supervisor.ts";
import { CONFIG, HANDLER, World } from "./world.ts";

const IS_DENO = "Deno" in globalThis;

test("wantsSupervisor(): a worker does, unless it is told otherwise; nothing else does", () => {
  for (const argv of [[], ["worker"], ["--group", "a"], ["worker", "--json"]]) {
    assert.equal(wantsSupervisor(argv), true, argv.join(" "));
  }
  const others = [["list"], ["worker", "--help"], ["--version"], ["-h"], ["help", "worker"]];
  for (const argv of [...others, ["worker", "--no-supervisor"]]) {
    assert.equal(wantsSupervisor(argv), false, argv.join(" "));
  }
});

for (const how of ["exit", "die"]) {
  test(`supervisor: a handler that makes its process ${how} is run again by a new one`, async () => {
    using world = new World();
    await using kit = await world.open();
    const argv = ["worker", "--group=work", "--lease=1s", "--config", CONFIG, "--kv", world.kv];
    const worker = world.start(argv);
    const [, first] = await worker.until(/worker, process (\d+) on/);
    const { id } = await kit.initiateTask("work", how);
    await worker.until(new RegExp(`${id} attempt 2 succeeded`));
    worker.kill("SIGTERM");
    const { code, out, err } = await worker.ended;
    assert.equal(code, 0);
    assert.match(err, /^taskkit: The worker's process .*: it is started anew in 1 s\n$/);
    const pids = [...out.matchAll(/worker, process (\d+) on/g)].map(([, pid]) => pid);
    assert.deepEqual([pids.length, pids[0], pids[1] === first], [2, first, false]);
  });
}

const needsDeno = IS_DENO ? false : "Bun ends a thread that computes";

test(
  "supervisor: threads that would not end go with their process",
  { skip: needsDeno },
  async () => {
    using world = new World();
    await using kit = await world.open();
    const text = `export default { kv: "tasks.db", handler: ${JSON.stringify(HANDLER)}, ` +
      'leakedThreads: 1, groups: { work: { concurrency: 1, executor: "thread", timeout: "50ms" } } };';
    world.write("taskkit.config.ts", text);
    const worker = world.start(["worker", "--json"]);
    await worker.until(/worker\.started/);
    const { id } = await kit.initiateTask("work", "spin");
    await worker.until(/worker\.restarting/, "err");
    await worker.until(/worker\.started[^]*worker\.started/);
    worker.kill("SIGTERM");
    const { code, err } = await worker.ended;
    assert.equal(code, 0);
    assert.equal(
      JSON.parse(err).message,
      "Threads of the worker would not end: it is started anew",
    );
    assert.equal((await kit.getTask(id)).error?.code, "TASK_TIMED_OUT");

    const bare = world.start(["worker", "--no-supervisor", "--json"]);
    await bare.until(/worker\.started/);
    await kit.initiateTask("work", "spin");
    assert.equal((await bare.ended).code, 4);
  },
);

test("supervisor: when it is killed, the worker stops gracefully", async () => {
  using world = new World();
  const worker = world.start(["worker", "--group=work", "--config", CONFIG, "--kv", world.kv]);
  await worker.until(/works on/);
  worker.kill("SIGKILL");
  const { out } = await worker.ended;
  assert.match(out, /Worker ".*" has stopped\n$/);
  await using kit = await world.open();
  assert.deepEqual(await kit.getWorkers(), []);
});

test("supervisor: the third signal ends a worker that is not to be reached", async () => {
  using world = new World();
  await using kit = await world.open();
  const argv = [
    "worker",
    "--group=work",
    "--log-level=debug",
    "--config",
    CONFIG,
    "--kv",
    world.kv,
  ];
  const worker = world.start(argv);
  const [, pid] = await worker.until(/worker, process (\d+) on/);
  const { id } = await kit.initiateTask("work", "spin");
  await worker.until(new RegExp(`${id} started`));
  for (let n = 0; n < 3; n++) {
    worker.kill("SIGINT");
    // Signals that wait together are one.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await worker.ended).code, 130);
  assert.throws(() => process.kill(Number(pid), 0));
});
