import assert from "node:assert/strict";
import { test } from "node:test";
import { namesWithoutExample } from "./doc_coverage.ts";
import { examplesIn } from "./doc_examples.ts";

const FENCE = "```";

test("examplesIn() finds the fences of doc comments with their lines, and takes the stars away", () => {
  const text = [
    "/**",
    " * Says a.",
    " *",
    " * @example",
    ` * ${FENCE}ts`,
    " * const a = 1;",
    " *",
    " * console.log(a * 2);",
    ` * ${FENCE}`,
    " */",
    "export const a = 1;",
    "class A {",
    "  /**",
    "   * @example",
    `   * ${FENCE}ts`,
    "   * b();",
    `   * ${FENCE}`,
    "   */",
    "  b() {}",
    "}",
  ].join("\n");
  assert.deepEqual(examplesIn("src/a.ts", text), [
    { name: "src/a.ts:5", code: "const a = 1;\n\nconsole.log(a * 2);\n" },
    { name: "src/a.ts:15", code: "b();\n" },
  ]);
});

test("examplesIn() leaves out other languages, fences marked ignore, and comments that document nothing", () => {
  const markdown = [
    `${FENCE}sh`,
    "npm test",
    FENCE,
    `${FENCE}ts ignore`,
    "nowhere();",
    FENCE,
    "Words.",
    `${FENCE}ts`,
    "here();",
    FENCE,
  ].join("\n");
  assert.deepEqual(examplesIn("README.md", markdown), [{ name: "README.md:8", code: "here();\n" }]);
  assert.deepEqual(examplesIn("src/a.ts", markdown.replace(/^/gm, "// ")), []);
});

test("namesWithoutExample() asks functions, classes and constants for an example, and no type", () => {
  const example = { tags: [{ kind: "example" }] };
  const json = JSON.stringify({
    nodes: {
      "mod.ts": {
        symbols: [
          { name: "shown", declarations: [{ kind: "function", jsDoc: example }] },
          { name: "bare", declarations: [{ kind: "class", jsDoc: { doc: "Words." } }] },
          { name: "mute", declarations: [{ kind: "variable" }] },
          { name: "Shape", declarations: [{ kind: "interface" }] },
          {
            name: "overloaded",
            declarations: [{ kind: "function" }, { kind: "function", jsDoc: example }],
          },
        ],
      },
    },
  });
  assert.deepEqual(namesWithoutExample(json), ["bare", "mute"]);
});
