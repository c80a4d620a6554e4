/**
 * What happens in one simulated world, as plain data made from a seed: processes, faults, and who does what when. Data,
 * so that a failing plan can be made smaller step by step and kept as a file.
 *
 * @module
 */

import { CALM, type KvFaults, ROUGH_FILE, ROUGH_NETWORK, SeededRandom } from "./ground.ts";

/** What a plan is about. */
export type Profile =
  | "calm"
  | "safety"
  | "liveness"
  | "swarm"
  | "races"
  | "schedules"
  | "backlog";

/** All profiles. */
export const PROFILES: readonly Profile[] = [
  "safety",
  "swarm",
  "races",
  "liveness",
  "calm",
  "schedules",
  "backlog",
];

/** What a handler does with a task. */
export interface Work {
  /** The number of the call that initiates it; its name is `t${n}`. */
  readonly n: number;
  /** How long each attempt takes. */
  readonly ms: number;
  /** How it ends, after the attempts that fail. */
  readonly end: "return" | "complete" | "throw" | "discard" | "large" | "crash";
  /** So many attempts throw before that. */
  readonly failures: number;
  /** Retries that its rule allows. */
  readonly retries: number;
  /** Whether it does not listen to its signal. */
  readonly isDeaf: boolean;
}

/** A call of `initiateTask`, `initiateTasks` or `atomic`. */
export interface InitiateStep {
  readonly kind: "initiate";
  readonly atMs: number;
  readonly client: number;
  readonly how: "one" | "many" | "atomic" | "eager";
  readonly tasks: readonly {
    readonly group: string;
    readonly work: Work;
    readonly dueMs?: number;
    readonly priority?: number;
    readonly ttlMs?: number;
    readonly timeoutMs?: number;
    readonly unique?: string;
  }[];
}

/** Something that happens at one instant. Workers and clients are named by the place they stand in. */
export type Step =
  | InitiateStep
  | {
    readonly kind: "cancel" | "retry" | "get";
    readonly atMs: number;
    readonly client: number;
    readonly n: number;
  }
  | {
    readonly kind: "kill";
    readonly atMs: number;
    readonly worker: number;
    /** At which of the next moments that something comes to the process; 0: at once. */
    readonly wakes: number;
    readonly backMs: number;
  }
  | {
    readonly kind: "suspend";
    readonly atMs: number;
    readonly worker: number;
    readonly ms: number;
  }
  | {
    readonly kind: "restart";
    readonly atMs: number;
    readonly worker: number;
    readonly graceMs: number;
  }
  | { readonly kind: "jump"; readonly atMs: number; readonly worker: number; readonly ms: number }
  | { readonly kind: "down" | "lock"; readonly atMs: number; readonly ms: number }
  | { readonly kind: "hold"; readonly atMs: number; readonly client: number; readonly ms: number }
  | {
    readonly kind: "inject";
    readonly atMs: number;
    /** −1 is the first client. */
    readonly worker: number;
    readonly fault: "lostRequest" | "lostAnswer" | "zombie" | "late" | "slow" | "silent";
    readonly skip: number;
    readonly ms: number;
  }
  | {
    readonly kind: "plant";
    readonly atMs: number;
    readonly what:
      | "future"
      | "corrupt due"
      | "corrupt task"
      | "corrupt worker"
      | "corrupt lease"
      | "corrupt control"
      | "corrupt schedule"
      | "foreign";
    readonly n: number;
  };

/** A worker's place: whoever works there has these options. */
export interface Place {
  readonly concurrency: Readonly<Record<string, number>>;
  readonly wallOffsetMs: number;
  readonly rate: number;
}

/** A world. */
export interface Plan {
  readonly seed: number;
  readonly profile: Profile;
  readonly dialect: "deno" | "npm";
  readonly checksMax: number;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly faults: KvFaults;
  /** How long the faults last. */
  readonly faultyMs: number;
  readonly places: readonly Place[];
  readonly clients: number;
  readonly schedules: readonly {
    readonly key: string;
    readonly everyMs: number;
    readonly overlap: "allow" | "skip";
    readonly missed: "latest" | "earliest" | "all" | "skip";
  }[];
  readonly steps: readonly Step[];
}

