/**
 * From what a caller passes to a task that can be written: an order is checked and encoded, so that one that cannot be
 * used is told before anything is written; a draft has an id as well, and is made when its commit is put together.
 *
 * @module
 */

import type { Clock } from "./core/clock.ts";
import { checkTimeout } from "./core/define.ts";
import { toEpochMs, toMilliseconds } from "./core/duration.ts";
import { InvalidData } from "./core/errors.ts";
import type { TaskHandler } from "./core/handler.ts";
import type { IdSource } from "./core/ids.ts";
import { DATA_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, TTL_MS_DEFAULT } from "./core/limits.ts";
import { type NewTask, newTask } from "./core/task.ts";
import { checkBoolean, checkFields, checkInteger, checkName } from "./core/validate.ts";
import type { InitiateEntry, InitiateOptions } from "./options.ts";
import type { Draft, Drafts } from "./store/enqueue.ts";

const OPTION_FIELDS = ["due", "ttl", "priority", "timeout", "unique", "eager"];
const ENTRY_FIELDS = ["group", "name", "data", ...OPTION_FIELDS];

/** A task that was asked for, checked, with its data encoded. */
export interface Order {
  readonly task: Omit<NewTask, "id" | "op">;
  readonly data: Uint8Array;
}

/** Who encodes the data, and whose time it is. */
export interface OrderHost {
  readonly handler: TaskHandler;
  readonly clock: Clock;
}

/** The order of one task, with its options apart. */
export function toOrder(
  host: OrderHost,
  group: string,
  name: string,
  data: unknown,
  options: InitiateOptions,
): Order {
  checkFields(options, "the options of a task", OPTION_FIELDS);
  return order(host, group, name, data, options);
}

/** The order of an entry, which has all in one. */
export function entryToOrder(host: OrderHost, entry: InitiateEntry): Order {
  checkFields(entry, "an entry of initiateTasks", ENTRY_FIELDS);
  return order(host, entry.group, entry.name, entry.data, entry);
}

function order(
  { handler, clock }: OrderHost,
  group: string,
  name: string,
  data: unknown,
  { due, priority, timeout, unique, ttl, eager }: InitiateOptions,
): Order {
  checkName(group, "the group of a task");
  checkName(name, "the name of a task");
  if (eager !== undefined) checkBoolean(eager, "eager");
  const createdMs = clock.now();
  const bytes = handler.encodeData(group, name, data);
  if (!(bytes instanceof Uint8Array)) {
    throw new InvalidData(`Cannot initiate task "${name}": encodeData returned no Uint8Array`);
  }
  if (bytes.length > DATA_BYTES_MAX) {
    throw new InvalidData(
      `Cannot initiate task "${name}": its data has ${bytes.length} bytes; the bound is ${DATA_BYTES_MAX}; ` +
        `store it elsewhere and pass where`,
      { code: "DATA_TOO_LARGE" },
    );
  }
  return {
    data: bytes,
    task: {
      group,
      name,
      priority: priority === undefined
        ? PRIORITY_DEFAULT
        : checkInteger(priority, "priority", 0, PRIORITY_MAX),
      dueMs: dueToMs(due, createdMs),
      createdMs,
      ttlMs: ttl === undefined ? TTL_MS_DEFAULT : toMilliseconds(ttl, "ttl"),
      timeoutMs: timeout === undefined ? null : checkTimeout(timeout),
      scheduledMs: null,
      unique: unique === undefined ? null : checkName(unique, "a unique key"),
    },
  };
}

/** The drafts of some orders, made one by one as they are asked for. They share the token of their operation. */
export function toDrafts(ids: IdSource, orders: readonly Order[]): Drafts {
  return {
    length: orders.length,
    *[Symbol.iterator]() {
      const op = ids.token();
      for (const order of orders) yield toDraft(ids, order, op);
    },
  };
}

/** The draft of one order. */
export function toDraft(ids: IdSource, { task, data }: Order, op = ids.token()): Draft {
  return { data, record: newTask({ ...task, id: ids.next(), op }) };
}

/** A due time from now if it is text, an instant if it is not. */
function dueToMs(due: InitiateOptions["due"], nowMs: number): number {
  if (due === undefined) return nowMs;
  return typeof due === "string" ? nowMs + toMilliseconds(due, "due") : toEpochMs(due, "due");
}
