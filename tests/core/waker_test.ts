import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "../../src/core/clock.ts";
import { serve, Waker } from "../../src/core/waker.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";

test("a wait ends when it is rung, or when its time is over", async () => {
  const time = new VirtualTime();
  const waker = new Waker(time.clock());
  const ended: string[] = [];
  void waker.wait(100).then(() => ended.push(`after ${time.nowMs}`));
  await time.advance(99);
  assert.equal(ended.length, 0);
  await time.advance(1);
  void waker.wait(100).then(() => ended.push(`rung at ${time.nowMs}`));
  await time.advance(50);
  waker.ring();
  await time.settle();
  assert.deepEqual(ended, ["after 100", "rung at 150"]);
  assert.equal(time.pending, 0);
});

test("a ring that comes while nobody waits is kept for the next wait, once", async () => {
  const time = new VirtualTime();
  const waker = new Waker(time.clock());
  waker.ring();
  waker.ring();
  await waker.wait(null);
  let isOver = false;
  void waker.wait(null).then(() => isOver = true);
  await time.settle();
  assert.equal(isOver, false);
  waker.ring();
  await time.settle();
  assert.equal(isOver, true);
});

test("a wait of no time ends at once", async () => {
  const waker = new Waker(new VirtualTime().clock());
  await waker.wait(0);
  await waker.wait(-5);
});

test("a service turns until it is stopped, waits as long as each turn says, and outlives its errors", async () => {
  const time = new VirtualTime();
  const waker = new Waker(time.clock());
  const turns: number[] = [];
  const errors: unknown[] = [];
  let isStopped = false;
  const service = serve(waker, () => isStopped, () => {
    turns.push(time.nowMs);
    if (turns.length === 2) return Promise.reject(new Error("trouble"));
    return Promise.resolve(10);
  }, (error) => {
    errors.push(error);
    return 50;
  });
  await time.advance(75);
  assert.deepEqual([turns, errors.length], [[0, 10, 60, 70], 1]);
  isStopped = true;
  waker.ring();
  await service;
  assert.deepEqual([turns.length, time.pending], [4, 0]);
});

test("a sleep ends by its time or its signal, and leaves neither timer nor listener", async () => {
  const time = new VirtualTime();
  const clock = time.clock();
  const controller = new AbortController();
  const ended: number[] = [];
  void sleep(clock, 100, controller.signal).then(() => ended.push(time.nowMs));
  void sleep(clock, 30, controller.signal).then(() => ended.push(time.nowMs));
  await time.advance(40);
  controller.abort();
  await time.settle();
  assert.deepEqual([ended, time.pending], [[30, 40], 0]);
  await sleep(clock, 100, controller.signal);
});
