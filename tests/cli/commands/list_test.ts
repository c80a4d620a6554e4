/**
 * `list`, `show` and `stats`: looking without touching.
 *
 * @module
 */

import { defineTask, tasks } from "@taskkit/taskkit";
import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLines, World } from "../world.ts";

/** Nine tasks: three a group, of which one failed and one succeeded. */
async function fill(world: World): Promise<string[]> {
  const groups = ["a", "b", "c"];
  const handler = tasks(groups.flatMap((group) => [
    defineTask({ group, name: "good", run: (n: number) => 2 * n }),
    defineTask({
      group,
      name: "bad",
      retry: 0,
      run: (): never => {
        throw new Error("se\x1bcret? no: why");
      },
    }),
  ]));
  await using kit = await world.open({ handler });
  const ids: string[] = [];
  for (const group of groups) {
    for (const name of ["good", "bad"]) {
      ids.push((await kit.initiateTask(group, name, 1, { eager: true })).id);
    }
    ids.push((await kit.initiateTask(group, "later", { secret: "x" }, { due: "1h" })).id);
  }
  return ids;
}

test("list: the newest first, each in one line, without control characters", async () => {
  using world = new World();
  const ids = await fill(world);
  const { code, out, err } = await world.command(["list", "--limit", "3"]);
  assert.deepEqual([code, err], [0, `There may be more: --cursor ${ids[6]}\n`]);
  const lines = out.split("\n");
  assert.match(lines[0] ?? "", /^ID +STATE +GROUP +NAME +ATTEMPT +WHEN$/);
  assert.match(lines[1] ?? "", new RegExp(`^${ids[8]} +queued +c +later +0 +due in (1h|59m.*)$`));
  assert.match(
    lines[2] ?? "",
    new RegExp(`^${ids[7]} +failed +c +bad +1 +[\\d.]+m?s ago +Error: se\\\\x1bcret\\? no: why$`),
  );
  assert.match(lines[3] ?? "", new RegExp(`^${ids[6]} +succeeded +c +good +1 +[\\d.]+m?s ago$`));
  assert.equal(lines.length, 5);
});

test("list: filters, pages and JSON give the same tasks", async () => {
  using world = new World();
  const ids = await fill(world);
  const idsOf = async (...argv: string[]) => {
    const { code, out } = await world.command(["list", "--json", ...argv]);
    assert.equal(code, 0);
    return jsonLines(out).map(({ id }) => id);
  };
  assert.deepEqual(await idsOf("--all"), ids.toReversed());
  assert.deepEqual(await idsOf("--group", "b"), [ids[5], ids[4], ids[3]]);
  assert.deepEqual(await idsOf("--state", "failed"), [ids[7], ids[4], ids[1]]);
  assert.deepEqual(await idsOf("--state", "failed", "--state", "queued", "--group=a"), [
    ids[2],
    ids[1],
  ]);
  assert.deepEqual(await idsOf("--name", "good", "--limit", "2"), [ids[6], ids[3]]);
  assert.deepEqual(await idsOf("--limit", "2", "--cursor", ids[6] ?? ""), [ids[5], ids[4]]);
  assert.deepEqual(await idsOf("--group", "none"), []);
});

test("list: what cannot be used is refused", async () => {
  using world = new World();
  const refused: [string[], RegExp][] = [
    [["--state", "faild"], /"faild" is none of queued, running.*\n {2}did you mean failed\?/],
    [["--limit", "0"], /a list of 0 tasks shows nothing/],
    [["--limit", "many"], /"many" is no whole number/],
    [["--cursor", "x"], /Cannot use "x" as the id of a task/],
  ];
  for (const [argv, said] of refused) {
    const { code, err } = await world.command(["list", ...argv]);
    assert.match(err, said);
    assert.equal(code, 2);
  }
  assert.equal((await world.command(["list"])).err, "There are no such tasks\n");
});

