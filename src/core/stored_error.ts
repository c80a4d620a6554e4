/**
 * Turns whatever was thrown into plain, bounded data that can be stored. It must not throw itself, whatever getters,
 * proxies or cycles the thrown value has.
 *
 * @module
 */

import type { StoredError } from "./errors.ts";
import {
  ERROR_MESSAGE_CHARS_MAX,
  ERROR_NAME_CHARS_MAX,
  ERROR_STACK_CHARS_MAX,
  ERROR_STACK_LINES_MAX,
} from "./limits.ts";

/** The stored form of a thrown value. */
export function toStoredError(thrown: unknown): StoredError {
  if (typeof thrown !== "object" || thrown === null) {
    return {
      name: "NonError",
      message: cut(safely(() => String(thrown)) ?? "a value", ERROR_MESSAGE_CHARS_MAX),
    };
  }
  const read = (field: string) => safely(() => Reflect.get(thrown, field));
  const name = text(read("name")) ?? text(safely(() => thrown.constructor.name)) ?? "Error";
  const message = text(read("message")) ?? safely(() => JSON.stringify(thrown)) ?? "no message";
  const code = text(read("code"));
  const stack = text(read("stack"));
  return {
    name: cut(name, ERROR_NAME_CHARS_MAX),
    message: cut(message, ERROR_MESSAGE_CHARS_MAX),
    ...(code === undefined ? {} : { code: cut(code, ERROR_NAME_CHARS_MAX) }),
    ...(stack === undefined ? {} : { stack: firstLines(stack) }),
  };
}

/** Checks plain data that claims to be a stored error, as it comes from a thread or from the database. */
export function readStoredError(value: unknown): StoredError | null {
  if (typeof value !== "object" || value === null) return null;
  const field = (name: string) => text(Reflect.get(value, name));
  const name = field("name");
  const message = field("message");
  if (name === undefined || message === undefined) return null;
  const code = field("code");
  const stack = field("stack");
  return {
    name: cut(name, ERROR_NAME_CHARS_MAX),
    message: cut(message, ERROR_MESSAGE_CHARS_MAX),
    ...(code === undefined ? {} : { code: cut(code, ERROR_NAME_CHARS_MAX) }),
    ...(stack === undefined ? {} : { stack: firstLines(stack) }),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function safely<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function cut(value: string, charsMax: number): string {
  return (value.length > charsMax ? `${value.slice(0, charsMax - 1)}…` : value).toWellFormed();
}

function firstLines(stack: string): string {
  return cut(
    stack.slice(0, 20_000).split("\n", ERROR_STACK_LINES_MAX).join("\n"),
    ERROR_STACK_CHARS_MAX,
  );
}