const GROUPS = ["a", "b"];

/** The plan of a seed. */
export function makePlan(seed: number, profile: Profile): Plan {
  const random = new SeededRandom(`${profile}/${seed}`);
  switch (profile) {
    case "calm":
      return calm(seed, random);
    case "safety":
      return rough(seed, random, "safety");
    case "swarm":
      return nearIfScheduled(rough(seed, random, "swarm"));
    case "liveness":
      return liveness(seed, random);
    case "races":
      return races(seed, random);
    case "schedules":
      return schedules(seed, random);
    case "backlog":
      return backlog(seed, random);
  }
}

function work(random: SeededRandom, n: number, mild = false): Work {
  const roll = random.next();
  return {
    n,
    ms: random.chance(0.1) ? random.int(2_000, 25_000) : random.int(0, 400),
    end: roll < 0.45
      ? "return"
      : roll < 0.8
      ? "complete"
      : roll < 0.88
      ? "throw"
      : roll < 0.94
      ? "discard"
      : mild
      ? "return"
      : roll < 0.97
      ? "large"
      : "crash",
    failures: random.chance(0.2) ? random.int(1, 2) : 0,
    retries: random.int(0, 3),
    isDeaf: random.chance(0.1),
  };
}

/** The first place works on every group, others perhaps not. */
function placeOf(random: SeededRandom, skew: boolean, at: number): Place {
  const concurrency: Record<string, number> = { a: random.int(1, 4) };
  if (at === 0 || random.chance(0.5)) concurrency.b = random.int(1, 2);
  const offset = random.pick([0, 0, 500, -500, 3_600_000, -3_600_000, 86_400_000, -86_400_000]);
  return {
    concurrency,
    wallOffsetMs: skew ? offset : 0,
    rate: skew ? random.pick([1, 1, 1.0078125, 0.9921875]) : 1,
  };
}

/** Calls of clients in the first `untilMs`. */
function calls(
  random: SeededRandom,
  { count, untilMs, clients, mild = false, retry = true }: {
    count: number;
    untilMs: number;
    clients: number;
    mild?: boolean;
    retry?: boolean;
  },
): Step[] {
  const steps: Step[] = [];
  const ttls = random.fork("ttl");
  let n = 0;
  while (n < count) {
    const roll = random.next();
    const how = roll < 0.6 ? "one" : roll < 0.8 ? "many" : roll < 0.95 ? "atomic" : "eager";
    const size = how === "many" || how === "atomic" ? random.int(1, 4) : 1;
    const atMs = random.int(0, untilMs);
    const client = random.int(0, clients - 1);
    const tasks = [];
    for (let i = 0; i < size; i++) {
      const isUnique = how === "one" && random.chance(0.2);
      tasks.push({
        group: random.chance(0.75) ? "a" : "b",
        work: work(random, n++, mild),
        ...(random.chance(0.2) ? { dueMs: random.int(0, 20_000) } : {}),
        ...(random.chance(0.2) ? { priority: random.int(0, 9) } : {}),
        ...(random.chance(0.1) ? { timeoutMs: random.int(100, 5_000) } : {}),
        ...(isUnique ? { unique: random.pick(["u", "v"]) } : {}),
        ...(ttls.chance(0.15) ? { ttlMs: ttls.pick([0, 1_000, 30_000]) } : {}),
      });
    }
    steps.push({ kind: "initiate", atMs, client, how, tasks });
    if (random.chance(0.2)) {
      const target = random.int(0, n - 1);
      const kind = random.chance(0.7) ? "cancel" : random.chance(0.5) && retry ? "retry" : "get";
      const later = random.chance(0.5) ? random.int(0, 1_000) : random.int(0, untilMs);
      steps.push({ kind, atMs: atMs + later, client: random.int(0, clients - 1), n: target });
    }
  }
  return steps;
}

function inOrder(steps: readonly Step[]): Step[] {
  return [...steps].sort((a, b) => a.atMs - b.atMs);
}

