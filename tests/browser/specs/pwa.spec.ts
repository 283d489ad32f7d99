/** An app from the offer to install it to its next version, as the question `pwa` tells it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";

import { flush, useBench } from "../support/bench.ts";
import { aroundNow } from "../support/range.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const WATCH = `
  window.ways = [];
  window.updates = [];
  measures.pwa.watchPwa({ deferPrompt: true, onChange: (way) => ways.push(way), onUpdate: (apply) => updates.push(apply) });`;

/** What the browser does when it offers to install. */
const OFFER = (outcome: string): string => `
  window.offer = Object.assign(new Event("beforeinstallprompt", { cancelable: true }), {
    prompt: async () => {}, userChoice: Promise.resolve({ outcome: "${outcome}", platform: "web" }),
  });
  dispatchEvent(offer);`;

/** Opens the page as an installed app does: headless browsers install none. */
async function launch(context: BrowserContext, name: string): Promise<Page> {
  const page = await context.newPage();
  await page.addInitScript(() => {
    const real = matchMedia.bind(window);
    window.matchMedia = (query) => real(query === "(display-mode: standalone)" ? "all" : query);
  });
  await page.goto(fixture.bench.site.page(`/${name}.html`));
  await page.waitForFunction("window.started");
  return page;
}

interface Answer {
  stages: { stage: string; count: number; persons: number; persons_after_previous: number }[];
  display_modes: { display_mode: string | null; persons: number }[];
}

// Shows S1-09.
test("the story has its offer, its answers, its installations and its launches, with and without an offer", async () => {
  const { collector, browser } = fixture.bench;
  const { page, context, project } = await fixture.bench.visit({ name: "story", bundle: "measures", script: WATCH });
  const way = (of: Page) => of.evaluate<string>("measures.pwa.installWay()");
  assert.equal(await way(page), "none");
  assert.equal(await page.evaluate("measures.pwa.promptInstall()"), "unavailable");
  await page.evaluate(OFFER("dismissed"));
  assert.equal(await page.evaluate("offer.defaultPrevented"), true);
  assert.equal(await page.evaluate("measures.pwa.promptInstall()"), "dismissed");
  await page.evaluate(OFFER("accepted"));
  assert.equal(await way(page), "prompt");
  assert.equal(await page.evaluate("measures.pwa.promptInstall()"), "accepted");
  // Of events of different batches that are milliseconds apart nobody knows which came first.
  await flush(page);
  await page.evaluate(`dispatchEvent(new Event("appinstalled"))`);
  assert.equal(await way(page), "installed");
  assert.deepEqual(await page.evaluate("ways"), ["prompt", "prompt", "installed"]);
  await flush(page);
  for (let time = 0; time < 2; time++) {
    const app = await launch(context, "story");
    assert.equal(await way(app), "installed");
    await flush(app);
    await app.close();
  }

  // Another visitor, whose browser makes no offer and tells of no installation.
  const phone = await browser.newContext({
    userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
  });
  const tab = await phone.newPage();
  await tab.goto(fixture.bench.site.page("/story.html"));
  await tab.waitForFunction("window.started");
  assert.equal(await way(tab), "manual");
  await tab.evaluate(`measures.pwa.installHint(); measures.pwa.installHint("dismissed")`);
  await flush(tab);
  for (let time = 0; time < 2; time++) await flush(await launch(phone, "story"));

  const want = { $pwa_prompt: 6, $pwa_install: 2, $pwa_launch: 4 };
  await untilEqual(want, () => collector.counts(project));
  const answer = await collector.query<Answer>(project, "pwa", aroundNow());
  assert.deepEqual(
    answer.stages.map(({ stage, count, persons, persons_after_previous }) => [stage, count, persons, persons_after_previous]),
    [
      ["prompt_shown", 3, 2, 2],
      ["prompt_accepted", 1, 1, 1],
      ["installed", 2, 2, 1],
      ["launched_standalone", 4, 2, 2],
    ],
  );
  const standalone = answer.display_modes.find(({ display_mode }) => display_mode === "standalone");
  assert.equal(standalone?.persons, 2);
  const installs = await collector.events(project, { event: "$pwa_install" });
  assert.deepEqual(installs.map(({ props }) => props["inferred"] ?? false), [false, true]);
  await phone.close();
});

test("without consent nothing is remembered, so no installation is inferred", async () => {
  const { collector } = fixture.bench;
  const { context, project } = await fixture.bench.visit({
    name: "unknown", bundle: "measures", script: WATCH, changes: { mode: "cookieless" },
  });
  const app = await launch(context, "unknown");
  await flush(app);
  await untilEqual({ $pwa_launch: 1 }, () => collector.counts(project));
  assert.deepEqual(await app.evaluate("Object.keys(localStorage)"), []);
});

test("use without a network is told when it is back, and gives its share of people", async () => {
  const { collector } = fixture.bench;
  const { page, context, project } = await fixture.bench.visit({ name: "away", bundle: "measures", script: `${WATCH} tally.page();` });
  await flush(page);
  await context.setOffline(true);
  await page.evaluate("new Promise((resolve) => setTimeout(resolve, 1_200))");
  await context.setOffline(false);
  await until("the browser is online", () => page.evaluate<boolean>("navigator.onLine"));
  await context.setOffline(true);
  await context.setOffline(false);
  await untilEqual({ $pageview: 1, pwa_used_offline: 1 }, () => collector.counts(project));
  const [used] = await collector.events(project, { event: "pwa_used_offline" });
  const { offline_ms, ...rest } = used?.props ?? {};
  assert.ok(Number(offline_ms) >= 1_190 && Number(offline_ms) < 5_000, `${String(offline_ms)} ms`);
  assert.deepEqual(rest, { opened_offline: false, display_mode: "browser" });
  const story = await collector.query<{ persons: number; offline_persons: number; offline_ratio: number | null }>(
    project, "pwa", aroundNow(),
  );
  assert.deepEqual([story.persons, story.offline_persons, story.offline_ratio], [1, 1, 1]);
});

test("a new version of the service worker is found, takes over when it may, and the page comes back with it", async () => {
  const { collector, site } = fixture.bench;
  const worker = (version: number): string => `// ${version}
    addEventListener("activate", (event) => event.waitUntil(clients.claim()));
    addEventListener("message", ({ data }) => data?.type === "SKIP_WAITING" && skipWaiting());`;
  site.files["/versions-worker.js"] = { body: worker(1) };
  const { page, project } = await fixture.bench.visit({
    name: "versions",
    bundle: "measures",
    script: `${WATCH} window.registering = navigator.serviceWorker.register("/versions-worker.js");`,
  });
  await page.waitForFunction("navigator.serviceWorker.controller");
  site.files["/versions-worker.js"] = { body: worker(2) };
  await page.evaluate("registering.then((registration) => registration.update()).then(() => {})");
  await page.waitForFunction("updates.length === 1");
  await flush(page);
  await untilEqual({ pwa_update_found: 1 }, () => collector.counts(project));
  await page.evaluate("window.isOld = true; updates[0]()");
  await page.waitForFunction("window.started && !window.isOld");
  await flush(page);
  await untilEqual({ pwa_update_found: 1, pwa_updated: 1 }, () => collector.counts(project));
});
