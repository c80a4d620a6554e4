/**
 * Hears what one thread or process says and passes on what counts: well-formed reports about attempts that were given to
 * it and have not ended, no more of them than the worker can stand.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import type { StoredError } from "../core/errors.ts";
import { NONSENSE_MAX, REPORTS_BATCH_MAX, REPORTS_PER_SECOND } from "../core/limits.ts";
import type { Outcome } from "./executor.ts";
import { readAttempt, readReport, type Report } from "./protocol.ts";
import { lost, type Submitted } from "./submitted.ts";

/** Told what counts. */
export interface RelayListener {
  /** The attempt of this number, if it runs at this speaker's. */
  find(n: number): Submitted | undefined;
  onReady(): void;
  onInvalid(error: StoredError): void;
  onOutcome(attempt: Submitted, outcome: Outcome): void;
  /** It is about to end because of attempt `n`; 0 if that has ended, null if that is not known. */
  onDying(n: number | null, error: StoredError): void;
  onPong(): void;
  /** It says so much nonsense, or so much at all, that it must be ended. */
  onBroken(why: string): void;
}

/** The ear of a worker for one speaker. */
export class Relay {
  readonly #listener: RelayListener;
  readonly #told: Budget;
  readonly #stray: Budget;
  #nonsense = 0;
  #isBroken = false;

  constructor(clock: Clock, listener: RelayListener) {
    this.#listener = listener;
    this.#told = new Budget(clock);
    this.#stray = new Budget(clock);
  }

  /** Hears a message of the protocol. */
  hear(message: unknown): void {
    if (!Array.isArray(message) || message.length > REPORTS_BATCH_MAX) return this.#doubt();
    for (const item of message) {
      const report = readReport(item);
      if (report === null) this.#refuse(item);
      else this.#pass(report);
    }
  }

  /** Hears something beside the protocol. A little of it is the handler's business; a flood is everybody's. */
  hearStray(): void {
    if (!this.#stray.take()) this.#break("it floods its worker with messages");
  }

  #pass(report: Report): void {
    const listener = this.#listener;
    switch (report.kind) {
      case "ready":
        return listener.onReady();
      case "invalid":
        return listener.onInvalid(report.error);
      case "pong":
        return listener.onPong();
      case "dying":
        return listener.onDying(report.n, report.error);
    }
    const attempt = listener.find(report.n);
    if (attempt === undefined) return this.#doubt();
    if (report.kind === "outcome") return listener.onOutcome(attempt, report.outcome);
    // Far more than a runner lets through: someone else speaks.
    if (!this.#told.take()) return this.#break("it floods its worker with reports");
    try {
      if (report.kind === "began") attempt.hooks.onBegin?.();
      else if (report.kind === "progress") {
        attempt.hooks.onProgress(report.fraction, report.message);
      } else attempt.hooks.onLog(report.level, report.message, report.fields);
    } catch {
      // Nothing that is told on the way may keep the outcome from being heard.
    }
  }

  /** An outcome that makes no sense must still end its attempt, which would wait for ever. */
  #refuse(item: unknown): void {
    const n = readAttempt(item);
    const attempt = n === null ? undefined : this.#listener.find(n);
    if (attempt !== undefined && Reflect.get(Object(item), "kind") === "outcome") {
      const error = lost("The outcome that was sent for the attempt makes no sense");
      this.#listener.onOutcome(attempt, { kind: "lost", error, blame: true });
    }
    this.#doubt();
  }

  #doubt(): void {
    if (++this.#nonsense > NONSENSE_MAX) this.#break("it sends messages that make no sense");
  }

  #break(why: string): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#listener.onBroken(why);
  }
}

/** How many reports may come within a second. */
class Budget {
  readonly #clock: Clock;
  #secondMs = -Infinity;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(): boolean {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count <= REPORTS_PER_SECOND;
  }
}
