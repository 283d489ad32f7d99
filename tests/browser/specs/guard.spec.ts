/** The property guard: when its rules are loaded, what happens without them, and who hides when a page does not. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import { Collector } from "../support/collector.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

const isGuard = (address: URL): boolean => address.pathname.includes("guard");

test("the rules are loaded when something looks suspicious, once, and events stay in order", async () => {
  const { collector } = fixture.bench;
  const { page, project, proxy } = await fixture.bench.visit({ name: "suspicion" });
  const loaded: string[] = [];
  page.on("request", (request) => void (isGuard(new URL(request.url())) && loaded.push(request.url())));
  await page.evaluate(`tally.track("first", { plan: "team", value: 29.99 })`);
  await flush(page);
  assert.deepEqual(loaded, []);
  await page.evaluate(`tally.track("second", { to: "ann@example.org" }); tally.track("third"); tally.track("fourth", { call: "+49 151 12345678" })`);
  await flush(page);
  const order = ["first", "second", "third", "fourth"];
  assert.deepEqual(proxy.sent().map(({ name, n }) => [name, n]), order.map((name, n) => [name, n]));
  const events = await collector.events(project);
  // Of one millisecond, events are listed in any order.
  events.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const stored = events.map(({ name, props, context }) => [name, props, context["$guarded"]]);
  assert.deepEqual(stored, [
    ["first", { plan: "team", value: 29.99 }, undefined],
    ["second", { to: "[email]" }, "email"],
    ["third", {}, undefined],
    ["fourth", { call: "[phone]" }, "phone"],
  ]);
  assert.equal(loaded.length, 1);
});

for (const [what, route] of [
  ["cannot be loaded", "abort"],
  ["are not there when the page goes", "wait"],
] as const) {
  test(`where the rules ${what}, whatever is suspicious goes as a whole`, async () => {
    const { collector } = fixture.bench;
    const { page, project, proxy } = await fixture.bench.visit({ name: `without-${route}` });
    await page.route(isGuard, (request) => (route === "abort" ? request.abort() : undefined));
    await page.evaluate(`tally.track("sent", { text: "to ann@example.org", plan: "team", inner: [{ password: "hunter2" }] })`);
    if (route === "abort") await flush(page);
    else await page.close({ runBeforeUnload: true });
    await untilEqual({ sent: 1 }, () => collector.counts(project));
    const hidden = { text: "[hidden]", plan: "team", inner: [{ password: "[hidden]" }] };
    assert.deepEqual(proxy.sent().at(-1)?.props, hidden);
    assert.ok(!proxy.batches.some(({ text }) => /ann@|hunter2/.test(text)));
  });
}

test("a page may switch it off: then the collector hides, unless that is told not to", async () => {
  const { collector } = fixture.bench;
  const props = { text: "to ann@example.org" };
  const { page, project, proxy } = await fixture.bench.visit({ name: "off", changes: { guard: false } });
  await page.evaluate(`tally.track("sent", ${JSON.stringify(props)})`);
  await flush(page);
  assert.deepEqual(proxy.sent().map((event) => event.props), [props]);
  assert.deepEqual((await collector.events(project)).map((event) => event.props), [{ text: "to [email]" }]);

  const open = await Collector.start(["--property-guard=false"]);
  try {
    const there = await open.createProject("open");
    const event = { id: "01a20217-218f-7da0-9d12-b3f82d8397c8", name: "sent", at: Date.now(), user_id: "ann", props };
    await open.sendFromServer(there, [event]);
    const [stored] = await open.events(there);
    assert.deepEqual([stored?.props, stored?.context["$guarded"]], [props, undefined]);
  } finally {
    await open.stop();
  }
});
