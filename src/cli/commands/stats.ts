/**
 * `stats`: numbers of the groups, and the workers.
 *
 * @module
 */

import type { Stats, WorkerInfo } from "../../options.ts";
import { EXIT } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { formatCount, formatMs, relative, table } from "../format.ts";
import { type Piece, styled } from "../output.ts";
import { withKit } from "../with_kit.ts";

const STATES = [
  "queued",
  "due",
  "running",
  "succeeded",
  "failed",
  "discarded",
  "cancelled",
] as const;

/** The command. */
export const statsCommand: Command = {
  name: "stats",
  summary: "counts tasks by group and state, and lists the workers",
  usage: "",
  positionals: [0, 0],
  about: [
    "Counts every task of the database, about 200,000 a second. Of the queued tasks those that are due are counted " +
    "on their own, and how long the oldest of them has been waiting. A worker that died stands in the list until it " +
    "is noticed.",
  ],
  flags: {},
  examples: ["stats", "stats --json"],
  run: (call) =>
    withKit(call, async (kit) => {
      const { out } = call.terminal;
      const [stats, workers] = [await kit.stats(), await kit.getWorkers()];
      if (call.isJson) {
        out.json({ ...stats, workers });
        return EXIT.ok;
      }
      for (const line of table(groupRows(stats))) out.line(...line);
      const { length } = Object.keys(stats.groups);
      if (length === 0) out.line("There are no tasks");
      if (stats.pausedAll) out.line(styled("yellow", "All groups are paused: taskkit resume"));
      out.line("");
      for (const line of table(workerRows(workers, Date.now()))) out.line(...line);
      if (workers.length === 0) out.line("There are no workers");
      return EXIT.ok;
    }),
};

function groupRows({ groups, paused }: Stats): Piece[][] {
  const entries = Object.entries(groups);
  if (entries.length === 0) return [];
  return [
    header(["GROUP", ...STATES.map((state) => state.toUpperCase()), "WAITING", ""]),
    ...entries.map(([name, counts]) => [
      name,
      ...STATES.map((state): Piece => {
        const text = formatCount(counts[state]);
        return state === "failed" && counts[state] > 0 ? styled("red", text) : text;
      }),
      counts.oldestDueMs === null ? "" : formatMs(counts.oldestDueMs),
      paused.includes(name) ? styled("yellow", "paused") : "",
    ]),
  ];
}

function workerRows(workers: readonly WorkerInfo[], nowMs: number): Piece[][] {
  if (workers.length === 0) return [];
  return [
    header(["WORKER", "HOST", "PROCESS", "RUNTIME", "RUNNING", "HEARTBEAT", "GROUPS"]),
    ...workers.map(({ id, host, pid, runtime, running, lastBeat, stopping, groups }) => [
      id,
      host,
      String(pid),
      runtime,
      stopping ? styled("yellow", `${running}, stopping`) : String(running),
      relative(lastBeat, nowMs),
      Object.entries(groups).map(([name, n]) => `${name}=${n}`).join(" "),
    ]),
  ];
}

function header(names: readonly string[]): Piece[] {
  return names.map((name) => styled("dim", name));
}
