/**
 * Bugs put in by name, each of a kind that others have had. A simulation that does not catch them proves nothing.
 *
 * A bug is a small change of one source file. It exists in a copy of the sources alone, made for a test and deleted after
 * it; a change whose place is not found any more is an error, so that no bug is forgotten when the code moves on.
 *
 * @module
 */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CALM } from "./ground.ts";
import { makePlan, type Plan, type Profile } from "./plan.ts";
import type { Production } from "./production.ts";

/** A bug. */
export interface Bug {
  readonly name: string;
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly put: string;
  /** The profile that is to catch it. */
  readonly profile: Profile;
  /** A seed of that profile that caught it; `deno task sim:bugs` finds another once the code has moved on. */
  readonly seed: number;
  /** A plan that was made for it, where seeds meet it too rarely. */
  readonly plan?: Plan;
  /** The promises of which it may break the first. */
  readonly breaks: readonly string[];
}

/** The initiation arrives a second time a minute later, when a bad disk has damaged the task that waits for its retry. */
const TWICE_HIT: Plan = {
  seed: 1_687_263_250,
  profile: "swarm",
  dialect: "npm",
  checksMax: 10,
  leaseMs: 15_000,
  pollMs: 5_000,
  // So rare that it never happens by itself; but its copies are waited for.
  faults: { ...CALM, zombie: 2 ** -32 },
  faultyMs: 2_000,
  places: [{ concurrency: { a: 1, b: 1 }, wallOffsetMs: 0, rate: 1 }],
  clients: 1,
  schedules: [],
  steps: [
    { kind: "inject", atMs: 900, worker: -1, fault: "zombie", skip: 0, ms: 60_000 },
    {
      kind: "initiate",
      atMs: 1_000,
      client: 0,
      how: "one",
      tasks: [{
        group: "a",
        work: { n: 0, ms: 100, end: "return", failures: 1, retries: 3, isDeaf: false },
      }],
    },
    { kind: "plant", atMs: 1_300, what: "corrupt task", n: 0 },
  ],
};

/** The plan that is to catch a bug, for one of its seeds. */
export function planFor(bug: Bug, seed: number): Plan {
  return bug.plan ?? makePlan(seed, bug.profile);
}

