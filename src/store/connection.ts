/**
 * Opens a database: a path, a KV Connect URL, an open KV, or nothing for the default one; in Deno, Bun and Node; and finds
 * out what the connection can do.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import { systemClock } from "../core/clock.ts";
import { shown } from "../core/duration.ts";
import { InvalidArgument, KvUnavailable, Unsupported } from "../core/errors.ts";
import { REQUEST_DEADLINE_MS } from "../core/limits.ts";
import { systemRandom } from "../core/random.ts";
import type { Hints, WatchFile } from "./bells.ts";
import { firstLine, whenUnlocked } from "./commit.ts";
import { logOf, watchChanges } from "./log_watch.ts";
import type { KvPort } from "./port.ts";
import { type TurnFile, turnFileOf } from "./turns.ts";

/**
 * Where the database is: a path or `file:` URL of a SQLite file (made if it is not there; `":memory:"` for none), a KV Connect URL, an
 * open `Deno.Kv` or `Kv` of `@deno/kv`, or undefined for the runtime's default database.
 */
export type KvSource = string | URL | KvPort | undefined;

/**
 * Which client speaks KV Connect: `@deno/kv` (`"npm"`), in every runtime, or Deno's own (`"builtin"`), which takes 44 ms
 * for each write of 1 KB or more where nothing else is under way, and repeats a request for ever.
 */
export type KvClient = "npm" | "builtin";

/** An open connection. */
export interface Connection {
  readonly kv: KvPort;
  /** Whether `close` is ours to call. */
  readonly owned: boolean;
  /** Whether it crosses a network; null for a KV that was passed open and does not tell. */
  readonly remote: boolean | null;
  readonly hints: Hints;
  /** By which the processes of one file take turns; null where there is none. */
  readonly turnFile: TurnFile | null;
}

/**
 * Opens a connection.
 *
 * @throws {InvalidArgument} If `source` is none of the above, or a URL that would send the token in the clear.
 * @throws {KvUnavailable} If the database cannot be opened; the message says what to do.
 * @throws {Unsupported} If the runtime has no default database.
 */
export async function openConnection(
  source: KvSource,
  client: KvClient = "npm",
): Promise<Connection> {
  const opened = (kv: KvPort, remote: boolean | null): Connection => ({
    kv,
    owned: true,
    remote,
    hints: { watchFile: () => null, canWatch: !isNative(kv) },
    turnFile: null,
  });
  if (isKv(source)) return { ...opened(source, isNative(source) ? false : null), owned: false };
  if (source === undefined) return opened(await openEmbedded(undefined), false);
  const text = source instanceof URL ? toText(source) : source;
  if (typeof text !== "string" || text === "") {
    throw new InvalidArgument(
      `Cannot open the database: kv is ${
        shown(source)
      }; pass a path, a KV Connect URL, an open Deno.Kv, or leave it out`,
    );
  }
  if (/^https?:/i.test(text)) return opened(await openRemote(text, client), true);
  if (text === ":memory:") return opened(await openEmbedded(text), false);
  const path = resolve(text);
  checkPath(path);
  const connection = opened(await openEmbedded(path), false);
  const watchFile: WatchFile = (onChange) => watchChanges(logOf(path), systemClock, onChange);
  return {
    ...connection,
    hints: { ...connection.hints, ...(mayUse("read", `${path}-wal`) ? { watchFile } : {}) },
    turnFile: mayUse("write", `${path}-turn`) ? turnFileOf(path) : null,
  };
}

/** Whether a file beside the database may be used, so that Deno, which was given only the file itself, does not ask. */
function mayUse(name: "read" | "write", path: string): boolean {
  const permissions = globalThis.Deno?.permissions;
  return permissions === undefined || permissions.querySync({ name, path }).state === "granted";
}

/**
 * Whether it is the native embedded client of `@deno/kv`. A watch of its own never ends once it waits, which keeps the
 * process alive and can block `close`; its database is a file whose log is watched, or nobody else's.
 */
function isNative(kv: KvPort): boolean {
  return kv.constructor.name === "NapiBasedKv";
}

function toText(url: URL): string {
  return url.protocol === "file:" ? fileURLToPath(url) : url.href;
}

function isKv(source: unknown): source is KvPort {
  return typeof source === "object" && source !== null && "atomic" in source &&
    typeof source.atomic === "function" &&
    "watch" in source && typeof source.watch === "function";
}

