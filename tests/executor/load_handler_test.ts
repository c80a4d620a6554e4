import assert from "node:assert/strict";
import { test } from "node:test";
import { HandlerInvalid } from "../../src/core/errors.ts";
import { TaskHandler } from "../../src/core/handler.ts";
import { loadHandler } from "../../src/executor/load_handler.ts";
import { HANDLER_URL } from "./world.ts";

function fixture(name: string): URL {
  return new URL(`./fixtures/modules/${name}.ts`, import.meta.url);
}

async function refusal(name: string): Promise<string> {
  try {
    await loadHandler(fixture(name));
  } catch (error) {
    assert.ok(error instanceof HandlerInvalid);
    assert.equal(error.code, "HANDLER_INVALID");
    return error.message.replaceAll(fixture(name).href, "URL");
  }
  throw new Error(`${name} was loaded`);
}

test("loadHandler() makes an instance of an exported class", async () => {
  assert.ok(await loadHandler(HANDLER_URL) instanceof TaskHandler);
});

test("loadHandler() takes an exported instance as it is", async () => {
  const handler = await loadHandler(fixture("instance"));
  assert.equal(handler, await loadHandler(fixture("instance")));
});

test("loadHandler() says what is wrong with a module, and what to do", async () => {
  assert.match(
    await refusal("missing"),
    /^Cannot load the handler module "URL": it, or a module it imports, does not exist: .*; write its path relative to the importing file: new URL\("\.\/handler\.ts", import\.meta\.url\)$/s,
  );
  assert.match(
    await refusal("bad_import"),
    /^Cannot load the handler module "URL": it, or a module it imports, does not exist: .*does_not_exist/s,
  );
  assert.equal(
    await refusal("throws"),
    'Cannot load the handler module "URL": it failed while loading: RangeError: not today',
  );
  const advice = 'write "export default class Handler extends TaskHandler { … }"';
  assert.equal(
    await refusal("no_default"),
    `Cannot use the handler module "URL": it has no default export; ${advice}`,
  );
  assert.equal(
    await refusal("number"),
    `Cannot use the handler module "URL": its default export is 5; ${advice}`,
  );
  assert.equal(
    await refusal("function"),
    `Cannot use the handler module "URL": its default export is a function; ${advice}`,
  );
  assert.equal(
    await refusal("stranger"),
    'Cannot use the handler module "URL": its default export extends no TaskHandler of this copy of Taskkit; ' +
      "extend TaskHandler, and import it from the same version everywhere",
  );
  assert.match(
    await refusal("needs_arguments"),
    /^Cannot use the handler module "URL": its class cannot be made without arguments: TypeError: /,
  );
});
