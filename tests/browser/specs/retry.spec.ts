/** Failures on the way: everything is sent again, and everything is counted once. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import type { Behaviour } from "../support/proxy.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const PORTAL = "<!doctype html><title>Welcome to the hotel</title>";
const FAULTS: Record<string, Behaviour> = {
  "the server fails": { status: 500, body: "" },
  "the server is starting": { status: 503, headers: { "retry-after": "1" } },
  "the server asks for patience": { status: 429, headers: { "retry-after": "1" } },
  "the request times out at a gateway": { status: 408 },
  "the connection is reset": "reset",
  "half of the body gets through": "cut-body",
  "the answer gets lost": "lose-answer",
  "half of the answer gets through": "cut-answer",
  "a hotel's sign-in page answers": { status: 200, headers: { "content-type": "text/html" }, body: PORTAL },
  "somebody else's JSON answers": { status: 200, headers: { "content-type": "application/json" }, body: `{"ok":3}` },
  "a receipt for another batch answers": {
    status: 200,
    headers: { "content-type": "application/json" },
    body: `{"nonce":"${"0".repeat(32)}","ok":3,"dup":0,"rejected":[]}`,
  },
};

describe("every event is counted once when", { concurrency: 5 }, () => {
  for (const [index, [what, fault]] of Object.entries(FAULTS).entries()) {
    test(`${what} twice`, async () => {
      const { page, proxy, project } = await fixture.bench.visit({
        name: `fault-${index}`,
        script: `for (const step of [1, 2, 3]) tally.track("step_done", { step });`,
        behave: (n) => (n < 2 ? fault : "pass"),
      });
      await untilEqual({ step_done: 3 }, () => fixture.bench.collector.counts(project));
      await until("it was sent again", () => proxy.batches.length > 2);
      await flush(page);
      assert.deepEqual(await fixture.bench.collector.counts(project), { step_done: 3 });

      const ids = new Set(proxy.sent().map(({ id }) => id));
      assert.equal(ids.size, 3, "a resent event keeps its id");
    });
  }
});

test("an answer that stops half-way holds up nothing for longer than the time limit", async () => {
  const { page, proxy, project } = await fixture.bench.visit({
    name: "stalled",
    script: `tally.track("opened");`,
    behave: (n) => (n === 0 ? "stall-answer" : "pass"),
  });
  await until("the batch is sent again", () => proxy.batches.length >= 2);
  await flush(page);
  assert.deepEqual(await fixture.bench.collector.counts(project), { opened: 1 });
});

test("Retry-After is obeyed", async () => {
  const { proxy, project } = await fixture.bench.visit({
    name: "retry-after",
    script: `tally.track("opened");`,
    behave: (n) => (n === 0 ? { status: 429, headers: { "retry-after": "3" } } : "pass"),
  });
  await untilEqual({ opened: 1 }, () => fixture.bench.collector.counts(project));
  const [first, second] = proxy.batches;
  const waited = (second?.at ?? 0) - (first?.at ?? 0);
  assert.ok(waited >= 2_900, `it waited only ${waited} ms`);
});

// Shows S1-04 and S3-53.
test("a page that never reaches the collector is not disturbed", async () => {
  const { page, proxy, errors } = await fixture.bench.visit({
    name: "unreachable",
    script: `for (let i = 0; i < 50; i++) tally.track("step_done", { i });`,
    behave: () => "reset",
  });
  await until("three attempts", () => proxy.batches.length >= 3);
  assert.equal(await page.evaluate("1 + 1"), 2);
  // The browser itself reports failed requests to the console; scripts must not add to it.
  assert.deepEqual(errors.filter((error) => !error.includes("net::ERR_")), []);
});

test("one bad event does not fail the good ones of its batch", async () => {
  const { page, project } = await fixture.bench.visit({
    name: "one-bad",
    script: `
      tally.track("before");
      tally.track("", {});
      tally.track("x".repeat(500));
      tally.track("$unknown_reserved");
      tally.track("cyclic", (() => { const a = {}; a.a = a; return a; })());
      tally.track("after");`,
  });
  await flush(page);
  await untilEqual([1, 1], async () => {
    const { before, after } = await fixture.bench.collector.counts(project);
    return [before, after];
  });
  assert.ok(await page.evaluate<number>("window.reported.length"), "the page is told what was refused");
});