/** All bugs. */
export const BUGS: readonly Bug[] = [
  {
    name: "no fence: a settle does not check its lease",
    file: "store/settle.ts",
    find: "    changes.check(key, lease.version);\n",
    put: "",
    profile: "swarm",
    seed: 3,
    breaks: ["I3", "I2", "I1", "exactly once"],
  },
  {
    name: "blind rescue: the lease may have changed since it was read",
    file: "store/rescue.ts",
    find: "    changes.check(leaseKey, entry.versionstamp);\n",
    put: "",
    profile: "races",
    seed: 53,
    breaks: ["I3", "I1", "I10"],
  },
  {
    name: "rescue of the living: the heartbeat may have moved on since it was read",
    file: "store/rescue.ts",
    find: "    changes.check(store.keys.worker(death.worker), death.version);\n",
    put: "",
    profile: "races",
    seed: 187,
    breaks: ["I10"],
  },
  {
    name: "`{ ok: false }` trusted: an initiation whose repeat was refused counts as not committed",
    file: "store/enqueue.ts",
    find: "    const { value } = await readOne(store, firstKey);\n    if (value !== null) {",
    put:
      "    const { value } = await readOne(store, firstKey);\n    if (answer.isRefused) return false;\n    if (value !== null) {",
    profile: "swarm",
    seed: 68,
    breaks: ["I9"],
  },
  {
    name: "no touch: not committed is said while a late copy may still come",
    file: "store/enqueue.ts",
    find: "    if (!answer.isRefused) return null;\n",
    put: "    return false;\n",
    profile: "swarm",
    seed: 243,
    breaks: ["I9"],
  },
  {
    name: "repeatable initiation: no check that the task is absent",
    file: "store/enqueue.ts",
    find: "  changes.check(firstKey, null);\n  await untilKnown",
    put: "  await untilKnown",
    profile: "swarm",
    seed: 2,
    breaks: ["I1", "I2", "I3", "I4"],
  },
  {
    name: "claim of what was read: no check of the record's version",
    file: "store/claim.ts",
    find: "    changes.check(store.keys.task(record.id), version);\n",
    put: "",
    profile: "swarm",
    seed: 5,
    breaks: ["I2", "I3", "I1", "I12", "I4"],
  },
  {
    name: "run on a guess: a claim whose answer is lost counts as made",
    file: "store/claim.ts",
    find: "  return versionstamp === null ? null : held",
    put: "  return versionstamp === null ? held(answer.kind, []) : held",
    profile: "swarm",
    seed: 6,
    breaks: ["I2"],
  },
  {
    name: "index not deleted: a claim leaves the due entry behind",
    file: "store/claim.ts",
    find: "    changes.delete(entry.key);\n",
    put: "",
    profile: "safety",
    seed: 0,
    breaks: ["I4"],
  },
  {
    name: "attempt not counted",
    file: "core/transition.ts",
    find: "attempt: record.attempt + 1,",
    put: "attempt: record.attempt + (record.attempt === 0 ? 1 : 0),",
    profile: "safety",
    seed: 0,
    breaks: ["I2"],
  },
  {
    name: "no blame: a lost lease is not counted",
    file: "core/transition.ts",
    find: "const lost = record.lost + 1;",
    put: "const lost = record.lost;",
    profile: "swarm",
    seed: 1,
    breaks: ["I11"],
  },
  {
    name: "a graceful stop uses an attempt up",
    file: "core/transition.ts",
    find: "released: record.released + 1,",
    put: "released: record.released,",
    profile: "calm",
    seed: 76,
    breaks: ["I11", "I9"],
  },
  {
    name: "wall clock for leases: the rescuer goes by the time of day",
    file: "worker/rescuer.ts",
    find:
      "    const now = this.#store.clock.monotonic();\n    const gapMs = before - (this.#sweptAt ?? before) + (now - before);\n    this.#sweptAt = now;\n    if (gapMs > 3 * this.#host.sweepMs) this.#seen.clear();",
    put: "    const now = this.#store.clock.now();\n    void before;",
    profile: "swarm",
    seed: 5,
    breaks: ["I10"],
  },
  {
    name: "one look is enough: a heartbeat that has not changed since the last look is dead",
    file: "worker/rescuer.ts",
    find: "{ version, since: now }",
    put: "{ version, since: -Infinity }",
    profile: "liveness",
    seed: 0,
    breaks: ["I10"],
  },
  {
    name: "ttl used as lease: a lease expires by itself",
    file: "store/claim.ts",
    find: "cancel: [], op: id }));",
    put: "cancel: [], op: id }), 15_000);",
    profile: "swarm",
    seed: 1,
    breaks: ["I4", "I3"],
  },
  {
    name: "zombie worker: it does not fence itself when its beats fail",
    file: "worker/heartbeat.ts",
    find: "return this.#store.clock.monotonic() - this.#provenAt < this.#host.leaseMs;",
    put: "return this.#provenAt > -Infinity;",
    profile: "swarm",
    seed: 17,
    breaks: ["I10"],
  },
  {
    name: "cancel forgotten by the settle",
    file: "store/settle.ts",
    find: 'if (lease.cancelled.has(record.id) && ending.kind !== "succeed") {',
    put: 'if (lease.cancelled.has(record.id) && ending.kind === "fail") {',
    profile: "liveness",
    seed: 9,
    breaks: ["I12"],
  },
  {
    name: "cancel forgotten by the rescue",
    file: "store/rescue.ts",
    find: "const isCancelled = lease.cancel.includes(id);",
    put: "const isCancelled = false;",
    profile: "races",
    seed: 13,
    breaks: ["I12"],
  },
  {
    name: "cancel without a check of the lease",
    file: "store/operate.ts",
    find:
      "    changes.check(store.keys.task(id), version);\n    changes.check(leaseKey, entry.versionstamp);\n",
    put: "",
    profile: "races",
    seed: 9,
    breaks: ["I4", "I3"],
  },
  {
    name: "unique key not released at the end",
    file: "store/records.ts",
    find: "if (record.unique !== null) changes.delete(keys.unique(record.unique));",
    put: "",
    profile: "safety",
    seed: 0,
    breaks: ["I4"],
  },
  {
    name: "unique key raced: no check that nobody took it meanwhile",
    file: "store/enqueue.ts",
    find: "    batch.changes.check(holderKey, holder.versionstamp);\n",
    put: "",
    profile: "swarm",
    seed: 31,
    breaks: ["I4"],
  },
  {
    name: "stale scheduler: no check that the entry is still what was planned from",
    file: "store/schedules.ts",
    find:
      "  changes.check(key, entry.version);\n  changes.set(key, encodeJson(record));\n  const made",
    put: "  changes.set(key, encodeJson(record));\n  const made",
    profile: "schedules",
    seed: 72,
    breaks: ["I6"],
  },
  {
    name: "phantom leases stay: nobody gives a claim back whose answer was lost",
    file: "worker/worker.ts",
    find: "if (clock.monotonic() - since >= PHANTOM_LEASE_MS) void this.#dropPhantom(id);",
    put: "void PHANTOM_LEASE_MS, this.#dropPhantom;",
    profile: "swarm",
    seed: 178,
    breaks: ["I15"],
  },
  {
    name: "concurrency by feeling",
    file: "worker/claimer.ts",
    find: "while (this.#running < this.concurrency) {",
    put: "while (this.#running <= this.concurrency) {",
    profile: "calm",
    seed: 62,
    breaks: ["I7"],
  },
  {
    name: "the user's writes go ahead of the outcome",
    file: "store/settle.ts",
    find: "      changes.add(users);\n",
    put: "      commit(store, users).catch(() => {});\n",
    profile: "safety",
    seed: 0,
    breaks: ["exactly once"],
  },
  {
    name: "a damaged worker hides its leases",
    file: "store/beat.ts",
    find: "version: entry.versionstamp, record: tryDecodeWorker(entry.value) };",
    put: "version: entry.versionstamp, record: decodeWorker(entry.value) };",
    profile: "swarm",
    seed: 169,
    breaks: ["I15"],
  },
  {
    name: "an entry that could not be fired is forgotten",
    file: "schedule/scheduler.ts",
    find: "known.nextMs = undefined;",
    put: "known.nextMs = null;",
    profile: "schedules",
    seed: 64,
    breaks: ["I6"],
  },
  {
    name: "a late copy finds the place of a damaged record empty",
    file: "store/set_aside.ts",
    find: "changes.set(task.key, TOMBSTONE, ORPHAN_MS);",
    put: "changes.delete(task.key);",
    profile: "swarm",
    seed: 1_687_263_250,
    plan: TWICE_HIT,
    breaks: ["I2"],
  },
  {
    name: "a record from the future is set aside as damaged",
    file: "store/set_aside.ts",
    find: 'error.code === "NEWER_VERSION"',
    put: 'error.code === "CORRUPT_RECORD"',
    profile: "backlog",
    seed: 14,
    breaks: ["I17"],
  },
];

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Not needed to run the simulation. */
const LEFT_OUT = new Set(["cli", "dashboard", "testing"].map((name) => join(ROOT, "src", name)));

