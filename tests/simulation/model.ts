/**
 * The protocol of one task as a small model, of which every interleaving is tried: two workers, a rescuer that may hold
 * anybody for dead at any time, and somebody who cancels; each commit arrives, is lost, loses its answer, or comes late,
 * at any later moment.
 *
 * The moves are those of the transactions in `src/store` (claim, settle, rescue, cancel), told by what they check and
 * change; the states of the task are changed by the production's own state machine. What must hold after every commit:
 *
 * | | |
 * |---|---|
 * | I1 | a terminal record never changes |
 * | I2 | attempts grow by one a claim, and no two claims make the same |
 * | I3 | what runs is changed only under its lease |
 * | I4 | a due entry if and only if queued, a lease if and only if running |
 * | I11 | every lost lease is counted, and the third in a row fails the task |
 * | I12 | after a cancel no attempt is claimed, and the task ends as cancelled or succeeded |
 * | I9 | a worker runs what it claimed, and nothing else |
 *
 * @module
 */

import { isTerminal, newTask, type TaskRecord } from "../../src/core/task.ts";
import { type TaskEvent, transition } from "../../src/core/transition.ts";
import { LOST_LEASES_MAX } from "../../src/core/limits.ts";

/** A flaw of the protocol, to see that the model finds it. */
export type Flaw =
  | "no fence"
  | "blind rescue"
  | "claim unchecked"
  | "run on a guess"
  | "cancel unchecked"
  | "due entry left"
  | "lost lease not counted";

interface Lease {
  readonly worker: string;
  readonly version: number;
  readonly isCancelled: boolean;
}

interface Stored {
  readonly record: TaskRecord;
  readonly version: number;
  /** Whether there is a due entry; it has the record's version. */
  readonly isDue: boolean;
  readonly leases: Readonly<Record<string, Lease>>;
}

/** A commit on its way: what it checks, and what it does to what is stored then. */
interface Commit {
  readonly by: string;
  readonly kind: "claim" | "settle" | "rescue" | "cancel";
  /** The record's version, if that is checked. */
  readonly task: number | null;
  /** A lease and its version, if that is checked. */
  readonly lease: readonly [string, number] | null;
  readonly after: TaskRecord;
  readonly madeLease: string | null;
  readonly goneLease: string | null;
  readonly cancelledLease: string | null;
}

type Worker =
  | { readonly phase: "idle" | "dead" }
  | { readonly phase: "looked"; readonly record: TaskRecord; readonly version: number }
  | {
    readonly phase: "claim unclear" | "running" | "settle unclear";
    readonly lease: string;
    readonly record: TaskRecord;
    readonly version: number;
    readonly isCancelled: boolean;
  };

/** Who looks at everything and then sends one commit. */
type Outsider =
  | { readonly phase: "idle" | "done" }
  | {
    readonly phase: "looked";
    readonly record: TaskRecord;
    readonly version: number;
    readonly lease: readonly [string, Lease] | null;
  };

interface State {
  readonly stored: Stored;
  readonly workers: readonly Worker[];
  readonly rescuer: Outsider;
  readonly canceller: Outsider;
  readonly late: readonly Commit[];
  /** What was promised so far, for the checks. */
  readonly claims: readonly number[];
  readonly isCancelAsked: boolean;
  readonly lost: number;
}

/** What was found. */
export interface Explored {
  readonly states: number;
  readonly moves: number;
  /** The moves that lead to a broken promise, or null. */
  readonly breach: readonly string[] | null;
  /** How often each outcome of each kind of commit was tried. */
  readonly tried: ReadonlyMap<string, number>;
}

const FIRST: TaskRecord = {
  ...newTask({
    id: "t",
    group: "g",
    name: "n",
    priority: 5,
    dueMs: 0,
    createdMs: 0,
    ttlMs: 0,
    timeoutMs: null,
    scheduledMs: null,
    unique: null,
    op: "first",
  }),
  data: { kind: "inline", bytes: new Uint8Array(0) },
};
const ERROR = { name: "Error", message: "no" };
const RESULT = { kind: "inline", bytes: new Uint8Array(0) } as const;
const OUTCOMES = ["ok", "lost", "answer lost", "late"] as const;

