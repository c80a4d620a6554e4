/**
 * One suite for every kind of KV: what Taskkit relies on holds on all of them, the simulated one
 * included.
 *
 * @module
 */

import { openBackends } from "./backends.ts";
import { conformance } from "./suite.ts";

for (const backend of openBackends()) conformance(backend);
