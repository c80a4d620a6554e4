import { test } from "node:test";
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Kit } from "../../mod.ts";
import { freePort } from "../conformance/backends.ts";
import { openConnection } from "../../src/store/connection.ts";
import { Keyspace } from "../../src/store/keyspace.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/deploy/main.ts", import.meta.url));
const options = { skip: "Deno" in globalThis ? false : "Deno.serve and Deno.cron are of Deno" };

/** A host that starts the example by a request, and stops it like Deno Deploy: SIGINT, and SIGKILL 5 s later. */
class Host implements AsyncDisposable {
  readonly folder: string;
  readonly #port: number;
  #child: ChildProcess | null = null;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.#port = port;
  }

  static async make(): Promise<Host> {
    return new Host(await mkdtemp(join(tmpdir(), "taskkit-deploy-")), await freePort());
  }

  get tasks(): string {
    return join(this.folder, "tasks.db");
  }

  async fetch(
    path: string,
    body?: object,
  ): Promise<{ status: number; json: () => Promise<unknown> }> {
    this.#child ??= spawn(process.execPath, [
      "run",
      "-A",
      "--quiet",
      "--unstable-cron",
      EXAMPLE,
    ], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, TASKS: this.tasks, PORT: String(this.#port) },
    });
    while (true) {
      try {
        const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
        return await fetch(`http://127.0.0.1:${this.#port}${path}`, init);
      } catch {
        await sleep(20);
      }
    }
  }

  /** Stops the process; returns how long it took to end, and whether it had to be killed. */
  async evict(): Promise<{ ms: number; isKilled: boolean }> {
    const child = this.#child;
    this.#child = null;
    if (child?.pid === undefined) throw new Error("nothing runs");
    const { pid } = child;
    const startedAt = performance.now();
    let isKilled = false;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const timer = setTimeout(() => {
      isKilled = true;
      process.kill(pid, "SIGKILL");
    }, 5_000);
    process.kill(pid, "SIGINT");
    await exited;
    clearTimeout(timer);
    return { ms: performance.now() - startedAt, isKilled };
  }

  /** Kills the process without a word. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child?.pid === undefined) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    process.kill(child.pid, "SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function initiated(host: Host, body: object): Promise<string> {
  const response = await host.fetch("/words", body);
  assert.equal(response.status, 202);
  return (await response.json() as { id: string }).id;
}

/** Asks again and again, as a page does, until the task is in the state. */
async function until(host: Host, id: string, state: string): Promise<unknown> {
  while (true) {
    const answer = await (await host.fetch(`/words/${id}`)).json() as { state: string };
    if (answer.state === state) return answer;
    await sleep(20);
  }
}

test("a request starts the example, and its task runs after the answer", options, async () => {
  await using host = await Host.make();
  const id = await initiated(host, { text: "to be or not to be" });
  assert.deepEqual(await until(host, id, "succeeded"), { state: "succeeded", count: 6 });
});

test("an evicted process gives its leases back in time, and uses no attempt", options, async () => {
  await using host = await Host.make();
  const id = await initiated(host, { text: "a b c", slowlyMs: 60_000 });
  await until(host, id, "running");
  const { ms, isKilled } = await host.evict();
  assert.equal(isKilled, false);
  assert.ok(ms < 4_000, `${ms} ms`);

  const { kv } = await openConnection(host.tasks);
  const kit = await Kit.open({ kv });
  const { state, retryCount } = await kit.getTask(id);
  assert.deepEqual({ state, retryCount }, { state: "queued", retryCount: 0 });
  const keys = new Keyspace(["taskkit"]);
  for await (const { key } of kv.list(keys.leases())) assert.fail(`a lease is left: ${key}`);
  for await (const { key } of kv.list(keys.workers())) assert.fail(`a worker is left: ${key}`);
  assert.deepEqual((await kit.check()).problems, []);
  for await (const { key } of kv.list({ prefix: [] })) assert.equal(key[0], "taskkit");
  await kit.close();
  kv.close();
});

test("the drain of a later request takes back what a killed process left", options, async () => {
  await using host = await Host.make();
  const lost = await initiated(host, { text: "a b c", slowlyMs: 2_000 });
  await until(host, lost, "running");
  await host.kill();
  const id = await initiated(host, { text: "d" });
  assert.deepEqual(await until(host, id, "succeeded"), { state: "succeeded", count: 1 });
  assert.deepEqual(await until(host, lost, "succeeded"), { state: "succeeded", count: 3 });
});
