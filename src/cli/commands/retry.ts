/**
 * `retry`: starts tasks anew that ended without success, by their ids or by a filter.
 *
 * @module
 */

import { runBulk } from "../bulk.ts";
import type { Command } from "../command.ts";
import { YES_FLAG } from "../confirm.ts";
import { FILTER_FLAGS } from "../tasks.ts";

/** The command. */
export const retryCommand: Command = {
  name: "retry",
  summary: "starts failed tasks anew, by their ids or by a filter",
  usage: "[id…]",
  positionals: [0, Infinity],
  about: [
    "Puts a task back that failed, was discarded or cancelled: due at once, with all its retries before it.",
    "By flags it starts whatever they choose anew (by default what failed), and asks before, or takes --yes.",
  ],
  flags: {
    ...FILTER_FLAGS,
    all: { help: "all tasks that failed" },
    ...YES_FLAG,
  },
  examples: [
    "retry 0198a0c4-7b1e-7abc-8def-0123456789ab",
    "retry --group images --state failed --yes",
  ],
  run: (call) =>
    runBulk(call, {
      verb: "retry",
      states: ["failed", "discarded", "cancelled"],
      statesDefault: ["failed"],
      run: async (kit, id) => {
        await kit.retry(id);
        return "queued";
      },
    }),
};
