import assert from "node:assert/strict";
import { test } from "node:test";
import { Unsupported } from "../../src/core/errors.ts";
import { EXECUTOR_START_MS } from "../../src/core/limits.ts";
import type { LogEntry } from "../../src/core/log.ts";
import { systemRandom } from "../../src/core/random.ts";
import type { Outcome } from "../../src/executor/executor.ts";
import { type PlaceEvents, Slots } from "../../src/executor/slots.ts";
import { lost, Submitted } from "../../src/executor/submitted.ts";
import { ManualClock, newTask } from "./world.ts";

const URL_TEXT = "file:///handler.ts";
/** The pause after the first death, then after the second. */
const PAUSES_MS = [75, 150] as const;
const FAILED: Outcome = { kind: "failed", error: lost("failed") };

/** Something that fills a slot. */
interface Seat {
  /** The how-manyth it is. */
  readonly name: number;
  readonly events: PlaceEvents;
  tell(...reports: unknown[]): void;
}

/** Slots whose seats do what the test says, and all that was heard of them. */
function world(size: number) {
  const clock = new ManualClock();
  const heard: unknown[] = [];
  const seats: Seat[] = [];
  const attempt = new Submitted({ onAbort() {}, onAbandon() {} }, {
    n: 1,
    job: { task: newTask("any") },
    hooks: { signal: new AbortController().signal, onProgress() {}, onLog() {} },
  });
  const slots = new Slots<Seat>({
    kind: "thread",
    size,
    handlerUrl: new URL(URL_TEXT),
    clock,
    random: { ...systemRandom, next: () => 0.5 },
    log: ({ event, message }: LogEntry) => heard.push([event, message]),
    open(events) {
      const tell = (...reports: unknown[]) => events.onMessage(reports);
      const seat = { name: seats.length, events, tell };
      seats.push(seat);
      return seat;
    },
    end: ({ name }) => heard.push(["end", name]),
    find: (_seat, n) => n === 1 ? attempt : undefined,
    onReady: ({ name }) => heard.push(["ready", name]),
    onOutcome: ({ name }, { n }, { kind }) => heard.push(["outcome", name, n, kind]),
    onPong: ({ name }) => heard.push(["pong", name]),
    onLost: ({ name }, named, { message }) => heard.push(["lost", name, named, message]),
  });
  const at = (index: number): Seat => {
    const seat = seats[index];
    if (seat === undefined) throw new RangeError(`Cannot find seat ${index}: it was not opened`);
    return seat;
  };
  return { clock, heard, seats, slots, at };
}

const READY = { kind: "ready" };

/** The same, once it has started; what was heard on the way is left out. */
async function started(size = 1) {
  const all = world(size);
  const start = all.slots.start();
  for (const seat of all.seats) seat.tell(READY);
  await start;
  all.heard.length = 0;
  return all;
}

test("the start is done when all slots are ready, and no timer is left", async () => {
  const { clock, heard, slots, at, seats } = world(2);
  const start = slots.start();
  at(1).tell(READY);
  assert.deepEqual(slots.ready.map(({ name }) => name), [1]);
  at(0).tell(READY, READY);
  await start;
  clock.advance(10 * EXECUTOR_START_MS);
  assert.deepEqual(heard, [["ready", 1], ["ready", 0]]);
  assert.deepEqual([slots.ready.length, seats.length], [2, 2]);
});

test("the start fails with the first slot that cannot be filled, for its reason", async () => {
  const invalid = 'Cannot load the handler module "file:///handler.ts": ';
  const reasons: [(seat: Seat, clock: ManualClock) => void, string][] = [
    [
      (seat) => seat.tell({ kind: "invalid", error: { name: "E", message: "not today" } }),
      "not today",
    ],
    [
      (seat) => seat.tell({ kind: "dying", n: null, error: { name: "E", message: "exit" } }),
      `${invalid}its thread ended while it loaded: exit`,
    ],
    [(seat) => seat.events.onGone("killed"), `${invalid}its thread ended while it loaded: killed`],
    [(seat) => seat.events.onUnreadable(), `${invalid}The messages of the thread make no sense`],
    [
      (_seat, clock) => clock.advance(EXECUTOR_START_MS),
      `${invalid}it did not end loading within ${EXECUTOR_START_MS} ms`,
    ],
  ];
  for (const [act, message] of reasons) {
    const { clock, heard, seats, slots, at } = world(2);
    const start = slots.start();
    act(at(1), clock);
    await assert.rejects(start, { name: "HandlerInvalid", message });
    assert.deepEqual(slots.stop(), seats);
    assert.deepEqual(heard, []);
  }
});

