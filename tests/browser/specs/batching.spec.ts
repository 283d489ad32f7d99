/** How events leave a page that stays open: when, in which portions, and under which ids. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

/** The pause after which a small batch leaves. */
const BATCH_WAIT_MS = 2_000;
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Track `count` events of `bytes` each in one task, after the batch so far has left. */
function trackMany(name: string, count: number, bytes = 1) {
  const text = "x".repeat(bytes);
  return `for (let i = 0; i < ${count}; i++) tally.track("${name}", { i, text: "${text}" })`;
}

test("the first event of a page leaves at once and alone", async () => {
  const { proxy, page } = await fixture.bench.visit({
    name: "first-event",
    script: `window.trackedAt = Date.now(); tally.track("opened");`,
  });
  await until("the first batch", () => proxy.batches[0]);
  const trackedAt = await page.evaluate<number>("window.trackedAt");
  const waited = (proxy.batches[0]?.at ?? Infinity) - trackedAt;
  assert.deepEqual(proxy.batches[0]?.events.map(({ name }) => name), ["opened"]);
  assert.ok(waited < BATCH_WAIT_MS, `it waited ${waited} ms`);
});

for (const { what, script, atOnce } of [
  { what: "nineteen small events wait", script: trackMany("small", 19), atOnce: false },
  { what: "the twentieth event ends the wait", script: trackMany("small", 20), atOnce: true },
  { what: "thirty KiB end the wait", script: trackMany("large", 4, 9_000), atOnce: true },
]) {
  test(what, async () => {
    const { proxy, page } = await fixture.bench.visit({
      name: what.replaceAll(" ", "-").toLowerCase(),
      script: `tally.track("opened");`,
    });
    await until("the first batch", () => proxy.batches[0]);
    await flush(page); // answered: the next batch is nobody's resend
    const trackedAt = await page.evaluate<number>(`${script}; Date.now()`);
    await until("the next batch", () => proxy.batches[1]);
    const waited = (proxy.batches[1]?.at ?? 0) - trackedAt;
    // The page's timer may fire late on a busy machine, never early.
    if (atOnce) assert.ok(waited < BATCH_WAIT_MS - 200, `it waited ${waited} ms`);
    else assert.ok(waited >= BATCH_WAIT_MS - 100, `it waited only ${waited} ms`);
  });
}

test("a hundred events arrive once each, with the ids and numbers they were given", async () => {
  const { proxy, page, project } = await fixture.bench.visit({
    name: "hundred",
    script: trackMany("step_done", 100),
  });
  await flush(page);
  await untilEqual({ step_done: 100 }, () => fixture.bench.collector.counts(project));

  const sent = proxy.sent();
  const stored = await fixture.bench.collector.events(project);
  assert.deepEqual(stored.map(({ id }) => id).sort(), sent.map(({ id }) => id).sort());
  assert.equal(new Set(sent.map(({ id }) => id)).size, 100);
  for (const { id } of sent) assert.match(id, UUID7);
  assert.equal(new Set(sent.map(({ writer }) => writer)).size, 1);
  assert.deepEqual(sent.map(({ n }) => n), Array.from({ length: 100 }, (_, i) => i));
  assert.deepEqual(stored.map(({ props }) => props["i"]).sort(byNumber), sent.map(({ n }) => n));
  for (const { text } of proxy.batches) assert.ok(text.length <= 64 * 1024, "a batch fits a keepalive");
});

test("values of every kind arrive as they were passed", async () => {
  const props = {
    text: "naïve ☕ 👩‍🚀 <b>\"quoted\"</b> \\ \u2028",
    empty: "",
    integer: -42,
    fraction: 29.99,
    tiny: 1e-7,
    yes: true,
    no: false,
  };
  const { page, project } = await fixture.bench.visit({
    name: "values",
    script: `tally.track("order_priced", ${JSON.stringify(props)});`,
  });
  await flush(page);
  const [event] = await until("the event", async () => {
    const events = await fixture.bench.collector.events(project);
    return events.length > 0 && events;
  });
  assert.deepEqual(event?.props, props);
});

function byNumber(a: unknown, b: unknown): number {
  return Number(a) - Number(b);
}
