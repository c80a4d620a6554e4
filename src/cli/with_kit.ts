/**
 * Runs a command's act with an open Kit, and closes it again.
 *
 * @module
 */

import type { Kit } from "../kit.ts";
import type { Call } from "./command.ts";
import { openKit, readSetup } from "./open_kit.ts";

/** Runs `act` with the Kit that the flags and the configuration tell of. */
export async function withKit(call: Call, act: (kit: Kit) => Promise<number>): Promise<number> {
  await using kit = await openKit(await readSetup(call));
  return await act(kit);
}
