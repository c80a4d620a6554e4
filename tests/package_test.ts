/**
 * The package is described in several files, for Deno, JSR, npm and Bun; they must say the same.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
}

interface DenoJson extends Manifest {
  readonly publish: { readonly include: readonly string[] };
  readonly imports: Readonly<Record<string, string>>;
  readonly links: readonly string[];
}

interface PackageJson extends Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

interface TsConfig {
  readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> };
}

function readText(path: string): string {
  return readFileSync(ROOT + path, "utf8");
}

const deno: DenoJson = JSON.parse(readText("deno.json"));
const npm: PackageJson = JSON.parse(readText("package.json"));
const bun: TsConfig = JSON.parse(readText("tsconfig.json"));

/** `jsr:@std/assert@^1.0.16` as name and range. */
function splitSpecifier(specifier: string): { registry: string; name: string; range: string } {
  const [, registry = "", name = "", range = ""] = specifier.match(/^(\w+):(@?[^@]+)@(.+)$/) ?? [];
  return { registry, name, range };
}

test("jsr.json is the mirror of what deno.json says to JSR", () => {
  const { name, version, license, exports, publish } = deno;
  assert.deepEqual(JSON.parse(readText("jsr.json")), { name, version, license, exports, publish });
});

test("package.json has the name, version, licence and exports of deno.json", () => {
  const of = ({ name, version, license, exports }: Manifest) => ({
    name,
    version,
    license,
    exports,
  });
  assert.deepEqual(of(npm), of(deno));
});

test("package.json asks npm for the ranges that deno.json does", () => {
  const fromNpm = Object.values(deno.imports).map(splitSpecifier).filter(({ registry }) =>
    registry === "npm"
  );
  const ranges = Object.fromEntries(fromNpm.map(({ name, range }) => [name, range]));
  assert.deepEqual({ ...npm.dependencies, ...npm.devDependencies }, ranges);
});

test("every import is mapped under the name of its package", () => {
  for (const [name, specifier] of Object.entries(deno.imports)) {
    assert.equal(splitSpecifier(specifier).name, name);
  }
});

test("the stand-ins have the names and lowest versions of the packages from JSR, and Bun finds each of their exports", () => {
  const fromJsr = Object.values(deno.imports).map(splitSpecifier).filter(({ registry }) =>
    registry === "jsr"
  );
  const expected = fromJsr.map(({ name, range }) => ({
    name,
    version: range.replace(/^[\^~]/, ""),
  }));
  const paths: Record<string, readonly string[]> = {};
  const standIns = deno.links.map((folder) => {
    const { name, version, exports }: Manifest & { exports: string | Record<string, string> } = JSON
      .parse(
        readText(`${folder}/deno.json`),
      );
    for (
      const [key, path] of Object.entries(typeof exports === "string" ? { ".": exports } : exports)
    ) {
      paths[name + key.slice(1)] = [`${folder}/${path.slice(2)}`];
    }
    return { name, version };
  });
  assert.deepEqual(standIns, expected);
  for (const [key, path] of Object.entries(deno.exports)) paths[deno.name + key.slice(1)] = [path];
  assert.deepEqual(bun.compilerOptions.paths, paths);
});

test("what is published is there", () => {
  const top = readdirSync(ROOT);
  assert.deepEqual(
    deno.publish.include.filter((path) => !top.includes(path.split("/")[0] ?? "")),
    [],
  );
});

test("the licence is MIT and the changelog has a section for the version", () => {
  assert.equal(deno.license, "MIT");
  assert.match(readText("LICENSE"), /^MIT License\n\nCopyright \(c\) \d+ the Taskkit authors\n/);
  assert.match(readText("CHANGELOG.md"), new RegExp(`^## ${RegExp.escape(deno.version)}\\b`, "m"));
});
