/**
 * The user's own writes, checked before they join a commit of Taskkit's.
 *
 * @module
 */

import { assert } from "@std/assert";
import { InvalidArgument } from "../core/errors.ts";
import { shown } from "../core/duration.ts";
import type { UserWrite } from "../core/handler.ts";
import { DURATION_MS_MAX, KV_KEY_BYTES_MAX } from "../core/limits.ts";
import { checkInteger } from "../core/validate.ts";
import { bytesOfKey, Changes } from "./commit.ts";
import type { Key, KeyPart } from "./port.ts";
import type { Store } from "./store.ts";

const VERSIONSTAMP = /^[0-9a-fA-F]{20}$/;
/** Writes of the user's own in one commit, at most. */
const USER_WRITES_MAX = 200;

/**
 * The changes that the writes ask for.
 *
 * @throws {InvalidArgument} If there are more than 200, a key is none or lies below Taskkit's prefix, or a versionstamp or
 * `expireIn` is none.
 */
export function toUserChanges(store: Store, writes: readonly UserWrite[]): Changes {
  if (writes.length > USER_WRITES_MAX) {
    throw new InvalidArgument(
      `Cannot write with the task: ${writes.length} writes; the bound is ${USER_WRITES_MAX}`,
    );
  }
  const changes = new Changes();
  for (const write of writes) {
    const key = checkKey(store, write.key);
    if (write.kind === "check") changes.check(key, checkVersionstamp(write.versionstamp));
    else if (write.kind === "delete") changes.delete(key);
    else {
      const { value, expireIn } = write;
      if (expireIn !== undefined) checkInteger(expireIn, "expireIn", 1, DURATION_MS_MAX);
      changes.set(key, value, expireIn);
    }
  }
  const checksMax = store.checksMax - 2;
  assert(checksMax > 0);
  if (changes.checks.length > checksMax) {
    throw new InvalidArgument(
      `Cannot write with the task: ${changes.checks.length} checks; this connection allows ${checksMax}`,
    );
  }
  return changes;
}

function checkKey(store: Store, key: readonly unknown[]): Key {
  if (!Array.isArray(key) || key.length === 0 || !key.every(isKeyPart)) {
    throw new InvalidArgument(
      "Cannot write with the task: a key is an array of strings, numbers, bigints, booleans or bytes",
    );
  }
  if (bytesOfKey(key) > KV_KEY_BYTES_MAX) {
    throw new InvalidArgument(
      `Cannot write with the task: a key is longer than ${KV_KEY_BYTES_MAX} bytes`,
    );
  }
  if (store.keys.owns(key)) {
    throw new InvalidArgument(
      `Cannot write with the task: the key lies below Taskkit's own prefix ${
        JSON.stringify(store.keys.prefix)
      }`,
    );
  }
  return key;
}

function checkVersionstamp(versionstamp: unknown): string | null {
  if (versionstamp === null) return null;
  if (typeof versionstamp === "string" && VERSIONSTAMP.test(versionstamp)) return versionstamp;
  throw new InvalidArgument(
    `Cannot check with the task: ${
      shown(versionstamp)
    } is no versionstamp; pass an entry's, or null for a key that must be absent`,
  );
}

function isKeyPart(part: unknown): part is KeyPart {
  if (typeof part === "string") return part.isWellFormed();
  return typeof part === "number" || typeof part === "bigint" || typeof part === "boolean" ||
    part instanceof Uint8Array;
}
