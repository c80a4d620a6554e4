import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeValue } from "../../src/core/value_codec.ts";
import type { Outcome } from "../../src/executor/executor.ts";
import { IS_DENO, World } from "./world.ts";

const inDeno = { skip: IS_DENO ? false : "Deno alone has permissions" };
const onLinux = {
  skip: process.platform === "linux" ? false : "only Linux shows the memory of another process",
};

function open(concurrency: number, memoryMb?: number): Promise<World> {
  return World.open({
    kind: "process",
    concurrency,
    ...(memoryMb === undefined ? {} : { memoryMb }),
  });
}

function value(outcome: Outcome): unknown {
  assert.ok(outcome.kind === "succeeded", JSON.stringify(outcome));
  return decodeValue(outcome.result, "the result");
}

function lost(outcome: Outcome): { blame: boolean; message: string } {
  assert.ok(outcome.kind === "lost", JSON.stringify(outcome));
  return { blame: outcome.blame, message: outcome.error.message };
}

test("a process runs one attempt at a time; what is more waits for it", async () => {
  await using world = await open(1);
  const first = world.start("wait for abort");
  await first.logged("waiting");
  const aborted = world.start("echo", 1);
  const abandoned = world.start("echo", 2);
  const second = world.start("echo", 3);
  aborted.abort();
  abandoned.abandon();
  first.abort();
  assert.equal((await first.outcome).kind, "succeeded");
  assert.deepEqual(lost(await aborted.outcome), {
    blame: false,
    message: "The attempt had not begun: it was aborted before",
  });
  assert.deepEqual(lost(await abandoned.outcome), {
    blame: false,
    message: "The attempt had not begun: it was abandoned",
  });
  assert.equal(value(await second.outcome), 3);
});

test("abandon() kills a handler that computes for ever, and no other", async () => {
  await using world = await open(2);
  const other = world.start("wait for abort");
  await other.logged("waiting");
  const computing = world.start("compute for ever");
  await computing.logged("computing");
  computing.abandon();
  assert.deepEqual(lost(await computing.outcome), {
    blame: true,
    message: "The attempt did not end after its signal was aborted",
  });
  assert.equal(value(await world.run("echo", 1)), 1);
  other.abort();
  assert.equal((await other.outcome).kind, "succeeded");
});

test("a handler that takes all memory ends its process, and the bound is named", async () => {
  await using world = await open(1, 100);
  const { blame, message } = lost(await world.run("take all memory"));
  assert.equal(blame, true);
  assert.match(message, /100 MiB/);
  assert.equal(value(await world.run("echo", 1)), 1);
});

test("memory beside the heap counts too", onLinux, async () => {
  await using world = await open(1, 200);
  assert.deepEqual(lost(await world.run("take memory beside the heap")), {
    blame: true,
    message: "The process of the attempt ended: it took more than its 200 MiB of memory",
  });
  assert.equal(value(await world.run("echo", 1)), 1);
});

test("a process that is killed from outside is noticed", async () => {
  await using world = await open(1);
  const pid = await world.value("pid");
  const waiting = world.start("wait for abort");
  await waiting.logged("waiting");
  process.kill(Number(pid), "SIGKILL");
  assert.deepEqual(lost(await waiting.outcome), {
    blame: true,
    message: "The process of the attempt ended: it was ended by SIGKILL",
  });
});

test("a process that garbles its channel is ended", async () => {
  await using world = await open(1);
  assert.deepEqual(lost(await world.run("write into the channel")), {
    blame: true,
    message: "The messages of the process make no sense",
  });
  assert.equal(value(await world.run("echo", 1)), 1);
});

test("a program that a handler started does not hide that its process ended", {
  skip: process.platform === "win32" ? "it needs the program sleep" : false,
}, async () => {
  await using world = await open(1);
  assert.deepEqual(lost(await world.run("start a program that stays")), {
    blame: true,
    message: "The handler called process.exit(6)",
  });
});

test("signals that are meant for the worker do not end a process", async () => {
  await using world = await open(1);
  const pid = Number(await world.value("pid"));
  const waiting = world.start("wait for abort");
  await waiting.logged("waiting");
  for (const signal of ["SIGINT", "SIGTERM"]) process.kill(pid, signal);
  waiting.abort();
  assert.equal((await waiting.outcome).kind, "succeeded");
});

test("processes have the permissions of their group and no others", inDeno, async () => {
  await using none = await World.open({ kind: "process", concurrency: 1, permissions: "none" });
  await using some = await World.open({
    kind: "process",
    concurrency: 1,
    permissions: { read: ["/tmp"], env: true, net: false },
  });
  await using all = await World.open({ kind: "process", concurrency: 1 });
  assert.deepEqual(
    [
      await none.value("permissions"),
      await some.value("permissions"),
      await all.value("permissions"),
    ],
    [
      ["denied", "denied", "denied", "denied"],
      ["prompt", "granted", "denied", "denied"],
      ["granted", "granted", "granted", "granted"],
    ],
  );
});

test("processes end when their worker is killed, also one that computes", async () => {
  const path = fileURLToPath(new URL("./fixtures/worker_to_kill.ts", import.meta.url));
  const worker = spawn(process.execPath, IS_DENO ? ["run", "-A", path] : [path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: worker.stdout });
  const [line] = await once(lines, "line");
  worker.kill("SIGKILL");
  await once(worker, "exit");
  const pids = JSON.parse(String(line)) as number[];
  assert.equal(pids.length, 2);
  for (const pid of pids) await gone(pid);
  lines.close();
});

/** Resolves when there is no process with this id; the system tells nobody but its parent. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
