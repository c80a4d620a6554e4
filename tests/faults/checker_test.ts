import { test } from "node:test";
import assert from "node:assert/strict";
import { checkHistory, type Expectation, type FinalTask } from "./checker.ts";
import type { Happening, HistoryEvent } from "./history.ts";

const EXPECTED: Expectation = { concurrency: 2, rescueMs: 1_000 };

/** Events of process 1 unless they say otherwise, a second apart unless they say otherwise. */
function story(...happenings: (Happening & { pid?: number; at?: number })[]): HistoryEvent[] {
  return happenings.map((happening, n) => ({ pid: 1, at: 1_000 * n, ...happening }));
}

function succeeded(more: Partial<FinalTask> = {}): FinalTask {
  return { id: "a", state: "succeeded", attempt: 1, released: 0, effects: [1], ...more };
}

const INITIATED: Happening = { kind: "initiated", ids: ["a"] };
const START: Happening = { kind: "start", id: "a", attempt: 1 };
const END: Happening = { kind: "end", id: "a", attempt: 1, aborted: null };
const SUCCEEDED: Happening = {
  kind: "log",
  level: "info",
  event: "task.succeeded",
  message: "",
  id: "a",
  attempt: 1,
};

const CASES: {
  name: string;
  events: HistoryEvent[];
  tasks: FinalTask[];
  expected?: Partial<Expectation>;
  promises: string[];
}[] = [
  {
    name: "nothing in a life as it should be",
    events: story(INITIATED, START, END, SUCCEEDED),
    tasks: [succeeded()],
    expected: { isCalm: true, isGraceful: true },
    promises: [],
  },
  {
    name: "nothing in an unknown initiation that came through",
    events: story({ kind: "unknown", ids: ["a", "b"] }, START, END),
    tasks: [succeeded()],
    promises: [],
  },
  { name: "a lost task", events: story(INITIATED), tasks: [], promises: ["I1"] },
  { name: "an invented task", events: [], tasks: [succeeded()], promises: ["I1"] },
  {
    name: "a task that never ended",
    events: story(INITIATED),
    tasks: [succeeded({ state: "queued", effects: [] })],
    promises: ["I1"],
  },
  {
    name: "two ends",
    events: story(INITIATED, SUCCEEDED, SUCCEEDED),
    tasks: [succeeded()],
    promises: ["I1"],
  },
  {
    name: "an end that was overwritten by another attempt",
    events: story(INITIATED, SUCCEEDED),
    tasks: [succeeded({ attempt: 2, effects: [2] })],
    promises: ["I1"],
  },
  {
    name: "an attempt that ran twice",
    events: story(INITIATED, START, { ...START, pid: 2 }),
    tasks: [succeeded()],
    promises: ["I2"],
  },
  {
    name: "an attempt that was never claimed",
    events: story(INITIATED, { ...START, attempt: 2 }),
    tasks: [succeeded()],
    promises: ["I2"],
  },
  {
    name: "too many handlers at once",
    events: story(INITIATED, START, { ...START, id: "b" }, { ...START, id: "c" }),
    tasks: [succeeded()],
    promises: ["I2", "I2", "I7"],
  },
  {
    name: "a phantom claim",
    events: story(INITIATED, START, END),
    tasks: [succeeded({ attempt: 2, effects: [2] })],
    expected: { isCalm: true },
    promises: ["I9"],
  },
  {
    name: "a rescue that came late",
    events: story(
      { kind: "up" },
      { kind: "up", pid: 2 },
      INITIATED,
      START,
      { kind: "fault", fault: "kill", target: 1, at: 4_000 },
      { ...START, attempt: 2, pid: 2, at: 5_001 },
    ),
    tasks: [succeeded({ attempt: 2, effects: [2] })],
    promises: ["I10"],
  },
  {
    name: "nothing in a rescue as soon as somebody lives again",
    events: story(
      { kind: "up" },
      INITIATED,
      START,
      { kind: "fault", fault: "kill", target: 1, at: 3_000 },
      { kind: "up", pid: 2, at: 9_000 },
      { ...START, attempt: 2, pid: 2, at: 9_900 },
    ),
    tasks: [succeeded({ attempt: 2, effects: [2] })],
    promises: [],
  },
  {
    name: "a start after a cancel",
    events: story(INITIATED, { kind: "cancel", id: "a", answer: "cancelled" }, START),
    tasks: [succeeded({ state: "cancelled", effects: [] })],
    promises: ["I12"],
  },
  {
    name: "a cancel that was forgotten",
    events: story(INITIATED, { kind: "cancel", id: "a", answer: "cancelled" }),
    tasks: [succeeded()],
    promises: ["I12"],
  },
  {
    name: "writes of a stale attempt",
    events: story(INITIATED),
    tasks: [succeeded({ attempt: 2, effects: [1, 2] })],
    promises: ["exactly once"],
  },
  {
    name: "a success without its writes",
    events: story(INITIATED),
    tasks: [succeeded({ effects: [] })],
    promises: ["exactly once"],
  },
  {
    name: "an attempt that was used up by a graceful stop",
    events: story(INITIATED),
    tasks: [succeeded({ attempt: 2, effects: [2] })],
    expected: { isGraceful: true },
    promises: ["I16"],
  },
];

for (const { name, events, tasks, expected, promises } of CASES) {
  test(`the checker finds ${name}`, () => {
    const breaches = checkHistory(events, tasks, { ...EXPECTED, ...expected });
    assert.deepEqual(breaches.map(({ promise }) => promise), promises);
  });
}
