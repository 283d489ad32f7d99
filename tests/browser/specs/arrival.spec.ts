/** Page views follow every kind of routing, and where a visit came from stays with its events, no longer than allowed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";

import { flush, useBench } from "../support/bench.ts";
import type { Project } from "../support/collector.ts";
import { aroundNow } from "../support/range.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

/** What is known of each event, oldest first. */
async function arrivals(project: Project): Promise<(string | undefined)[][]> {
  const events = await fixture.bench.collector.events(project);
  const known = ["utm_source", "utm_medium", "referrer_host", "channel"];
  return events.map(({ name, context }) => [name, ...known.map((dim) => context[dim])]);
}

/** Loads the page again, led there by another site or by none. */
async function come(page: Page, path: string, referer?: string): Promise<void> {
  await page.goto(fixture.bench.site.page(path), referer ? { referer } : {});
  await page.waitForFunction("window.started");
}

async function track(page: Page, name: string): Promise<void> {
  await page.evaluate(`tally.track(${JSON.stringify(name)})`);
  await flush(page);
}

test("campaign and referrer stay with a visit over its pages and tabs, until another campaign comes", async () => {
  const { collector, site } = fixture.bench;
  const { page, context, project } = await fixture.bench.visit({ name: "campaign" });
  await come(page, "/campaign.html?utm_source=news&utm_medium=email&token=SECRET", "https://t.example/secret-path");
  await track(page, "landed");
  await page.evaluate(`history.pushState(null, "", "/elsewhere?color=red")`);
  await track(page, "moved");
  // The next page, by a link of this one.
  await page.evaluate(`location.href = ${JSON.stringify(site.page("/campaign.html"))}`);
  await page.waitForFunction("window.started && !location.search");
  await track(page, "bought");
  const tab = await context.newPage();
  await come(tab, "/campaign.html");
  await track(tab, "opened");
  await come(tab, "/campaign.html?utm_source=ad", "https://search.example/");
  await track(tab, "came_back");
  const news = ["news", "email", "t.example", "email"];
  await untilEqual(
    [["landed", ...news], ["moved", ...news], ["bought", ...news], ["opened", ...news], ["came_back", "ad", undefined, "search.example"]],
    async () => (await arrivals(project)).map((known, at) => (at < 4 ? known : known.slice(0, 4))),
  );
  const { series } = await collector.query<{ series: { value: string | null; total: number }[] }>(project, "trend", {
    ...aroundNow(),
    bucket: "month",
    series: [{ event: "bought", measure: "count" }],
    breakdown: { prop: "utm_source", limit: 10 },
  });
  assert.deepEqual(series.filter(({ total }) => total > 0).map(({ value, total }) => [value, total]), [["news", 1]]);
  const sessions = new Set((await collector.events(project)).map(({ session }) => session));
  assert.equal(sessions.size, 1, "another campaign begins no other visit");
  assert.deepEqual(collector.filesWith("SECRET", "secret-path"), []);
});

test("without an id it stays for one page load, and nothing is on the device", async () => {
  const { page, project } = await fixture.bench.visit({ name: "briefly", changes: { mode: "cookieless" } });
  await come(page, "/briefly.html?utm_source=news", "https://t.example/");
  await track(page, "landed");
  await page.evaluate(`history.pushState(null, "", "/elsewhere")`);
  await track(page, "moved");
  assert.deepEqual(await page.evaluate("Object.values(localStorage)"), []);
  await page.evaluate(`location.href = "/briefly.html"`);
  await page.waitForFunction("window.started && location.pathname === '/briefly.html'");
  await track(page, "next_page");
  await untilEqual(
    [["landed", "news"], ["moved", "news"], ["next_page", undefined]],
    async () => (await arrivals(project)).map((known) => known.slice(0, 2)),
  );
});

test("a page view follows the Navigation API, history and routes in fragments, and nothing else", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({ name: "routes", changes: { autoPage: true } });
  await page.evaluate(`(async () => {
    navigation.addEventListener("navigate", (event) => event.canIntercept && event.intercept({ handler: async () => {} }));
    await navigation.navigate("/by-navigation").finished;
    history.pushState(null, "", "/by-history");
    history.replaceState(null, "", "/by-history");
    location.hash = "part";
    history.pushState(null, "", "/by-history?page=2");
    location.hash = "/route";
    await navigation.traverseTo(navigation.entries()[0].key).finished;
  })()`);
  await flush(page);
  // Within a millisecond, the list of events has no order.
  const paths = ["/routes.html", "/by-navigation", "/by-history", "/by-history", "/by-history", "/routes.html"];
  await untilEqual(paths.sort(), async () => {
    const views = await collector.events(project, { event: "$pageview" });
    return views.map(({ context }) => context["path"]).sort();
  });
});
