/**
 * The architecture as lint rules: `deno lint` shows a breach where it stands, and tests/architecture_test.ts proves on
 * bad samples that every rule can fail. The rules look at src/ and mod.ts alone.
 *
 * What a rule cannot see from one file (imports that go round, names that Bun cannot resolve) is asked by the test.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Folders of src/ from the bottom up; what stands in one line may import each other, and everything below. */
const LAYERS: readonly (readonly string[])[] = [
  ["core"],
  ["store", "telemetry"],
  ["executor"],
  ["worker", "schedule"],
  ["kit"],
  ["mod"],
  ["cli", "dashboard", "testing"],
];

/** The layers whose behaviour the simulation must own: time and randomness are arguments there. */
const SIMULATED = new Set(["core", "store", "executor", "worker", "schedule"]);
const OWNERS_OF_TIME_AND_CHANCE = new Set(["src/core/clock.ts", "src/core/random.ts"]);
const OWNER_OF_KEYS = "src/store/keyspace.ts";
const OWNER_OF_COMMITS = "src/store/commit.ts";

/** Members that read the machine's clocks or its randomness. An empty set means every member of the object. */
const AMBIENT_MEMBERS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["Date", new Set(["now"])],
  ["Math", new Set(["random"])],
  ["crypto", new Set(["randomUUID", "getRandomValues"])],
  ["AbortSignal", new Set(["timeout"])],
  ["Temporal", new Set(["Now"])],
  ["performance", new Set()],
]);
const AMBIENT_NAMES = new Set(["setTimeout", "setInterval", "setImmediate"]);
const AMBIENT_MODULES = new Set(["node:timers", "node:timers/promises", "node:perf_hooks"]);
/** Of the package uuid: without options they take the machine's clock and randomness. */
const ID_MAKERS = new Set(["v1", "v4", "v6", "v7"]);

const METHODS_OF_A_KEY = new Set(["get", "set", "delete"]);
const METHODS_OF_KEYS = new Set(["getMany", "watch"]);
const KEY_PROPERTIES = new Set(["key", "prefix", "start", "end"]);

const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replaceAll("\\", "/");

/** The path below the project's root, or null for a file that the rules do not concern. */
function projectPath(filename: string): string | null {
  const path = filename.replaceAll("\\", "/");
  const below = path.startsWith(ROOT) ? path.slice(ROOT.length) : path;
  return below === "mod.ts" || below.startsWith("src/") ? below : null;
}

/** The layer of a path below the root, or null where there is none. */
export function layerOf(path: string): string | null {
  if (path === "mod.ts") return "mod";
  const [top, folder, ...rest] = path.split("/");
  if (top !== "src" || folder === undefined) return null;
  const layer = rest.length === 0 ? "kit" : folder;
  return LAYERS.some((layers) => layers.includes(layer)) ? layer : null;
}

/** How far up a layer stands. */
function heightOf(layer: string): number {
  return LAYERS.findIndex((layers) => layers.includes(layer));
}

/** Where a relative specifier leads, as a path below the root. */
export function resolveImport(importer: string, specifier: string): string {
  const parts = importer.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

export interface Imported {
  readonly node: Deno.lint.Node;
  readonly specifier: string;
}

/** Visitors that call `found` for every import and re-export whose specifier is written out. */
export function imports(found: (imported: Imported) => void): Deno.lint.LintVisitor {
  const take = (node: Deno.lint.Node, source: Deno.lint.Expression | null) => {
    if (source?.type === "Literal" && typeof source.value === "string") {
      found({ node, specifier: source.value });
    }
  };
  return {
    ImportDeclaration: (node) => take(node, node.source),
    ExportNamedDeclaration: (node) => take(node, node.source),
    ExportAllDeclaration: (node) => take(node, node.source),
    ImportExpression: (node) => take(node, node.source),
  };
}

/** A rule over the files that it concerns; `visit` gets the path below the root, and says null for other files. */
function rule(
  visit: (
    path: string,
    report: (node: Deno.lint.Node, message: string) => void,
    context: Deno.lint.RuleContext,
  ) => Deno.lint.LintVisitor | null,
): Deno.lint.Rule {
  return {
    create(context) {
      const path = projectPath(context.filename);
      const report = (node: Deno.lint.Node, message: string) => context.report({ node, message });
      return path === null ? {} : visit(path, report, context) ?? {};
    },
  };
}

function isNamed(node: Deno.lint.Node | null | undefined, name: string): boolean {
  return node?.type === "Identifier" && node.name === name;
}

/** The name of a member that is not computed. */
function memberName(node: Deno.lint.Node): string | null {
  if (node.type !== "MemberExpression" || node.computed) return null;
  return node.property.type === "Identifier" ? node.property.name : null;
}

function isArray(node: Deno.lint.Node | null | undefined): boolean {
  return node?.type === "ArrayExpression";
}

/** Whether an array literal begins by spreading something called prefix. */
function spreadsPrefix(node: Deno.lint.ArrayExpression): boolean {
  const [first] = node.elements;
  if (first?.type !== "SpreadElement") return false;
  const spread = first.argument;
  if (spread.type === "Identifier") return /prefix/i.test(spread.name);
  if (spread.type !== "MemberExpression") return false;
  const { property } = spread;
  return (property.type === "Identifier" || property.type === "PrivateIdentifier") &&
    /prefix/i.test(property.name);
}

/** Whether an identifier only names a property, and so reads no global. */
function isPropertyName(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "MemberExpression") return parent.property === node && !parent.computed;
  if (parent.type === "Property") return parent.key === node && !parent.shorthand;
  return parent.type === "MethodDefinition" || parent.type === "PropertyDefinition" ||
    parent.type === "TSMethodSignature" || parent.type === "TSPropertySignature";
}

