import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { HandlerInvalid } from "../../src/core/errors.ts";
import { TaskHandler } from "../../src/core/handler.ts";
import { EXECUTOR_START_MS, STUCK_MS, UNRESPONSIVE_MS } from "../../src/core/limits.ts";
import { systemRandom } from "../../src/core/random.ts";
import { Executors } from "../../src/executor/create.ts";
import { ManualClock, World } from "./world.ts";

class Handler extends TaskHandler {
  override handle(): void {}
}

function fixture(name: string): URL {
  return new URL(`./fixtures/modules/${name}.ts`, import.meta.url);
}

for (const kind of ["thread", "process"] as const) {
  const create = (name: string, clock = new ManualClock()) => {
    const executors = new Executors({
      handler: new Handler(),
      handlerUrl: fixture(name),
      threads: 2,
      clock,
      random: systemRandom,
      log: () => {},
    });
    return executors.create({ group: "g", kind, concurrency: 2 });
  };
  const refusal = async (start: Promise<void>, name: string): Promise<string> => {
    try {
      await start;
    } catch (error) {
      assert.ok(error instanceof HandlerInvalid);
      return error.message.replaceAll(fixture(name).href, "URL");
    }
    throw new Error(`${name} was started`);
  };

  test(`${kind}: start() fails, and leaves nothing behind, if the module cannot be used`, async () => {
    const messages: string[] = [];
    for (const name of ["missing", "throws", "number", "exits"]) {
      messages.push(await refusal(create(name).start(), name));
    }
    const [missing, throwing, number, exits] = messages;
    assert.match(
      missing ?? "",
      /^Cannot load the handler module "URL": it, or a module it imports/,
    );
    assert.equal(
      throwing,
      'Cannot load the handler module "URL": it failed while loading: RangeError: not today',
    );
    assert.match(number ?? "", /^Cannot use the handler module "URL": its default export is 5/);
    assert.equal(
      exits,
      `Cannot load the handler module "URL": its ${kind} ended while it loaded: The handler called process.exit(7)`,
    );
  });

  test(`${kind}: start() does not wait for ever for a module that never loads`, async () => {
    const clock = new ManualClock();
    const start = create("never_loads", clock).start();
    const refused = refusal(start, "never_loads");
    await clock.asked(EXECUTOR_START_MS, 2);
    clock.advance(EXECUTOR_START_MS);
    assert.equal(
      await refused,
      `Cannot load the handler module "URL": it did not end loading within ${EXECUTOR_START_MS} ms`,
    );
  });

  test(`${kind}: a module that breaks later is tried again, ever more slowly`, async () => {
    await triedEverMoreSlowly(kind, "loads_once");
  });
}

test("a module that floods its worker while it loads is tried again, ever more slowly", async () => {
  await triedEverMoreSlowly("thread", "floods_later");
});

async function triedEverMoreSlowly(kind: "thread" | "process", module: string): Promise<void> {
  const clock = new ManualClock();
  await using world = await World.open({ kind, concurrency: 1 }, {
    handlerUrl: fixture(module),
    threads: 1,
    clock,
    random: { ...systemRandom, next: () => 0.5 },
  });
  const gate = world.gate();
  process.env.TASKKIT_TEST_BROKEN = gate.path;
  try {
    gate.open();
    const outcome = await world.run("any");
    assert.ok(outcome.kind === "lost" && outcome.blame);
    for (const [times, pauseMs] of [75, 150, 300, 600].entries()) {
      await clock.asked(pauseMs);
      clock.advance(pauseMs);
      await world.logged(`${kind}.load_failed`, times + 1);
    }
    assert.deepEqual(clock.requested.filter((ms) => ms % 75 === 0 && ms < 10_000), [
      75,
      150,
      300,
      600,
      1_200,
    ]);
  } finally {
    delete process.env.TASKKIT_TEST_BROKEN;
  }
}

test("a thread that answers no more and runs no attempt is replaced", async () => {
  const clock = new ManualClock();
  await using world = await World.open({ kind: "thread", concurrency: 1 }, { threads: 1, clock });
  const gate = world.gate();
  await world.run("block after return", gate.path);
  const waiting = world.start("echo", 1);
  for (let ms = 0; ms <= UNRESPONSIVE_MS + 2 * STUCK_MS; ms += STUCK_MS) clock.advance(STUCK_MS);
  assert.equal((await waiting.outcome).kind, "succeeded");
  assert.deepEqual(world.entries.map(({ event, message }) => [event, message]), [
    ["thread.retired", "The thread did not answer"],
  ]);
  gate.open();
});
