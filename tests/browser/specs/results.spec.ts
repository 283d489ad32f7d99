/**
 * The results page in a browser: its numbers are the API's, at every width, with and without scripts.
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";

import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";

const STEPS = ["view_product", "add_to_cart", "checkout_started", "purchase"];
/** How many persons get how far. */
const REACH = [37, 23, 11, 7];
/** How many of them had looked around some weeks before. */
const EARLIER = 10;
const WEEKS_MS = 17 * 86_400_000;

let collector: Collector;
let browser: Browser;
let project: Project;
let cookies: Awaited<ReturnType<Awaited<ReturnType<Browser["newContext"]>>["cookies"]>>;

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  project = await collector.createProject("results");
  const receipt = await collector.sendFromServer(project, story());
  assert.deepEqual(receipt, { nonce: "0".repeat(32), ok: story().length, dup: 0, rejected: [] });

  const context = await browser.newContext();
  const page = await context.newPage();
  const reply = await page.goto(collector.signInUrl);
  assert.equal(reply?.status(), 200, "the one-time link signs in");
  cookies = await context.cookies();
  await context.close();
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

/** Events of 37 persons, of the last minutes but for some visits weeks ago. */
function story(): object[] {
  const events: object[] = [];
  const now = Date.now() - 60_000;
  const add = (person: number, name: string, props: object = {}, agoMs = 0) => {
    const at = now - agoMs + events.length;
    const hex = at.toString(16).padStart(12, "0");
    const random = randomBytes(8).toString("hex");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(4)}`;
    events.push({ id, name, at, user_id: `person-${person}`, props });
  };
  for (let person = 0; person < (REACH[0] ?? 0); person++) {
    const variant = person % 2 ? "green" : "control";
    add(person, "$pageview", { title: "Start" });
    add(person, "$exposure", { experiment: "buy-button", variant });
    STEPS.forEach((step, i) => {
      if (person < (REACH[i] ?? 0)) add(person, step, { value: 12.5 });
    });
    add(person, "$content_view", {
      content_id: person % 3 ? "essay-1" : "essay-2",
      content_type: "article",
      owner: "Ada",
      engaged_ms: 1_000 * person,
      completion: 0.5,
    });
    if (person < 9) add(person, "$pwa_prompt", { outcome: "shown" });
    if (person < 5) add(person, "$pwa_prompt", { outcome: "accepted" });
    if (person < 4) add(person, "$pwa_install");
  }
  for (let person = 0; person < EARLIER; person++) add(person, "$pageview", {}, WEEKS_MS);
  add(2, "$exposure", { experiment: "banner", variant: "control" });
  add(3, "$exposure", { experiment: "banner", variant: "wide" });
  return events;
}

/** A signed-in page; it fails the test for console errors and requests to other origins. */
async function withPage(
  options: BrowserContextOptions,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext(options);
  await context.addCookies(cookies);
  const page = await context.newPage();
  const errors = watchErrors(page);
  const foreign: string[] = [];
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "data:" && origin !== collector.origin) foreign.push(request.url());
  });
  page.on("dialog", (dialog) => {
    errors.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`${collector.origin}/p/${project.slug}`);
  await use(page);
  assert.deepEqual(errors, []);
  assert.deepEqual(foreign, [], "everything comes from the collector itself");
  await context.close();
}

/** Whole numbers at the beginning of texts: `1,234 56 %` is 1234. */
async function numbers(page: Page, selector: string): Promise<number[]> {
  const texts = await page.locator(selector).allTextContents();
  return texts.map((text) => Number(/[\d,]+/.exec(text)?.[0].replaceAll(",", "")));
}

/** The range that the page shows, as a question takes it. */
async function shownRange(page: Page): Promise<{ from: string; to: string; tz: string }> {
  const value = (name: string) => page.locator(`input[name=${name}]`).first().inputValue();
  const last = new Date(`${await value("to")}T00:00:00Z`);
  const to = new Date(last.getTime() + 86_400_000).toISOString().slice(0, 10);
  return { from: await value("from"), to, tz: await value("tz") };
}

async function assertNumbers(page: Page): Promise<void> {
  const range = await shownRange(page);

  const funnel = await collector.query<{ steps: { persons: number }[] }>(project, "funnel", {
    ...range,
    steps: STEPS.map((event) => ({ event })),
    window: "1d",
  });
  assert.deepEqual(funnel.steps.map(({ persons }) => persons), REACH);
  assert.deepEqual(await numbers(page, ".funnel .people"), REACH);

  const experiment = await collector.query<{
    metrics: { arms: { variant: string; persons: number; conversions: number }[] }[];
  }>(project, "experiment", { ...range, experiment: "buy-button", metrics: [{ name: "bought", event: "purchase" }] });
  const arms = experiment.metrics[0]?.arms ?? [];
  assert.deepEqual(arms.map(({ persons }) => persons), [19, 18]);
  const table = "#experiments figure:has(h3:text-is('buy-button')) .arms";
  assert.deepEqual(await numbers(page, `${table} td[data-name=People]`), [19, 18]);
  assert.deepEqual(
    await numbers(page, `${table} td[data-name]:nth-of-type(2)`),
    arms.map(({ conversions }) => conversions),
  );

  const content = await collector.query<{ items: { id: string; views: number; viewers: number }[] }>(
    project,
    "content",
    range,
  );
  assert.deepEqual(content.items.map(({ id, views }) => [id, views]), [["essay-1", 24], ["essay-2", 13]]);
  assert.deepEqual(await numbers(page, "#content .ranked td:nth-child(2)"), [24, 13]);
  assert.deepEqual(await numbers(page, "#content .ranked td:nth-child(3)"), [24, 13]);

  assert.deepEqual((await numbers(page, "#install .story .big")).slice(0, 3), [9, 5, 4]);
  const cohorts = await numbers(page, "#retention tbody tr:not(.all) td.size");
  assert.deepEqual(cohorts.filter((size) => size > 0), [EARLIER, (REACH[0] ?? 0) - EARLIER]);
}

async function assertFits(page: Page): Promise<void> {
  const [content, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok((content ?? 0) <= (window ?? 0), `the page is ${content} wide on a screen of ${window}`);
}

for (const width of [360, 1280]) {
  // Shows S3-20 and S3-26.
  test(`the page shows the API's numbers at ${width} pixels`, () =>
    withPage({ viewport: { width, height: 800 } }, async (page) => {
      await assertNumbers(page);
      await assertFits(page);
    }));
}

