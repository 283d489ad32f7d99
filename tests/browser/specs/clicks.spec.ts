/** Ten common tasks, done as a reader would do them, each with as many clicks as `docs/clicks.md` says. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";

import { ROOT } from "../support/bench.ts";
import { launch, watchErrors } from "../support/browser.ts";
import { Collector, runCommand } from "../support/collector.ts";

let collector: Collector;
let browser: Browser;
let context: BrowserContext;

before(async () => {
  const folder = mkdtempSync(join(tmpdir(), "tallymark-data-"));
  await runCommand(["demo", "--events", "20000", "--json"], folder);
  [collector, browser] = await Promise.all([Collector.start([], folder), launch()]);
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(collector.signInUrl);
  await page.goto(`${collector.origin}/p/demo/boards`);
  await page.locator("[name=name]").fill("Growth");
  await page.getByRole("button", { name: "Create" }).click();
  await page.close();
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

/** What the table says of ours. */
const TOLD = new Map(
  readFileSync(join(ROOT, "docs", "clicks.md"), "utf8")
    .split("\n")
    .filter((line) => /^\| [^|]+ \| \d+ \|/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .map(([, task, ours]) => [task ?? "", Number(ours)]),
);

/** Somebody who counts what they do. */
class Hand {
  count = 0;
  constructor(readonly page: Page) {}

  async click(what: Locator): Promise<void> {
    this.count += 1;
    await what.click();
  }

  async fill(what: Locator, text: string): Promise<void> {
    this.count += 1;
    await what.fill(text);
    await what.press("Tab");
  }

  async choose(what: Locator, value: string): Promise<void> {
    this.count += 1;
    await what.selectOption(value);
  }

  go(name: string): Promise<void> {
    return this.click(this.page.locator(".side nav").getByRole("link", { name, exact: true }));
  }
}

const TASKS: Record<string, (hand: Hand, page: Page) => Promise<void>> = {
  "people of the last 7 days": async (hand, page) => {
    await hand.click(page.getByRole("group", { name: "Time range" }).getByRole("link", { name: "7 days" }));
    await page.waitForURL(/range=7d/);
    await page.locator(".card .big").first().waitFor();
  },
  "countries on a map": async (hand, page) => {
    await hand.click(page.getByRole("link", { name: "Countries" }));
    await page.locator("svg.world .s9").first().waitFor();
  },
  "an event over time, by a property": async (hand, page) => {
    await hand.go("Trends");
    await hand.fill(page.locator("[name=event]").first(), "purchase");
    await hand.fill(page.locator("[name=by1]"), "device_type");
    await page.locator("#answer").getByText("mobile").first().waitFor();
  },
  "a funnel of three steps": async (hand, page) => {
    await hand.go("Funnels");
    for (const [at, step] of ["$pageview", "view_product", "purchase", ""].entries()) await hand.fill(page.locator("[name=step]").nth(at), step);
    await page.waitForFunction(() => document.querySelectorAll(".funnel > li").length === 3);
  },
  "who stopped after a step": async (hand, page) => {
    await hand.go("Funnels");
    await hand.click(page.locator(".funnel .next a").first());
    await page.locator("table.ranked tbody a").first().waitFor();
  },
  "who comes back, by week": async (hand, page) => {
    await hand.go("Retention");
    await hand.choose(page.locator("[name=bucket]"), "week");
    await page.waitForURL(/bucket=week/);
    await page.locator("table.cohorts tr.all").waitFor();
  },
  "pin a question to a dashboard": async (hand, page) => {
    await hand.go("Trends");
    await hand.click(page.getByText("Save", { exact: true }).first());
    await hand.fill(page.locator(".panel [name=name]"), "People");
    await hand.choose(page.locator("[name=board]"), "growth");
    await hand.click(page.getByRole("button", { name: "Save", exact: true }));
    await page.waitForURL(/boards\/growth/);
    await page.locator(".tile").first().waitFor();
  },
  "share figures by a link": async (hand, page) => {
    await hand.go("Trends");
    await hand.click(page.getByText("Save", { exact: true }).first());
    await hand.fill(page.locator(".panel [name=name]"), "People of the week");
    await hand.click(page.getByRole("button", { name: "Save and share" }));
    await page.waitForURL(/boards\/people-of-the-week/);
    const link = await page.locator("[data-absolute]").first().inputValue();
    const shared = await fetch(new URL(link, collector.origin));
    assert.match(await shared.text(), /People of the week/);
  },
  "figures as a file": async (hand, page) => {
    await hand.go("Trends");
    const saving = page.waitForEvent("download");
    await hand.click(page.getByText("Download CSV"));
    assert.match(readFileSync(await (await saving).path(), "utf8"), /^"Time"/);
  },
  "what one person did": async (hand, page) => {
    await hand.go("People");
    await hand.click(page.locator("table.ranked tbody a").first());
    await page.locator(".timeline li").first().waitFor();
  },
};

test("the table has every task, and no other", () => {
  assert.deepEqual([...TOLD.keys()].sort(), Object.keys(TASKS).sort());
});

for (const [task, walk] of Object.entries(TASKS))
  test(`${task}: as many clicks as the table says`, async () => {
    const page = await context.newPage();
    const errors = watchErrors(page);
    await page.goto(`${collector.origin}/p/demo`);
    const hand = new Hand(page);
    await walk(hand, page);
    assert.equal(hand.count, TOLD.get(task));
    assert.deepEqual(errors, []);
    await page.close();
  });
