/**
 * Runs a task in its caller, and stores the outcome as if a worker had run it. Nothing is stored before: if the process
 * dies while the handler runs, the caller, who would have been told the id, is gone too.
 *
 * A task that is to be retried is stored as queued, and workers take it from there.
 *
 * @module
 */

import type { TaskHandler } from "../core/handler.ts";
import type { TaskRecord } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import { InlineExecutor } from "../executor/inline.ts";
import { type Draft, enqueueEnded } from "../store/enqueue.ts";
import { toEvent } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { Attempt } from "./attempt.ts";

/** Runs the draft's first attempt here and stores what comes of it. */
export async function settleEagerly(
  store: Store,
  handler: TaskHandler,
  draft: Draft,
): Promise<void> {
  const id = store.ids.token();
  const queued: TaskRecord = { ...draft.record, data: { kind: "inline", bytes: draft.data } };
  const lease = { worker: "eager", id };
  const running = transition(queued, { kind: "claim", op: id, nowMs: store.clock.now(), lease });
  const held = {
    ...lease,
    version: "",
    tasks: new Map([[running.id, running]]),
    cancelled: new Set<string>(),
  };
  const host = {
    store,
    handler,
    executor: new InlineExecutor(handler),
    timeoutMs: null,
    log: () => {},
  };
  const ending = await new Attempt(host, held, running).run();
  const event = toEvent(
    { lease: held, record: running, ending },
    store.ids.token(),
    store.clock.now(),
  );
  const writes = ending.kind === "succeed" ? ending.writes : null;
  await enqueueEnded(store, { ...draft, record: transition(running, event) }, writes);
}
