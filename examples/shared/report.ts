/**
 * What the search for duplicates found, and how it is told.
 *
 * @module
 */

import { relative } from "node:path";
import { counted, printable, size } from "./text.ts";

const GROUPS_SHOWN = 50;
const PATHS_SHOWN = 20;

/** Files with the same content. */
interface Same {
  readonly bytes: number;
  readonly paths: string[];
}

/** Gathers outcomes, and prints them. */
export class Report {
  readonly #folder: string;
  readonly #byHash = new Map<string, Same>();
  readonly #failures: [path: string, why: string][] = [];
  readonly #startedAt = performance.now();
  #files = 0;
  #bytes = 0;
  #failed = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A file was hashed. */
  add(path: string, hash: string, bytes: number): void {
    this.#files++;
    this.#bytes += bytes;
    const same = this.#byHash.get(hash);
    if (same === undefined) this.#byHash.set(hash, { bytes, paths: [path] });
    else same.paths.push(path);
  }

  /** A file or a folder could not be read. */
  readonly fail = (path: string, why: string): void => {
    this.#failed++;
    if (this.#failures.length < PATHS_SHOWN) this.#failures.push([path, why]);
  };

  /** Prints all of it. */
  print({ isComplete }: { isComplete: boolean }): void {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const groups = [...this.#byHash.values()].filter(({ paths }) => paths.length > 1)
      .sort((a, b) => savedBy(b) - savedBy(a));
    for (const group of groups.slice(0, GROUPS_SHOWN)) {
      const { bytes, paths } = group;
      console.log(`${counted(paths.length, "file")} of ${size(bytes)}, the same:`);
      this.#printPaths(paths);
    }
    if (groups.length > GROUPS_SHOWN) {
      console.log(`and ${counted(groups.length - GROUPS_SHOWN, "more group")} that save less`);
    }
    if (this.#failed > 0) {
      console.log(`${counted(this.#failed, "failure")}:`);
      for (const [path, why] of this.#failures) {
        console.log(`    ${this.#name(path)}: ${printable(why)}`);
      }
      if (this.#failed > PATHS_SHOWN) console.log(`    and ${this.#failed - PATHS_SHOWN} more`);
    }
    const copies = groups.reduce((sum, { paths }) => sum + paths.length - 1, 0);
    const saved = groups.reduce((sum, group) => sum + savedBy(group), 0);
    if (!isComplete) console.log("Interrupted: this is what was found before");
    console.log(
      `${counted(this.#files, "file")} (${size(this.#bytes)}) in ${seconds.toFixed(1)} s, ` +
        `${counted(Math.round(this.#files / seconds), "file")} a second, ` +
        counted(this.#failed, "failure"),
    );
    console.log(
      copies === 0
        ? "No duplicates"
        : `${counted(groups.length, "group")} of duplicates; without ` +
          `${counted(copies, "needless copy", "needless copies")} ${size(saved)} would be saved`,
    );
  }

  #printPaths(paths: readonly string[]): void {
    for (const path of paths.toSorted().slice(0, PATHS_SHOWN)) {
      console.log(`    ${this.#name(path)}`);
    }
    if (paths.length > PATHS_SHOWN) console.log(`    and ${paths.length - PATHS_SHOWN} more`);
  }

  #name(path: string): string {
    return printable(relative(this.#folder, path) || ".");
  }
}

function savedBy({ bytes, paths }: Same): number {
  return bytes * (paths.length - 1);
}
