/** Failures on the way: everything is sent again, and everything is counted once. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import { waiting } from "../support/profile.ts";
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

const json = { "content-type": "application/json" };

for (const status of [401, 403]) {
  test(`an answer of ${status}, as when keys were mixed up, costs no event: all wait for an hour`, async () => {
    const { page, context, proxy, project } = await fixture.bench.visit({
      name: `refused-${status}`,
      script: `for (const step of [1, 2, 3]) tally.track("step_done", { step });`,
      behave: () => ({ status, headers: json, body: `{"code":"key_unknown"}` }),
    });
    await until("the answer", () => page.evaluate<boolean>(`reported.includes("paused")`));
    const { length } = proxy.batches;
    proxy.behave = () => "pass";
    await flush(page);
    const tab = await context.newPage();
    await tab.goto(page.url());
    await tab.waitForFunction("window.started");
    await flush(tab);
    assert.deepEqual([proxy.batches.length, await waiting(tab)], [length, 6], "three of each page load");
    // The hour is over.
    await tab.evaluate(`(() => { const { now } = Date; Date.now = () => now() + 3_600_000; })()`);
    await untilEqual({ step_done: 6 }, async () => (await flush(tab), fixture.bench.collector.counts(project)));
  });
}

test("over the quota, events wait as long as the collector says", async () => {
  const { proxy, project } = await fixture.bench.visit({
    name: "over-quota",
    script: `tally.track("opened")`,
    behave: (n) => (n === 0 ? { status: 402, headers: { "retry-after": "2" } } : "pass"),
  });
  await untilEqual({ opened: 1 }, () => fixture.bench.collector.counts(project));
  const [first, second] = proxy.batches;
  assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 1_900);
});

test("of a batch that cannot be read everything arrives but the event it is about, which is counted", async () => {
  const { page, proxy, project } = await fixture.bench.visit({ name: "unreadable", behave: () => "reset" });
  await page.evaluate(`for (let i = 0; i < 40; i++) tally.track(i === 27 ? "to_blame" : "fine", { i })`);
  await untilEqual(40, () => waiting(page));
  proxy.behave = (n) => (proxy.batches[n]?.text.includes("to_blame") ? { status: 400, headers: json, body: `{"code":"batch_unreadable"}` } : "pass");
  await until("the queue to be empty", async () => (await flush(page), (await waiting(page)) === 0));
  assert.deepEqual(await fixture.bench.collector.counts(project), { fine: 39 });
  await page.evaluate(`tally.track("afterwards")`);
  await flush(page);
  assert.deepEqual(proxy.batches.at(-1)?.lost, { unreadable: 1 });
});

test("a project that is closed for good: what waits goes, and the page sends no more", async () => {
  const { page, proxy } = await fixture.bench.visit({ name: "closed-project", script: `tally.track("opened")`, behave: () => ({ status: 410 }) });
  await until("the answer", () => page.evaluate<boolean>(`reported.includes("closed")`));
  await untilEqual(0, () => waiting(page));
  const { length } = proxy.batches;
  await page.evaluate(`for (let i = 0; i < 30; i++) tally.track("afterwards", { i })`);
  await flush(page);
  assert.equal(proxy.batches.length, length);
});

test("a browser that knows it has no network asks for nothing, and sends all when it is back", async () => {
  const { page, context, proxy, project } = await fixture.bench.visit({ name: "no-network", script: `tally.track("opened")` });
  await untilEqual({ opened: 1 }, () => fixture.bench.collector.counts(project));
  await context.setOffline(true);
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.evaluate(`for (let i = 0; i < 100; i++) tally.track("step_done", { i })`);
  await untilEqual(100, () => waiting(page));
  await flush(page);
  assert.deepEqual(asked, []);
  await context.setOffline(false);
  await untilEqual({ opened: 1, step_done: 100 }, () => fixture.bench.collector.counts(project));
  assert.equal(proxy.sent().length, 101, "each once");
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
