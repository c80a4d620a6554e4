import assert from "node:assert/strict";
import { test } from "node:test";
import { watchChanges, type WatchedFile } from "../../src/store/log_watch.ts";
import { VirtualTime } from "../../src/testing/virtual_clock.ts";

function world() {
  const time = new VirtualTime();
  const state = { stamp: 0, watches: 0, open: 0, events: 0, changes: 0 };
  let tell: () => void = () => {};
  const file: WatchedFile = {
    watch(onEvent) {
      state.watches++;
      state.open++;
      tell = onEvent;
      return () => {
        state.open--;
        tell = () => {};
      };
    },
    stamp: () => state.stamp,
  };
  const end = watchChanges(file, time.clock(), () => void state.changes++);
  assert(end !== null);
  return {
    time,
    state,
    end,
    write() {
      state.stamp++;
      tell();
    },
  };
}

test("the first write is told at once, and ends the watch until nothing happens any more", async () => {
  const { time, state, write, end } = world();
  write();
  assert.deepEqual([state.changes, state.open], [1, 0]);
  await time.advance(100);
  assert.deepEqual([state.changes, state.open, state.watches], [1, 1, 2]);
  assert.equal(time.pending, 0);
  end();
  assert.equal(state.open, 0);
});

test("writes without a pause are told every few milliseconds, without a watch", async () => {
  const { time, state, write, end } = world();
  for (let ms = 0; ms < 500; ms++) {
    write();
    await time.advance(1);
  }
  assert.equal(state.watches, 1);
  assert(state.changes > 50 && state.changes <= 101, `${state.changes} changes told`);
  end();
  assert.equal(time.pending, 0);
});

test("a write just before the watch begins anew is not missed", async () => {
  const time = new VirtualTime();
  let stamp = 0;
  let watches = 0;
  let changes = 0;
  let tell: () => void = () => {};
  const end = watchChanges(
    {
      watch(onEvent) {
        // A write that the new watch is too late for.
        if (++watches === 2) stamp++;
        tell = onEvent;
        return () => {};
      },
      stamp: () => stamp,
    },
    time.clock(),
    () => void changes++,
  );
  tell();
  await time.advance(1_000);
  assert.deepEqual([changes, watches], [2, 3]);
  end?.();
});

test("a file that cannot be watched says so", () => {
  const file: WatchedFile = { watch: () => null, stamp: () => 0 };
  assert.equal(watchChanges(file, new VirtualTime().clock(), () => {}), null);
});

test("nothing is told after the end", async () => {
  const { time, state, write, end } = world();
  write();
  end();
  write();
  await time.advance(100);
  assert.deepEqual([state.changes, state.open], [1, 0]);
  assert.equal(time.pending, 0);
});
