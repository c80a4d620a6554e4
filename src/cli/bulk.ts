/**
 * One act on many tasks: those named by their ids, or all that a filter finds, some at a time. Ctrl-C ends it between
 * tasks: each of them is changed whole or not at all.
 *
 * @module
 */

import { TaskkitError } from "../core/errors.ts";
import type { TaskState } from "../core/task.ts";
import type { Kit } from "../kit.ts";
import { CliError, EXIT } from "./cli_error.ts";
import type { Call } from "./command.ts";
import { confirm } from "./confirm.ts";
import { counted, formatCount } from "./format.ts";
import { describe, type Filter, pages, readFilter } from "./tasks.ts";
import { withKit } from "./with_kit.ts";

/** Acts under way at once: commits of one process share little, those of a remote database wait for the network. */
const AT_ONCE = 20;

/** What is done to each task. */
export interface Act {
  /** As a command: `"cancel"`. */
  readonly verb: string;
  /** The states in which a task can be acted on. */
  readonly states: readonly TaskState[];
  /** Those of them that are chosen where no state is named. */
  readonly statesDefault: readonly TaskState[];
  /** Does it, and resolves to what it did, such as `"cancelled"`. */
  run(kit: Kit, id: string): Promise<string>;
}

/** Does it to the tasks that the arguments name. */
export async function runBulk(call: Call, act: Act): Promise<number> {
  const { args } = call;
  const isFiltered = ["group", "name", "state", "all"].some((flag) => args.has(flag));
  if (isFiltered === (args.positionals.length > 0)) {
    throw new CliError(
      isFiltered
        ? `Cannot ${act.verb}: name tasks by their ids, or choose them by flags, not both`
        : `Cannot ${act.verb}: nothing says which tasks`,
      { hints: [`taskkit ${act.verb} <id…>, or --group, --name, --state, or --all`] },
    );
  }
  const filter = args.has("state")
    ? readFilter(args, act.states)
    : { ...readFilter(args), states: act.statesDefault };
  return await withKit(call, async (kit) => {
    const tally = new Tally(call, act);
    const offInterrupt = call.terminal.onInterrupt((code, count) => {
      tally.interrupted = code;
      if (count > 1) call.terminal.exit(code);
    });
    try {
      if (!isFiltered) await tally.actOn(kit, args.positionals);
      else if (await agree(call, act, kit, filter)) {
        for await (const { tasks } of pages(kit, filter)) {
          await tally.actOn(kit, tasks.map(({ id }) => id));
          if (tally.interrupted !== null) break;
        }
      } else return EXIT.failed;
    } finally {
      offInterrupt();
    }
    return tally.close(isFiltered);
  });
}

/** Counts and asks. With `--yes` nothing is counted: a listing of everything takes its time. */
async function agree(call: Call, act: Act, kit: Kit, filter: Filter): Promise<boolean> {
  const verb = act.verb[0]?.toUpperCase() + act.verb.slice(1);
  if (call.args.has("yes") || !call.terminal.canAsk) {
    return await confirm(call, `${verb} ${describe(filter, null)}?`);
  }
  let count = 0;
  for await (const { tasks } of pages(kit, filter)) {
    count += tasks.length;
    call.terminal.err.status(`${formatCount(count)} found`);
  }
  call.terminal.err.clearStatus();
  return await confirm(call, `${verb} ${describe(filter, count)}?`);
}

/** What was done so far. */
class Tally {
  /** The exit code of the signal that ends it early. */
  interrupted: number | null = null;
  readonly #call: Call;
  readonly #act: Act;
  readonly #counts = new Map<string, number>();
  #done = 0;
  #failed = 0;

  constructor(call: Call, act: Act) {
    this.#call = call;
    this.#act = act;
  }

  async actOn(kit: Kit, ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length && this.interrupted === null; i += AT_ONCE) {
      await Promise.all(ids.slice(i, i + AT_ONCE).map((id) => this.#actOnOne(kit, id)));
      await this.#call.terminal.out.flush();
    }
  }

  async #actOnOne(kit: Kit, id: string): Promise<void> {
    const { isJson, terminal: { out, err } } = this.#call;
    try {
      const outcome = await this.#act.run(kit, id);
      this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1);
      if (isJson) out.json({ id, outcome });
      else out.line(`${id}  ${outcome}`);
    } catch (error) {
      // Another task may well be possible; without its database none is.
      if (!(error instanceof TaskkitError) || error.code === "KV_UNAVAILABLE") throw error;
      this.#failed++;
      if (isJson) out.json({ id, error: { code: error.code, message: error.message } });
      else err.line(`${id}  ${error.message}`);
    }
    err.status(`${formatCount(++this.#done)} done`);
  }

  close(isFiltered: boolean): number {
    const { isJson, terminal: { err } } = this.#call;
    err.clearStatus();
    if (!isJson && (isFiltered || this.interrupted !== null)) {
      const counts = [...this.#counts].map(([outcome, n]) => `${formatCount(n)} ${outcome}`);
      if (this.#failed > 0) counts.push(`${formatCount(this.#failed)} not possible`);
      const end = this.interrupted === null ? "" : "interrupted: ";
      err.line(
        `${end}${counted(this.#done, "task")}${counts.length > 0 ? `: ${counts.join(", ")}` : ""}`,
      );
    }
    return this.interrupted ?? (this.#failed > 0 ? EXIT.failed : EXIT.ok);
  }
}
