/**
 * Configurations and flags: what is found, what comes first, and what is said when something is wrong.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { readArguments } from "../../src/cli/arguments.ts";
import { COMMON_FLAGS } from "../../src/cli/command.ts";
import { readSetup, type Setup } from "../../src/cli/open_kit.ts";
import { CONFIG, HANDLER, World } from "./world.ts";

function setupOf(world: World, argv: readonly string[]): Promise<Setup> {
  const args = readArguments(argv, "worker", COMMON_FLAGS);
  return readSetup({ args, terminal: world.terminal(), isJson: false });
}

test("setup: paths of the configuration are relative to its file", async () => {
  using world = new World();
  mkdirSync(join(world.folder, "sub"));
  const text =
    'export default { kv: "a.db", handler: "./h.ts", prefix: "p", groups: { work: 1 } };';
  const path = world.write("sub/my.config.ts", text);
  assert.deepEqual(await setupOf(world, ["--config", "sub/my.config.ts"]), {
    kitOptions: {
      kv: join(world.folder, "sub", "a.db"),
      handler: pathToFileURL(join(world.folder, "sub", "h.ts")),
      prefix: "p",
    },
    worker: { groups: { work: 1 } },
    configPath: path,
    database: join("sub", "a.db"),
  });
});

test("setup: flags come before the configuration, and are relative to the current folder", async () => {
  using world = new World();
  world.write("taskkit.config.ts", 'export default { kv: "a.db", handler: "h.ts", grace: 5 };');
  const argv = ["--kv", "x/b.db", "--handler", "y/i.ts", "--prefix", "q"];
  const { kitOptions, worker } = await setupOf(world, argv);
  assert.deepEqual(kitOptions, {
    kv: join(world.folder, "x", "b.db"),
    handler: pathToFileURL(join(world.folder, "y", "i.ts")),
    prefix: "q",
  });
  assert.deepEqual(worker, { grace: 5 });
});

test("setup: a URL stays one, and of it only the origin is shown", async () => {
  using world = new World();
  const remote = await setupOf(world, ["--kv", "https://kv.example.com/path"]);
  assert.deepEqual(remote.kitOptions, { kv: "https://kv.example.com/path" });
  assert.equal(remote.database, "https://kv.example.com");
  const memory = await setupOf(world, [
    "--kv",
    ":memory:",
    "--handler",
    "https://example.com/h.ts",
  ]);
  assert.deepEqual(memory.kitOptions, {
    kv: ":memory:",
    handler: new URL("https://example.com/h.ts"),
  });
  world.write(
    "url.config.ts",
    'export default { kv: new URL("./u%20v.db", import.meta.url), handler: new URL("./h.ts", import.meta.url) };',
  );
  const { kitOptions } = await setupOf(world, ["--config", "url.config.ts"]);
  assert.deepEqual(kitOptions, {
    kv: join(world.folder, "u v.db"),
    handler: pathToFileURL(join(world.folder, "h.ts")),
  });
});

test("setup: without a configuration it is said what to write, or which flags do it", async () => {
  using world = new World();
  for (const command of ["worker", "list"]) {
    const { code, out, err } = await world.run([command]);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /there is no "taskkit\.config\.ts" in "/);
    assert.match(err, /export default defineConfig\(\{\n +kv: "tasks\.db",/);
    assert.match(err, /taskkit worker --kv tasks\.db --handler handler\.ts --group mail=4/);
  }
});

/** A configuration, and what the worker says of it. */
const BAD: readonly (readonly [string, RegExp])[] = [
  [
    'export default { kv: "t.db", groups: { images: { concurency: 8 } } };',
    /there is no option "concurency"; did you mean "concurrency"\?\n {2}the configuration is "/,
  ],
  [
    'export default { kv: "t.db", grase: "1s" };',
    /there is no option "grase"; did you mean "grace"\?\n {2}the configuration is "/,
  ],
  [
    "export const config = {};",
    /it has no object as default export\n {2}write: export default def/,
  ],
  ["export default 5;", /it has no object as default export/],
  ['throw new Error("on\\x1bpurpose");', /it failed while loading: Error: on\\x1bpurpose/],
  ['import "./not_there.ts";', /it failed while loading: /],
  [
    'export default { kv: "t.db", groups: { images: 8 } };',
    /Cannot start a worker: nothing says what runs its tasks\n {2}name the module of the handler in/,
  ],
  [
    'export default { kv: "t.db", handler: "./not_there.ts", groups: { images: 8 } };',
    /Cannot load the handler module "file:.*not_there\.ts": it, or a module it imports, does not/,
  ],
  [
    'export default { kv: "t.db", handler: "./empty.ts", groups: { images: 8 } };',
    /Cannot use the handler module "file:.*empty\.ts": it has no default export; write "export/,
  ],
  [
    'export default { kv: "t.db", handler: "./folder", groups: { images: 8 } };',
    /Cannot load the handler module "file:.*folder": /,
  ],
  [
    'export default { kv: "t.db", handler: HANDLER };',
    /say which groups it works on.*\n {2}the configuration is .*\n {2}or name a group by a flag: --group/,
  ],
  [
    'export default { kv: "t.db", handler: HANDLER, groups: { images: 0 } };',
    /Cannot use 0 as the concurrency of group "images": it is not a whole number from 1 to 1000\n/,
  ],
  [
    'export default { kv: "t.db", handler: HANDLER, groups: { i: 1 }, grace: "x" };',
    /Cannot read grace: "x" is no duration; .*\n {2}the configuration is/,
  ],
];

