/**
 * `worker`, in this process: its options, its log, its end.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readArguments } from "../../../src/cli/arguments.ts";
import { workerCommand, workerOptions } from "../../../src/cli/commands/worker.ts";
import type { Setup } from "../../../src/cli/open_kit.ts";
import { run } from "../../../src/cli/run.ts";
import type { WorkerOptions } from "../../../src/options.ts";
import { CONFIG, type FakeTerminal, jsonLines, World } from "../world.ts";

function optionsOf(argv: readonly string[], worker: Setup["worker"] = {}): WorkerOptions {
  const setup = { kitOptions: {}, worker, configPath: null, database: "" };
  return workerOptions(readArguments(argv, "worker", workerCommand.flags), setup);
}

test("worker: flags come before the configuration", () => {
  const configured = {
    groups: { images: { concurrency: 2, timeout: "1m" }, mail: 3 },
    grace: "5s",
    maintenance: true,
    timeZone: "Asia/Tokyo",
    logLevel: "warn",
  } as const;
  assert.deepEqual(optionsOf([]), { logLevel: "info" });
  assert.deepEqual(optionsOf([], configured), configured);
  const flags = ["--grace=1s", "--lease=30s", "--poll-interval=2s", "--threads=3"];
  assert.deepEqual(optionsOf([...flags, "--no-maintenance", "--log-level=debug"], configured), {
    ...configured,
    grace: "1s",
    lease: "30s",
    pollInterval: "2s",
    threads: 3,
    maintenance: false,
    logLevel: "debug",
  });
});

test("worker: --group chooses groups, which keep what is configured but for the number", () => {
  const groups = { images: { concurrency: 2, timeout: "1m" }, mail: 3, text: 4 };
  const flags = ["--group=images=8", "--group", "mail", "--group=a=b=1", "--group=new"];
  assert.deepEqual(optionsOf(flags, { groups }).groups, {
    images: { concurrency: 8, timeout: "1m" },
    mail: 3,
    "a=b": { concurrency: 1 },
    new: {},
  });
  assert.deepEqual(optionsOf(["--group=mail=9"], { groups }).groups, { mail: 9 });
  assert.throws(() => optionsOf(["--group=images=many"]), {
    message: 'Cannot read --group: "many" is no whole number',
  });
  assert.throws(() => optionsOf(["--log-level=loud"]), {
    message: 'Cannot read --log-level: "loud" is none; there are debug, info, warn, error',
  });
});

/** Starts a worker in this process; resolves when it works. */
async function start(
  world: World,
  argv: readonly string[],
): Promise<{ terminal: FakeTerminal; ended: Promise<number> }> {
  const terminal = world.terminal();
  const ended = run(["worker", "--config", CONFIG, "--kv", world.kv, ...argv], terminal);
  await Promise.race([terminal.started, ended]);
  return { terminal, ended };
}

test("worker: says what it runs, then one line a task, and ends gracefully", async () => {
  using world = new World();
  const { terminal, ended } = await start(world, ["--group", "work=3"]);
  await using kit = await world.open();
  await (await kit.initiateTask("work", "echo", 1)).get();
  const bad = await kit.initiateTask("work", "fail", "b\x1b[31m\nad");
  await assert.rejects(bad.get());
  await terminal.until(/failed: /);
  terminal.interrupt(143);
  assert.equal(await ended, 0);
  const [title = "", ...rest] = terminal.outText.trimEnd().split("\n");
  assert.match(title, /^Taskkit \d+\.\d+\.\d+ worker, process \d+ on /);
  assert.match(
    rest.slice(0, 4).join("\n"),
    /^ {2}configuration +.*\n {2}database +.*\n {2}handler/,
  );
  const log = rest.slice(4).map((line) =>
    line.replace(/^2.*?Z /, "").replaceAll(/[0-9a-f-]{36}/g, "ID")
  );
  assert.deepEqual(log.map((line) => line.replace(/ \([\d.]+m?s\)$/, "")), [
    'info  Worker "ID" works on "work" (3 at once, inline)',
    "info  work/echo ID succeeded",
    "error work/fail ID failed: b\\x1b[31m\\nad",
    'info  Worker "ID" stops; 0 running',
    'info  Worker "ID" has stopped',
  ]);
  assert.equal(terminal.errText, "");
});

test("worker: with --json each entry is a line, and nothing else is written", async () => {
  using world = new World();
  const { terminal, ended } = await start(world, ["--json", "--group=work"]);
  await using kit = await world.open();
  const { id } = await kit.initiateTask("work", "fail-once");
  await kit.getResult(id).get();
  await terminal.until(/task\.succeeded/);
  terminal.interrupt();
  assert.equal(await ended, 0);
  const entries = jsonLines(terminal.outText);
  assert.deepEqual(entries.map(({ event, task, attempt }) => [event, task, attempt]), [
    ["worker.started", undefined, undefined],
    ["task.retried", id, 1],
    ["task.succeeded", id, 2],
    ["worker.stopping", undefined, undefined],
    ["worker.stopped", undefined, undefined],
  ]);
  for (const { time } of entries) assert.equal(new Date(String(time)).toISOString(), time);
});

test("worker: the second Ctrl-C gives back what runs, the third one ends the process", async () => {
  using world = new World();
  const { terminal, ended } = await start(world, [
    "--group=work",
    "--grace=1h",
    "--log-level=debug",
  ]);
  await using kit = await world.open();
  const { id } = await kit.initiateTask("work", "wait");
  await terminal.until(/started/);
  terminal.interrupt();
  terminal.interrupt();
  assert.equal(await ended, 130);
  const { state, attempt, retryCount } = await kit.getTask(id);
  assert.deepEqual({ state, attempt, retryCount }, { state: "queued", attempt: 1, retryCount: 0 });
  assert.deepEqual(terminal.exits, []);

  const deaf = await start(world, ["--group=work", "--grace=1h", "--log-level=debug"]);
  await deaf.terminal.until(/started/);
  for (let n = 0; n < 3; n++) deaf.terminal.interrupt(143);
  assert.deepEqual(deaf.terminal.exits, [143]);
  assert.equal(await deaf.ended, 143);
});

test("worker: the second Ctrl-C ends one that is still being started", async () => {
  using world = new World();
  const config = world.write(
    "never.config.ts",
    "export default await new Promise(() => {});",
  );
  const terminal = world.terminal();
  const ended = run(["worker", "--config", config], terminal);
  terminal.interrupt(143);
  terminal.interrupt(143);
  assert.equal(await ended, 143);
  assert.deepEqual([terminal.exits, terminal.outText, terminal.errText], [[], "", ""]);
});

test("worker: a shutdown by another process ends it with code 0", async () => {
  using world = new World();
  const { ended } = await start(world, ["--group=work"]);
  await world.command(["shutdown", "--yes"]);
  assert.equal(await ended, 0);
});

test("worker: a reader of its log that goes away stops it gracefully", async () => {
  using world = new World();
  const terminal = world.terminal({ closesAfter: 3 });
  const argv = ["worker", "--config", CONFIG, "--kv", world.kv, "--group=work", "--json"];
  const ended = run([...argv, "--log-level=debug"], terminal);
  await using kit = await world.open();
  const { id } = await kit.initiateTask("work", "fail-once");
  await kit.getResult(id).get();
  assert.equal(await ended, 0);
});
