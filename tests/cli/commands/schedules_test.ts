/**
 * `schedules`: looking at recurring schedules, and steering them, beside a worker that fires them.
 *
 * @module
 */

import { CronSchedule, IntervalSchedule } from "@taskkit/taskkit";
import assert from "node:assert/strict";
import { test } from "node:test";
import { HANDLER, jsonLines, ROOT, World } from "../world.ts";

/** Two entries in the scheduler "main", and one in "nightly". */
async function fill(world: World): Promise<void> {
  await using kit = await world.open();
  const hourly = new CronSchedule("0 * * * *");
  const entry = { group: "work", name: "echo", data: { n: 1 } };
  await kit.schedules.set({ key: "report", schedule: hourly, ...entry });
  await kit.schedules.set({ key: "clean\x1bup", schedule: hourly, ...entry });
  await kit.schedules.set({ key: "report", schedule: new IntervalSchedule("7d"), ...entry }, {
    scheduler: "nightly",
  });
}

test("schedules: a list of all, or of one scheduler, with the next point, for people and programs", async () => {
  using world = new World();
  await fill(world);
  const { code, out } = await world.command(["schedules"]);
  assert.equal(code, 0);
  const [head, ...rows] = out.trimEnd().split("\n");
  assert.match(head ?? "", /^SCHEDULER +KEY +SOURCE +GROUP +NAME +NEXT$/);
  assert.equal(rows.length, 3);
  assert.ok(!out.includes("\x1b"));
  assert.match(rows[1] ?? "", /^main +report +stored +work +echo +\S+:00:00\.000Z +in \S+/);
  const json = await world.command(["schedules", "list", "--json", "--scheduler", "nightly"]);
  const [entry, ...more] = jsonLines(json.out);
  assert.deepEqual(more, []);
  assert.deepEqual([entry?.scheduler, entry?.key, entry?.paused], ["nightly", "report", false]);
  const none = await world.command(["schedules", "list", "--scheduler", "other"]);
  assert.deepEqual(none, { code: 0, out: "", err: "There are no schedules\n" });
});

test("schedules next: so many points, an hour apart; the reason where there are none", async () => {
  using world = new World();
  await fill(world);
  const { out } = await world.command(["schedules", "next", "report", "--count", "3"]);
  const points = out.trimEnd().split("\n").map((line) => Date.parse(line));
  assert.deepEqual(points.map((ms) => ms - (points[0] ?? 0)), [0, 3_600_000, 7_200_000]);
  await world.command(["schedules", "pause", "report"]);
  const paused = await world.command(["schedules", "next", "report"]);
  assert.deepEqual(paused, { code: 0, out: "", err: "It is paused\n" });
  assert.match((await world.command(["schedules"])).out, /report +stored .* paused$/m);
});

test("schedules trigger, backfill, pause, resume and remove do what they say", async () => {
  using world = new World();
  await fill(world);
  const { out } = await world.command(["schedules", "trigger", "report"]);
  await using kit = await world.open();
  assert.equal((await kit.getTask(out.trim())).name, "echo");

  const stretch = ["2026-01-01T00:00Z", "2026-01-01T11:30+09:00"];
  const back = await world.command(["schedules", "backfill", "report", ...stretch, "--json"]);
  assert.deepEqual(jsonLines(back.out), [{ scheduler: "main", key: "report", created: 3 }]);
  const again = await world.command(["schedules", "backfill", "report", ...stretch]);
  assert.equal(again.out, '"report": 0 tasks created\n');

  const nightly = ["--scheduler", "nightly"];
  const paused = await world.command(["schedules", "pause", "report", ...nightly]);
  assert.deepEqual(paused, { code: 0, out: '"report": paused\n', err: "" });
  const states = async () =>
    (await kit.schedules.list()).map(({ scheduler, key, paused }) => [scheduler, key, paused]);
  assert.deepEqual((await states())[2], ["nightly", "report", true]);
  await world.command(["schedules", "resume", "report", ...nightly]);
  assert.deepEqual((await states())[2], ["nightly", "report", false]);

  const asked = await world.command(["schedules", "remove", "report"], { answers: ["n"] });
  assert.equal(asked.code, 1);
  assert.equal((await states()).length, 3);
  const removed = await world.command(["schedules", "remove", "report", "--yes", "--json"]);
  assert.deepEqual(jsonLines(removed.out), [
    { scheduler: "main", key: "report", outcome: "removed" },
  ]);
  assert.equal((await states()).length, 2);
});

test("schedules: what cannot be done is refused, with what to do instead", async () => {
  using world = new World();
  await fill(world);
  for (
    const [argv, err] of [
      [["triger", "report"], /did you mean "trigger"\?/],
      [["frobnicate"], /there are list, next, trigger, pause/],
      [["trigger"], /something is missing\n +usage: taskkit schedules trigger <key>/],
      [["trigger", "a", "b"], /"b" is one argument too many/],
      [["trigger", "no"], /Cannot find a schedule with the key "no"/],
      [["next", "reprot"], /did you mean "report"\?/],
      [["remove", "no", "--yes"], /Cannot find a schedule with the key "no"/],
      [["backfill", "report", "2026-01-01", "2026-01-02"], /no date with a time and a zone/],
      [["backfill", "report", "2026-01-02T00:00Z", "2026-01-01T00:00Z"], /before it begins/],
    ] as const
  ) {
    const ran = await world.command(["schedules", ...argv]);
    assert.equal(ran.code, 2, argv.join(" "));
    assert.match(ran.err, err);
    assert.equal(ran.out, "");
  }
});

test("a worker in a process of its own fires what its configuration says, and is steered by others", async () => {
  using world = new World();
  const config = world.write(
    "taskkit.config.ts",
    `import { defineConfig, IntervalSchedule } from "${ROOT}mod.ts";
    const schedule = new IntervalSchedule("500ms");
    export default defineConfig({
      kv: "tasks.db",
      handler: ${JSON.stringify(HANDLER)},
      groups: { work: { executor: "inline" } },
      schedules: { main: [{ key: "tick", group: "work", name: "echo", data: 1, schedule }] },
    });`,
  );
  const worker = world.start(["worker", "--config", config, "--json"]);
  await worker.until(/"schedule\.fired"/);
  await worker.until(/"task\.succeeded"/);
  const list = await world.spawn(["schedules", "--config", config, "--json"]);
  const [tick] = jsonLines(list.out);
  assert.deepEqual([tick?.key, tick?.source, list.code], ["tick", "code", 0]);
  assert.equal((await world.spawn(["schedules", "pause", "tick", "--config", config])).code, 0);
  await using kit = await world.open();
  const [paused] = await kit.schedules.list();
  assert.equal(paused?.paused, true);
  worker.kill("SIGTERM");
  assert.equal((await worker.ended).code, 0);
});
