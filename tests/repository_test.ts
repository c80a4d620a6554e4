/**
 * What no file of the repository may hold: a path of somebody's machine, the host of a registry, work left for later.
 *
 * @module
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const noGit = existsSync(`${ROOT}.git`) ? false : "this is no clone";

interface Rule {
  readonly what: string;
  readonly pattern: RegExp;
  /** A text that the pattern must find; put together here, so that this file does not hold it. */
  readonly sample: string;
  /** Texts that look like one and are none. */
  readonly fine: readonly string[];
}

const RULES: readonly Rule[] = [
  {
    what: "a path of somebody's machine",
    pattern: /(?<![\w.\-@}])\/(?:tmp|root|work|home|Users)\//,
    sample: ["read ", "tmp", "a.txt"].join("/"),
    fine: ["./root/a.ts", "src/work/a.ts", "../home/a.ts", "`${root}/tmp/a`"],
  },
  {
    what: "the host of a registry",
    pattern:
      /https?:\/\/[\w.-]*(?:registry|artifact)|\b(?:npmjs\.(?:org|com)|jsr\.io|crates\.io|pypi\.org)\b/,
    sample: ["https:/", "registry.example.com", "a"].join("/"),
    fine: ["jsr:@taskkit/taskkit", "npm:croner", "https://example.com/a registry"],
  },
  {
    what: "work left for later",
    pattern: /\b(?:TO)(?:DO)\b|\b(?:FIX)(?:ME)\b/,
    sample: `// ${["TO", "DO"].join("")}: later`,
    fine: ["todo: 1", "FIX MEANS", "a method"],
  },
];

/** Every tracked file that is there and is text, with its lines. */
function trackedFiles(): { path: string; lines: string[] }[] {
  const listed = execFileSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" });
  return listed.split("\0").filter((path) => path !== "" && existsSync(ROOT + path))
    .map((path) => ({ path, text: readFileSync(ROOT + path, "utf8") }))
    .filter(({ text }) => !text.includes("\0"))
    .map(({ path, text }) => ({ path, lines: text.split("\n") }));
}

for (const { what, pattern, sample, fine } of RULES) {
  test(`repository: no file holds ${what}`, { skip: noGit }, () => {
    const found = trackedFiles().flatMap(({ path, lines }) =>
      lines.flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []
      )
    );
    assert.deepEqual(found, []);
  });

  test(`repository: the pattern for ${what} finds one, and nothing that only looks so`, () => {
    assert.match(sample, pattern);
    assert.deepEqual(fine.filter((text) => pattern.test(text)), []);
  });
}
