/** Clocks of visitors that are wrong by years, or jump: events happened when they happened. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { figure } from "../support/amounts.ts";
import { flush, useBench } from "../support/bench.ts";
import { until } from "../support/until.ts";

const fixture = useBench();

const YEAR_MS = 365 * 24 * 60 * 60_000;
/** Round trip, and a second. */
const CLOSE_MS = 1_500;

/** The wall clock is off by what `window.offBy` says; the monotonic one is right. */
const CLOCK = (offBy: number) => `
  window.offBy = ${offBy};
  const Right = Date;
  window.Date = class extends Right {
    constructor(...given) { given.length ? super(...given) : super(Right.now() + window.offBy); }
    static now() { return Right.now() + window.offBy; }
  };`;

for (const years of [-10, 10]) {
  test(`51: a clock that is off by ${years} years: events are stored at their true time, and what the clock said is kept`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({ name: `clock-${years + 10}`, before: CLOCK(years * YEAR_MS), behave: () => "reset" });
    const at = Date.now();
    await visit.page.evaluate(`tally.track("opened")`);
    await until("an attempt", () => visit.proxy.batches[0]);
    visit.proxy.behave = () => "pass";
    await until("the event", async () => (await flush(visit.page), (await bench.collector.counts(visit.project))["opened"]));
    const [event] = await bench.collector.events(visit.project);
    figure(`a clock off by ${years} years: stored ${event!.at - at} ms from when it happened`);
    assert.ok(Math.abs(event!.at - at) < CLOSE_MS, `stored ${event!.at - at} ms from when it happened`);
    assert.ok(Math.abs(event!.claimed_at - (at + years * YEAR_MS)) < CLOSE_MS, "what the clock said is kept");
    assert.equal(visit.proxy.batches[0]!.events[0]!.id, event!.id);
  });
}

test("51: a clock that jumps in the middle of a visit: times and their order stay", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "clock-jumps", before: CLOCK(0), behave: () => "reset" });
  const at: number[] = [];
  for (const [step, offBy] of [0, YEAR_MS, -YEAR_MS, 5_000].entries()) {
    at.push(Date.now());
    await visit.page.evaluate(`offBy = ${offBy}; tally.track("step_done", { step: ${step} })`);
    await visit.page.waitForTimeout(50);
  }
  visit.proxy.behave = () => "pass";
  // The pause that was noted may lie a year ahead now: it is obeyed for an hour at most, and a flush does not wait.
  await until("the events", async () => (await flush(visit.page), (await bench.collector.counts(visit.project))["step_done"] === 4));
  const events = await bench.collector.events(visit.project);
  assert.deepEqual(events.map(({ props }) => props["step"]), [0, 1, 2, 3]);
  events.forEach((event, step) => assert.ok(Math.abs(event.at - at[step]!) < CLOSE_MS, `step ${step}: ${event.at - at[step]!} ms`));
});