function rough(seed: number, random: SeededRandom, profile: "safety" | "swarm"): Plan {
  const isSwarm = profile === "swarm";
  const dialect = random.chance(0.5) ? "deno" : "npm";
  const faultyMs = isSwarm ? random.int(10_000, 60_000) : random.int(5_000, 20_000);
  const count = isSwarm ? random.int(4, 24) : random.int(3, 8);
  const places = Array.from(
    { length: isSwarm ? random.int(1, 4) : random.int(1, 2) },
    (_, i) => placeOf(random, random.chance(0.5), i),
  );
  const clients = 1;
  const steps = calls(random, { count, untilMs: faultyMs / 2, clients });
  const worker = () => random.int(0, places.length - 1);
  const atMs = () => random.int(0, faultyMs);
  const events = isSwarm ? random.int(2, 12) : random.int(1, 4);
  // Each swarm leaves some kinds out, so that those which hide others are sometimes absent.
  const kinds = ["kill", "suspend", "restart", "jump", "down", "lock", "hold", "inject", "plant"]
    .filter(() => random.chance(isSwarm ? 0.5 : 0.7));
  for (let i = 0; i < events && kinds.length > 0; i++) {
    const kind = random.pick(kinds);
    switch (kind) {
      case "kill":
        steps.push({
          kind,
          atMs: atMs(),
          worker: worker(),
          wakes: random.int(0, 30),
          backMs: random.int(0, 20_000),
        });
        break;
      case "suspend": {
        // Often about as long as a lease: then a rescue and a settle meet.
        const ms = random.chance(0.5) ? random.int(14_000, 22_000) : random.int(7_000, 60_000);
        steps.push({ kind, atMs: atMs(), worker: worker(), ms });
        break;
      }
      case "restart":
        steps.push({
          kind,
          atMs: atMs(),
          worker: worker(),
          graceMs: random.pick([0, 100, 1_000, 30_000]),
        });
        break;
      case "jump": {
        const ms = random.pick([3_600_000, -3_600_000, 86_400_000, -86_400_000]);
        steps.push({ kind, atMs: atMs(), worker: worker(), ms });
        break;
      }
      case "down":
        steps.push({ kind, atMs: atMs(), ms: random.int(100, 25_000) });
        break;
      case "lock":
        steps.push({ kind, atMs: atMs(), ms: random.int(100, 8_000) });
        break;
      case "hold":
        steps.push({ kind, atMs: atMs(), client: 0, ms: random.int(100, 10_000) });
        break;
      case "inject":
        steps.push({
          kind,
          atMs: atMs(),
          worker: worker(),
          fault: random.pick(["lostRequest", "lostAnswer", "zombie", "late", "slow", "silent"]),
          skip: random.int(0, 10),
          ms: random.int(100, 40_000),
        });
        break;
      case "plant":
        steps.push({
          kind,
          atMs: atMs(),
          what: random.pick([
            "future",
            "corrupt due",
            "corrupt task",
            "corrupt worker",
            "corrupt lease",
            "corrupt control",
            "corrupt schedule",
            "foreign",
          ]),
          n: random.int(0, count - 1),
        });
        break;
    }
  }
  const extra = random.fork("extra");
  if (isSwarm && extra.chance(0.3)) {
    // A commit that comes when its worker has said goodbye: a claim leaves an orphan then.
    const at = extra.int(0, faultyMs / 2);
    const who = extra.int(0, places.length - 1);
    const ms = extra.int(3_000, 40_000);
    for (let skip = 0; skip < 3; skip++) {
      steps.push({ kind: "inject", atMs: at, worker: who, fault: "late", skip: 2 * skip, ms });
    }
    steps.push({ kind: "restart", atMs: at + extra.int(100, 6_000), worker: who, graceMs: 0 });
  }
  return {
    seed,
    profile,
    dialect,
    checksMax: random.pick([10, 100]),
    leaseMs: 15_000,
    pollMs: 5_000,
    faults: isSwarm
      ? swarmFaults(random, dialect)
      : dialect === "deno"
      ? ROUGH_FILE
      : ROUGH_NETWORK,
    faultyMs,
    places,
    clients,
    schedules: isSwarm && random.chance(0.3) ? [someSchedule(random, "s0")] : [],
    steps: inOrder(steps),
  };
}

