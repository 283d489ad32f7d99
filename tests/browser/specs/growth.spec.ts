/** The growth report in a browser: it takes new figures by itself, is saved as plain text, and prints on one sheet. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";

import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";

let collector: Collector;
let browser: Browser;
let page: Page;
let project: Project;
let errors: string[];
const foreign: string[] = [];

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  project = await collector.createProject("growth");
  await logged(1);
  page = await browser.newPage();
  errors = watchErrors(page);
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== collector.origin) foreign.push(request.url());
  });
  await page.goto(collector.signInUrl);
  await page.clock.install();
  await page.goto(`${collector.origin}/admin/metrics?project=${project.slug}`);
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

/** An expense of somebody who had none. */
async function logged(person: number): Promise<void> {
  const at = Date.now();
  const hex = at.toString(16).padStart(12, "0");
  const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(person).padStart(12, "0")}`;
  await collector.sendFromServer(project, [{ id, name: "expense_logged", at, user_id: `person-${person}` }]);
}

const figures = () => page.locator(".cards b").allTextContents();

test("S1-21: after five minutes the page has newer figures, without being loaded again", async () => {
  await page.evaluate("window.isTheSame = true");
  assert.deepEqual(await figures(), ["1", "1", "1", "0", "0"]);
  await logged(2);
  await page.clock.fastForward(299_000);
  assert.deepEqual(await figures(), ["1", "1", "1", "0", "0"]);
  await page.clock.fastForward(1_000);
  await page.waitForFunction(() => document.querySelector("#today b")?.textContent === "2");
  assert.deepEqual(await figures(), ["2", "2", "2", "0", "0"]);
  assert.equal(await page.evaluate("window.isTheSame"), true);
});

test("S1-25: the report is saved as plain text", async () => {
  const saving = page.waitForEvent("download");
  await page.getByText("Plain text").click();
  const saved = await saving;
  assert.equal(saved.suggestedFilename(), "metrics.txt");
  const text = await readFile(await saved.path(), "utf8");
  const withoutTime = (report: string) => report.replace(/^Generated: .*$/m, "");
  assert.ok(text.startsWith("Growth Metrics\n"), text);
  assert.equal(withoutTime(text), withoutTime(await collector.text(project, "/metrics?format=text")));
});

test("S1-26: on paper it is one sheet, without what one clicks on", async () => {
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator(".tools-row").isVisible(), false);
  assert.equal(await page.locator("#today").isVisible(), true);
  const sheets = (await page.pdf({ preferCSSPageSize: true })).toString("latin1").match(/\/Type\s*\/Page\b/g);
  assert.equal(sheets?.length, 1);
  await page.emulateMedia({ media: "screen" });
});

test("S1-20: nothing of it comes from elsewhere, and its styles are in force", async () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(errors, []);
  const look = await page.locator("#today").evaluate((card) => getComputedStyle(card).backgroundImage);
  assert.match(look, /^linear-gradient/);
});
