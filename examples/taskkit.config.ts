/**
 * What a project tells the command line. Try it in the sources of Taskkit, in two terminals:
 *
 *     deno task worker --config examples/taskkit.config.ts
 *     deno task worker initiate text count-words '"to be or not to be"' --wait 10s --config examples/taskkit.config.ts
 *
 * In Bun: `bun src/cli/main.ts` instead of `deno task worker`.
 *
 * @module
 */

import { defineConfig } from "@taskkit/taskkit";

export default defineConfig({
  // Paths are relative to this file.
  kv: "tasks.db",
  handler: "./handlers/text.ts",
  groups: { text: 4 },
  grace: "10s",
});