/** Each fault absent, rare or frequent. */
function swarmFaults(random: SeededRandom, dialect: "deno" | "npm"): KvFaults {
  const often = () => random.pick([0, 0, 1 / 128, 1 / 32, 1 / 8]);
  const base = dialect === "deno" ? ROUGH_FILE : ROUGH_NETWORK;
  const isNetwork = dialect === "npm";
  return {
    ...base,
    lostRequest: isNetwork ? often() : 0,
    lostAnswer: isNetwork ? often() : 0,
    zombie: isNetwork ? often() : 0,
    blackhole: isNetwork ? random.pick([0, 0, 1 / 128, 1 / 32]) : 0,
    locked: isNetwork ? 0 : random.pick([0, 1 / 16, 1 / 2]),
    diskFull: random.pick([0, 0, 1 / 64]),
    watchLost: often(),
    watchDeath: often(),
  };
}

/** Nothing goes wrong, and workers are replaced gracefully: nothing may be done twice. */
function calm(seed: number, random: SeededRandom): Plan {
  const faultyMs = random.int(10_000, 30_000);
  const places = Array.from({ length: random.int(1, 3) }, (_, i) => placeOf(random, false, i));
  const steps = calls(random, {
    count: random.int(4, 20),
    untilMs: faultyMs / 2,
    clients: 1,
    mild: true,
  });
  for (let i = random.int(0, 4); i > 0; i--) {
    steps.push({
      kind: "restart",
      atMs: random.int(0, faultyMs),
      worker: random.int(0, places.length - 1),
      graceMs: random.pick([0, 100, 30_000]),
    });
  }
  return {
    seed,
    profile: "calm",
    dialect: random.chance(0.5) ? "deno" : "npm",
    checksMax: random.pick([10, 100]),
    leaseMs: 15_000,
    pollMs: 5_000,
    faults: CALM,
    faultyMs,
    places,
    clients: 1,
    schedules: [],
    steps: inOrder(steps),
  };
}

/** A calm database, and workers that die: their tasks run again within half a minute. */
function liveness(seed: number, random: SeededRandom): Plan {
  const faultyMs = random.int(20_000, 60_000);
  const places = Array.from(
    { length: random.int(2, 4) },
    (_, i) => placeOf(random, random.chance(0.5), i),
  );
  const steps = calls(random, {
    count: random.int(6, 20),
    untilMs: faultyMs / 2,
    clients: 1,
    retry: false,
  });
  for (let i = random.int(1, 6); i > 0; i--) {
    // The first place is spared: somebody must live.
    const worker = random.int(1, places.length - 1);
    const atMs = random.int(1_000, faultyMs);
    steps.push(
      random.chance(0.7)
        ? {
          kind: "kill",
          atMs,
          worker,
          wakes: random.int(0, 40),
          backMs: random.int(0, 60_000),
        }
        : {
          kind: "suspend",
          atMs,
          worker,
          ms: random.chance(0.5) ? random.int(14_000, 22_000) : random.int(7_000, 75_000),
        },
    );
  }
  return {
    seed,
    profile: "liveness",
    dialect: random.chance(0.5) ? "deno" : "npm",
    checksMax: random.pick([10, 100]),
    leaseMs: 15_000,
    pollMs: 5_000,
    faults: CALM,
    faultyMs,
    places,
    clients: 1,
    schedules: [],
    steps: inOrder(steps),
  };
}

function someSchedule(random: SeededRandom, key: string): Plan["schedules"][number] {
  return {
    key,
    everyMs: random.pick([1_000, 5_000, 7_000, 20_000]),
    overlap: random.pick(["allow", "allow", "skip"]),
    missed: random.pick(["latest", "earliest", "all", "skip"]),
  };
}

