/** The package before it is ready, where it cannot become ready, and where there is no page. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { flush, ROOT, useBench } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

test("calls made before the package is ready keep their order and their meaning", async () => {
  const { page, proxy, project } = await fixture.bench.visit({
    name: "early-calls",
    script: `
      tally.track("one");
      tally.page();
      tally.identify("ada");
      tally.track("two");
      tally.contentView({ id: "essay-1", type: "article", owner: "ines", tier: "free" });
      tally.funnelStep("signup", "form");
      tally.conversion("signup", { value: 3 });
      tally.reset();
      tally.track("three");`,
  });
  await flush(page);
  const sent = await until("all events", () => proxy.sent().length >= 8 && proxy.sent());
  const inOrder = [...new Map(sent.map((event) => [event.id, event])).values()].sort((a, b) => a.n - b.n);
  assert.deepEqual(
    inOrder.map(({ name, user }) => [name, user !== undefined]),
    [
      ["one", false],
      ["$pageview", false],
      ["$identify", true],
      ["two", true],
      ["$content_view", true],
      ["$funnel_step", true],
      ["$conversion", true],
      ["three", false],
    ],
  );
  await untilEqual(8, async () => (await fixture.bench.collector.events(project)).length);
});

test("page views follow a single-page app when autoPage is on", async () => {
  const { page, proxy } = await fixture.bench.visit({
    name: "auto-page",
    changes: { autoPage: true },
  });
  await page.evaluate(`tally.ready()`);
  await page.evaluate(`history.pushState(null, "", "/second"); history.pushState(null, "", "/third")`);
  await page.evaluate(`history.back()`);
  await until("four page views", async () => {
    await flush(page);
    return proxy.sent().filter(({ name }) => name === "$pageview").length >= 4;
  });
});

test("an event keeps its page when a call that records nothing came first", async () => {
  const { page, project } = await fixture.bench.visit({
    name: "place",
    script: `tally.optIn(); tally.reset(); tally.track("opened");`,
  });
  await flush(page);
  await page.evaluate(`
    history.pushState(null, "", "/second?utm_source=news&token=SECRET#part");
    tally.reset();
    tally.optIn();
    tally.track("moved");`);
  await flush(page);
  const paths = await until("both events", async () => {
    const events = await fixture.bench.collector.events(project);
    return events.length === 2 && events.map(({ name, context }) => [name, context["path"]]);
  });
  assert.deepEqual(paths, [["opened", "/place.html"], ["moved", "/second"]]);
  assert.deepEqual(fixture.bench.collector.filesWith("SECRET"), [], "only utm_* of a query is kept");
});

test("a policy that forbids wasm never throws into the page, and the page is told", async () => {
  const { page, errors } = await fixture.bench.visit({
    name: "no-wasm",
    script: `
      tally.track("opened");
      tally.page();
      tally.identify("ada");
      tally.optOut();
      tally.optIn();`,
    headers: { "content-security-policy": "script-src 'self'" },
  });
  await page.evaluate("Promise.all([tally.ready(), tally.flush()]).then(() => 1, () => 1)");
  await until("a report", () => page.evaluate<boolean>("window.reported.length > 0"));
  assert.deepEqual(errors.filter((error) => error.startsWith("uncaught")), []);
});

test("a server can import the package and call it; nothing happens and nothing throws", async () => {
  const code = `
    const before = Object.keys(globalThis).sort().join();
    const tally = await import("@tallymark/web");
    tally.init({ key: "k", salt: "s", endpoint: "http://127.0.0.1:9" });
    tally.track("rendered");
    tally.page();
    await tally.flush();
    if (Object.keys(globalThis).sort().join() !== before) throw new Error("globals were changed");
    console.log("fine");`;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "--eval", code],
    { cwd: join(ROOT, "tests", "browser") },
  );
  assert.equal(stdout.trim(), "fine", stderr);
});
