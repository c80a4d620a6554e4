/**
 * Shows a value of any kind to people: bounded, and without what a terminal must not get.
 *
 * @module
 */

import { inspect } from "node:util";
import type { Output } from "./output.ts";
import { cut } from "./text.ts";

const CHARS_MAX = 20_000;

/** Prints a value over as many lines as it takes. */
export function printValue(out: Output, value: unknown, indent = ""): void {
  const text = inspect(value, {
    depth: 10,
    maxArrayLength: 100,
    maxStringLength: 5_000,
    breakLength: 100 - indent.length,
    // A getter or a custom form of data must not run code: there is none in decoded data, and it stays so.
    customInspect: false,
    getters: false,
  });
  for (const line of cut(text, CHARS_MAX).split("\n")) out.line(`${indent}${line}`);
}
