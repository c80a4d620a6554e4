/**
 * The tasks of `examples/taskkit.config.ts`: a worker loads this module, in each of its threads.
 *
 * @module
 */

import { defineTask, tasks } from "@taskkit/taskkit";

/** Counts the words of a text. */
export const countWords = defineTask({
  group: "text",
  name: "count-words",
  run: (text: string) => text.split(/\s+/).filter((word) => word !== "").length,
});

/** Fails, and is tried again twice. */
export const fail = defineTask({
  group: "text",
  name: "fail",
  retry: (task) => task.retryCount < 2 ? "200ms" : null,
  run: (why: string): never => {
    throw new Error(why);
  },
});

export default tasks([countWords, fail]);
