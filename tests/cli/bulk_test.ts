/**
 * `cancel` and `retry`: by ids and in bulk; and `pause`, `resume`, `shutdown`.
 *
 * @module
 */

import { type Kit, tasks, type TaskState } from "@taskkit/taskkit";
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "../../src/cli/run.ts";
import { jsonLines, World } from "./world.ts";

const UNKNOWN = "0198a0c4-7b1e-7abc-8def-0123456789ab";

async function states(kit: Kit): Promise<Record<string, TaskState>> {
  const { tasks } = await kit.listTasks({ limit: 1_000 });
  return Object.fromEntries(tasks.map(({ id, state }) => [id, state]));
}

async function queue(kit: Kit, group: string, count: number): Promise<string[]> {
  const entries = Array.from({ length: count }, () => ({ group, name: "work" }));
  return (await kit.initiateTasks(entries)).map(({ id }) => id);
}

test("cancel and retry: by ids, each told on its own, and one that is not there fails the command", async () => {
  using world = new World();
  await using kit = await world.open();
  const [one = "", two = "", three = ""] = await queue(kit, "a", 3);
  const cancelled = await world.command(["cancel", one, UNKNOWN, two]);
  assert.deepEqual([cancelled.code, cancelled.out.split("\n").toSorted()], [
    1,
    ["", `${one}  cancelled`, `${two}  cancelled`],
  ]);
  assert.match(cancelled.err, new RegExp(`^${UNKNOWN} {2}Cannot find task`));
  assert.deepEqual(await states(kit), {
    [one]: "cancelled",
    [two]: "cancelled",
    [three]: "queued",
  });

  const retried = await world.command(["retry", one, three, "--json"]);
  assert.equal(retried.code, 1);
  assert.deepEqual(jsonLines(retried.out).toSorted((a) => a.id === one ? -1 : 1), [
    { id: one, outcome: "queued" },
    {
      id: three,
      error: { code: "CONFLICT", message: `Cannot start task "${three}" anew: it is queued` },
    },
  ]);
  assert.equal((await states(kit))[one], "queued");
  const bad = await world.command(["cancel", "x"]);
  assert.deepEqual([bad.code, bad.out], [1, ""]);
  assert.match(bad.err, /^x {2}Cannot use "x" as the id of a task: it is no UUID\n$/);
});

test("cancel: in bulk it takes --yes, and only what the filter chooses", async () => {
  using world = new World();
  await using kit = await world.open();
  const a = await queue(kit, "a", 620);
  const b = await queue(kit, "b", 3);
  const { code, out, err } = await world.command(["cancel", "--group", "a", "--yes"]);
  assert.deepEqual([code, err], [0, "620 tasks: 620 cancelled\n"]);
  assert.equal(out.split("\n").length, 621);
  const now = await states(kit);
  assert.ok(a.every((id) => now[id] === "cancelled"));
  assert.ok(b.every((id) => now[id] === "queued"));
});

test("retry: in bulk it is what failed, unless another state is named", async () => {
  using world = new World();
  await using kit = await world.open();
  await queue(kit, "a", 5);
  await world.command(["cancel", "--all", "-y"]);
  const none = await world.command(["retry", "--all", "--yes"]);
  assert.deepEqual([none.code, none.out, none.err], [0, "", "0 tasks\n"]);
  const all = await world.command(["retry", "--state", "cancelled", "--yes"]);
  assert.deepEqual([all.code, all.err], [0, "5 tasks: 5 queued\n"]);
  const queued = await world.command(["retry", "--state", "queued", "--yes"]);
  assert.equal(queued.code, 2);
  assert.match(queued.err, /"queued" is none of failed, discarded, cancelled/);
});

test("cancel: on a terminal it says how many and asks; only yes does it", async () => {
  using world = new World();
  await using kit = await world.open();
  const ids = await queue(kit, "a", 3);
  for (const answer of ["", "no", "nay", null]) {
    const terminal = world.terminal({ answers: [answer] });
    const code = await run(["cancel", "--group", "a", "--kv", world.kv], terminal);
    assert.deepEqual([code, terminal.outText, terminal.errText], [1, "", "Nothing was changed\n"]);
    assert.deepEqual(terminal.asked, [
      'Cancel 3 tasks (group "a", queued or running)? [y/N] ',
    ]);
  }
  assert.deepEqual(Object.values(await states(kit)), ["queued", "queued", "queued"]);
  const terminal = world.terminal({ answers: [" Yes "] });
  assert.equal(await run(["cancel", "--group", "a", "--kv", world.kv], terminal), 0);
  assert.deepEqual(await states(kit), Object.fromEntries(ids.map((id) => [id, "cancelled"])));
});

test("cancel, retry, shutdown: where nobody can be asked and nothing is said, nothing is done", async () => {
  using world = new World();
  await using kit = await world.open();
  await queue(kit, "a", 2);
  for (const argv of [["cancel", "--all"], ["retry", "--state=failed"], ["shutdown"]]) {
    const { code, out, err } = await world.command(argv);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /Cannot ask ".*\?": nobody is there to answer\n {2}say --yes/);
    const json = await world.command([...argv, "--json"], { answers: ["yes"] });
    assert.equal(json.code, 2);
  }
  assert.deepEqual(Object.values(await states(kit)), ["queued", "queued"]);
  const both = await world.command(["cancel", UNKNOWN, "--all", "--yes"]);
  assert.deepEqual([both.code, both.out], [2, ""]);
  assert.match(both.err, /not both/);
  assert.match((await world.command(["cancel"])).err, /Cannot cancel: nothing says which tasks/);
});

test("cancel: Ctrl-C ends it between tasks, and it is told what was done", async () => {
  using world = new World();
  await using kit = await world.open();
  await queue(kit, "a", 200);
  const terminal = world.terminal();
  const running = run(["cancel", "--all", "--yes", "--kv", world.kv], terminal);
  await terminal.until(/cancelled/);
  terminal.interrupt();
  assert.equal(await running, 130);
  const done = Object.values(await states(kit)).filter((state) => state === "cancelled").length;
  assert.ok(done > 0 && done < 200, `${done} of 200`);
  assert.equal(terminal.errText, `interrupted: ${done} tasks: ${done} cancelled\n`);
});

test("pause, resume and shutdown reach the workers of the database", async () => {
  using world = new World();
  await using kit = await world.open({ handler: tasks([]) });
  const paused = await world.command(["pause", "a", "b\x1b"]);
  assert.deepEqual(paused, { code: 0, out: '"a", "b\\u001b": paused\n', err: "" });
  assert.deepEqual((await kit.stats()).paused, ["a", "b\x1b"]);
  const all = await world.command(["pause", "--json"]);
  assert.deepEqual(jsonLines(all.out), [{ outcome: "paused", groups: "all" }]);
  assert.equal((await kit.stats()).pausedAll, true);
  assert.equal((await world.command(["resume", "a"])).out, '"a": resumed\n');
  assert.equal((await world.command(["resume"])).out, "All groups: resumed\n");
  const { pausedAll, paused: still } = await kit.stats();
  assert.deepEqual([pausedAll, still], [false, []]);

  const worker = await kit.startWorker({ groups: { a: 1 }, log: () => {} });
  const other = await world.command(["shutdown", "b", "--yes"]);
  assert.equal(other.out, '"b": told to shut down\n');
  assert.equal((await world.command(["shutdown", "-y"])).code, 0);
  assert.equal(await worker.finished, "shutdown");
});
