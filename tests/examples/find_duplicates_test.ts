/**
 * The demo, as people run it.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Ran, ROOT, type Running, World } from "../cli/world.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/find_duplicates.ts", import.meta.url));

/** A folder of files, and the demo's own place for temporary ones. */
class Demo extends World {
  readonly files: string = join(this.folder, "files");
  readonly temporary: string = join(this.folder, "temporary");

  constructor() {
    super();
    for (const folder of [this.files, this.temporary]) mkdirSync(folder);
  }

  file(name: string, text: string): void {
    writeFileSync(join(this.files, name), text);
  }

  startDemo(...argv: string[]): Running {
    const env = { TMPDIR: this.temporary };
    return this.start(argv, { main: EXAMPLE, cwd: this.files, env });
  }

  async runDemo(...argv: string[]): Promise<Ran> {
    return await this.startDemo(...argv).ended;
  }
}

/** The report without what differs from run to run. */
function report({ out }: Ran): string {
  return out.replace(/ in [\d.]+ s, [\d,]+ files? a second/, " in time");
}

test("demo: finds what is the same, the greatest saving first, and follows no symbolic link", async () => {
  using demo = new Demo();
  mkdirSync(join(demo.files, "sub"));
  demo.file("a", "twelve bytes");
  demo.file("sub/b", "twelve bytes");
  demo.file("sub/c", "twelve bytes");
  demo.file("big1", "x".repeat(2_000));
  demo.file("big2", "x".repeat(2_000));
  demo.file("one\x1b[31m", "another");
  demo.file("two\n", "another");
  demo.file("empty1", "");
  demo.file("empty2", "");
  demo.file("single", "nothing is like it");
  symlinkSync("a", join(demo.files, "link"));
  symlinkSync("..", join(demo.files, "sub", "loop"));
  const ran = await demo.runDemo();
  assert.equal(ran.code, 0);
  assert.equal(
    report(ran),
    [
      "2 files of 2.0 KB, the same:",
      "    big1",
      "    big2",
      "3 files of 12 bytes, the same:",
      "    a",
      "    sub/b",
      "    sub/c",
      "2 files of 7 bytes, the same:",
      "    one\\u{1b}[31m",
      "    two\\u{a}",
      "2 files of 0 bytes, the same:",
      "    empty1",
      "    empty2",
      "10 files (4.1 KB) in time, 0 failures",
      "4 groups of duplicates; without 5 needless copies 2.0 KB would be saved",
      "",
    ].join("\n"),
  );
  assert.equal(ran.err, "10 files to read\n");
  assert.deepEqual(readdirSync(demo.temporary), []);
});

const needsBytes = process.platform === "linux" ? false : "names of files are no bytes here";

test("demo: what cannot be read is a failure in the report", { skip: needsBytes }, async () => {
  using demo = new Demo();
  demo.file("good", "1");
  // A name that is no UTF-8: it is listed, and cannot be opened by the name that the listing gives.
  execFileSync("sh", ["-c", "printf x > \"$(printf 'bad\\377')\""], { cwd: demo.files });
  const ran = await demo.runDemo(".");
  assert.equal(ran.code, 0);
  assert.match(
    report(ran),
    /^1 failure:\n {4}bad\ufffd: ENOENT: .*\n1 file \(1 byte\) in time, 1 failure\nNo duplicates\n$/,
  );
  assert.deepEqual(readdirSync(demo.temporary), []);
});

test("demo: thousands of files, with plain lines where there is no terminal", async () => {
  using demo = new Demo();
  for (let n = 0; n < 2_500; n++) demo.file(String(n), `content ${n % 1_250}`);
  const ran = await demo.runDemo();
  assert.equal(ran.code, 0);
  assert.match(ran.out, /^and 1,200 more groups that save less$/m);
  assert.match(ran.out, /^2,500 files \(27\.8 KB\) in .* s, .* files a second, 0 failures$/m);
  assert.match(ran.out, /^1,250 groups of duplicates; without 1,250 needless copies /m);
  assert.match(ran.err, /^2,500 files to read\n(\d+ % {2}[\d,]+ of 2,500 files, .* a second\n)*$/);
});

test("demo: a folder may be empty; one that is not there, or is none, ends it with 2", async () => {
  using demo = new Demo();
  const empty = await demo.runDemo();
  assert.equal(empty.code, 0);
  assert.equal(report(empty), "0 files (0 bytes) in time, 0 failures\nNo duplicates\n");
  demo.file("file", "");
  const refused: [string[], RegExp][] = [
    [["nowhere"], /^Cannot look for duplicates: there is no folder ".*nowhere"\n$/],
    [["file"], /^Cannot look for duplicates: ".*file" is no folder\n$/],
    [["a", "b"], /^Cannot look for duplicates: one folder at a time: "a" and "b"\n$/],
  ];
  for (const [argv, said] of refused) {
    const { code, out, err } = await demo.runDemo(...argv);
    assert.match(err, said);
    assert.deepEqual([code, out], [2, ""]);
  }
  assert.deepEqual(readdirSync(demo.temporary), []);
});

test("demo: Ctrl-C ends it in good order, with what was found and without leaving anything", async () => {
  using demo = new Demo();
  for (let n = 0; n < 8; n++) {
    demo.file(`huge${n}`, "");
    // Full of holes: it takes no room, and no end to read.
    truncateSync(join(demo.files, `huge${n}`), 2 ** 40);
  }
  const running = demo.startDemo();
  await running.until(/8 files to read/, "err");
  running.kill("SIGINT");
  const ran = await running.ended;
  assert.equal(ran.code, 130);
  assert.match(report(ran), /^Interrupted: this is what was found before\n0 files /);
  assert.deepEqual(readdirSync(demo.temporary), []);
});

const needsDeno = "Deno" in globalThis ? false : "deno task is Deno's";

test("demo: deno task takes a folder from where it was called", { skip: needsDeno }, () => {
  using demo = new Demo();
  demo.file("a", "same");
  demo.file("b", "same");
  // A task that this test runs in may have set it, and deno keeps what is set.
  const { INIT_CWD: _, ...env } = Deno.env.toObject();
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--config", join(ROOT, "deno.json"), "demo", "files"],
    cwd: demo.folder,
    clearEnv: true,
    env,
  }).outputSync();
  assert.ok(success, new TextDecoder().decode(stderr));
  const out = new TextDecoder().decode(stdout);
  assert.match(out, /^2 files of 4 bytes, the same:\n {4}a\n {4}b\n/);
});
