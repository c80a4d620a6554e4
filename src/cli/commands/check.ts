/**
 * `check`: reads the whole database and tells what is wrong with it; repairs only when told to.
 *
 * @module
 */

import type { CheckReport } from "../../store/check.ts";
import { EXIT } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { confirm, YES_FLAG } from "../confirm.ts";
import { counted, formatCount } from "../format.ts";
import { styled } from "../output.ts";
import { withKit } from "../with_kit.ts";

/** The command. */
export const checkCommand: Command = {
  name: "check",
  summary: "reads the whole database and tells what is wrong with it",
  usage: "",
  positionals: [0, 0],
  about: [
    "Reads every entry, in pages, while workers go on: whether it can be read, and whether each index fits the " +
    "records. Exits with 1 if something is wrong and was not repaired.",
    "With --repair it puts right what it can, one commit a problem. What cannot be read is set aside, and deleted by " +
    "the repair after that; records of a newer version are left alone.",
  ],
  flags: { repair: { help: "puts right what it can" }, ...YES_FLAG },
  examples: ["check", "check --repair --yes", "check --json"],
  run: (call) =>
    withKit(call, async (kit) => {
      const { out } = call.terminal;
      const repair = call.args.has("repair");
      if (repair && !await confirm(call, "Repair the database?")) return EXIT.failed;
      const report = await kit.check({ repair });
      if (call.isJson) out.json(report);
      else {
        for (const { key, message, repaired } of report.problems) {
          out.line(
            styled(repaired ? "green" : "red", repaired ? "repaired" : "wrong"),
            ` ${key} ${message}`,
          );
        }
        if (report.more > 0) out.line(`and ${formatCount(report.more)} more`);
        out.line(summary(report));
      }
      return report.problems.every(({ repaired }) => repaired) && report.more === 0
        ? EXIT.ok
        : EXIT.failed;
    }),
};

function summary({ entries, tasks, newer, problems, more }: CheckReport): string {
  const found = problems.length + more;
  const wrong = found === 0 ? "nothing is wrong" : counted(found, "problem");
  const left = newer === 0 ? "" : `; left alone: ${counted(newer, "record")} of a newer version`;
  return `${formatCount(entries)} entries, ${formatCount(tasks)} of them tasks: ${wrong}${left}`;
}
