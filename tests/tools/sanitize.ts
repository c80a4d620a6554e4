/**
 * Loaded before every test file (`--preload`): turns Deno's sanitizers on for tests that are written with `node:test`.
 * Deno runs those with the sanitizers switched off one by one, which the command line's `--sanitize-ops` and
 * `--sanitize-resources` do not override; without this file a leaked timer or an open database would pass. Deno takes
 * the caller of `Deno.test` for the place of a test, so failures name this file; the test's name and stack are right.
 *
 * @module
 */

const register = Deno.test;

/** A definition that comes from `node:test`, told by an option that only Deno's own code passes. */
function isFromNodeTest(definition: unknown): definition is Partial<Deno.TestDefinition> {
  return typeof definition === "object" && definition !== null && "sanitizeOnly" in definition;
}

function registerSanitized(...args: Parameters<typeof Deno.test>): void {
  const [definition] = args;
  if (isFromNodeTest(definition)) {
    Object.assign(definition, { sanitizeOps: true, sanitizeResources: true });
  }
  register(...args);
}

Object.assign(Deno, { test: Object.assign(registerSanitized, register) });
