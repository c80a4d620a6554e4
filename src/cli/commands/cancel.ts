/**
 * `cancel`: cancels tasks, by their ids or by a filter.
 *
 * @module
 */

import { runBulk } from "../bulk.ts";
import type { Command } from "../command.ts";
import { YES_FLAG } from "../confirm.ts";
import { FILTER_FLAGS } from "../tasks.ts";

const OUTCOMES = {
  cancelled: "cancelled",
  requested: "told to stop",
  ended: "had ended before",
} as const;

/** The command. */
export const cancelCommand: Command = {
  name: "cancel",
  summary: "cancels tasks, by their ids or by a filter",
  usage: "[id…]",
  positionals: [0, Infinity],
  about: [
    "A queued task is cancelled at once. A running one is told through the signal of its handler, and ends as " +
    "cancelled unless it succeeds first. No new attempt starts in either case.",
    "By flags it cancels whatever they choose (by default what is queued or running), and asks before, or takes --yes.",
  ],
  flags: {
    ...FILTER_FLAGS,
    all: { help: "all tasks that are queued or running" },
    ...YES_FLAG,
  },
  examples: [
    "cancel 0198a0c4-7b1e-7abc-8def-0123456789ab",
    "cancel --group images --state queued --yes",
  ],
  run: (call) =>
    runBulk(call, {
      verb: "cancel",
      states: ["queued", "running"],
      statesDefault: ["queued", "running"],
      run: async (kit, id) => OUTCOMES[await kit.cancel(id)],
    }),
};