/** The rules, by name. */
export const rules: Record<string, Deno.lint.Rule> = {
  "imports-go-down": rule((path, report) => {
    const layer = layerOf(path);
    return imports(({ node, specifier }) => {
      if (!specifier.startsWith(".")) return;
      const target = resolveImport(path, specifier);
      const targetLayer = layerOf(target);
      if (layer === null) return report(node, `"${path}" stands in no layer`);
      if (targetLayer === null) return report(node, `"${target}" stands in no layer`);
      if (heightOf(targetLayer) > heightOf(layer)) {
        report(node, `${layer} imports ${targetLayer}, which stands above it`);
      }
    });
  }),

  "bare-specifiers": rule((_path, report) =>
    imports(({ node, specifier }) => {
      if (/^(?!node:)[a-z]+:/.test(specifier) || specifier.startsWith("/")) {
        report(
          node,
          `"${specifier}" is no bare name: Bun cannot resolve it; map it in the configuration`,
        );
      }
    })
  ),

  "keys-in-keyspace": rule((path, report) => {
    if (path === OWNER_OF_KEYS) return null;
    const message = `a key is built outside ${OWNER_OF_KEYS}`;
    return {
      CallExpression(node) {
        const name = memberName(node.callee) ?? "";
        const [first] = node.arguments;
        const isKey = METHODS_OF_A_KEY.has(name) && isArray(first);
        const hasKey = METHODS_OF_KEYS.has(name) && first?.type === "ArrayExpression" &&
          first.elements.some(isArray);
        if (isKey || hasKey) report(node, message);
      },
      Property(node) {
        const { key } = node;
        if (key.type === "Identifier" && KEY_PROPERTIES.has(key.name) && isArray(node.value)) {
          report(node, message);
        }
      },
      VariableDeclarator(node) {
        const type = node.id.type === "Identifier"
          ? node.id.typeAnnotation?.typeAnnotation
          : undefined;
        if (type?.type !== "TSTypeReference" || !isNamed(type.typeName, "Key")) return;
        if (isArray(node.init)) report(node, message);
      },
      ArrayExpression(node) {
        if (spreadsPrefix(node)) report(node, message);
      },
    };
  }),

  "commits-in-commit": rule((path, report) => {
    if (path === OWNER_OF_COMMITS) return null;
    return {
      CallExpression(node) {
        const name = memberName(node.callee);
        if (name === "atomic" || name === "commit") {
          report(node, `.${name}() is called outside ${OWNER_OF_COMMITS}`);
        }
      },
    };
  }),

  "no-ambient-time-or-chance": rule((path, report) => {
    const layer = layerOf(path);
    if (layer === null || !SIMULATED.has(layer) || OWNERS_OF_TIME_AND_CHANCE.has(path)) return null;
    const message = (name: string) =>
      `${name} reads the machine's clock or randomness; take a Clock or a Random`;
    const visitImports = imports(({ node, specifier }) => {
      if (AMBIENT_MODULES.has(specifier)) report(node, message(`"${specifier}"`));
    });
    return {
      ...visitImports,
      MemberExpression(node) {
        const { object } = node;
        const name = memberName(node);
        // globalThis.Date.now is named by its last object, as Date.now is.
        const owner = object.type === "Identifier" ? object.name : memberName(object);
        const members = owner === null ? undefined : AMBIENT_MEMBERS.get(owner);
        if (members?.size === 0 || name !== null && members?.has(name)) {
          report(node, message(`${owner}.${name ?? "[…]"}`));
        } else if (name !== null && AMBIENT_NAMES.has(name) && isNamed(object, "globalThis")) {
          report(node, message(name));
        }
      },
      Identifier(node) {
        if (AMBIENT_NAMES.has(node.name) && !isPropertyName(node)) report(node, message(node.name));
      },
      NewExpression(node) {
        if (isNamed(node.callee, "Date") && node.arguments.length === 0) {
          report(node, message("new Date()"));
        }
      },
      CallExpression(node) {
        const { callee } = node;
        if (callee.type !== "Identifier") return;
        if (callee.name === "Date") report(node, message("Date()"));
        else if (ID_MAKERS.has(callee.name) && node.arguments.length === 0) {
          report(node, message(`${callee.name}() without options`));
        }
      },
    };
  }),

  "house-style": rule((_path, report) => ({
    TSAnyKeyword: (node) => report(node, "any says nothing; write unknown, or the type"),
    TSNonNullExpression: (node) => report(node, "`!` asserts without a check; narrow, or assert()"),
    ExportDefaultDeclaration: (node) => report(node, "a default export has no name of its own"),
    TSEnumDeclaration: (node) => report(node, "an enum is no type to erase; write a union"),
    TSParameterProperty: (node) => report(node, "a parameter property is no type to erase"),
    PropertyDefinition(node) {
      if (node.accessibility === "private") report(node, "private fields are written #name");
    },
    MethodDefinition(node) {
      // A constructor has no #name.
      if (node.accessibility === "private" && node.kind !== "constructor") {
        report(node, "private methods are written #name");
      }
    },
  })),

  "module-doc": rule((_path, report, context) => ({
    Program(node) {
      const text = context.sourceCode.text.replace(/^#!.*\n/, "");
      if (!/^\s*\/\*\*[\s\S]*?@module/.test(text)) {
        report(node, "a file opens by saying what it is: a doc comment with @module");
      }
    },
  })),

  "snake-case-files": rule((path, report) => ({
    Program(node) {
      if (!path.split("/").every((part) => /^[a-z0-9]+(_[a-z0-9]+)*(\.ts|\.tsx)?$/.test(part))) {
        report(node, `"${path}" is not written in snake_case`);
      }
    },
  })),
};

const plugin: Deno.lint.Plugin = { name: "architecture", rules };
export default plugin;
