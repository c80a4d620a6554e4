/**
 * A database with a few stores on it, each of which plays a process of its own; and what a test wants to know of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { IdSource } from "../../src/core/ids.ts";
import { isTerminal, newTask, type TaskRecord } from "../../src/core/task.ts";
import { Bells } from "../../src/store/bells.ts";
import { Turns } from "../../src/store/turns.ts";
import { beat } from "../../src/store/beat.ts";
import { claim, type Claimed, type ClaimOptions, type HeldLease } from "../../src/store/claim.ts";
import { openConnection } from "../../src/store/connection.ts";
import { type Draft, enqueue } from "../../src/store/enqueue.ts";
import { measureChecks } from "../../src/store/format.ts";
import { Keyspace } from "../../src/store/keyspace.ts";
import type { Entry, Key, KeyPart, KvPort } from "../../src/store/port.ts";
import { decodeTask, isTombstone } from "../../src/store/record_codec.ts";
import { decodeLease } from "../../src/store/records.ts";
import { type Ending, settle, type Settled, type Settlement } from "../../src/store/settle.ts";
import type { Store } from "../../src/store/store.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";

/** When the still clocks of tests stand still at first. */
export const NOON = Date.UTC(2026, 0, 1, 12);

/** A clock that stands still unless it is told to go on. Its timers, which are deadlines and pauses, are real. */
export class StillClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;

  constructor(wallMs = NOON) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }
  monotonic(): number {
    return this.#monotonicMs;
  }
  advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }
  readonly timer = systemClock.timer;
  readonly soon = systemClock.soon;
}

const encoder = new TextEncoder();
export const utf8 = (text: string): Uint8Array => encoder.encode(text);
export const NEVER = new AbortController().signal;
export const ALONE = { rank: 0, of: 1 };

/** A store as a process would have it. */
export function storeOn(
  kv: KvPort,
  options: {
    clock: Clock;
    seed: string;
    checksMax?: number;
    prefix?: readonly string[];
    remote?: boolean;
  },
): Store {
  const random = new SeededRandom(options.seed);
  const { clock, checksMax = 100, remote = checksMax < 100 } = options;
  return {
    kv,
    keys: new Keyspace(options.prefix ?? ["taskkit"]),
    clock,
    random,
    ids: new IdSource(clock, random),
    bells: new Bells(kv, clock, { watchFile: () => null, canWatch: false }),
    turns: new Turns(null, clock),
    checksMax,
    remote,
  };
}

/** What a test says of a task that it initiates. */
export interface DraftOptions {
  readonly group?: string;
  readonly name?: string;
  readonly data?: Uint8Array;
  readonly dueMs?: number;
  readonly priority?: number;
  readonly ttlMs?: number;
  readonly timeoutMs?: number | null;
  readonly unique?: string | null;
}

export function draft(store: Store, options: DraftOptions = {}): Draft {
  const nowMs = store.clock.now();
  return {
    data: options.data ?? utf8("data"),
    record: newTask({
      id: store.ids.next(),
      group: options.group ?? "g",
      name: options.name ?? "n",
      priority: options.priority ?? 5,
      dueMs: options.dueMs ?? nowMs,
      createdMs: nowMs,
      ttlMs: options.ttlMs ?? 3_600_000,
      timeoutMs: options.timeoutMs ?? null,
      scheduledMs: null,
      unique: options.unique ?? null,
      op: store.ids.token(),
    }),
  };
}

/** A database, and two stores on it. */
export class World {
  readonly kv: KvPort;
  readonly clock = new StillClock();
  readonly checksMax: number;
  /** Two processes. */
  readonly a: Store;
  readonly b: Store;

  constructor(kv: KvPort, checksMax: number, prefix: readonly string[] = ["taskkit"]) {
    this.kv = kv;
    this.checksMax = checksMax;
    const { clock } = this;
    this.a = storeOn(kv, { clock, seed: "a", checksMax, prefix });
    this.b = storeOn(kv, { clock, seed: "b", checksMax, prefix });
  }

  /** Initiates one task and says its id. */
  async initiate(options: DraftOptions = {}): Promise<string> {
    const [id] = await enqueue(this.a, [draft(this.a, options)]);
    assert(id !== undefined);
    return id;
  }