/** The sources with a bug put in, until they are disposed of. */
export interface BuggyProduction extends Disposable {
  readonly production: Production;
}

/**
 * Puts a bug into a copy of the sources.
 *
 * @throws {Error} If the place is not there, or there several times.
 */
export async function putIn(bug: Bug): Promise<BuggyProduction> {
  const folder = join(
    ROOT,
    ".examples",
    `bug-${process.pid}-${bug.name.replace(/[^a-z]+/gi, "_")}`,
  );
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    mkdirSync(folder, { recursive: true });
    cpSync(join(ROOT, "src"), join(folder, "src"), {
      recursive: true,
      filter: (source) => !LEFT_OUT.has(source),
    });
    const path = join(folder, "src", bug.file);
    const text = readFileSync(path, "utf8");
    const places = text.split(bug.find).length - 1;
    if (places !== 1) {
      throw new Error(
        `Cannot put in the bug "${bug.name}": what it replaces is found ${places} times in ` +
          `src/${bug.file}; write it anew in tests/simulation/bugs.ts`,
      );
    }
    writeFileSync(path, text.replace(bug.find, () => bug.put));
    const load = (file: string) => import(pathToFileURL(join(folder, "src", file)).href);
    const { Kit } = await load("kit.ts");
    const { TaskHandler } = await load("core/handler.ts");
    const { DiscardTask, OutcomeUnknown } = await load("core/errors.ts");
    const { IntervalSchedule } = await load("schedule/interval.ts");
    return {
      production: { Kit, TaskHandler, DiscardTask, OutcomeUnknown, IntervalSchedule },
      [Symbol.dispose]: remove,
    };
  } catch (error) {
    remove();
    throw error;
  }
}
