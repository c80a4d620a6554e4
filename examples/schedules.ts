/**
 * Recurring schedules: twice an hour, at :00 and :30, in Asia/Tokyo, with plain data; beside it an entry that follows a
 * cron pattern. Shows when they fire next, triggers one now, and makes up for what another one would have fired.
 *
 *     deno run -A examples/schedules.ts
 *     bun examples/schedules.ts
 *
 * @module
 */

import {
  CronSchedule,
  DiscardTask,
  Kit,
  RegularSchedule,
  type ScheduleEntry,
  type Task,
  TaskHandler,
} from "@taskkit/taskkit";

class Handler extends TaskHandler {
  override handle(task: Task): string {
    const { region } = this.decodeData<{ region: string }>(task);
    const point = task.scheduled?.toISOString() ?? "no point of its own: it was triggered";
    switch (task.name) {
      case "collect":
        return `collected ${region} for ${point}`;
      case "report":
        return `reported ${region} for ${point}`;
    }
    throw new DiscardTask(`unknown task "${task.name}"`);
  }
}

const entries: readonly ScheduleEntry[] = [
  {
    key: "collect-tokyo",
    group: "numbers",
    name: "collect",
    data: { region: "Tokyo" },
    // Every hour of every day, since those fields are left out.
    schedule: new RegularSchedule({ minutes: [0, 30] }),
    ttl: "1d",
  },
  {
    key: "report-london",
    group: "numbers",
    name: "report",
    data: { region: "London" },
    // 09:30 on working days, by the clocks of London; after an outage all of the last two days.
    schedule: new CronSchedule("30 9 * * MON-FRI", {
      timeZone: "Europe/London",
      missed: { all: "2d" },
      overlap: "skip",
    }),
  },
];

// With a file or a URL as kv any number of workers may do this: each point makes one task all the same.
await using kit = await Kit.open({ kv: ":memory:", handler: new Handler() });
await using worker = await kit.startWorker({
  groups: { numbers: 4 },
  schedules: { main: entries },
  timeZone: "Asia/Tokyo",
});
console.log(`Worker ${worker.id} has ${entries.length} entries:`);

for (const { key, schedule, next } of await kit.schedules.list({ next: 3 })) {
  const zone = key === "collect-tokyo" ? "Asia/Tokyo" : "Europe/London";
  console.log(`\n${key}, ${JSON.stringify(schedule)}`);
  for (const point of next) {
    console.log(`  ${point.toLocaleString("sv-SE", { timeZone: zone })} ${zone}`);
  }
}

console.log("\nTriggered now, without waiting for its point:");
const id = await kit.schedules.trigger("collect-tokyo");
console.log(`  ${await kit.getResult<string>(id).get({ timeout: "30s" })}`);

console.log("\nWhat it would have fired in the last two hours:");
const now = new Date();
const from = new Date(now.getTime() - 2 * 3_600_000);
const created = await kit.schedules.backfill("collect-tokyo", from, now);
const { tasks } = await kit.listTasks({ name: "collect", limit: 100 });
for (const task of tasks) {
  if (task.scheduled === null) continue;
  console.log(`  ${await kit.getResult<string>(task.id).get({ timeout: "30s" })}`);
}
console.log(`${created} tasks`);
