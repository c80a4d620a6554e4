/**
 * What the checkers are told, and how they say that a promise is broken.
 *
 * @module
 */

import type { Plan, Step, Work } from "./plan.ts";
import type { Seen, View } from "./view.ts";

/** A promise of design is broken. */
export class Violation extends Error {
  override readonly name = "Violation";
  /** Which one: `"I3"`. */
  readonly promise: string;

  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`);
    this.promise = promise;
  }
}

/** Something that happened in a process, as seen from outside of it. */
export type Happening =
  /** A call that initiates tasks was made. */
  | {
    readonly kind: "calls";
    readonly by: string;
    readonly names: readonly string[];
    readonly isEager: boolean;
  }
  /** It was answered: the tasks exist; with their ids. */
  | {
    readonly kind: "initiated";
    readonly names: readonly string[];
    readonly ids: readonly string[];
  }
  /** It failed for certain, or nothing was committed. */
  | { readonly kind: "refused"; readonly names: readonly string[]; readonly why: string }
  /** Nobody knows. */
  | { readonly kind: "unknown"; readonly what: string; readonly names: readonly string[] }
  /** A cancel or retry of a task was called, and answered. */
  | { readonly kind: "asks"; readonly what: "cancel" | "retry"; readonly id: string }
  | {
    readonly kind: "answers";
    readonly what: "cancel" | "retry";
    readonly id: string;
    readonly answer: string;
    readonly askedAtMs: number;
  }
  /** A result was waited for and came, or was not found. */
  | {
    readonly kind: "result";
    readonly id: string;
    readonly answer: string;
    readonly value: unknown;
    readonly askedAtMs: number;
  }
  /** A handler was entered, told to stop, and left. */
  | {
    readonly kind: "start" | "aborted" | "end";
    readonly by: string;
    readonly id: string;
    readonly attempt: number;
    readonly group: string;
    readonly work: Work;
  }
  /** A worker's life. */
  | {
    readonly kind: "up" | "killed" | "stopping" | "stopped" | "suspended" | "resumed";
    readonly by: string;
    readonly graceMs?: number;
  }
  /** The faults are over. */
  | { readonly kind: "healthy" }
  /** A call of the production code failed in a way that its documentation does not know. */
  | { readonly kind: "undocumented"; readonly what: string; readonly error: string };

/** What a checker can look at. */
export interface Witness {
  readonly plan: Plan;
  readonly view: View;
  /** The time of the world. */
  nowMs(): number;
  /** Whether the faults are over. */
  isHealthy(): boolean;
  /** Whether what is applied right now is a copy that comes late, or a second time. */
  isLate(): boolean;
  /** Whether a task is queued for later than the run will last. */
  isWaiting(id: string): boolean;
  /** Notes that something rare occurred. */
  cover(event: string): void;
  /** Ends the run: the promise is broken. */
  fail(promise: string, message: string): void;
  /** The step that initiated a task, by its name. */
  workOf(name: string): Work | undefined;
}

/** Looks after one promise. */
export interface Checker {
  /** After every commit that was applied. */
  commit?(seen: Seen): void;
  /** After everything that happened in a process. */
  happened?(happening: Happening): void;
  /** When all is over. */
  end?(): void;
}

/** Makes a checker for one world. */
export type MakeChecker = (witness: Witness) => Checker;

export type { Step };
