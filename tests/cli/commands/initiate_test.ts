/**
 * `initiate`: one task, or one a line.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIG, jsonLines, World } from "../world.ts";

test("initiate: the task has what the flags say, and its id is printed", async () => {
  using world = new World();
  const flags = ["--due=1h", "--ttl=2d", "--priority=1", "--timeout=9s", "--unique=a"];
  const { code, out, err } = await world.command([
    "initiate",
    "images",
    "resize",
    '{"file":"a.jpg"}',
    ...flags,
  ]);
  assert.deepEqual([code, err], [0, ""]);
  await using kit = await world.open();
  const { tasks } = await kit.listTasks();
  assert.equal(out, `${tasks[0]?.id}\n`);
  const [{ group, name, state, ttl, priority, timeout, unique, due, created } = assert.fail()] =
    tasks;
  assert.deepEqual({ group, name, state, ttl, priority, timeout, unique }, {
    group: "images",
    name: "resize",
    state: "queued",
    ttl: 172_800_000,
    priority: 1,
    timeout: 9_000,
    unique: "a",
  });
  assert.equal(due.getTime() - created.getTime(), 3_600_000);
  assert.deepEqual(await kit.getTaskData(tasks[0]?.id ?? ""), { file: "a.jpg" });

  const again = await world.command(["initiate", "images", "resize", "--unique=a"]);
  assert.equal(again.out, out);
});

test("initiate: data may be text, JSON of the input, or none; a date may be due", async () => {
  using world = new World();
  await world.command(["initiate", "a", "text", "{", "--text"]);
  await world.command(["initiate", "a", "input", "-"], { input: ["[1,", "2]"] });
  await world.command(["initiate", "a", "none", "--due", "2130-01-31T10:00+09:00"]);
  await using kit = await world.open();
  const { tasks } = await kit.listTasks();
  const data = await Promise.all(
    tasks.map(async ({ id, name }) => [name, await kit.getTaskData(id)]),
  );
  assert.deepEqual(data, [["none", undefined], ["input", [1, 2]], ["text", "{"]]);
  assert.equal(tasks[0]?.due.toISOString(), "2130-01-31T01:00:00.000Z");
});

test("initiate: what cannot be used is refused, and nothing is written", async () => {
  using world = new World();
  const refused: [string[], RegExp][] = [
    [["a", "b", "{file: 1}"], /Cannot read the data: "\{file: 1\}" is no JSON\n {2}quote it/],
    [["a", "b", "--due", "tomorrow"], /Cannot read due: "tomorrow" is no duration/],
    [["a", "b", "--due", "2030-13-01"], /Cannot read --due: "2030-13-01" is no date/],
    [["a", "b", "--priority", "10"], /Cannot use 10 as priority/],
    [["a", "b", "--priority", "-1"], /Cannot read --priority: its value is missing/],
    [["a", "b", "--ttl", "-5s"], /Cannot read --ttl: its value is missing/],
    [["a", "b", "--timeout", "0"], /is no duration/],
    [["", "b"], /Cannot use "" as the group of a task: it is empty/],
    [["a", "x".repeat(201)], /is longer than 200 bytes/],
    [["a", "b", "1", "--lines"], /--lines takes neither data/],
    [["a", "b", JSON.stringify("x".repeat(1_100_000))], /its data has \d+ bytes; the bound is/],
  ];
  for (const [argv, said] of refused) {
    const { code, out, err } = await world.command(["initiate", ...argv]);
    assert.match(err, said);
    assert.deepEqual([code, out], [2, ""], said.source);
  }
  await using kit = await world.open();
  assert.deepEqual((await kit.listTasks()).tasks, []);
});

test("initiate: --lines makes a task of each line, in batches, and counts them", async () => {
  using world = new World();
  const input = Array.from({ length: 1_203 }, (_, i) => String(i));
  const { code, out, err } = await world.command(["initiate", "a", "b", "--lines"], {
    input: [...input, "", "  "],
  });
  assert.deepEqual([code, err], [0, "Initiated 1,203 tasks\n"]);
  const ids = out.trimEnd().split("\n");
  await using kit = await world.open();
  assert.deepEqual([ids.length, new Set(ids).size], [1_203, 1_203]);
  assert.equal(await kit.getTaskData(ids[1_202] ?? ""), 1_202);
  assert.equal((await kit.stats()).groups.a?.queued, 1_203);
});

test("initiate: a line that is no JSON ends it, and it is said what was initiated", async () => {
  using world = new World();
  const { code, out, err } = await world.command(["initiate", "a", "b", "--lines", "--json"], {
    input: ["1", "", "two", "3"],
  });
  assert.equal(code, 2);
  assert.equal(jsonLines(out).length, 1);
  assert.deepEqual(jsonLines(err).map(({ error }) => error), [{
    message: 'Cannot read the data: "two" is no JSON, in line 3 of the input',
    hints: ["1 task initiated from the lines before it"],
  }]);
});

test("initiate: --wait prints the result, or says what became of the task", async () => {
  using world = new World();
  await using kit = await world.open({
    handler: new URL("../fixtures/handler.ts", import.meta.url),
  });
  await using _worker = await kit.startWorker({
    groups: { work: { concurrency: 4, executor: "inline" } },
    logLevel: "error",
    log: () => {},
  });
  const initiate = (...argv: string[]) =>
    world.command(["initiate", "work", ...argv, "--config", CONFIG]);

  const echo = await initiate("echo", '{"a":[1,2]}', "--wait", "20s");
  assert.deepEqual([echo.code, echo.err], [0, ""]);
  assert.match(echo.out, /^[0-9a-f-]{36}\n\{ a: \[ 1, 2 \] \}\n$/);

  const json = await initiate("echo", "[1]", "--wait", "20s", "--json");
  assert.equal(json.code, 0);
  const [{ id } = assert.fail(), result] = jsonLines(json.out);
  assert.deepEqual(result, { id, state: "succeeded", result: [1] });

  const failed = await initiate("fail", '"b\\u001b[31moom"', "--wait", "20s");
  assert.equal(failed.code, 1);
  assert.match(failed.err, /^Task ".*" failed: Error: b\\x1b\[31moom\n$/);

  const late = await initiate("wait", "--wait", "1ms", "--json");
  assert.equal(late.code, 1);
  const [task = assert.fail(), error] = jsonLines(late.out);
  assert.deepEqual(error, {
    id: task.id,
    error: {
      code: "RESULT_GET_TIMED_OUT",
      message: `Cannot get the result of task "${task.id}": it had not ended after 1 ms`,
    },
  });
  await kit.cancel(String(task.id));
});
