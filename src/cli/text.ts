/**
 * More that is needed to show text and values: JSON, cutting, and the width in a terminal.
 *
 * @module
 */

import { UNPRINTABLE } from "../core/printable.ts";

/**
 * JSON on one line that a terminal may show too: what JSON would pass through is escaped, and means the same. What JSON
 * has no form for becomes one: bytes base64, a bigint and NaN text, a Map or Set an array. It never throws.
 */
export function printableJson(value: unknown): string {
  return toJson(value).replace(UNPRINTABLE, (char) => {
    const hex = char.charCodeAt(0).toString(16);
    return `\\u${hex.padStart(4, "0")}`;
  });
}

function toJson(value: unknown): string {
  // The way from the root to the holder of what is looked at: meeting one of them again is a cycle.
  const path: { readonly source: unknown; readonly shown: unknown }[] = [];
  const above = new Set<unknown>();
  try {
    return JSON.stringify(value, function (this: unknown, _key: string, value: unknown) {
      if (typeof value === "bigint") return String(value);
      if (typeof value === "number" && !Number.isFinite(value)) return String(value);
      if (typeof value !== "object" || value === null) return value;
      if (value instanceof Uint8Array) return value.toBase64();
      if (value instanceof RegExp || value instanceof URL) return String(value);
      while (path.length > 0 && path.at(-1)?.shown !== this) above.delete(path.pop()?.source);
      if (above.has(value)) return "[circular]";
      above.add(value);
      const shown = value instanceof Map || value instanceof Set ? [...value] : value;
      path.push({ source: value, shown });
      return shown;
    }) ?? "null";
  } catch (error) {
    return JSON.stringify({ unprintable: error instanceof Error ? error.message : String(error) });
  }
}

/** At most so many characters, cut with an ellipsis. */
export function cut(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const WIDTHLESS = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** How many columns printable text takes in a terminal: near enough for a table. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += WIDTHLESS.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}
