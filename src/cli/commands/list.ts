/**
 * `list`: tasks, the newest first.
 *
 * @module
 */

import { CliError, EXIT } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { table } from "../format.ts";
import { FILTER_FLAGS, pages, readFilter, TASK_HEADER, taskRow } from "../tasks.ts";
import { withKit } from "../with_kit.ts";

const LIMIT_DEFAULT = 50;

/** The command. */
export const listCommand: Command = {
  name: "list",
  summary: "lists tasks, the newest first",
  usage: "",
  positionals: [0, 0],
  about: [
    "Shows so many tasks and, if there are more, how to go on. With --json each task is one line.",
  ],
  flags: {
    ...FILTER_FLAGS,
    limit: { value: "<n>", help: `at most so many tasks (default: ${LIMIT_DEFAULT})` },
    cursor: { value: "<id>", help: "goes on where another list ended" },
    all: { help: "all tasks, page after page" },
  },
  examples: ["list --state failed", "list --group images --limit 10", "list --all --json"],
  async run(call) {
    const { args, terminal: { out, err }, isJson } = call;
    const filter = readFilter(args);
    const limit = args.has("all") ? Infinity : args.integer("limit", LIMIT_DEFAULT);
    if (limit === 0) throw new CliError("Cannot read --limit: a list of 0 tasks shows nothing");
    return await withKit(call, async (kit) => {
      let shown = 0;
      let cursor = args.text("cursor") ?? null;
      for await (const page of pages(kit, filter, { limit, cursor })) {
        if (isJson) { for (const task of page.tasks) out.json(task); }
        else {
          const rows = page.tasks.map((task) => taskRow(task, Date.now()));
          for (const line of table(shown === 0 ? [TASK_HEADER, ...rows] : rows)) out.line(...line);
        }
        // A slow reader is waited for, page by page.
        await out.flush();
        if (out.isClosed) return EXIT.ok;
        shown += page.tasks.length;
        ({ cursor } = page);
      }
      if (shown === 0 && !isJson) err.line("There are no such tasks");
      if (shown >= limit && cursor !== null) err.line(`There may be more: --cursor ${cursor}`);
      return EXIT.ok;
    });
  },
};
