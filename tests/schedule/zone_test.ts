/**
 * The changes of clocks that a zone remembers, against those that Temporal tells.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidSchedule } from "../../src/core/errors.ts";
import { Zone, zoneOf } from "../../src/schedule/zone.ts";
import { DAY, full, HOUR, MINUTE } from "./oracle.ts";

const FROM = full ? 0 : Date.UTC(2005, 0, 1);
const TO = Date.UTC(full ? 2100 : 2030, 0, 1);

interface Change {
  readonly at: string;
  readonly minutes: number;
}

function changesOf(name: string): Change[] {
  const zone = new Zone(name);
  const changes: Change[] = [];
  for (let atMs = FROM; atMs < TO;) {
    const { startMs, endMs, offsetMs, previousOffsetMs } = zone.stretchAt(atMs);
    if (startMs === atMs && startMs > FROM && offsetMs !== previousOffsetMs) {
      changes.push({ at: new Date(startMs).toISOString(), minutes: offsetMs / MINUTE });
    }
    atMs = endMs;
  }
  return changes;
}

function changesByTemporal(name: string): Change[] {
  const changes: Change[] = [];
  let at = Temporal.Instant.fromEpochMilliseconds(FROM).toZonedDateTimeISO(name);
  let offset = at.offsetNanoseconds;
  for (;;) {
    const next = at.getTimeZoneTransition("next");
    if (next === null || next.epochMilliseconds >= TO) return changes;
    if (next.offsetNanoseconds !== offset) {
      changes.push({
        at: new Date(next.epochMilliseconds).toISOString(),
        minutes: next.offsetNanoseconds / 6e10,
      });
    }
    [at, offset] = [next, next.offsetNanoseconds];
  }
}

test(
  "zone: all zones change their clocks when Temporal says so, and seldom enough to be noticed",
  // Runtimes without Temporal compute the same from the same data.
  { skip: typeof Temporal === "undefined", timeout: 60_000 },
  () => {
    let count = 0;
    for (const name of Intl.supportedValuesOf("timeZone")) {
      const changes = changesOf(name);
      assert.deepEqual(changes, changesByTemporal(name), name);
      changes.slice(1).forEach(({ at }, i) => {
        const sinceMs = Date.parse(at) - Date.parse(changes[i]?.at ?? "");
        assert.ok(sinceMs > 6 * DAY, `${name} at ${at}`);
      });
      count += changes.length;
    }
    assert.ok(count > 4_000, `only ${count} changes`);
  },
);

test("zone: a change shortly before a remembered span is known inside it", () => {
  // Spans begin at whole multiples of 400 days: this one 46 hours after the change.
  const span = 33 * 400 * DAY;
  const change = Date.UTC(2006, 1, 19, 2);
  const { startMs, offsetMs, previousOffsetMs } = new Zone("America/Sao_Paulo").stretchAt(span);
  assert.equal(change, span - 46 * HOUR);
  assert.deepEqual({ startMs, offsetMs, previousOffsetMs }, {
    startMs: change,
    offsetMs: -3 * HOUR,
    previousOffsetMs: -2 * HOUR,
  });
});

test("zone: a name is looked up once", () => {
  assert.equal(zoneOf("Asia/Tokyo"), zoneOf("Asia/Tokyo"));
});

test("zone: names that no zone has are refused", () => {
  for (
    const name of ["Mars/Olympus", "", "+09:00", "JST ", "Asia/Tokyo\u0000", "A".repeat(1_000)]
  ) {
    assert.throws(() => zoneOf(name), (error) => {
      assert.ok(error instanceof InvalidSchedule);
      assert.equal(error.code, "INVALID_SCHEDULE");
      assert.match(error.message, /^Cannot use time zone ".*: it is no IANA name such as "Europe/);
      return true;
    });
  }
});