/**
 * Tries every sequence of up to `depth` moves, breadth first, and stops at the first that breaks a promise. The task has
 * lost `lost` leases in a row before.
 */
export function explore(
  depth: number,
  { flaw = null, lost = 0 }: { flaw?: Flaw | null; lost?: number } = {},
): Explored {
  const tried = new Map<string, number>();
  const start: State = {
    stored: { record: { ...FIRST, lost, attempt: lost }, version: 1, isDue: true, leases: {} },
    workers: [{ phase: "idle" }, { phase: "idle" }],
    rescuer: { phase: "idle" },
    canceller: { phase: "idle" },
    late: [],
    claims: [],
    isCancelAsked: false,
    lost,
  };
  const seen = new Set([nameOf(start)]);
  let frontier: { state: State; path: Path | null }[] = [{ state: start, path: null }];
  let moves = 0;
  for (let step = 0; step < depth; step++) {
    const next: { state: State; path: Path | null }[] = [];
    for (const { state, path } of frontier) {
      for (const { name, to } of movesOf(state, flaw, tried)) {
        moves++;
        const longer = { move: name, before: path };
        if (typeof to === "string") {
          return { states: seen.size, moves, breach: [...told(longer), to], tried };
        }
        const stateName = nameOf(to);
        if (seen.has(stateName)) continue;
        seen.add(stateName);
        next.push({ state: to, path: longer });
      }
    }
    frontier = next;
  }
  return { states: seen.size, moves, breach: null, tried };
}

interface Path {
  readonly move: string;
  readonly before: Path | null;
}

function told(path: Path): string[] {
  const moves: string[] = [];
  for (let at: Path | null = path; at !== null; at = at.before) moves.unshift(at.move);
  return moves;
}

/** A move: the state after it, or what is broken by it. */
interface Move {
  readonly name: string;
  readonly to: State | string;
}

function* movesOf(state: State, flaw: Flaw | null, tried: Map<string, number>): Generator<Move> {
  for (const i of state.workers.keys()) yield* workerMoves(state, i, flaw, tried);
  yield* outsiderMoves(state, "rescuer", flaw, tried);
  yield* outsiderMoves(state, "canceller", flaw, tried);
  for (const [i, commit] of state.late.entries()) {
    const late = state.late.filter((_, at) => at !== i);
    const { state: to } = apply({ ...state, late }, commit, flaw);
    yield { name: `the late ${commit.kind} of ${commit.by} arrives`, to };
  }
}

/** Sends a commit with each outcome; `then` says what its sender makes of the answer. */
function* send(
  state: State,
  commit: Commit,
  flaw: Flaw | null,
  tried: Map<string, number>,
  then: (state: State, answer: "ok" | "unclear", version: number) => State,
): Generator<Move> {
  for (const outcome of OUTCOMES) {
    const name = `${commit.kind} of ${commit.by}: ${outcome}`;
    tried.set(`${commit.kind}: ${outcome}`, (tried.get(`${commit.kind}: ${outcome}`) ?? 0) + 1);
    if (outcome === "lost") yield { name, to: then(state, "unclear", 0) };
    else if (outcome === "late") {
      yield { name, to: then({ ...state, late: [...state.late, commit] }, "unclear", 0) };
    } else {
      const applied = apply(state, commit, flaw);
      if (typeof applied.state === "string") {
        yield { name, to: applied.state };
        continue;
      }
      // A refusal is no clear answer: it may come from the client's own repeat.
      const isClear = outcome === "ok" && applied.isApplied;
      const { version } = applied.state.stored;
      yield { name, to: then(applied.state, isClear ? "ok" : "unclear", version) };
    }
  }
}

