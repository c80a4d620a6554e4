/**
 * Transactions at open: find out what the connection can do, and whether this code knows the database's key layout.
 *
 * ```text
 * measureChecks  checks as many absent keys as a commit might; changes nothing
 * checkFormat    reads the format; if there is none, checks that and sets it
 * ```
 *
 * @module
 */

import { KvUnavailable, UnreadableRecord } from "../core/errors.ts";
import { KV_COMMIT_CHECKS_MIN, KV_PROBE_CHECKS } from "../core/limits.ts";
import { Changes, commit, type CommitContext, firstLine } from "./commit.ts";
import type { Keyspace } from "./keyspace.ts";
import { decodeJson, encodeJson, isCount, must } from "./record_codec.ts";
import { readOne } from "./store.ts";

/** How many checks one commit may have on this connection. */
export async function measureChecks(context: CommitContext, keys: Keyspace): Promise<number> {
  const probe = new Changes();
  for (let n = 0; n < KV_PROBE_CHECKS; n++) probe.check(keys.task(`probe ${n}`), null);
  try {
    const answer = await commit(context, probe);
    return answer.kind === "committed" ? KV_PROBE_CHECKS : KV_COMMIT_CHECKS_MIN;
  } catch {
    return KV_COMMIT_CHECKS_MIN;
  }
}

/** The layout of the keys that this code reads and writes; a new one is a new number here. */
const FORMAT = 1;

/**
 * Notes the format of a new database, and refuses one whose keys are laid out by a newer version.
 *
 * @throws {UnreadableRecord} With code `NEWER_VERSION`.
 * @throws {KvUnavailable} If the database does not answer.
 */
export async function checkFormat(context: CommitContext, keys: Keyspace): Promise<void> {
  let value: unknown;
  try {
    ({ value } = await readOne(context, keys.format()));
  } catch (error) {
    if (error instanceof KvUnavailable) throw error;
    const why = firstLine(error);
    throw new KvUnavailable(`Cannot open the database: ${why}`, { cause: error });
  }
  if (value === null) {
    // Whoever is first notes it; a second one finds the same.
    const note = new Changes();
    note.check(keys.format(), null);
    note.set(keys.format(), encodeJson({ format: FORMAT }));
    await commit(context, note);
    return;
  }
  const format = decodeJson(value, "database format", (fields) => must(fields.format, isCount));
  if (format > FORMAT) {
    throw new UnreadableRecord(
      "NEWER_VERSION",
      `Cannot open the database: its format is ${format}, this version of Taskkit knows up to ${FORMAT}; update Taskkit`,
    );
  }
}