function checkPath(path: string): void {
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new KvUnavailable(
      `Cannot open the database: "${path}" is a folder; pass the path of a file in it`,
    );
  }
  if (!existsSync(dirname(path))) {
    throw new KvUnavailable(
      `Cannot open the database: the folder "${dirname(path)}" does not exist; make it first`,
    );
  }
}

const MACHINE = { clock: systemClock, random: systemRandom };

async function openEmbedded(path: string | undefined): Promise<KvPort> {
  try {
    // Deno's own KV where it is switched on; the npm package elsewhere, which reads and writes the same file.
    if (hasDenoKv()) {
      return await whenUnlocked(MACHINE, () => Deno.openKv(path)) as unknown as KvPort;
    }
    if (path === undefined) {
      throw new Unsupported(
        `Cannot open the default database: this runtime has none; pass a path as kv, or in Deno run with --unstable-kv`,
      );
    }
    return await whenUnlocked(MACHINE, () => openNpm(path, { implementation: "sqlite" }));
  } catch (error) {
    if (error instanceof Unsupported) throw error;
    const why = firstLine(error);
    throw new KvUnavailable(
      `Cannot open the database ${
        path === undefined ? "" : `"${path}"`
      }: ${why}; is it a Deno KV file, and may this process write it?`,
      { cause: error },
    );
  }
}

function hasDenoKv(): boolean {
  return typeof globalThis.Deno?.openKv === "function";
}

/** Hosts that are this machine: there a token in the clear goes nowhere. */
const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

async function openRemote(text: string, client: KvClient): Promise<KvPort> {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || url.search !== "") {
    throw new InvalidArgument(
      "Cannot open the database: the KV Connect URL must be plain, without user, password or query; " +
        "the token comes from the environment variable DENO_KV_ACCESS_TOKEN",
    );
  }
  if (url.protocol === "http:" && !LOOPBACK.has(url.hostname)) {
    throw new InvalidArgument(
      `Cannot open the database: "${url.origin}" would receive the access token unencrypted; use https://`,
    );
  }
  const accessToken = process.env.DENO_KV_ACCESS_TOKEN;
  if (accessToken === undefined || accessToken === "") {
    throw new KvUnavailable(
      `Cannot open the database at "${url.origin}": set the environment variable DENO_KV_ACCESS_TOKEN to its access token`,
    );
  }
  try {
    if (client === "builtin") return await openBuiltin(url.href);
    return await openNpm(url.href, {
      implementation: "remote",
      accessToken,
      fetcher: fetchInTime,
      // Repeats of its own come when nobody waits for them any more; whoever reads or writes here tries again by itself.
      maxRetries: 0,
    });
  } catch (error) {
    const why = firstLine(error);
    throw new KvUnavailable(`Cannot open the database at "${url.origin}": ${why}`, {
      cause: error,
    });
  }
}

async function openBuiltin(url: string): Promise<KvPort> {
  if (!hasDenoKv()) {
    throw new Unsupported(
      "this runtime has no client of its own; leave client out, or in Deno run with --unstable-kv",
    );
  }
  return await Deno.openKv(url) as unknown as KvPort;
}

/**
 * One request, which does not hold its connection for ever when no answer comes; whoever waited for it has given up
 * before. A watch is a stream without an end, and is renewed by who reads it.
 */
async function fetchInTime(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  if (String(input).endsWith("/watch")) return await fetch(input, init);
  const late = new AbortController();
  const timer = systemClock.timer(REQUEST_DEADLINE_MS, () => late.abort());
  try {
    const { status, headers, url, body } = await fetch(input, { ...init, signal: late.signal });
    const bytes = body === null ? null : await new Response(body).arrayBuffer();
    const response = new Response(bytes, { status, headers });
    // The client resolves the endpoints of the database against it.
    Object.defineProperty(response, "url", { value: url });
    return response;
  } finally {
    timer.cancel();
  }
}

async function openNpm(
  path: string,
  options: {
    implementation: "sqlite" | "remote";
    accessToken?: string;
    fetcher?: typeof fetch;
    maxRetries?: number;
  },
): Promise<KvPort> {
  const { openKv } = await import("@deno/kv");
  // Bun's V8 serialization has to be handed over. Taskkit's own values are bytes and never need it, but the client also
  // decodes neighbours of what was asked for, which may be anybody's.
  const decodeV8 = (bytes: Uint8Array): unknown => {
    try {
      return deserialize(bytes);
    } catch {
      return bytes;
    }
  };
  return await openKv(path, { ...options, encodeV8: serialize, decodeV8 }) as unknown as KvPort;
}
