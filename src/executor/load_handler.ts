/**
 * Loads a handler module: the file that a `Kit` and its threads and processes share by its URL.
 *
 * @module
 */

import { shown } from "../core/duration.ts";
import { HandlerInvalid } from "../core/errors.ts";
import { TaskHandler } from "../core/handler.ts";
import { toStoredError } from "../core/stored_error.ts";

const ADVICE = 'write "export default class Handler extends TaskHandler { … }"';

/**
 * The handler that a module exports by default: an instance of a {@linkcode TaskHandler}, or a class that extends it and
 * is made without arguments. `load` imports the module; it is another one in a thread, where the URL is written out.
 *
 * @throws {HandlerInvalid} If the module does not exist, throws while it loads, or exports nothing usable.
 */
export async function loadHandler(
  url: URL,
  load: () => Promise<unknown> = () => import(url.href),
): Promise<TaskHandler> {
  let module: unknown;
  try {
    module = await load();
  } catch (error) {
    throw new HandlerInvalid(`Cannot load the handler module "${url}": ${whyNot(error)}`, {
      cause: error,
    });
  }
  return toHandler(url, module);
}

function whyNot(error: unknown): string {
  const { name, message: text, code } = toStoredError(error);
  const [message = ""] = text.split("\n", 1);
  // Deno says of a module that it cannot parse that it was not found.
  const isSyntax = name === "SyntaxError" || message.startsWith("SyntaxError");
  if (code === "ERR_MODULE_NOT_FOUND" && !isSyntax) {
    return `it, or a module it imports, does not exist: ${message}; ` +
      `write its path relative to the importing file: new URL("./handler.ts", import.meta.url)`;
  }
  if (isSyntax || code === "ERR_UNSUPPORTED_ESM_URL_SCHEME") {
    return `it is no module that can run here: ${message}`;
  }
  return `it failed while loading: ${name}: ${message}`;
}

function toHandler(url: URL, module: unknown): TaskHandler {
  const exported: unknown = typeof module === "object" && module !== null
    ? Reflect.get(module, "default")
    : undefined;
  if (exported === undefined) {
    throw new HandlerInvalid(
      `Cannot use the handler module "${url}": it has no default export; ${ADVICE}`,
    );
  }
  const handler = typeof exported === "function" ? instantiate(url, exported) : exported;
  if (handler instanceof TaskHandler) return handler;
  const isStranger = typeof handler === "object" && handler !== null &&
    typeof Reflect.get(handler, "handle") === "function";
  throw new HandlerInvalid(
    isStranger
      ? `Cannot use the handler module "${url}": its default export extends no TaskHandler of this copy of Taskkit; ` +
        `extend TaskHandler, and import it from the same version everywhere`
      : `Cannot use the handler module "${url}": its default export is ${
        shown(exported)
      }; ${ADVICE}`,
  );
}

/** An instance of an exported class; other functions are left to be refused. */
function instantiate(url: URL, exported: object): unknown {
  const prototype: unknown = Reflect.get(exported, "prototype");
  if (typeof exported !== "function" || typeof prototype !== "object" || prototype === null) {
    return exported;
  }
  if (typeof Reflect.get(prototype, "handle") !== "function") return exported;
  try {
    const instance: unknown = Reflect.construct(exported, []);
    return instance;
  } catch (error) {
    const { name, message } = toStoredError(error);
    throw new HandlerInvalid(
      `Cannot use the handler module "${url}": its class cannot be made without arguments: ${name}: ${message}`,
      { cause: error },
    );
  }
}