/** A worker that is held for dead and comes back while it is being rescued, settled and cancelled. */
function races(seed: number, random: SeededRandom): Plan {
  const steps: Step[] = [];
  for (let n = 0; n < 4; n++) {
    const long = { ...work(random, n, true), ms: random.int(8_000, 30_000) };
    const one = { group: "a", work: { ...long, isDeaf: random.chance(0.5) } };
    const atMs = random.int(0, 1_000);
    steps.push({ kind: "initiate", atMs, client: 0, how: "one", tasks: [one] });
    if (random.chance(0.3)) {
      steps.push({ kind: "cancel", atMs: random.int(15_000, 32_000), client: 0, n });
    }
  }
  const suspendMs = random.int(13_000, 26_000);
  steps.push({ kind: "suspend", atMs: random.int(2_000, 6_000), worker: 1, ms: suspendMs });
  for (let i = random.int(3, 8); i > 0; i--) {
    steps.push({
      kind: "inject",
      atMs: random.int(14_000, 30_000),
      worker: random.pick([0, 0, 0, 0, 1, -1]),
      fault: "slow",
      skip: random.int(0, 2),
      ms: random.int(500, 6_000),
    });
  }
  return {
    seed,
    profile: "races",
    dialect: random.chance(0.5) ? "deno" : "npm",
    checksMax: random.pick([10, 100]),
    leaseMs: 15_000,
    pollMs: 5_000,
    faults: CALM,
    faultyMs: 40_000,
    places: [{ concurrency: { a: 2, b: 1 }, wallOffsetMs: 0, rate: 1 }, {
      concurrency: { a: 2 },
      wallOffsetMs: 0,
      rate: 1,
    }],
    clients: 1,
    schedules: [],
    steps: inOrder(steps),
  };
}

/** Schedules, on bad days. */
function schedules(seed: number, random: SeededRandom): Plan {
  const base = rough(seed, random, random.chance(0.5) ? "swarm" : "safety");
  return nearInTime({
    ...base,
    profile: "schedules",
    places: [...base.places, placeOf(random, false, 1)],
    schedules: Array.from({ length: random.int(1, 3) }, (_, i) => someSchedule(random, `s${i}`)),
    steps: base.steps.filter((step) => step.kind !== "initiate" || step.tasks[0]?.work.n === 0),
  });
}

/** A day of points, one a second, would say no more than some minutes of them. */
const SKEW_MS_MAX = 200_000;

function nearIfScheduled(plan: Plan): Plan {
  return plan.schedules.length === 0 ? plan : nearInTime(plan);
}

/** The plan with clocks that are not too far apart. */
function nearInTime(plan: Plan): Plan {
  const near = (ms: number) => Math.sign(ms) * Math.min(Math.abs(ms), SKEW_MS_MAX);
  return {
    ...plan,
    places: plan.places.map((one) => ({ ...one, wallOffsetMs: near(one.wallOffsetMs) })),
    steps: plan.steps.map((step) => step.kind === "jump" ? { ...step, ms: near(step.ms) } : step),
  };
}

/** Many tasks at once, few slots, and rows that nobody can claim in front of them. */
function backlog(seed: number, random: SeededRandom): Plan {
  const places = Array.from({ length: random.int(1, 3) }, (_, i) => placeOf(random, false, i));
  const steps: Step[] = [];
  const count = random.int(40, 150);
  for (let n = 0; n < count;) {
    const tasks = [];
    for (let i = 0; i < 25 && n < count; i++) {
      tasks.push({
        group: random.pick(GROUPS),
        work: { ...work(random, n++, true), ms: random.int(0, 20), isDeaf: false },
        ...(random.chance(0.3) ? { priority: random.int(0, 9) } : {}),
      });
    }
    steps.push({ kind: "initiate", atMs: random.int(0, 2_000), client: 0, how: "many", tasks });
  }
  for (let i = random.int(0, 20); i > 0; i--) {
    steps.push({
      kind: "plant",
      atMs: random.int(0, 1_000),
      what: random.pick(["future", "future", "corrupt due", "foreign"]),
      n: random.int(0, count - 1),
    });
  }
  return {
    seed,
    profile: "backlog",
    dialect: random.chance(0.5) ? "deno" : "npm",
    checksMax: random.pick([10, 100]),
    leaseMs: 15_000,
    pollMs: 5_000,
    faults: CALM,
    faultyMs: 5_000,
    places: places.map((one) => ({ ...one, concurrency: { b: 1, ...one.concurrency } })),
    clients: 1,
    schedules: [],
    steps: inOrder(steps),
  };
}