function* workerMoves(
  state: State,
  i: number,
  flaw: Flaw | null,
  tried: Map<string, number>,
): Generator<Move> {
  const by = `worker ${i}`;
  const worker = state.workers[i];
  if (worker === undefined || worker.phase === "dead") return;
  const become = (from: State, to: Worker): State => ({
    ...from,
    workers: from.workers.with(i, to),
  });
  yield { name: `${by} dies`, to: become(state, { phase: "dead" }) };
  const { stored } = state;
  switch (worker.phase) {
    case "idle":
      if (!stored.isDue) return;
      yield {
        name: `${by} lists the task`,
        to: become(state, { phase: "looked", record: stored.record, version: stored.version }),
      };
      return;
    case "looked": {
      if (worker.record.state !== "queued") return;
      const lease = `${by}, attempt ${worker.record.attempt + 1}, version ${worker.version}`;
      const after = change(worker.record, {
        kind: "claim",
        op: lease,
        nowMs: 0,
        lease: { worker: by, id: lease },
      }, flaw);
      const commit: Commit = {
        by,
        kind: "claim",
        task: flaw === "claim unchecked" ? null : worker.version,
        lease: null,
        after,
        madeLease: lease,
        goneLease: null,
        cancelledLease: null,
      };
      yield* send(state, commit, flaw, tried, (from, answer, version) =>
        become(from, {
          phase: answer === "ok" || flaw === "run on a guess" ? "running" : "claim unclear",
          lease,
          record: after,
          version,
          isCancelled: false,
        }));
      return;
    }
    case "claim unclear": {
      // Reads its lease back: there, it is ours; not there, it is left to others.
      const lease = stored.leases[worker.lease];
      const to: Worker = lease === undefined
        ? { phase: "idle" }
        : { ...worker, phase: "running", version: lease.version, isCancelled: lease.isCancelled };
      yield { name: `${by} reads its claim back`, to: become(state, to) };
      return;
    }
    case "running": {
      const lease = stored.leases[worker.lease];
      if (lease?.isCancelled && !worker.isCancelled) {
        yield {
          name: `${by} hears of the cancel`,
          to: become(state, { ...worker, isCancelled: true, version: lease.version }),
        };
      }
      for (const end of ["succeed", "retry", "release"] as const) {
        const op = `${end} of ${worker.lease}`;
        const event: TaskEvent = worker.isCancelled && end !== "succeed"
          ? { kind: "cancel", op, nowMs: 0 }
          : end === "succeed"
          ? { kind: "succeed", op, nowMs: 0, result: RESULT }
          : end === "retry"
          ? { kind: "retry", op, dueMs: 0, error: ERROR }
          : { kind: "release", op, dueMs: 0 };
        const after = change(worker.record, event, flaw);
        const commit: Commit = {
          by,
          kind: "settle",
          task: null,
          lease: flaw === "no fence" ? null : [worker.lease, worker.version],
          after,
          madeLease: null,
          goneLease: worker.lease,
          cancelledLease: null,
        };
        yield* send(
          state,
          commit,
          flaw,
          tried,
          (from, answer) =>
            become(
              from,
              answer === "ok" ? { phase: "idle" } : { ...worker, phase: "settle unclear" },
            ),
        );
      }
      return;
    }
    case "settle unclear": {
      // The lease is gone: by this very settle, or by a rescue; either way it is over. Else it is tried again.
      const lease = stored.leases[worker.lease];
      const to: Worker = lease === undefined ? { phase: "idle" } : {
        ...worker,
        phase: "running",
        version: lease.version,
        isCancelled: lease.isCancelled,
      };
      yield { name: `${by} reads its lease back`, to: become(state, to) };
      return;
    }
  }
}

