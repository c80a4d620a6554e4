/**
 * What the simulation stands on: virtual time, randomness from a seed, and the simulated KV.
 *
 * @module
 */

export { SeededRandom } from "../../src/testing/prng.ts";
export {
  type Change,
  type CommitEvent,
  type RefusalEvent,
  SimDatabase,
  type Stored,
} from "../../src/testing/sim_database.ts";
export {
  CALM,
  type Fault,
  type KvFaults,
  ROUGH_FILE,
  ROUGH_NETWORK,
} from "../../src/testing/sim_faults.ts";
export type { SimKv } from "../../src/testing/sim_kv.ts";
export { type VirtualClock, VirtualTime } from "../../src/testing/virtual_clock.ts";