  /** Claims under a name; all of a group that is due, unless it is said how many. */
  claim(
    worker: string,
    options: Partial<ClaimOptions> & { store?: Store } = {},
  ): Promise<Claimed> {
    const { store = this.a, ...rest } = options;
    return claim(store, { worker, group: "g", max: 100, window: ALONE, ...rest });
  }

  /** Claims tasks that must all come under one lease. */
  async claimLease(
    worker: string,
    options: Partial<ClaimOptions> & { store?: Store } = {},
  ): Promise<HeldLease> {
    const { leases } = await this.claim(worker, options);
    assert.equal(leases.length, 1);
    return leases[0] as HeldLease;
  }

  /** Settles tasks of a lease, all of them in the same way, and says what became of each. */
  async settle(
    lease: HeldLease,
    ending: Ending,
    ids: Iterable<string> = [...lease.tasks.keys()],
    store: Store = this.a,
  ): Promise<Settled[]> {
    const settlements = [...ids].map((id): Settlement => {
      const record = lease.tasks.get(id);
      assert(record !== undefined, "the lease holds the task");
      return { lease, record, ending };
    });
    const outcomes: Settled[] = [];
    for (let rest = settlements; rest.length > 0;) {
      const settled = await settle(store, rest, NEVER);
      for (const settlement of settlements) {
        const outcome = settled.get(settlement);
        if (outcome !== undefined) outcomes.push(outcome);
      }
      rest = rest.filter((settlement) => !settled.has(settlement));
    }
    return outcomes;
  }

  /** Makes a worker alive, and says the version of its heartbeat. */
  async beat(worker: string, store: Store = this.a): Promise<string> {
    const { versionstamp } = await this.kv.get(store.keys.worker(worker));
    const found = await beat(store, worker, versionstamp, { ...ABOUT, op: store.ids.token() });
    assert(found.kind === "alive");
    return found.version;
  }

  async record(id: string): Promise<TaskRecord> {
    return decodeTask((await this.kv.get(this.a.keys.task(id))).value);
  }

  async records(ids: readonly string[]): Promise<TaskRecord[]> {
    return await Promise.all(ids.map((id) => this.record(id)));
  }

  /** Everything below the prefix. */
  async entries(): Promise<Entry[]> {
    return await Array.fromAsync(this.kv.list(this.a.keys.all()));
  }

  /** The keys below the prefix that begin with a word, without the prefix. */
  async keys(kind: string): Promise<KeyPart[][]> {
    const { keys } = this.a;
    return (await this.entries()).map((entry) => keys.parts(entry))
      .filter(([first]) => first === kind);
  }

  /** Puts bytes where they do not belong. */
  async plant(key: Key, value: unknown): Promise<void> {
    const result = await this.kv.atomic().set(key, value).commit();
    assert(result.ok);
  }

  /**
   * The indexes say what the records say, both ways: a due entry iff queued, with the same version; a lease iff running; a
   * unique key iff its holder lives; every chunk of what may still be read is there.
   */
  async assertSound(): Promise<void> {
    const { keys } = this.a;
    const entries = await this.entries();
    const records = new Map<string, { record: TaskRecord; version: string | null }>();
    const found = { due: [] as string[], leased: [] as string[], unique: [] as string[] };
    const chunks = new Set<string>();
    for (const entry of entries) {
      const [kind, ...rest] = keys.parts(entry);
      if (kind === "task" && !isTombstone(entry.value)) {
        const record = decodeTask(entry.value);
        assert.equal(record.id, rest[0]);
        records.set(record.id, { record, version: entry.versionstamp });
      }
      if (kind === "due") {
        found.due.push(JSON.stringify([...rest, entry.versionstamp]));
        assert.equal(decodeTask(entry.value).id, rest[3]);
      }
      if (kind === "lease") {
        const lease = decodeLease(entry.value);
        assert(lease.tasks.length > 0, "no lease is empty");
        for (const id of lease.cancel) assert(lease.tasks.includes(id));
        for (const id of lease.tasks) found.leased.push(JSON.stringify([...rest, id]));
      }
      if (kind === "unique") {
        const holder = new TextDecoder().decode(entry.value as Uint8Array);
        found.unique.push(JSON.stringify([rest[0], holder]));
      }
      if (kind === "data") chunks.add(JSON.stringify(rest));
    }
    const wanted = { due: [] as string[], leased: [] as string[], unique: [] as string[] };
    for (const { record, version } of records.values()) {
      const { id, state, group, priority, dueMs, lease, unique } = record;
      if (state === "queued") {
        wanted.due.push(JSON.stringify([group, priority, dueMs, id, version]));
      }
      if (lease !== null) wanted.leased.push(JSON.stringify([lease.worker, lease.id, id]));
      if (unique !== null && !isTerminal(state)) wanted.unique.push(JSON.stringify([unique, id]));
      for (const payload of [record.data, record.result]) {
        if (payload?.kind !== "chunks") continue;
        for (let n = 0; n < payload.count; n++) {
          assert(chunks.has(JSON.stringify([id, payload.part, n])), "every chunk is there");
        }
      }
    }
    for (const list of [...Object.values(found), ...Object.values(wanted)]) list.sort();
    assert.deepEqual(found, wanted);
  }
}

