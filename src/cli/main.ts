/**
 * The command line of Taskkit: a worker, and commands that look at tasks and steer them. Importing this module runs it.
 *
 * In Deno: `deno run -A jsr:@taskkit/taskkit/cli --help`. In Bun: a file with `import "@taskkit/taskkit/cli";`, run by
 * `bun that_file.ts --help`. In the sources of Taskkit: `deno task worker --help` or `bun src/cli/main.ts --help`.
 *
 * @module
 */

import process from "node:process";
import { openLifeline } from "./lifeline.ts";
import { selfCommand, supervise, wantsSupervisor } from "./supervisor.ts";

/** Runs the command line, and resolves to the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const self = wantsSupervisor(argv) ? selfCommand() : null;
  if (self !== null) return await supervise(self, argv);
  // Not loaded by a supervisor, which is to be small.
  const { run } = await import("./run.ts");
  const { processTerminal } = await import("./terminal.ts");
  const lifeline = openLifeline();
  const code = await run(argv, processTerminal(lifeline));
  lifeline?.say("ended");
  return code;
}

// What an inline handler left behind would keep the process alive: everything was written, so it ends here.
process.exit(await main(process.argv.slice(2)));
