/**
 * The command line as people run it: in processes of its own, with signals, pipes and exit codes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CONFIG, jsonLines, World } from "./world.ts";

test("main: a worker drains what other processes initiate, and SIGTERM ends it gracefully with 0", async () => {
  using world = new World();
  const common = ["--config", CONFIG, "--kv", world.kv];
  const worker = world.start(["worker", "--group=work=8", ...common]);
  await worker.until(/works on "work" \(8 at once, inline\)/);

  const one = await world.spawn([
    "initiate",
    "work",
    "echo",
    '"a\\u001bb"',
    "--wait=30s",
    ...common,
  ]);
  assert.equal(one.code, 0);
  assert.match(one.out, /^[0-9a-f-]{36}\n'a\\x1[bB]b'\n$/);
  const many = await world.spawn(["initiate", "work", "echo", "--lines", ...common], {
    input: Array.from({ length: 300 }, (_, i) => `${i}\n`).join(""),
  });
  assert.equal(many.code, 0);
  const failed = await world.spawn(["initiate", "work", "fail", '"no"', "--wait=30s", ...common]);
  assert.equal(failed.code, 1);

  for (const id of many.out.trimEnd().split("\n")) {
    await worker.until(new RegExp(`${id} succeeded`));
  }
  worker.kill("SIGTERM");
  const { code, out, err } = await worker.ended;
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /Worker ".*" stops; 0 running\n.*Worker ".*" has stopped\n$/);
  // deno-lint-ignore no-control-regex -- none of these may be there
  assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);

  const stats = await world.spawn(["stats", "--json", "--kv", world.kv]);
  const [{ groups } = assert.fail()] = jsonLines(stats.out);
  const { succeeded, failed: failures, queued, running } =
    (groups as Record<string, Record<string, number>>).work ?? {};
  assert.deepEqual({ succeeded, failures, queued, running }, {
    succeeded: 301,
    failures: 1,
    queued: 0,
    running: 0,
  });
});

test("main: the first Ctrl-C waits for what runs, the second does not", async () => {
  for (const supervisor of [[], ["--no-supervisor"]]) {
    using world = new World();
    const common = ["--config", CONFIG, "--kv", world.kv];
    const argv = ["worker", "--group=work", "--grace=1h", "--log-level=debug", "--json"];
    const worker = world.start([...argv, ...supervisor, ...common]);
    await worker.until(/worker\.started/);
    const { out: id } = await world.spawn(["initiate", "work", "wait", ...common]);
    await worker.until(/task\.started/);
    worker.kill("SIGINT");
    await worker.until(/worker\.stopping/);
    worker.kill("SIGINT");
    const { code, out, err } = await worker.ended;
    assert.deepEqual([code, err], [130, ""]);
    const events = jsonLines(out).map(({ event }) => event);
    assert.deepEqual(events.slice(-3), ["worker.aborted", "task.released", "worker.stopped"]);
    const shown = await world.spawn(["show", id.trim(), "--json", "--kv", world.kv]);
    const [{ state, attempt, retryCount } = assert.fail()] = jsonLines(shown.out);
    assert.deepEqual({ state, attempt, retryCount }, {
      state: "queued",
      attempt: 1,
      retryCount: 0,
    });
  }
});

test("main: the second Ctrl-C does not wait for a database that does not answer", {
  timeout: 60_000,
}, async () => {
  using world = new World();
  const config = fileURLToPath(new URL("./fixtures/hanging.config.ts", import.meta.url));
  const worker = world.start(["worker", "--config", config, "--json"]);
  await worker.until(/nothing is answered any more/);
  worker.kill("SIGINT");
  await worker.until(/worker\.stopping/);
  worker.kill("SIGINT");
  const { code, out, err } = await worker.ended;
  assert.equal(code, 130);
  assert.doesNotMatch(out, /worker\.stopped/);
  assert.equal(
    err,
    "Ended without waiting longer: other workers take over what was not given back, within half a minute\n",
  );
});

test("main: a program that only works is ended by the third Ctrl-C, whatever its database does", async () => {
  using world = new World();
  const main = fileURLToPath(new URL("./fixtures/hanging_start.ts", import.meta.url));
  const program = world.start([], { main });
  await program.until(/task\.log/);
  program.kill("SIGINT");
  await program.until(/signal 1, 2 listen/);
  program.kill("SIGINT");
  await program.until(/signal 2, 0 listen/);
  program.kill("SIGINT");
  const { code, out } = await program.ended;
  assert.notEqual(code, 0);
  assert.doesNotMatch(out, /worker\.stopped/);
});

test("main: a program that imports it is the command line, with a supervisor too", async () => {
  using world = new World();
  const main = fileURLToPath(new URL("./fixtures/program.ts", import.meta.url));
  const argv = ["--group=work", "--config", CONFIG, "--kv", world.kv];
  const worker = world.start(argv, { main });
  const [, pid] = await worker.until(/worker, process (\d+) on/);
  assert.notEqual(Number(pid), worker.pid);
  await worker.until(/works on/);
  worker.kill("SIGTERM");
  assert.equal((await worker.ended).code, 0);
  const list = await world.spawn(["list", "--kv", world.kv], { main });
  assert.deepEqual(list, { code: 0, out: "", err: "There are no such tasks\n" });
});

test("main: bad configurations end with 2, and are not tried again", async () => {
  using world = new World();
  world.write(
    "taskkit.config.ts",
    'export default { kv: "t.db", groups: { a: { concurency: 1 } } };',
  );
  const typo = await world.spawn(["worker"]);
  assert.deepEqual([typo.code, typo.out], [2, ""]);
  assert.match(typo.err, /^taskkit: .*no option "concurency"; did you mean "concurrency"\?\n/);
  const none = await world.spawn([], { cwd: world.folder, env: {} });
  assert.equal(none.code, 2);
});

test("main: without a configuration a worker says what to write", async () => {
  using world = new World();
  const { code, out, err } = await world.spawn([]);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /there is no "taskkit\.config\.ts" in ".*"\n {2}write one:\n/);
});

test("main: a reader that goes away is no error", async () => {
  using world = new World();
  await using kit = await world.open();
  await kit.initiateTasks(Array.from({ length: 5_000 }, () => ({ group: "a", name: "b" })));
  const list = world.start(["list", "--all", "--json", "--kv", world.kv]);
  await list.until(/\n/);
  list.stopReading();
  const { code, err } = await list.ended;
  assert.deepEqual([code, err], [0, ""]);
});