test("a project without events says what to do, and it and the list of projects fit a phone", async () => {
  const fresh = await collector.createProject("fresh");
  await withPage({ viewport: { width: 360, height: 800 } }, async (page) => {
    for (const path of [`/p/${fresh.slug}`, "/"]) {
      await page.goto(`${collector.origin}${path}`);
      await assertFits(page);
    }
    await page.goto(`${collector.origin}/p/${fresh.slug}`);
    assert.ok((await page.textContent("main"))?.includes("Send the first event"));
  });
});

test("the page shows the same without scripts", () =>
  withPage({ javaScriptEnabled: false }, assertNumbers));

test("every range on offer opens", () =>
  withPage({}, async (page) => {
    const offers = page.getByRole("group", { name: "Time range" }).getByRole("link");
    const addresses = await offers.evaluateAll((links) => links.map((a) => (a as HTMLAnchorElement).href));
    assert.ok(addresses.length >= 3);
    for (const address of addresses) {
      const reply = await page.goto(address);
      assert.equal(reply?.status(), 200, address);
      assert.deepEqual(await numbers(page, ".funnel .people"), REACH);
    }
  }));

test("a sign-in link works once, and without a session there are no figures", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const again = await page.goto(collector.signInUrl);
  assert.equal(again?.status(), 401);
  await page.goto(`${collector.origin}/p/${project.slug}`);
  assert.equal(new URL(page.url()).pathname, "/signin");
  assert.ok(!((await page.textContent("body")) ?? "").includes("purchase"));
  await context.close();
});
