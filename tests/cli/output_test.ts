/**
 * What reaches a terminal or a pipe, and what does not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Output, type Sink, styled } from "../../src/cli/output.ts";

/** A sink whose writes end when they are told to. */
class SlowSink implements Sink {
  text = "";
  readonly #waiting: ((error?: Error) => void)[] = [];
  #fail: (error: Error) => void = () => {};

  write(text: string, done: (error?: Error | null) => void): void {
    this.text += text;
    this.#waiting.push(done);
  }

  on(_event: "error", listener: (error: Error) => void): void {
    this.#fail = listener;
  }

  drain(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  breakOff(): void {
    this.#fail(new Error("EPIPE"));
  }
}

function create(options: { isTerminal?: boolean; hasColors?: boolean } = {}) {
  const sink = new SlowSink();
  const { isTerminal = false, hasColors = false } = options;
  return { sink, output: new Output(sink, { isTerminal, hasColors, columns: () => 20 }) };
}

test("Output writes styles where there are colours, and never a control character of the text", () => {
  for (const hasColors of [false, true]) {
    const { sink, output } = create({ hasColors });
    output.line("a\x1b[2J\n", styled("red", "b\u009b"), styled("dim", ""));
    const red = hasColors ? "\x1b[31mb\\x9b\x1b[0m" : "b\\x9b";
    assert.equal(sink.text, `a\\x1b[2J\\n${red}\n`);
  }
});

test("Output shows a status on a terminal alone, as wide as it is, and takes it away for the next line", () => {
  const { sink, output } = create({ isTerminal: true });
  output.status("0123456789012345678901234");
  output.status("too soon after the first");
  output.line("line");
  output.clearStatus();
  assert.equal(sink.text, "0123456789012345678\r\x1b[Kline\n");

  const plain = create();
  plain.output.status("nobody sees it");
  plain.output.clearStatus();
  assert.equal(plain.sink.text, "");
});

test("Output leaves lines of a log out when the reader is slow, and says how many", () => {
  for (const isJson of [false, true]) {
    const { sink, output } = create();
    const write = (n: number) => isJson ? output.jsonEntry({ n }) : output.line(`line ${n}`);
    for (let n = 0; n < 10_007; n++) write(n);
    sink.drain();
    write(10_007);
    const lines = sink.text.trimEnd().split("\n");
    assert.equal(lines.length, 10_002);
    assert.deepEqual(
      lines.slice(-2),
      isJson
        ? ['{"level":"warn","event":"log.left_out","entries":7}', '{"n":10007}']
        : ["… 7 lines were left out: they came faster than they were read", "line 10007"],
    );
  }
});

test("flush() resolves when everything was handed over, or the reader is gone", async () => {
  const { sink, output } = create();
  await output.flush();
  output.json({ a: 1 });
  let isFlushed = false;
  const flushed = output.flush().then(() => isFlushed = true);
  await Promise.resolve();
  assert.equal(isFlushed, false);
  sink.drain();
  await flushed;

  output.json({ b: 2 });
  const told: string[] = [];
  output.onClosed(() => told.push("closed"));
  const gone = output.flush();
  sink.breakOff();
  sink.breakOff();
  await gone;
  output.onClosed(() => told.push("was closed"));
  output.line("to nobody");
  assert.deepEqual([output.isClosed, told, sink.text], [
    true,
    ["closed", "was closed"],
    '{"a":1}\n{"b":2}\n',
  ]);
});
