/**
 * Reads every source file and fails where the architecture is broken; each rule is proven on a sample that breaks it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import plugin, { imports, layerOf, resolveImport, rules } from "./tools/architecture.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

// Only Deno has a linter to ask; the sources are the same ones for Bun.
const hasLinter = "Deno" in globalThis;
const testRules: (name: string, run: () => void) => void = hasLinter ? test : () => {};

test("architecture: the rules run where there is Deno's linter", { skip: !hasLinter }, () => {
  assert.equal(typeof Deno.lint.runPlugin, "function");
});

function read(path: string): string {
  return readFileSync(ROOT + path, "utf8");
}

/** mod.ts and every TypeScript file below src/, as paths below the root. */
function sourcePaths(): string[] {
  const below = readdirSync(`${ROOT}src`, { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.replaceAll("\\", "/")}`)
    .filter((path) => /\.tsx?$/.test(path));
  return ["mod.ts", ...below.sort()];
}

/** What the rules say about a text, as lines of `rule: message`. */
function breaches(path: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, path, text).map(({ id, message }) =>
    `${id.split("/")[1]}: ${message}`
  );
}

function specifiersOf(path: string): string[] {
  const specifiers: string[] = [];
  const collect = imports(({ specifier }) => specifiers.push(specifier));
  Deno.lint.runPlugin(
    { name: "imports", rules: { collect: { create: () => collect } } },
    path,
    read(path),
  );
  return specifiers;
}

interface Sample {
  readonly rule: string;
  readonly path: string;
  readonly text: string;
}

const BAD: readonly Sample[] = [
  {
    rule: "imports-go-down",
    path: "src/core/task.ts",
    text: `import { a } from "../store/codec.ts";`,
  },
  {
    rule: "imports-go-down",
    path: "src/store/claim.ts",
    text: `export * from "../executor/inline.ts";`,
  },
  {
    rule: "imports-go-down",
    path: "src/executor/inline.ts",
    text: `import type { A } from "../worker/a.ts";`,
  },
  {
    rule: "imports-go-down",
    path: "src/worker/claimer.ts",
    text: `export { a } from "../kit.ts";`,
  },
  {
    rule: "imports-go-down",
    path: "src/schedule/cron.ts",
    text: `await import("../define_task.ts");`,
  },
  { rule: "imports-go-down", path: "src/kit.ts", text: `import { a } from "./cli/main.ts";` },
  { rule: "imports-go-down", path: "src/kit.ts", text: `import { a } from "../mod.ts";` },
  {
    rule: "imports-go-down",
    path: "mod.ts",
    text: `export { a } from "./src/testing/simulated_kv.ts";`,
  },
  {
    rule: "imports-go-down",
    path: "src/kit.ts",
    text: `import { a } from "../tests/tools/run.ts";`,
  },
  { rule: "imports-go-down", path: "src/misc/a.ts", text: `import { a } from "../core/task.ts";` },
  { rule: "bare-specifiers", path: "src/kit.ts", text: `import { Cron } from "npm:croner";` },
  { rule: "bare-specifiers", path: "src/kit.ts", text: `import { a } from "jsr:@std/assert@1";` },
  {
    rule: "bare-specifiers",
    path: "src/kit.ts",
    text: `await import("https://example.com/a.ts");`,
  },
  { rule: "keys-in-keyspace", path: "src/store/claim.ts", text: `kv.get(["task", id]);` },
  { rule: "keys-in-keyspace", path: "src/worker/a.ts", text: `atomic.set(["task", id], bytes);` },
  {
    rule: "keys-in-keyspace",
    path: "src/store/claim.ts",
    text: `atomic.check({ key: ["a"], versionstamp });`,
  },
  {
    rule: "keys-in-keyspace",
    path: "src/store/claim.ts",
    text: `kv.list({ prefix: ["due", group] });`,
  },
  { rule: "keys-in-keyspace", path: "src/kit.ts", text: `kv.watch([["bell", group]]);` },
  { rule: "keys-in-keyspace", path: "src/store/claim.ts", text: `const key: Key = ["a"];` },
  {
    rule: "keys-in-keyspace",
    path: "src/store/claim.ts",
    text: `const key = [...this.#prefix, "task"];`,
  },
  { rule: "commits-in-commit", path: "src/store/claim.ts", text: `await kv.atomic().delete(key);` },
  { rule: "commits-in-commit", path: "src/kit.ts", text: `await operation.commit();` },
  { rule: "no-ambient-time-or-chance", path: "src/core/ids.ts", text: `const ms = Date.now();` },
  {
    rule: "no-ambient-time-or-chance",
    path: "src/core/ids.ts",
    text: `const read = globalThis.Date.now;`,
  },
  { rule: "no-ambient-time-or-chance", path: "src/store/a.ts", text: `const at = new Date();` },
  { rule: "no-ambient-time-or-chance", path: "src/store/a.ts", text: `const at = Date();` },
  { rule: "no-ambient-time-or-chance", path: "src/worker/a.ts", text: `performance.now();` },
  { rule: "no-ambient-time-or-chance", path: "src/worker/a.ts", text: `setTimeout(() => {}, 5);` },
  {
    rule: "no-ambient-time-or-chance",
    path: "src/worker/a.ts",
    text: `globalThis.setInterval(f, 5);`,
  },
  {
    rule: "no-ambient-time-or-chance",
    path: "src/worker/a.ts",
    text: `const wait = { using: setTimeout };`,
  },
  { rule: "no-ambient-time-or-chance", path: "src/schedule/a.ts", text: `Math.random();` },
  { rule: "no-ambient-time-or-chance", path: "src/executor/a.ts", text: `crypto.randomUUID();` },
  { rule: "no-ambient-time-or-chance", path: "src/executor/a.ts", text: `AbortSignal.timeout(5);` },
  {
    rule: "no-ambient-time-or-chance",
    path: "src/executor/a.ts",
    text: `import "node:timers/promises";`,
  },
  { rule: "no-ambient-time-or-chance", path: "src/core/ids.ts", text: `v7();` },
  { rule: "house-style", path: "src/kit.ts", text: `const a: any = 1;` },
  { rule: "house-style", path: "src/kit.ts", text: `a!.b();` },
  { rule: "house-style", path: "src/kit.ts", text: `export default class Kit {}` },
  { rule: "house-style", path: "src/kit.ts", text: `enum State { queued }` },
  {
    rule: "house-style",
    path: "src/kit.ts",
    text: `class A { constructor(readonly a: number) {} }`,
  },
  { rule: "house-style", path: "src/kit.ts", text: `class A { private a = 1; }` },
  { rule: "house-style", path: "src/kit.ts", text: `class A { private a() {} }` },
  { rule: "module-doc", path: "src/kit.ts", text: `export const a = 1;` },
  { rule: "module-doc", path: "src/kit.ts", text: `/** What a is. */\nexport const a = 1;` },
  { rule: "snake-case-files", path: "src/core/taskModel.ts", text: `export {};` },
  { rule: "snake-case-files", path: "src/core/task-model.ts", text: `export {};` },
];

/** Texts that look much like a breach, and are none. */
const GOOD: readonly Omit<Sample, "rule">[] = [
  {
    path: "src/store/claim.ts",
    text: `import { a } from "../core/task.ts";\nexport { b } from "../telemetry/b.ts";`,
  },
  {
    path: "src/cli/main.ts",
    text: `import { a } from "../../mod.ts";\nimport { b } from "../kit.ts";`,
  },
  { path: "mod.ts", text: `export { Kit } from "./src/kit.ts";` },
  {
    path: "src/kit.ts",
    text: `import { assert } from "@std/assert";\nimport { stat } from "node:fs/promises";`,
  },
  { path: "src/store/keyspace.ts", text: `const key: Key = [...prefix, "task"];\nkv.get(["a"]);` },
  { path: "src/store/commit.ts", text: `await kv.atomic().commit();` },
  {
    path: "src/store/claim.ts",
    text: `kv.getMany([a, b]);\nconst all = [...ids, "x"];\nids.delete(id);`,
  },
  { path: "src/core/clock.ts", text: `Date.now();\nsetTimeout(f, 5);` },
  { path: "src/core/random.ts", text: `crypto.getRandomValues(bytes);\nMath.random();` },
  {
    path: "src/core/ids.ts",
    text: `new Date(ms);\nMath.floor(ms);\nclock.now();\nv7({ msecs, random });`,
  },
  { path: "src/worker/a.ts", text: `const timers = { setTimeout: 1 };\ntimers.setTimeout;` },
  { path: "src/cli/main.ts", text: `console.log(Date.now());` },
  { path: "src/kit.ts", text: `class A { #a = 1; protected b() {} }` },
  { path: "tests/kit_test.ts", text: `export default Date.now() as any;` },
];

for (const { rule, path, text } of BAD) {
  testRules(`architecture: ${rule} refuses \`${text}\` in ${path}`, () => {
    const documented = rule === "module-doc" ? text : `/** A sample. @module */\n${text}`;
    const said = breaches(path, documented).map((line) => line.split(":")[0]);
    assert.ok(said.length > 0, "the rule said nothing");
    assert.deepEqual([...new Set(said)], [rule]);
  });
}

for (const { path, text } of GOOD) {
  testRules(`architecture: \`${text.replaceAll("\n", " ")}\` may stand in ${path}`, () => {
    assert.deepEqual(breaches(path, `/** A sample. @module */\n${text}`), []);
  });
}

test("architecture: every rule has a sample that breaks it", () => {
  assert.deepEqual([...new Set(BAD.map(({ rule }) => rule))], Object.keys(rules));
});

for (const name of Object.keys(rules)) {
  testRules(`architecture: the sources keep ${name}`, () => {
    const found = sourcePaths().flatMap((path) =>
      breaches(path, read(path)).filter((line) => line.startsWith(`${name}:`)).map((line) =>
        `${path}: ${line}`
      )
    );
    assert.deepEqual(found, []);
  });
}

/** Every way that leads from a layer back to itself, where `edges` says which layer imports which. */
function circles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const found: string[] = [];
  const walk = (layer: string, way: readonly string[]) => {
    if (way.includes(layer)) {
      if (way[0] === layer) found.push([...way, layer].join(" → "));
      return;
    }
    for (const next of edges.get(layer) ?? []) walk(next, [...way, layer]);
  };
  for (const layer of edges.keys()) walk(layer, []);
  return found;
}

