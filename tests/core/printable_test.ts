/**
 * Text from elsewhere on its way to a terminal.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { printable } from "../../src/core/printable.ts";

test("printable() shows every control and every mark of direction as an escape, and nothing else", () => {
  for (let code = 0; code <= 0xffff; code++) {
    const char = String.fromCharCode(code);
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
    const turns = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(char);
    const endsLine = code === 0x2028 || code === 0x2029;
    const isHalf = code >= 0xd800 && code < 0xe000;
    const isEscaped = isControl || turns || endsLine || isHalf || code === 0xfeff;
    assert.equal(printable(char) !== char, isEscaped, `U+${code.toString(16)}`);
    assert.equal(printable(printable(char)), printable(char));
  }
});

test("printable() keeps a line one line, and pairs of surrogates whole", () => {
  assert.equal(printable("a\r\n\tb"), "a\\r\\n\\tb");
  assert.equal(printable("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  assert.equal(printable("😀é日本"), "😀é日本");
  assert.equal(printable("\ud83d x \ude00"), "\\u{d83d} x \\u{de00}");
});