function* outsiderMoves(
  state: State,
  who: "rescuer" | "canceller",
  flaw: Flaw | null,
  tried: Map<string, number>,
): Generator<Move> {
  const outsider = state[who];
  const { stored } = state;
  const become = (from: State, to: Outsider): State => ({ ...from, [who]: to });
  if (outsider.phase === "idle") {
    const held = Object.entries(stored.leases)[0];
    const lease = held === undefined ? null : [held[0], held[1]] as const;
    if (who === "rescuer" && lease === null || isTerminal(stored.record.state)) return;
    const { record, version } = stored;
    yield {
      name: `the ${who} looks`,
      to: become(state, { phase: "looked", record, version, lease }),
    };
    return;
  }
  if (outsider.phase !== "looked") return;
  const { record, version, lease } = outsider;
  if (who === "rescuer") {
    if (lease === null || record.lease?.id !== lease[0]) return;
    const op = `rescue of ${lease[0]}`;
    const kind = lease[1].isCancelled ? "cancel" : "rescue";
    const after = change(record, { kind, op, nowMs: 0 }, flaw);
    const commit: Commit = {
      by: "the rescuer",
      kind: "rescue",
      task: null,
      lease: flaw === "blind rescue" ? null : [lease[0], lease[1].version],
      after,
      madeLease: null,
      goneLease: lease[0],
      cancelledLease: null,
    };
    // Whatever the answer is: the next sweep comes by again.
    yield* send(state, commit, flaw, tried, (from) => become(from, { phase: "idle" }));
    return;
  }
  if (record.state === "queued") {
    const after = change(record, { kind: "cancel", op: "the cancel", nowMs: 0 }, flaw);
    const commit: Commit = {
      by: "the canceller",
      kind: "cancel",
      task: flaw === "cancel unchecked" ? null : version,
      lease: null,
      after,
      madeLease: null,
      goneLease: null,
      cancelledLease: null,
    };
    yield* send(
      state,
      commit,
      flaw,
      tried,
      (from, answer) => become(from, { phase: answer === "ok" ? "done" : "idle" }),
    );
  } else if (record.state === "running" && lease !== null) {
    const commit: Commit = {
      by: "the canceller",
      kind: "cancel",
      task: version,
      lease: flaw === "cancel unchecked" ? null : [lease[0], lease[1].version],
      after: record,
      madeLease: null,
      goneLease: null,
      cancelledLease: lease[0],
    };
    yield* send(
      state,
      commit,
      flaw,
      tried,
      (from, answer) => become(from, { phase: answer === "ok" ? "done" : "idle" }),
    );
  }
}

function change(record: TaskRecord, event: TaskEvent, flaw: Flaw | null): TaskRecord {
  const after = transition(record, event);
  return flaw === "lost lease not counted" && event.kind === "rescue"
    ? {
      ...transition(record, { kind: "release", op: event.op, dueMs: 0 }),
      released: record.released,
    }
    : after;
}

/** Applies a commit if its checks hold, and says what it breaks. */
function apply(
  state: State,
  commit: Commit,
  flaw: Flaw | null,
): { state: State; isApplied: boolean } | { state: string; isApplied: false } {
  const { stored } = state;
  const { task, lease } = commit;
  const isRefused = task !== null && task !== stored.version ||
    lease !== null && stored.leases[lease[0]]?.version !== lease[1];
  if (isRefused) return { state, isApplied: false };
  const version = versionAfter(state);
  const leases = { ...stored.leases };
  if (commit.goneLease !== null) delete leases[commit.goneLease];
  if (commit.madeLease !== null) {
    leases[commit.madeLease] = { worker: commit.by, version, isCancelled: false };
  }
  if (commit.cancelledLease !== null) {
    leases[commit.cancelledLease] = {
      ...(leases[commit.cancelledLease] ?? { worker: "nobody" }),
      version,
      isCancelled: true,
    };
    return checked(state, { ...stored, leases }, commit, stored.record, true);
  }
  const { after } = commit;
  const isDue = after.state === "queued" || flaw === "due entry left";
  const next: Stored = { record: after, version, isDue, leases };
  return checked(state, next, commit, stored.record, false);
}

function versionAfter({ stored, late, workers, rescuer, canceller }: State): number {
  const versions = [stored.version, ...Object.values(stored.leases).map((one) => one.version)];
  for (const { task, lease } of late) versions.push(task ?? 0, lease?.[1] ?? 0);
  for (const actor of [...workers, rescuer, canceller]) {
    if ("version" in actor) versions.push(actor.version);
    if ("lease" in actor && Array.isArray(actor.lease)) versions.push(actor.lease[1].version);
  }
  return Math.max(...versions) + 1;
}

