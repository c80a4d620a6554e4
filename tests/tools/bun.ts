/**
 * Finds Bun, or gets it from npm, and installs the packages that the project names for it.
 *
 * The package `bun` puts its binary in place with a script, which npm may be told not to run. So the script is left
 * alone and the binary is taken from the package it would be taken from.
 *
 * @module
 */

import { run } from "./process.ts";

const MINUTE_MS = 60_000;
/** Older ones lack parts of `node:test` that the tests use. */
const VERSION_MIN = [1, 4] as const;
const VERSION_WANTED = "1";

/** Where Bun is, or why it is not. */
export type Found = { readonly path: string; readonly version: string } | {
  readonly reason: string;
};

async function versionOf(path: string): Promise<string | null> {
  const { ok, output } = await run(path, ["--version"], { stream: false, timeoutMs: MINUTE_MS });
  const [version] = output.match(/^\d+\.\d+\.\d+/) ?? [];
  return ok && version !== undefined ? version : null;
}

/** Whether a version of Bun is one that the tests are written for. */
export function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [majorMin, minorMin] = VERSION_MIN;
  return major > majorMin || major === majorMin && minor >= minorMin;
}

async function firstThatRuns(paths: readonly string[]): Promise<Found | null> {
  for (const path of paths) {
    const version = await versionOf(path);
    if (version !== null && isRecent(version)) return { path, version };
  }
  return null;
}

/** The binaries that npm has put below `folder`: one a kind of processor and C library, not all of which run here. */
async function binariesBelow(folder: string): Promise<string[]> {
  const scope = `${folder}/node_modules/@oven`;
  try {
    const names = await Array.fromAsync(Deno.readDir(scope), ({ name }) => name);
    return names.sort().map((name) =>
      `${scope}/${name}/bin/bun${Deno.build.os === "windows" ? ".exe" : ""}`
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Bun from the PATH, else the one in `folder`, else from npm into `folder`. */
export async function findBun(folder: string): Promise<Found> {
  const there = await firstThatRuns(["bun", ...await binariesBelow(folder)]);
  if (there !== null) return there;
  console.log("Bun is not installed: getting it from npm");
  await Deno.mkdir(folder, { recursive: true });
  const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
  const args = [
    "install",
    "--prefix",
    folder,
    "--ignore-scripts",
    "--no-save",
    "--no-package-lock",
  ];
  const { ok, reason } = await run(npm, [
    ...args,
    "--no-audit",
    "--no-fund",
    `bun@${VERSION_WANTED}`,
  ], {
    cwd: folder,
    timeoutMs: 5 * MINUTE_MS,
  });
  if (!ok) return { reason: `npm install bun: ${reason}` };
  return await firstThatRuns(await binariesBelow(folder)) ??
    { reason: "the Bun that npm brought does not run" };
}

/** Installs the packages of bun.lock; asks no registry where they are there. Says what went wrong, or null. */
export async function installPackages(bun: string, root: string): Promise<string | null> {
  const { ok, reason } = await run(bun, ["install", "--frozen-lockfile"], {
    cwd: root,
    timeoutMs: 5 * MINUTE_MS,
  });
  return ok ? null : `bun install: ${reason}`;
}