test("what the runtime refuses is no fault of the module", async () => {
  const { slots, at } = world(1);
  const start = slots.start();
  at(0).events.onRefused("Cannot start a thread");
  at(0).events.onGone("it could not be started");
  await assert.rejects(start, new Unsupported("Cannot start a thread"));
});

test("a stop ends a start, and nothing is filled or heard after it", async () => {
  const { clock, heard, seats, slots, at } = world(2);
  const start = slots.start();
  at(0).tell(READY);
  at(0).events.onGone("by itself");
  heard.length = 0;
  assert.deepEqual(slots.stop(), [at(1)]);
  await assert.rejects(start, { name: "HandlerInvalid", message: /: the worker stops$/ });
  at(1).tell(READY, { kind: "outcome", n: 1, outcome: FAILED }, { kind: "pong" });
  at(1).events.onGone("ended");
  slots.retire(at(1), null, lost("retired"));
  clock.advance(10 * EXECUTOR_START_MS);
  assert.deepEqual([heard, seats.length, slots.ready], [[], 2, []]);
});

test("one that ends by itself is replaced after a pause, with the attempt named that ended it", async () => {
  for (
    const [words, named, message] of [
      [[], null, "The thread of the attempt ended: somehow"],
      [[{ kind: "dying", n: 1, error: lost("exit") }], 1, "exit"],
    ] as const
  ) {
    const { clock, heard, slots, at, seats } = await started();
    at(0).tell(...words);
    at(0).events.onGone("somehow");
    clock.advance(PAUSES_MS[0] - 1);
    assert.deepEqual([seats.length, slots.ready], [1, []]);
    clock.advance(1);
    at(1).tell(READY);
    assert.deepEqual(heard, [["thread.lost", message], ["lost", 0, named, message], ["ready", 1]]);
  }
});

test("one that is retired is replaced at once, and not heard any more", async () => {
  const { heard, slots, at } = await started();
  slots.retire(at(0), 1, lost("too slow"));
  slots.retire(at(0), 1, lost("again"));
  at(0).tell({ kind: "outcome", n: 1, outcome: FAILED }, { kind: "pong" }, READY);
  at(0).events.onGone("terminated");
  at(1).tell(READY);
  assert.deepEqual(heard, [
    ["thread.retired", "too slow"],
    ["end", 0],
    ["lost", 0, 1, "too slow"],
    ["ready", 1],
  ]);
});

test("one that must be retired while it loads is not replaced at once: it would do it again", async () => {
  const { clock, heard, slots, at, seats } = await started();
  slots.retire(at(0), null, lost("too slow"));
  heard.length = 0;
  at(1).events.onUnreadable();
  at(1).events.onGone("terminated");
  assert.equal(seats.length, 2);
  clock.advance(PAUSES_MS[0]);
  assert.equal(seats.length, 3);
  assert.deepEqual(heard, [
    [
      "thread.load_failed",
      'Cannot load the handler module "file:///handler.ts": The messages of the thread make no sense',
    ],
    ["end", 1],
  ]);
});

test("one that dies before the others have started is replaced, and its slot tried again", async () => {
  const { clock, heard, slots, at } = world(2);
  const start = slots.start();
  at(0).tell(READY);
  at(0).events.onGone("somehow");
  clock.advance(PAUSES_MS[0]);
  at(2).events.onGone("somehow");
  at(1).tell(READY);
  await start;
  clock.advance(PAUSES_MS[1]);
  at(3).tell(READY);
  assert.deepEqual(slots.ready.map(({ name }) => name), [1, 3]);
  assert.equal(heard.filter((it) => Array.isArray(it) && it[0] === "thread.load_failed").length, 1);
});

test("an outcome makes the pauses short again", async () => {
  const { clock, slots, at } = await started();
  for (const [index, pauseMs] of [...PAUSES_MS, PAUSES_MS[0]].entries()) {
    if (index === 2) at(index).tell({ kind: "outcome", n: 1, outcome: FAILED });
    at(index).events.onGone("somehow");
    clock.advance(pauseMs - 1);
    assert.equal(slots.ready.length, 0);
    clock.advance(1);
    at(index + 1).tell(READY);
  }
  assert.deepEqual(slots.ready.map(({ name }) => name), [3]);
});
