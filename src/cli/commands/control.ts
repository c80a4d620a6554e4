/**
 * `pause`, `resume`, `shutdown`: what reaches every worker of the database.
 *
 * @module
 */

import type { Kit } from "../../kit.ts";
import { EXIT } from "../cli_error.ts";
import type { Call, Command } from "../command.ts";
import { confirm, YES_FLAG } from "../confirm.ts";
import { withKit } from "../with_kit.ts";

/** The command that lets groups rest. */
export const pauseCommand: Command = {
  name: "pause",
  summary: "lets no worker take tasks of these groups (or of any) until they are resumed",
  usage: "[group…]",
  positionals: [0, Infinity],
  about: [
    "What runs goes on. The pause holds for all workers of the database, also for those that start later.",
  ],
  flags: {},
  examples: ["pause images", "pause"],
  run: (call) => say(call, "paused", (kit, groups) => kit.pause(groups)),
};

/** The command that takes a pause back. */
export const resumeCommand: Command = {
  name: "resume",
  summary: "takes a pause of these groups (or every pause) back",
  usage: "[group…]",
  positionals: [0, Infinity],
  about: [
    "A pause of all groups is taken back only without naming groups.",
  ],
  flags: {},
  examples: ["resume images", "resume"],
  run: (call) => say(call, "resumed", (kit, groups) => kit.resume(groups)),
};

/** The command that stops workers. */
export const shutdownCommand: Command = {
  name: "shutdown",
  summary: "stops the workers that run now, gracefully, wherever they are",
  usage: "[group…]",
  positionals: [0, Infinity],
  about: [
    "With groups, workers stop their work on these; one that has no other group left ends. Workers that start " +
    "later are not concerned. It asks before, or takes --yes.",
  ],
  flags: YES_FLAG,
  examples: ["shutdown --yes", "shutdown images"],
  async run(call) {
    const { positionals } = call.args;
    const what = positionals.length === 0
      ? "Stop all workers of the database?"
      : `Stop the work of all workers on ${quoted(positionals)}?`;
    if (!await confirm(call, what)) return EXIT.failed;
    return await say(call, "told to shut down", (kit, groups) => kit.shutdown(groups));
  },
};

async function say(
  call: Call,
  outcome: string,
  act: (kit: Kit, groups: readonly string[] | undefined) => Promise<void>,
): Promise<number> {
  const { args: { positionals }, terminal: { out }, isJson } = call;
  const groups = positionals.length === 0 ? undefined : positionals;
  return await withKit(call, async (kit) => {
    await act(kit, groups);
    if (isJson) out.json({ outcome, groups: groups ?? "all" });
    else out.line(`${groups === undefined ? "All groups" : quoted(groups)}: ${outcome}`);
    return EXIT.ok;
  });
}

function quoted(groups: readonly string[]): string {
  return groups.map((group) => JSON.stringify(group)).join(", ");
}
