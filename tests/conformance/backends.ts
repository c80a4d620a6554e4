/**
 * Every kind of KV that Taskkit runs on, opened and cleaned up the same way, for suites that must
 * hold on all of them.
 *
 * Each call of {@linkcode openBackends} gives databases of their own: a new file, a new server.
 * Several connections that one backend opens see the same data, but for `:memory:`, where each is a
 * database by itself.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import type { Entry, Key, KvPort } from "../../src/store/port.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase, type SimDatabaseOptions } from "../../src/testing/sim_database.ts";
import { CALM } from "../../src/testing/sim_faults.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";
import { TRAITS, type Traits } from "./traits.ts";

/** One kind of KV. */
export interface Backend {
  readonly name: string;
  /** How it differs from the others. */
  readonly traits: Traits;
  /** Why it cannot be used here, where it cannot. */
  readonly skip?: string;
  /** Whether several connections see the same data. */
  readonly isShared: boolean;
  /** A new connection; whoever opens it closes it. */
  open(): Promise<KvPort>;
  /** Ends servers and removes files; after the connections are closed. */
  cleanup(): Promise<void>;
}

const TOKEN = "only-for-tests";
const SERVER_START_MS_MAX = 20_000;
const isDeno = "Deno" in globalThis;

/** All kinds, also those that cannot be used here: they say why. */
export function openBackends(): Backend[] {
  return [
    simulated("simulated, like Deno", "simDeno", { dialect: "deno" }),
    simulated("simulated, like @deno/kv on a server", "simNpm", { dialect: "npm" }),
    simulatedWithLatency(),
    isDeno ? memory() : npm(":memory:, @deno/kv", ":memory:"),
    file(),
    npm("file, @deno/kv", "file"),
    server("denokv server, @deno/kv", "npmServer", openNpmServer),
    server("denokv server, Deno", "denoServer", openDenoServer),
  ];
}

/** `Deno.openKv` by another name than `Deno`, which Bun's types do not have. */
function openDeno(path: string): Promise<KvPort> {
  const { openKv } = (globalThis as unknown as {
    Deno: { openKv(path: string): Promise<KvPort> };
  }).Deno;
  return openKv(path);
}

function simulated(
  name: string,
  traits: keyof typeof TRAITS,
  options: SimDatabaseOptions,
): Backend {
  const database = new SimDatabase(options);
  return {
    name,
    traits: TRAITS[traits],
    isShared: true,
    open: () => Promise.resolve(database.connect()),
    cleanup: () => Promise.resolve(),
  };
}