test("list: a reader that goes away ends it without a word", async () => {
  using world = new World();
  await using kit = await world.open();
  await kit.initiateTasks(Array.from({ length: 1_200 }, () => ({ group: "a", name: "b" })));
  const { code, out, err } = await world.command(["list", "--all", "--json"], { closesAfter: 700 });
  assert.deepEqual([code, jsonLines(out).length, err], [0, 700, ""]);
});

test("show: all there is to know, and data only when it is asked for", async () => {
  using world = new World();
  const ids = await fill(world);
  const bad = await world.command(["show", ids[1] ?? ""]);
  assert.equal(bad.code, 0);
  assert.match(bad.out, /^id +[0-9a-f-]{36}\ngroup +a\nname +bad\nstate +failed\nattempt +1\n/);
  assert.match(bad.out, /^ended +2.*Z, .* ago \(took [\d.]+m?s\)$/m);
  assert.match(bad.out, /^ {2}Error: se\\x1bcret\? no: why\n( {2} {4}at .*\n)+$/m);

  const later = await world.command(["show", ids[2] ?? ""]);
  assert.ok(!later.out.includes("secret"));
  assert.match(later.out, /^ {2}→ it is due in .*, at 2.*Z$/m);
  assert.match(later.out, /^ {2}→ no worker works on group "a": taskkit worker --group a$/m);

  const data = await world.command(["show", ids[2] ?? "", "--data"]);
  assert.ok(data.out.endsWith("data\n  { secret: 'x' }\n"), data.out);
  const good = await world.command(["show", ids[0] ?? "", "--data", "--json"]);
  const [{ id, state, data: one, result, reasons } = assert.fail()] = jsonLines(good.out);
  assert.deepEqual([id, state, one, result, reasons], [ids[0], "succeeded", 1, 2, []]);
});

test("show: data that no line or codec bounds is shown bounded", async () => {
  using world = new World();
  await using kit = await world.open();
  const data = { text: "x".repeat(900_000), list: Array.from({ length: 10_000 }, (_, i) => i) };
  const { id } = await kit.initiateTask("a", "b", data);
  const { out } = await world.command(["show", id, "--data"]);
  assert.ok(out.length < 25_000);
  const ugly = new Map<unknown, unknown>([["\x1b]0;x\x07", "a\u009b\nb"]]);
  const other = await kit.initiateTask("a", "b", ugly);
  const shown = await world.command(["show", other.id, "--data"]);
  // deno-lint-ignore no-control-regex -- none of these may be there
  assert.doesNotMatch(shown.out, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
});

test("stats: counts by group and state, what is paused, and the workers", async () => {
  using world = new World();
  await fill(world);
  await using kit = await world.open({ handler: tasks([]) });
  await kit.pause(["b"]);
  await using worker = await kit.startWorker({ groups: { c: 3 }, log: () => {} });
  const { code, out } = await world.command(["stats"]);
  assert.equal(code, 0);
  const lines = out.split("\n").map((line) => line.trim().split(/ {2,}/));
  const [header, a, b] = lines;
  assert.deepEqual(header, [
    "GROUP",
    "QUEUED",
    "DUE",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "DISCARDED",
    "CANCELLED",
    "WAITING",
  ]);
  assert.deepEqual(a, ["a", "1", "0", "0", "1", "1", "0", "0"]);
  assert.deepEqual(b, ["b", "1", "0", "0", "1", "1", "0", "0", "paused"]);
  assert.ok(out.includes(`${worker.id}  `));
  assert.ok(out.endsWith("c=3\n"), out);

  const [stats] = jsonLines((await world.command(["stats", "--json"])).out);
  assert.deepEqual(stats?.paused, ["b"]);
  assert.equal((stats?.workers as { id: string }[])[0]?.id, worker.id);

  await kit.pause();
  assert.match((await world.command(["stats"])).out, /^All groups are paused: taskkit resume$/m);
  using empty = new World();
  const nothing = await empty.command(["stats"]);
  assert.equal(nothing.out, "There are no tasks\n\nThere are no workers\n");
});
