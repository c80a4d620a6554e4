/**
 * Text that may reach a terminal or a log. Names, errors and data come from elsewhere: a control character in them could
 * move the cursor, change the title, forge a line or hide one, so each is shown as an escape.
 *
 * @module
 */

/** Controls (C0, DEL, C1), marks that turn the direction of text, other line ends, and halves of a surrogate pair. */
export const UNPRINTABLE =
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const SHORT: ReadonlyMap<string, string> = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);

/** The text on one line, with what cannot be printed written as escapes such as `\x1b`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    const code = char.charCodeAt(0);
    const hex = code.toString(16);
    return SHORT.get(char) ?? (code < 256 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`);
  });
}