/** Answers take virtual time, which a driver lets pass; connections are of different processes. */
function simulatedWithLatency(): Backend {
  const random = new SeededRandom("conformance");
  const time = new VirtualTime({ random: random.fork("order") });
  const driver = time.drive();
  const database = new SimDatabase({
    time,
    random: random.fork("kv"),
    faults: CALM,
    watchesCrossProcesses: true,
  });
  return {
    name: "simulated, with latency",
    traits: TRAITS.simDeno,
    isShared: true,
    open: () => Promise.resolve(database.connect({ clock: time.clock() })),
    cleanup() {
      driver[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

function memory(): Backend {
  return {
    name: ":memory:, Deno",
    traits: TRAITS.deno,
    isShared: false,
    open: () => openDeno(":memory:"),
    cleanup: () => Promise.resolve(),
  };
}

/** A folder that is made when it is first asked for. */
class TemporaryFolder {
  #path: Promise<string> | undefined;

  path(): Promise<string> {
    return this.#path ??= mkdtemp(join(tmpdir(), "taskkit-kv-"));
  }

  async remove(): Promise<void> {
    if (this.#path !== undefined) await rm(await this.#path, { recursive: true, force: true });
  }
}

function file(): Backend {
  const folder = new TemporaryFolder();
  return {
    name: "file, Deno",
    traits: TRAITS.deno,
    isShared: true,
    ...(isDeno ? {} : { skip: "Deno.openKv is of Deno" }),
    open: async () => await openDeno(join(await folder.path(), "kv.db")),
    cleanup: () => folder.remove(),
  };
}

/**
 * The client of npm. Its values are views into larger buffers, in Bun and on files even of the
 * class Buffer.
 */
async function openNpm(path: string, options: object): Promise<KvPort> {
  const { openKv } = await import("@deno/kv");
  // Without `implementation` it hands over to Deno.openKv where there is one.
  const kv = await openKv(path, { encodeV8: serialize, decodeV8: deserialize, ...options });
  return rawWatching(kv as unknown as RawWatching);
}

interface RawWatching extends KvPort {
  watch(keys: readonly Key[], options?: { raw?: boolean }): ReadableStream<Entry[]>;
}

/**
 * Makes `watch` ask for raw events. Without `raw`, `@deno/kv` 0.14 reads its inner stream in a
 * promise that nobody awaits: when the watch is cancelled, or the server goes away, that is an
 * unhandled rejection, which ends a Deno process. And it tells nothing of a key that is absent.
 */
function rawWatching(kv: RawWatching): KvPort {
  return {
    get: (key) => kv.get(key),
    getMany: (keys) => kv.getMany(keys),
    list: (selector, options) => kv.list(selector, options),
    atomic: () => kv.atomic(),
    watch: (keys) => kv.watch(keys, { raw: true }),
    close: () => kv.close(),
  };
}

function npm(name: string, where: ":memory:" | "file"): Backend {
  const folder = new TemporaryFolder();
  return {
    name,
    traits: TRAITS.npmFile,
    isShared: where === "file",
    async open() {
      const path = where === "file" ? join(await folder.path(), "kv.db") : where;
      return await openNpm(path, { implementation: "sqlite" });
    },
    cleanup: () => folder.remove(),
  };
}

/** Where the server's binary is, or null. */
function findDenokv(): string | null {
  const folders = [
    ...(process.env.PATH ?? "").split(delimiter),
    join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin"),
  ];
  const name = process.platform === "win32" ? "denokv.exe" : "denokv";
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** A port of the loopback that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/**
 * A denokv server on a file in a temporary folder, which can be killed and started again on the
 * same port.
 */
export class DenokvServer {
  /** What {@linkcode Deno.openKv} and `@deno/kv` send as `DENO_KV_ACCESS_TOKEN`. */
  readonly token = TOKEN;
  readonly port: number;
  readonly #binary: string;
  readonly #flags: readonly string[];
  readonly #folder = new TemporaryFolder();
  #child: ChildProcess | undefined;

  constructor(binary: string, port: number, flags: readonly string[] = []) {
    this.#binary = binary;
    this.#flags = flags;
    this.port = port;
  }

  /** Why there can be no server here, or null. */
  static unavailable(): string | null {
    return findDenokv() === null ? "denokv is not installed (cargo install denokv --locked)" : null;
  }

  /** Starts a server with an empty database, and more flags of `denokv serve`. */
  static async start(flags: readonly string[] = []): Promise<DenokvServer> {
    const binary = findDenokv();
    if (binary === null) throw new Error("Cannot start denokv: it is not installed");
    const server = new DenokvServer(binary, await freePort(), flags);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), and resolves when it takes connections. */
  async start(): Promise<void> {
    const path = join(await this.#folder.path(), "kv.db");
    const address = `127.0.0.1:${this.port}`;
    const args = ["--sqlite-path", path, "serve", "--addr", address, ...this.#flags];
    const child = spawn(this.#binary, args, {
      stdio: "ignore",
      env: { ...process.env, DENO_KV_ACCESS_TOKEN: TOKEN },
    });
    this.#child = child;
    const startedMs = performance.now();
    while (!await answers(this.port)) {
      if (child.exitCode !== null) throw new Error(`Cannot start denokv: exit ${child.exitCode}`);
      if (performance.now() - startedMs > SERVER_START_MS_MAX) {
        throw new Error(`Cannot start denokv: no answer in ${SERVER_START_MS_MAX} ms`);
      }
      await setTimeout(10);
    }
  }

  /** Kills it, and resolves when it is gone. Its data stays. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  /** Kills it and removes its data. */
  async remove(): Promise<void> {
    await this.kill();
    await this.#folder.remove();
  }
}

function openNpmServer({ url, token }: DenokvServer): Promise<KvPort> {
  return openNpm(url, { implementation: "remote", accessToken: token });
}

async function openDenoServer({ url, token }: DenokvServer): Promise<KvPort> {
  // The built-in client takes the token from the environment alone.
  const before = process.env.DENO_KV_ACCESS_TOKEN;
  process.env.DENO_KV_ACCESS_TOKEN = token;
  try {
    return await openDeno(url);
  } finally {
    if (before === undefined) delete process.env.DENO_KV_ACCESS_TOKEN;
    else process.env.DENO_KV_ACCESS_TOKEN = before;
  }
}

function server(
  name: string,
  traits: keyof typeof TRAITS,
  open: (server: DenokvServer) => Promise<KvPort>,
): Backend {
  let started: Promise<DenokvServer> | undefined;
  const skip = traits === "denoServer" && !isDeno
    ? "Deno.openKv is of Deno"
    : DenokvServer.unavailable();
  return {
    name,
    traits: TRAITS[traits],
    isShared: true,
    ...(skip === null ? {} : { skip }),
    open: async () => await open(await (started ??= DenokvServer.start())),
    async cleanup() {
      if (started !== undefined) await (await started).remove();
    },
  };
}
