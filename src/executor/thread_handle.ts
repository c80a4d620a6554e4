/**
 * One Web Worker, seen from its worker: made, spoken to, ended, and known to be gone.
 *
 * Neither runtime tells reliably that a thread ended: Deno raises no event for `Deno.exit()` or `close()`, and a thread
 * that computes answers nothing, which is no sign of death. But a `MessageChannel` of `node:worker_threads` raises `close`
 * on one end when the thread that holds the other is gone, whatever ended it, and never before its last message was
 * delivered. So busy and gone are told apart exactly, without a heartbeat.
 *
 * @module
 */

import { MessageChannel } from "node:worker_threads";
import { toStoredError } from "../core/stored_error.ts";
import { Claims } from "./claims.ts";
import { entryUrl, moduleUrl } from "./entry.ts";
import { isRestricted, type Permissions, threadPermissions } from "./permissions.ts";
import type { Command } from "./protocol.ts";
import { IS_BUN } from "./runtime.ts";
import type { PlaceEvents } from "./slots.ts";
import { environmentWithoutToken } from "./token.ts";

const MAIN_URL = moduleUrl("thread_main").href;

/** What a thread is made of. */
export interface ThreadOptions {
  readonly handlerUrl: URL;
  readonly permissions: Permissions | undefined;
  readonly events: PlaceEvents;
}

/** The options of `new Worker`, with what Bun alone knows. */
interface PlatformOptions extends WorkerOptions {
  readonly env?: Record<string, string>;
}

/** A thread. */
export class Thread {
  readonly claims = new Claims();
  /** Resolves when the thread is known to have ended. */
  readonly gone: Promise<void>;
  readonly #worker: Worker | null;
  readonly #port: ReturnType<typeof openChannel>["port1"];
  readonly #isGone = Promise.withResolvers<void>();
  readonly #options: ThreadOptions;
  #hasBegun = false;
  #isEnded = false;
  /** What the runtime says of an error that ends the thread, if it says anything. */
  #uncaught = "it did not say why";

  constructor(options: ThreadOptions) {
    this.#options = options;
    this.gone = this.#isGone.promise;
    const { port1, port2 } = openChannel();
    this.#port = port1;
    port1.addEventListener("message", (event) => {
      this.#hasBegun = true;
      options.events.onMessage(event.data);
    });
    port1.addEventListener("messageerror", () => options.events.onUnreadable());
    port1.on("close", () => this.#end());
    port1.start();
    this.#worker = this.#open();
    const init = {
      port: port2,
      memory: this.claims.memory,
      handlerUrl: options.handlerUrl.href,
    };
    this.#worker?.postMessage(init, [port2]);
  }

  get isGone(): boolean {
    return this.#isEnded;
  }

  /** Sends commands. A thread that is gone hears nothing. */
  post(commands: readonly Command[]): void {
    if (!this.#isEnded) this.#port.postMessage(commands);
  }

  /** Ends the thread. Bun stops whatever it does; in Deno a thread that computes ends when it comes to wait. */
  terminate(): void {
    this.#worker?.terminate();
  }

  /** Gives up on a thread that does not end: it is no longer heard, and keeps nothing of the worker alive. */
  forget(): void {
    this.#isEnded = true;
    this.#port.close();
  }

  /** The Web Worker; null if the runtime refuses one, as it does if it would be permitted more than this thread. */
  #open(): Worker | null {
    const { handlerUrl, permissions, events } = this.#options;
    let worker: Worker;
    try {
      worker = new Worker(entryUrl(MAIN_URL, handlerUrl.href), platformOptions(permissions));
    } catch (error) {
      const { name, message } = toStoredError(error);
      queueMicrotask(() => {
        events.onRefused(`Cannot start a thread: ${name}: ${message}`);
        this.#end();
      });
      return null;
    }
    worker.onmessage = () => events.onStray();
    worker.onerror = (event) => {
      // Without this, Deno ends the whole process.
      event.preventDefault();
      this.#uncaught = oneLine(String(event.message));
    };
    // In Bun the port of a thread that was ended before it began is never closed; but then this is raised.
    worker.addEventListener("close", () => {
      if (!this.#hasBegun) this.#end();
    });
    return worker;
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#port.close();
    this.#worker?.terminate();
    this.#options.events.onGone(this.#uncaught);
    this.#isGone.resolve();
  }
}

/** The line of a runtime's message that says what was thrown: Bun shows the source around it. */
function oneLine(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  return lines.find((line) => /^[\w$ ()]*(Error|error|Exception): /.test(line)) ?? lines[0] ?? "";
}

/** The ports of this module are those of the platform, with `on("close")` besides. */
function openChannel() {
  const { port1, port2 } = new MessageChannel();
  return { port1: asPlatformPort(port1), port2: asPlatformPort(port2) };
}

function asPlatformPort(port: unknown): MessagePort & {
  on(event: "close", listener: () => void): void;
} {
  if (!isPlatformPort(port)) throw new TypeError("Cannot open a channel: it has no platform port");
  return port;
}

function isPlatformPort(
  port: unknown,
): port is MessagePort & { on(event: "close", listener: () => void): void } {
  return port instanceof EventTarget && "on" in port;
}

function platformOptions(permissions: Permissions | undefined): PlatformOptions {
  const env = IS_BUN ? environmentWithoutToken() : undefined;
  return {
    type: "module",
    name: "taskkit",
    ...(isRestricted(permissions) ? { deno: { permissions: threadPermissions(permissions) } } : {}),
    ...(env === undefined ? {} : { env }),
  };
}