for (const [index, [text, said]] of BAD.entries()) {
  test(`setup: the worker refuses ${text}`, async () => {
    using world = new World();
    mkdirSync(join(world.folder, "folder"));
    world.write("empty.ts", "export const nothing = 1;");
    // A module is loaded once a process: each has a name of its own.
    const name = `bad_${index}.config.ts`;
    world.write(name, text.replace("HANDLER", JSON.stringify(HANDLER)));
    const { code, out, err } = await world.run(["worker", "--config", name]);
    assert.match(err, said);
    assert.equal(code, 2);
    assert.ok(!out.includes("Worker"));
  });
}

test("setup: a configuration that is not there, or is a folder, is refused by its path", async () => {
  using world = new World();
  const missing = await world.run(["list", "--config", "no.ts"]);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /Cannot load the configuration ".*no\.ts": it does not exist/);
  const folder = await world.run(["list", "--config", "."]);
  assert.equal(folder.code, 2);
  assert.match(folder.err, /Cannot load the configuration ".*": it is no file/);
});

test("setup: a database that cannot be opened has exit code 3, and what to do is said", async () => {
  using world = new World();
  const folder = await world.run(["list", "--kv", "."]);
  assert.equal(folder.code, 3);
  assert.match(folder.err, /Cannot open the database: ".*" is a folder; pass the path of a file/);
  const nowhere = await world.run(["list", "--kv", "no/such/folder/tasks.db"]);
  assert.equal(nowhere.code, 3);
  assert.match(nowhere.err, /the folder ".*" does not exist; make it first/);
  world.write("text.db", "this is no database, however long it may be ".repeat(100));
  const text = await world.run(["list", "--kv", "text.db"]);
  assert.equal(text.code, 3);
  assert.match(text.err, /Cannot open the database ".*text\.db": .*is it a Deno KV file, and may/);
  const open = await world.run(["list", "--kv", "https://user:secret@example.com"]);
  assert.equal(open.code, 2);
  assert.ok(!open.err.includes("secret"));
});

const isLinux = process.platform === "linux"
  ? false
  : "only Linux has a folder that nobody may write";

test("setup: a folder that cannot be written is told", { skip: isLinux }, async () => {
  using world = new World();
  const { code, err } = await world.run(["list", "--kv", "/proc/tasks.db"]);
  assert.equal(code, 3);
  assert.match(err, /Cannot open the database "\/proc\/tasks.db": .*may this process write it\?/);
});

test("setup: the configuration of the fixtures opens its own database", async () => {
  using world = new World();
  const { kitOptions, worker } = await setupOf(world, ["--config", CONFIG]);
  assert.deepEqual(kitOptions, {
    kv: join(CONFIG, "..", "tasks.db"),
    handler: pathToFileURL(HANDLER),
  });
  assert.deepEqual(worker, {
    groups: { work: { concurrency: 4, executor: "inline" }, other: 2 },
    grace: "5s",
  });
});
