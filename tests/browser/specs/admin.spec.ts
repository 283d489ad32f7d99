/**
 * The first run and an experiment, as a new user goes through them. How these pages look and that they are for everybody
 * is asked of all pages (`pictures`, `pages`).
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";

import { launch, watchErrors } from "../support/browser.ts";
import { Collector, runCommand, type Project } from "../support/collector.ts";
import { Site } from "../support/site.ts";
import { until } from "../support/until.ts";

let collector: Collector;
let browser: Browser;
let project: Project;
let cookies: Awaited<ReturnType<BrowserContext["cookies"]>>;

before(async () => {
  const folder = mkdtempSync(join(tmpdir(), "tallymark-data-"));
  await runCommand(["demo", "--events", "5000", "--json"], folder);
  [collector, browser] = await Promise.all([Collector.start([], folder), launch()]);
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

async function open(): Promise<{ context: BrowserContext; page: Page; errors: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  if (cookies) await context.addCookies(cookies);
  const page = await context.newPage();
  return { context, page, errors: watchErrors(page) };
}

test("from the demo to the first own event on the page, as a new user goes", async () => {
  const { context, page, errors } = await open();
  await page.goto(collector.signInUrl);
  cookies = await context.cookies();
  await page.locator("details.switch summary").click();
  await page.getByRole("link", { name: "All projects" }).click();
  await page.getByRole("link", { name: "New project" }).click();
  await page.getByLabel("Name", { exact: true }).fill("My shop");
  await page.getByLabel(/Name in addresses/).fill("my-shop");
  await page.getByRole("button", { name: "Make the project" }).click();
  await page.getByText("Waiting for your first event").waitFor();
  const tag = await page.locator("#tag").textContent();
  assert.match(tag ?? "", /^<script async src=.*data-key="tm_pk_/);

  const body = `<!doctype html><html lang="en"><head>${tag}<title>Shop</title></head><body>Hello</body></html>`;
  const site = await Site.start({ files: { "/": { body, headers: { "content-type": "text/html" } } } });
  const visitor = await browser.newContext();
  const shop = await visitor.newPage();
  await shop.goto(site.origin);
  await page.getByRole("link", { name: "See what people do" }).waitFor({ timeout: 20_000 });
  assert.match((await page.locator(".arrived").textContent()) ?? "", /\$pageview/);
  await page.getByRole("link", { name: "See what people do" }).click();
  assert.equal(new URL(page.url()).pathname, "/p/my-shop");
  assert.doesNotMatch((await page.textContent("main")) ?? "", /Waiting for your first event/);
  await page.getByText("1 person in the last 30 minutes").waitFor();
  assert.deepEqual(errors, []);
  await visitor.close();
  await site.stop();
  await context.close();
});

test("an experiment is planned, started, and read", async () => {
  project = await collector.createProject("lab");
  const { context, page, errors } = await open();
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
  await page.getByRole("button", { name: "Make the draft" }).first().click();
  await page.getByText("It has not begun").waitFor();
  await page.locator("summary", { hasText: "Start now" }).click();
  await page.getByLabel(/Why/).fill("The sample is large enough.");
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
  assert.deepEqual(errors, []);
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
  }
  return events;
}

test("files come in and go out, and the page says how far they are, and stops what nobody wants", async () => {
  const { page, errors } = await open();
  const rows = 60_000;
  const line = (n: number) => `ann-${n % 500},${1_788_220_800_000 + n * 1_000},brought_along,${"x".repeat(100)}${n}`;
  const lines = ["customer,at,name,remark", ...Array.from({ length: rows }, (_, n) => line(n)), "ann-1,never,brought_along,"];
  const file = { name: "old shop.csv", mimeType: "text/csv", buffer: Buffer.from(lines.join("\n")) };
  const bring = async () => {
    await page.goto(`${collector.origin}/p/demo/settings/files`);
    await page.getByLabel("Files").setInputFiles(file);
    await page.getByLabel(/^Fields from columns/).fill("user=customer");
    await page.getByRole("button", { name: "Import" }).click();
  };
  await bring();
  await page.getByText("60,000 stored, 0 were stored before, 1 refused").waitFor();
  await page.getByText("Refused rows").first().click();
  assert.match((await page.locator("details.refused pre").first().textContent()) ?? "", /^old shop\.csv:60002: at_invalid: /);
  await bring();
  await page.getByText("0 stored, 60,000 were stored before, 1 refused").waitFor();

  await page.getByLabel("Only this event").fill("brought_along");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  const exported = readFileSync(await download.path(), "utf8").trimEnd().split("\n");
  assert.equal(exported.length, rows + 1, "with the names of the columns");
  await page.getByText("60,000 events").waitFor();

  // Somebody who reads slowly, and is looked at by somebody else.
  const headers = { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; ") };
  const reader = get(`${collector.origin}/v1/export?project=demo`, { headers });
  const broken = new Promise<string>((resolve) => {
    reader.on("response", (response) => {
      response.pause();
      response.on("error", ({ message }) => resolve(message)).on("end", () => resolve("whole"));
      page.getByText("Stopped; the file is not whole").waitFor().then(() => response.resume(), resolve);
    });
  });
  await until("the export to begin", async () => {
    await page.goto(`${collector.origin}/p/demo/settings/files`, { waitUntil: "commit" });
    return (await page.locator(".running li").count()) > 0;
  });
  assert.match((await page.locator(".running li").textContent()) ?? "", /^Export jsonl console,/);
  assert.match((await page.locator(".progress").last().textContent()) ?? "", /^\s*[\d.]+\s%\sdone,\s[\d,]+\srows?\sread/);
  await page.getByRole("button", { name: "Stop" }).click();
  assert.equal(await broken, "aborted");
  assert.deepEqual(errors, []);
});
