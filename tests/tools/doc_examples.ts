/**
 * Finds the examples in doc comments and Markdown, and lays each out as a module that a runtime can run. Deno does
 * this by itself (`deno test --doc`); this is for Bun.
 *
 * @module
 */

/** One fenced code block. */
export interface Example {
  /** File and line of its fence. */
  readonly name: string;
  readonly code: string;
}

const COMMENT = /\/\*\*[\s\S]*?\*\//g;
const FENCE = /^([ \t]*)```(\S*)[ \t]*(.*)\n([\s\S]*?)^\1```[ \t]*$/gm;
const LANGUAGES = new Set(["ts", "typescript", "js", "javascript"]);

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

function* fencesIn(markdown: string, path: string, firstLine: number): Generator<Example> {
  for (const match of markdown.matchAll(FENCE)) {
    const [, , language = "", attributes = "", code = ""] = match;
    if (!LANGUAGES.has(language) || /\bignore\b/.test(attributes)) continue;
    yield { name: `${path}:${firstLine + lineAt(markdown, match.index) - 1}`, code };
  }
}

/** The examples of a file: of the doc comments of a TypeScript file, or of a Markdown file as a whole. */
export function examplesIn(path: string, text: string): Example[] {
  if (path.endsWith(".md")) return [...fencesIn(text, path, 1)];
  return [...text.matchAll(COMMENT)].flatMap((match) => {
    const [comment] = match;
    const markdown = comment.replace(/^[ \t]*\*(?: |$)/gm, "");
    return [...fencesIn(markdown, path, lineAt(text, match.index))];
  });
}

/** Writes every example as a module below `folder`, and a test file that runs them; says where the test file is. */
export async function layOut(examples: readonly Example[], folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const tests: string[] = [];
  for (const [index, { name, code }] of examples.entries()) {
    const file = `example_${index}.ts`;
    await Deno.writeTextFile(`${folder}/${file}`, code);
    tests.push(`test(${JSON.stringify(name)}, async () => { await import("./${file}"); });`);
  }
  const path = `${folder}/examples_test.ts`;
  await Deno.writeTextFile(path, [`import { test } from "node:test";`, ...tests, ""].join("\n"));
  return path;
}
