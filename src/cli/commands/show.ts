/**
 * `show`: all there is to know about one task.
 *
 * @module
 */

import { isTerminal } from "../../core/task.ts";
import type { Kit } from "../../kit.ts";
import type { TaskInfo } from "../../options.ts";
import type { Progress } from "../../store/read.ts";
import { EXIT } from "../cli_error.ts";
import type { Call, Command } from "../command.ts";
import { explain } from "../explain.ts";
import { formatMs, relative, table } from "../format.ts";
import { type Piece, styled } from "../output.ts";
import { statePiece } from "../tasks.ts";
import { printValue } from "../values.ts";
import { withKit } from "../with_kit.ts";

/** How long a result that is there may take to be read. */
const RESULT_TIMEOUT = "30s";

/** The command. */
export const showCommand: Command = {
  name: "show",
  summary: "tells all about one task: its state, its error, why it does not run",
  usage: "<id>",
  positionals: [1, 1],
  about: [
    "Its data and its result may hold what is nobody's business: they are shown with --data alone, decoded by the " +
    "handler, where there is one.",
    "For a task that is queued it tells what it waits for, and counts those before it, up to 1,000.",
  ],
  flags: { data: { help: "shows its data, and its result if it succeeded" } },
  examples: ["show 0198a0c4-7b1e-7abc-8def-0123456789ab", "show <id> --data --json"],
  run: (call) => withKit(call, (kit) => show(call, kit)),
};

async function show(call: Call, kit: Kit): Promise<number> {
  const { args, terminal: { out }, isJson } = call;
  const [id = ""] = args.positionals;
  const task = await kit.getTask(id);
  const values = args.has("data") ? await readValues(kit, task) : {};
  const reasons = isTerminal(task.state) ? [] : explain(task, {
    nowMs: Date.now(),
    workers: await kit.getWorkers(),
    place: task.state === "queued" ? await kit.getPlace(id) : null,
  });
  if (isJson) {
    out.json({ ...task, reasons, ...values });
    return EXIT.ok;
  }
  const rows = describe(task, Date.now()).map(([name, value]) => [styled("dim", name), value]);
  for (const line of table(rows)) out.line(...line);
  for (const reason of reasons) out.line(styled("yellow", `  → ${reason}`));
  if (task.error !== null) {
    out.line(styled("dim", "error"));
    out.line("  ", styled("red", `${task.error.name}: ${task.error.message}`));
    const [, ...stack] = (task.error.stack ?? "").split("\n");
    for (const line of stack) out.line(styled("dim", `  ${line}`));
  }
  for (const [name, value] of Object.entries(values)) {
    out.line(styled("dim", name));
    printValue(out, value, "  ");
  }
  return EXIT.ok;
}

async function readValues(
  kit: Kit,
  { id, state }: TaskInfo,
): Promise<{ data: unknown; result?: unknown }> {
  const data = await kit.getTaskData(id);
  if (state !== "succeeded") return { data };
  return { data, result: await kit.getResult(id).get({ timeout: RESULT_TIMEOUT }) };
}

function describe(
  task: TaskInfo & { readonly progress: Progress | null },
  nowMs: number,
): [string, Piece][] {
  const { started, ended, expires, progress } = task;
  const instant = (at: Date) => `${at.toISOString()}, ${relative(at, nowMs)}`;
  const rows: [string, Piece | null][] = [
    ["id", task.id],
    ["group", task.group],
    ["name", task.name],
    ["state", statePiece(task.state)],
    [
      "attempt",
      `${task.attempt}${task.retryCount > 0 ? `, ${task.retryCount} failed before` : ""}`,
    ],
    ["progress", progress && `${Math.floor(progress.fraction * 100)} % ${progress.message}`],
    ["priority", String(task.priority)],
    ["created", instant(task.created)],
    ["due", instant(task.due)],
    ["scheduled", task.scheduled && instant(task.scheduled)],
    ["started", started && instant(started)],
    ["ended", ended && `${instant(ended)}${started ? ` (${took(started, ended)})` : ""}`],
    ["expires", expires && instant(expires)],
    ["timeout", task.timeout === null ? null : formatMs(task.timeout)],
    ["unique", task.unique],
    ["worker", task.worker],
  ];
  return rows.filter((row): row is [string, Piece] => row[1] !== null);
}

function took(started: Date, ended: Date): string {
  return `took ${formatMs(Math.max(0, ended.getTime() - started.getTime()))}`;
}