export const ABOUT = {
  host: "host",
  pid: 1,
  runtime: "test",
  startedMs: NOON,
  groups: { g: 10 },
  running: 0,
  stopping: false,
  leaseMs: 15_000,
} as const;

/** Sets up a kind of database; `close` ends it. */
interface Kind {
  readonly name: string;
  open(prefix?: readonly string[]): Promise<{ world: World; close: () => void }>;
}

function simulated(name: string, dialect: "deno" | "npm", checksMax: number): Kind {
  return {
    name,
    open: (prefix) => {
      const world = new World(new SimDatabase({ dialect }).connect(), checksMax, prefix);
      return Promise.resolve({ world, close: () => {} });
    },
  };
}

const KINDS: readonly Kind[] = [
  simulated("simulated file", "deno", 100),
  simulated("simulated server", "npm", 10),
  {
    name: ":memory:",
    async open(prefix) {
      const { kv } = await openConnection(":memory:");
      const probe = storeOn(kv, { clock: systemClock, seed: "probe" });
      const checksMax = await measureChecks(probe, probe.keys);
      return { world: new World(kv, checksMax, prefix), close: () => kv.close() };
    },
  },
];

/** Proves something on every kind of database: the real one in memory, and simulated ones with 100 and with 10 checks. */
export function testOnEach(
  title: string,
  prove: (world: World) => Promise<void>,
  options: { prefix?: readonly string[]; isUnsound?: boolean } = {},
): void {
  for (const kind of KINDS) {
    test(`${title} (${kind.name})`, async () => {
      const { world, close } = await kind.open(options.prefix);
      try {
        await prove(world);
        if (options.isUnsound !== true) await world.assertSound();
      } finally {
        close();
      }
    });
  }
}

/** What happens to a call on its way. */
export type Interference = (
  call: { readonly kind: "get" | "getMany" | "list" | "commit"; readonly keys: readonly Key[] },
  proceed: () => Promise<unknown>,
) => Promise<unknown>;

/** A KV whose calls go through `interfere`, which may act before and after them, hold them, or replace their answers. */
export function interfered(kv: KvPort, interfere: Interference): KvPort {
  return {
    get: (key) => interfere({ kind: "get", keys: [key] }, () => kv.get(key)) as Promise<Entry>,
    getMany: (keys) =>
      interfere({ kind: "getMany", keys }, () => kv.getMany(keys)) as Promise<Entry[]>,
    list(selector, options) {
      const listed = async function* () {
        const prefix = "prefix" in selector ? selector.prefix : selector.start;
        const all = await interfere(
          { kind: "list", keys: [prefix] },
          () => Array.fromAsync(kv.list(selector, options)),
        );
        yield* all as Entry[];
      };
      return listed();
    },
    atomic() {
      const atomic = kv.atomic();
      const keys: Key[] = [];
      const built = {
        check(...checks: { key: Key; versionstamp: string | null }[]) {
          atomic.check(...checks);
          return built;
        },
        set(key: Key, value: unknown, options?: { expireIn?: number }) {
          keys.push(key);
          atomic.set(key, value, options);
          return built;
        },
        delete(key: Key) {
          keys.push(key);
          atomic.delete(key);
          return built;
        },
        commit: () =>
          interfere({ kind: "commit", keys }, () => atomic.commit()) as ReturnType<
            typeof atomic.commit
          >,
      };
      return built as unknown as ReturnType<KvPort["atomic"]>;
    },
    watch: (keys) => kv.watch(keys),
    close: () => kv.close(),
  };
}

/** Whether a key lies below a word of Taskkit's own. */
export function isKind(key: Key | undefined, kind: string): boolean {
  return key?.[1] === kind;
}
