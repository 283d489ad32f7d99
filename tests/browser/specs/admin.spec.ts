/**
 * Settings, accounts, experiments and the first run in a browser: as a new user goes through them, at the width of a
 * phone and of a desk, in both themes, without anything for axe to complain about.
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";

import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";
import { Site } from "../support/site.ts";

const HOSTILE = `"><script>window.hacked = 1</script><img src=x onerror="window.hacked=1">`;
const WIDTHS = [360, 1280];
const THEMES = ["light", "dark"] as const;
const AXE = readFileSync(createRequire(`${process.env["TALLYMARK_ROOT"]}/tests/browser/package.json`).resolve("axe-core/axe.min.js"), "utf8");
/** Where pictures go, for whoever wants to look at them. */
const PICTURES = process.env["TALLYMARK_PICTURES"];

let collector: Collector;
let browser: Browser;
let project: Project;
let cookies: Awaited<ReturnType<BrowserContext["cookies"]>>;

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

async function open(width: number, theme: (typeof THEMES)[number]): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: theme });
  if (cookies) await context.addCookies(cookies);
  return { context, page: await context.newPage() };
}

/** What axe finds wrong with a page. */
async function complaints(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<unknown> } }).axe.run());
  const { violations } = found as { violations: { id: string; nodes: { html: string }[] }[] };
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

/** A page is at ease at every width and in both themes. */
async function looksRight(path: string, name: string): Promise<void> {
  for (const width of WIDTHS) {
    for (const theme of THEMES) {
      const { context, page } = await open(width, theme);
      const errors = watchErrors(page);
      const reply = await page.goto(collector.origin + path);
      assert.equal(reply?.status(), 200, path);
      const what = `${name} at ${width} px, ${theme}`;
      if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}-${width}-${theme}.png`, fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${what} is ${wide} px too wide`);
      assert.deepEqual(await complaints(page), [], what);
      assert.deepEqual(errors, [], what);
      assert.equal(await page.evaluate(() => "hacked" in window), false, what);
      await context.close();
    }
  }
}

test("from an empty folder to the first own event on the page, as a new user goes", async () => {
  const { context, page } = await open(1280, "light");
  await page.goto(collector.signInUrl);
  cookies = await context.cookies();
  await page.getByRole("link", { name: "Make the first one" }).click();
  await page.getByLabel("Name", { exact: true }).fill("My shop");
  await page.getByLabel(/Name in addresses/).fill("my-shop");
  await page.getByRole("button", { name: "Make the project" }).click();
  await page.getByText("Waiting for your first event").waitFor();
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/first-run.png`, fullPage: true });
  const tag = await page.locator("#tag").textContent();
  assert.match(tag ?? "", /^<script async src=.*data-key="tm_pk_/);

  const body = `<!doctype html><html lang="en"><head>${tag}<title>Shop</title></head><body>Hello</body></html>`;
  const site = await Site.start({ files: { "/": { body, headers: { "content-type": "text/html" } } } });
  const visitor = await browser.newContext();
  const shop = await visitor.newPage();
  await shop.goto(site.origin);
  await page.getByRole("link", { name: "See what people do" }).waitFor({ timeout: 20_000 });
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/first-event.png`, fullPage: true });
  assert.match((await page.locator(".arrived").textContent()) ?? "", /\$pageview/);
  await page.getByRole("link", { name: "See what people do" }).click();
  assert.equal(new URL(page.url()).pathname, "/p/my-shop");
  assert.doesNotMatch((await page.textContent("main")) ?? "", /Waiting for your first event/);
  await visitor.close();
  await site.stop();
  await context.close();
});

test("an experiment is planned, started, and read", async () => {
  project = await collector.createProject("lab");
  const { context, page } = await open(1280, "dark");
  await page.goto(`${collector.origin}/p/lab/new-experiment`);
  await page.getByLabel("Name in code").fill("buy-button");
  await page.getByLabel(/Hypothesis/).fill("A green button is seen earlier, so more visitors buy.");
  await page.getByLabel("Variant 2").fill("green");
  await page.getByLabel("Event", { exact: true }).fill("bought");
  await page.getByLabel(/Smallest change/).fill("10");
  await page.getByLabel(/People who do it now/).fill("4");
  await page.getByLabel("People a day").fill("8000");
  await page.getByRole("button", { name: "Compute" }).click();
  await page.getByText("39,475").or(page.getByText("75,003")).first().waitFor();
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/plan.png`, fullPage: true });
  await page.getByRole("button", { name: "Make the draft" }).first().click();
  await page.getByText("It has not begun").waitFor();
  await page.locator("summary", { hasText: "Start now" }).click();
  await page.getByLabel(/Why/).fill(HOSTILE);
  await page.getByRole("button", { name: "Start now", exact: true }).click();
  await page.getByText("Nobody is in its arms yet").waitFor();
  const story = people(800);
  for (let from = 0; from < story.length; from += 400) {
    const receipt = (await collector.sendFromServer(project, story.slice(from, from + 400))) as { rejected: unknown[] };
    assert.deepEqual(receipt.rejected, []);
  }
  await page.reload();
  await page.getByText("All metrics").waitFor();
  assert.match((await page.textContent("main")) ?? "", /800\u00a0people/);
  await context.close();
});

/** People of both variants; of green more buy. */
function people(count: number): object[] {
  const events: object[] = [];
  const add = (name: string, person: number, props: object) => {
    const at = Date.now() + events.length / 100;
    const hex = Math.floor(at).toString(16).padStart(12, "0");
    const random = randomBytes(10).toString("hex");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`;
    events.push({ id, name, at: Math.floor(at), user_id: `p${person}`, props });
  };
  for (let n = 0; n < count; n++) {
    const green = n % 2 === 1;
    add("$exposure", n, { experiment: "buy-button", variant: green ? "green" : "control" });
    if (n % 10 < (green ? 7 : 2)) add("bought", n, { value: 12 });
    if (n === 3) add(HOSTILE, n, { title: HOSTILE });
  }
  return events;
}

for (const [name, path] of [
  ["projects", "/?all"],
  ["account", "/account"],
  ["new-project", "/organisations/main/new"],
  ["settings", "/p/lab/settings"],
  ["keys", "/p/lab/settings/keys"],
  ["members", "/p/lab/settings/members"],
  ["retention", "/p/lab/settings/retention"],
  ["privacy", "/p/lab/settings/privacy"],
  ["delivery", "/p/lab/settings/delivery"],
  ["limits", "/p/lab/settings/limits"],
  ["audit", "/p/lab/settings/audit"],
  ["experiments", "/p/lab/experiments"],
  ["experiment", "/p/lab/experiments/buy-button?slice=country"],
  ["new-experiment", "/p/lab/new-experiment"],
  ["code", "/p/lab/experiments/buy-button/code"],
] as const) {
  test(`${name}: at ease at every width, in both themes, and for axe`, () => looksRight(path, name));
}
