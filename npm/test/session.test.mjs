/** When a visit ends: semantics that the collector's questions rely on. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { sources } from "./built.mjs";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const { holds } = await sources("identity");

for (const [what, session, now, want] of [
  ["an event at once", [0, 0], 0, true],
  ["after exactly thirty minutes of silence", [0, 5_000], 5_000 + 30 * MINUTE, true],
  ["one millisecond later", [0, 5_000], 5_001 + 30 * MINUTE, false],
  ["one millisecond before a day", [0, DAY - MINUTE], DAY - 1, true],
  ["at a day", [0, DAY - MINUTE], DAY, false],
  ["with a clock that was set back", [1_000_000, 1_000_000], 5, true],
]) {
  test(`a visit ${want ? "holds" : "is over"} ${what}`, () => {
    assert.equal(holds(["id", ...session], now), want);
  });
}