testRules("architecture: layers that may import each other do so in one direction", () => {
  assert.deepEqual(circles(new Map([["a", new Set(["b"])], ["b", new Set(["a"])]])), [
    "a → b → a",
    "b → a → b",
  ]);
  const edges = new Map<string, Set<string>>();
  for (const path of sourcePaths()) {
    const layer = layerOf(path) ?? path;
    for (
      const specifier of specifiersOf(path).filter((specifier) => specifier.startsWith("."))
    ) {
      const target = layerOf(resolveImport(path, specifier));
      if (target === null || target === layer) continue;
      edges.set(layer, (edges.get(layer) ?? new Set()).add(target));
    }
  }
  assert.deepEqual(circles(edges), []);
});

testRules("architecture: every bare name is mapped for Deno and for Bun", () => {
  const deno: { imports: Record<string, string> } = JSON.parse(read("deno.json"));
  const bun: { dependencies: Record<string, string> } = JSON.parse(read("package.json"));
  const { compilerOptions }: { compilerOptions: { paths: Record<string, string[]> } } = JSON.parse(
    read("tsconfig.json"),
  );
  const unmapped = sourcePaths().flatMap((path) =>
    specifiersOf(path).filter((name) => !/^(\.|node:)/.test(name)).flatMap((name) => {
      const bareName = name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/");
      const inDeno = name in deno.imports || bareName in deno.imports;
      const inBun = name in compilerOptions.paths || bareName in bun.dependencies;
      return [
        ...(inDeno ? [] : [`${path}: "${name}" is not in deno.json`]),
        ...(inBun ? [] : [`${path}: "${name}" is neither in package.json nor in tsconfig.json`]),
      ];
    })
  );
  assert.deepEqual(unmapped, []);
});
