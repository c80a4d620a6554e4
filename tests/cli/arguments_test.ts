/**
 * Reading a command line.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Flags, readArguments } from "../../src/cli/arguments.ts";
import { CliError } from "../../src/cli/cli_error.ts";

const FLAGS: Flags = {
  kv: { value: "<path>", help: "" },
  group: { value: "<name>", isRepeated: true, help: "" },
  limit: { value: "<n>", help: "" },
  "poll-interval": { value: "<duration>", help: "" },
  yes: { short: "y", help: "" },
};

function refusal(args: readonly string[]): { message: string; hints: readonly string[] } {
  try {
    readArguments(args, "list", FLAGS);
  } catch (error) {
    assert.ok(error instanceof CliError);
    assert.equal(error.exitCode, 2);
    return { message: error.message, hints: error.hints };
  }
  throw new Error("it was not refused");
}

test("readArguments() reads flags in every form, and leaves the rest", () => {
  const args = readArguments(
    ["a", "--kv=x=y", "-", "--group", "one", "-y", "--group=", "--limit", "007", "--", "--kv"],
    "list",
    FLAGS,
  );
  assert.deepEqual(args.positionals, ["a", "-", "--kv"]);
  assert.equal(args.text("kv"), "x=y");
  assert.deepEqual(args.texts("group"), ["one", ""]);
  assert.equal(args.text("group"), "");
  assert.equal(args.integer("limit", 5), 7);
  assert.deepEqual([args.has("yes"), args.has("poll-interval")], [true, false]);
  assert.deepEqual([args.text("poll-interval"), args.texts("x")], [undefined, []]);
});

test("readArguments() names the flag that was probably meant", () => {
  assert.deepEqual(refusal(["--pol-interval", "1s"]), {
    message: 'Cannot run list: there is no flag "--pol-interval"',
    hints: ["did you mean --poll-interval?", '"taskkit list --help" lists what there is'],
  });
  assert.deepEqual(refusal(["--concurrency=3"]).hints, [
    '"taskkit list --help" lists what there is',
  ]);
  assert.equal(refusal(["-x"]).message, 'Cannot run list: there is no flag "-x"');
  assert.equal(refusal(["--__proto__"]).message, 'Cannot run list: there is no flag "--__proto__"');
});

test("readArguments() refuses a value that is missing, or that is one too many", () => {
  const missing = "Cannot read --kv: its value is missing";
  assert.equal(refusal(["--kv"]).message, missing);
  assert.equal(refusal(["--kv", "--yes"]).message, missing);
  assert.deepEqual(refusal(["--kv", "--yes"]).hints, [
    "write --kv <path>, or --kv=… for one that begins with a dash",
  ]);
  assert.equal(readArguments(["--kv=--yes"], "list", FLAGS).text("kv"), "--yes");
  assert.equal(
    refusal(["--yes=no"]).message,
    'Cannot read --yes: it takes no value, and was given "no"',
  );
  assert.throws(() => readArguments(["--limit", "1.5"], "list", FLAGS).integer("limit", 1), {
    message: 'Cannot read --limit: "1.5" is no whole number',
  });
});
