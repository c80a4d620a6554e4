import assert from "node:assert/strict";
import { test } from "node:test";
import { IntervalSchedule, type LogEntry, TaskHandler } from "../../mod.ts";
import { readSchedules } from "../../src/schedule/entry.ts";
import { WorkerLog } from "../../src/worker/worker_log.ts";
import { NOON, StillClock } from "../store/world.ts";

class Handler extends TaskHandler {
  override handle(): void {}
}

test("the points of a schedule are told from the level on that is asked for; those beyond ten are counted", async () => {
  const told: LogEntry[] = [];
  const log = new WorkerLog((entry) => void told.push(entry), "warn", new StillClock());
  const schedule = new IntervalSchedule("1m");
  const entries = [{ key: "k", schedule, group: "g", name: "n" }];
  const [entry = assert.fail()] = await readSchedules({ main: entries }, "UTC", new Handler());
  const points = Array.from({ length: 12 }, (_, n) => NOON + n * 60_000);
  log.fired(entry, points);
  log.skipped(entry, points);
  const times = points.slice(0, 10).map((ms) => new Date(ms).toISOString()).join(", ");
  assert.deepEqual(told, [{
    level: "warn",
    event: "schedule.skipped",
    message: 'Schedule "main/k" skipped, since its last task has not ended: ' +
      `${times} and 2 more`,
    at: NOON,
    fields: { scheduler: "main", key: "k" },
  }]);
});
