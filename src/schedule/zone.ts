/**
 * Time zones: how far the clocks on the wall are ahead of UTC, and when that changes. The facts come from the runtime's
 * own `Intl`, which exists in Deno, Bun, Node and on Deno Deploy alike; `Temporal` does not yet.
 *
 * Asking `Intl` takes about a microsecond and a new formatter up to a millisecond, so both are asked rarely: a zone
 * remembers its changes of clocks, found by probing every 3⅛ days and halving where two probes differ. Changes there and
 * back are nowhere nearer than 6 days and 23 hours, since 1970 and by today's rules until 2100 (Gaza, when Ramadan ends a
 * week before summer does); the tests compare all zones with `Temporal`.
 *
 * @module
 */

import { DAY, HOUR, MINUTE, SECOND } from "@std/datetime/constants";
import { shown } from "../core/duration.ts";
import { InvalidSchedule } from "../core/errors.ts";
import { ZONE_SPANS_MAX, ZONES_MAX } from "../core/limits.ts";

/** How much is found out at once. */
const SPAN_MS = 400 * DAY;
const PROBE_MS = SPAN_MS / 128;
/** A change this near before a span still matters inside it, for no clocks were ever set by more than a day. */
const LOOK_BACK_MS = 2 * DAY;
const NAME_CHARS_MAX = 64;
const OFFSET = /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/;

/** A time in which the clocks of a zone are not touched. Wall-clock time is epoch milliseconds plus `offsetMs`. */
export interface Stretch {
  /** The change that it began with; or just some instant, where `previousOffsetMs` equals `offsetMs`. */
  readonly startMs: number;
  /** The next change, or just some instant; not part of the stretch. */
  readonly endMs: number;
  /** What wall clocks are ahead of UTC. */
  readonly offsetMs: number;
  /** What they were ahead just before `startMs`. */
  readonly previousOffsetMs: number;
}

const zones = new Map<string, Zone>();

/**
 * The zone of an IANA name such as `"Europe/Paris"`, remembered.
 *
 * @throws {InvalidSchedule} If the runtime knows no such zone. Bare offsets such as `"+09:00"` are none.
 */
export function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = new Zone(name);
    if (zones.size >= ZONES_MAX) zones.clear();
    zones.set(name, zone);
  }
  return zone;
}

/** The clocks of one time zone. */
export class Zone {
  readonly #format: Intl.DateTimeFormat;
  readonly #spans = new Map<number, readonly Stretch[]>();

  constructor(name: string) {
    this.#format = openFormat(name);
  }

  /** The stretch that an instant lies in. */
  stretchAt(instantMs: number): Stretch {
    const span = this.#span(Math.floor(instantMs / SPAN_MS));
    let found = span[0];
    for (const stretch of span) if (stretch.startMs <= instantMs) found = stretch;
    if (found === undefined) throw new RangeError(`Cannot find ${instantMs} in its span`);
    return found;
  }

  #span(index: number): readonly Stretch[] {
    let span = this.#spans.get(index);
    if (span === undefined) {
      span = this.#explore(index * SPAN_MS);
      if (this.#spans.size >= ZONE_SPANS_MAX) this.#spans.clear();
      this.#spans.set(index, span);
    }
    return span;
  }

  #explore(spanStartMs: number): readonly Stretch[] {
    const spanEndMs = spanStartMs + SPAN_MS;
    const changes = [{ ...this.#changeBefore(spanStartMs), offsetMs: this.#read(spanStartMs) }];
    for (let probe = spanStartMs; probe < spanEndMs; probe += PROBE_MS) {
      const next = probe + PROBE_MS;
      const previousOffsetMs = this.#read(probe);
      if (this.#read(next) === previousOffsetMs) continue;
      const startMs = this.#firstChange(probe, next);
      changes.push({ startMs, previousOffsetMs, offsetMs: this.#read(startMs) });
    }
    return changes.map((change, i) => ({ ...change, endMs: changes[i + 1]?.startMs ?? spanEndMs }));
  }

  /** The change that the first stretch of a span began with, if it was a short time ago. */
  #changeBefore(instantMs: number): Pick<Stretch, "startMs" | "previousOffsetMs"> {
    const probe = instantMs - LOOK_BACK_MS;
    const previousOffsetMs = this.#read(probe);
    if (this.#read(instantMs) === previousOffsetMs) {
      return { startMs: instantMs, previousOffsetMs };
    }
    return { startMs: this.#firstChange(probe, instantMs), previousOffsetMs };
  }

  /** The first instant after `beforeMs` with another offset, given that the offset at `afterMs` is another. */
  #firstChange(beforeMs: number, afterMs: number): number {
    const offsetMs = this.#read(beforeMs);
    let [same, other] = [beforeMs, afterMs];
    while (other - same > SECOND) {
      const middle = same + Math.floor((other - same) / 2 / SECOND) * SECOND;
      if (this.#read(middle) === offsetMs) same = middle;
      else other = middle;
    }
    return other;
  }

  #read(instantMs: number): number {
    const [, sign, hours = "0", minutes = "0", seconds = "0"] =
      OFFSET.exec(this.#format.format(instantMs)) ?? [];
    const ms = Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) * SECOND;
    return sign === "-" ? -ms : ms;
  }
}

function openFormat(name: string): Intl.DateTimeFormat {
  // Some runtimes take offsets such as "+09:00" for zones and some do not, so none of them does here.
  if (typeof name === "string" && name.length <= NAME_CHARS_MAX && /^[A-Za-z]/.test(name)) {
    try {
      return new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
    } catch {
      // Told below, in the same words for every reason.
    }
  }
  throw new InvalidSchedule(
    `Cannot use time zone ${shown(name)}: it is no IANA name such as "Europe/Paris"`,
  );
}