function checked(
  state: State,
  stored: Stored,
  commit: Commit,
  before: TaskRecord,
  isRequest: boolean,
): { state: State; isApplied: boolean } | { state: string; isApplied: false } {
  const { record, isDue, leases } = stored;
  const wrong = (promise: string, what: string) =>
    ({ state: `${promise} is broken: ${what}`, isApplied: false }) as const;
  const isClaim = !isRequest && commit.kind === "claim";
  const isBack = !isRequest && commit.kind === "rescue" && record.state !== "cancelled";
  const isChanged = !isRequest;
  if (isChanged && isTerminal(before.state)) {
    return wrong("I1", `${before.state} became ${record.state}`);
  }
  if (isClaim && (record.attempt !== before.attempt + 1 || state.claims.includes(record.attempt))) {
    return wrong("I2", `attempt ${record.attempt} after ${before.attempt}`);
  }
  if (isChanged && !isClaim && record.attempt !== before.attempt) {
    return wrong("I2", `attempt ${record.attempt} after ${before.attempt}`);
  }
  if (isChanged && before.lease !== null && commit.goneLease !== before.lease.id) {
    return wrong(
      "I3",
      `attempt ${before.attempt} was changed by the ${commit.kind} of ${commit.by}`,
    );
  }
  const held = Object.keys(leases);
  if ((record.state === "queued") !== isDue) return wrong("I4", `${record.state}, due: ${isDue}`);
  const wanted = record.lease === null ? [] : [record.lease.id];
  if (held.join() !== wanted.join()) return wrong("I4", `${record.state}, leases: ${held.join()}`);
  const lost = isBack
    ? state.lost + 1
    : isChanged && commit.kind === "settle" && record.released === before.released
    ? 0
    : state.lost;
  if (
    isBack && (record.lost !== lost || (lost >= LOST_LEASES_MAX) !== (record.state === "failed"))
  ) {
    return wrong("I11", `${lost} leases lost in a row, and it is ${record.state}`);
  }
  if (state.isCancelAsked && isChanged) {
    const isFine = record.state === "cancelled" || record.state === "succeeded";
    if (!isFine) return wrong("I12", `${record.state} after the cancel`);
  }
  const isCancelAsked = state.isCancelAsked || isRequest;
  const claims = isClaim ? [...state.claims, record.attempt] : state.claims;
  for (const worker of state.workers) {
    if (worker.phase !== "running") continue;
    if (!claims.includes(worker.record.attempt)) {
      return wrong("I9", `attempt ${worker.record.attempt} runs and was never claimed`);
    }
  }
  return { state: { ...state, stored, claims, isCancelAsked, lost }, isApplied: true };
}

/** The state as text. Versions are compared for equality alone, so only their order of appearance counts. */
function nameOf(state: State): string {
  const ranks = new Map<number, number>();
  const rank = (version: number) => {
    const known = ranks.get(version);
    if (known !== undefined) return known;
    ranks.set(version, ranks.size);
    return ranks.size - 1;
  };
  const leaseNames = new Map<string, number>();
  const leaseName = (id: string) => {
    const known = leaseNames.get(id);
    if (known !== undefined) return known;
    leaseNames.set(id, leaseNames.size);
    return leaseNames.size - 1;
  };
  const recordName = ({ state, attempt, released, lost, lease }: TaskRecord) =>
    `${state.slice(0, 2)}${attempt},${released},${lost},${
      lease === null ? "" : leaseName(lease.id)
    }`;
  const { stored, workers, rescuer, canceller, late, claims, isCancelAsked, lost } = state;
  const parts: unknown[] = [
    recordName(stored.record),
    rank(stored.version),
    stored.isDue,
    Object.entries(stored.leases).map(([id, one]) =>
      [leaseName(id), rank(one.version), one.isCancelled].join()
    ),
  ];
  for (const worker of workers) {
    parts.push(worker.phase);
    if ("record" in worker) parts.push(recordName(worker.record), rank(worker.version));
    if ("lease" in worker) parts.push(leaseName(worker.lease), worker.isCancelled);
  }
  for (const outsider of [rescuer, canceller]) {
    parts.push(outsider.phase);
    if (outsider.phase !== "looked") continue;
    parts.push(recordName(outsider.record), rank(outsider.version));
    if (outsider.lease !== null) {
      const [id, lease] = outsider.lease;
      parts.push(leaseName(id), rank(lease.version), lease.isCancelled);
    }
  }
  for (const commit of late) {
    const { by, kind, task, lease, after, madeLease, goneLease, cancelledLease } = commit;
    parts.push(by, kind, task === null ? "" : rank(task), recordName(after));
    parts.push(lease === null ? "" : [leaseName(lease[0]), rank(lease[1])].join());
    parts.push([madeLease, goneLease, cancelledLease].map((id) => id && leaseName(id)).join());
  }
  parts.push(claims.join(), isCancelAsked, lost);
  return parts.join("|");
}
