/**
 * The dashboard at work: the answer follows the form, charts become files, the palette leads everywhere, dashboards are
 * arranged and refresh themselves. What holds for every page is asked of all pages (`pictures`, `pages`, `injection`).
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page, Route } from "playwright-core";
import { PNG } from "pngjs";

import { complaints } from "../support/axe.ts";
import { ROOT } from "../support/bench.ts";
import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";

const STEPS = ["view_product", "add_to_cart", "purchase"];
const REACH = [37, 23, 11];

let collector: Collector;
let browser: Browser;
let project: Project;
let state: Awaited<ReturnType<Awaited<ReturnType<Browser["newContext"]>>["storageState"]>>;

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  project = await collector.createProject("board");
  const events = story();
  const receipt = await collector.sendFromServer(project, events);
  assert.deepEqual(receipt, { nonce: "0".repeat(32), ok: events.length, dup: 0, rejected: [] });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(collector.signInUrl);
  state = await context.storageState();
  await context.close();
});

after(async () => {
  await browser?.close();
  await collector?.stop();
});

function story(): object[] {
  const events: object[] = [];
  const now = Date.now() - 120_000;
  const add = (person: number, name: string, props: object = {}) => {
    const at = now + events.length * 10;
    const hex = at.toString(16).padStart(12, "0");
    const random = randomBytes(8).toString("hex");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(4)}`;
    events.push({ id, name, at, user_id: `person-${person}`, props });
  };
  for (let person = 0; person < (REACH[0] ?? 0); person++) {
    add(person, "$pageview", { plan: person % 2 ? "team" : "free" });
    STEPS.forEach((step, i) => person < (REACH[i] ?? 0) && add(person, step, { value: 12.5, plan: person % 3 ? "team" : "school" }));
    add(person, "$content_view", { content_id: person % 3 ? "essay" : "report", engaged_ms: 1_000 * person, completion: 0.5 });
    if (person < 9) add(person, "$pwa_prompt", { outcome: "shown" });
  }
  return events;
}

async function open(path: string, options: BrowserContextOptions = {}): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({ storageState: state, locale: "en-GB", ...options });
  const page = await context.newPage();
  const errors = watchErrors(page);
  const reply = await page.goto(collector.origin + path);
  assert.equal(reply?.status(), 200, path);
  return { page, errors };
}

test("the answer follows the form, and the address says what is asked", async () => {
  const { page, errors } = await open(`/p/${project.slug}/ask/funnel`);
  const people = () => page.locator(".funnel .people a").allTextContents();
  assert.deepEqual(await people(), REACH.map(String));
  await page.locator("[name=step]").nth(1).fill("");
  await page.locator("[name=step]").nth(1).dispatchEvent("change");
  await page.waitForFunction(() => document.querySelectorAll(".funnel > li").length === 2);
  assert.deepEqual(await people(), [String(REACH[0]), String(REACH[2])]);
  const address = page.url();
  await page.goto(address);
  assert.deepEqual(await people(), [String(REACH[0]), String(REACH[2])], "the address alone asks the same");
  // The people behind a step are real ones, each with a timeline.
  await page.locator(".funnel .people a").last().click();
  assert.equal(await page.locator("table.ranked tbody tr").count(), REACH[2]);
  await page.locator("table.ranked tbody a").first().click();
  await page.waitForSelector(".timeline li");
  assert.ok((await page.locator(".timeline b").allTextContents()).includes("purchase"));
  assert.deepEqual(errors, []);
  await page.context().close();
});

// Shows S3-22, S3-24 and S3-25.
test("a filter changes chart, table and what is downloaded", async () => {
  const { page, errors } = await open(`/p/${project.slug}/ask/trend?event=purchase&measure=count&range=7d`);
  const scripts = await page.locator("script[src]").evaluateAll((all) => all.map((one) => new URL((one as HTMLScriptElement).src).origin));
  assert.deepEqual([...new Set(scripts)], [collector.origin], "what draws is ours");
  const column = () => page.locator("#answer table tbody td:nth-child(2)").allTextContents();
  const drawn = () => page.locator("#answer svg polyline, #answer svg path").first().evaluate((line) => line.outerHTML);
  const total = async () => (await column()).reduce((sum, cell) => sum + Number(cell.replaceAll(",", "")), 0);
  const downloaded = async () => {
    const saving = page.waitForEvent("download");
    await page.getByText("Download CSV").click();
    const text = await readFile(await (await saving).path(), "utf8");
    const rows = (text.split("\r\n\r\n").at(-1) ?? "").trim().split("\r\n").slice(1);
    return rows.reduce((sum, row) => sum + Number(row.split(",")[1]), 0);
  };
  const [all, shape] = [await total(), await drawn()];
  assert.deepEqual([all, await downloaded()], [REACH[2], REACH[2]]);
  await page.locator("[name=fp]").first().fill("plan");
  await page.locator("[name=fv]").first().fill("team");
  await page.locator("[name=fv]").first().dispatchEvent("change");
  await page.waitForURL(/fv=team/);
  // Persons 0, 3, 6 and 9 of eleven have another plan.
  await page.waitForFunction(() => document.querySelector("#answer")?.getAttribute("aria-busy") === "false");
  assert.deepEqual([await total(), await downloaded()], [7, 7]);
  assert.notEqual(await drawn(), shape);
  assert.deepEqual(errors, []);
  await page.context().close();
});

for (const colorScheme of ["light", "dark"] as const)
  test(`a chart is downloaded as a picture that looks the same without our style, ${colorScheme}`, async () => {
    const { page, errors } = await open(`/p/${project.slug}/ask/trend?event=purchase&measure=count`, { colorScheme });
    const looks = () =>
      [".stroke", ".axis text"].map((name) => {
        const style = getComputedStyle(document.querySelector(`svg.line ${name}`) as Element);
        return [style.stroke, style.strokeWidth, style.fill, style.fontSize];
      });
    const shown = await page.evaluate(looks);
    const waiting = page.waitForEvent("download");
    await page.locator("#answer [data-svg]").first().click();
    const download = await waiting;
    assert.equal(download.suggestedFilename(), "Over time.svg");
    const svg = readFileSync(await download.path(), "utf8");
    assert.ok(svg.startsWith("<svg xmlns=") && !svg.includes("var(") && !svg.includes('class="hit"'), svg);
    const alone = await page.context().newPage();
    await alone.goto("data:image/svg+xml," + encodeURIComponent(svg));
    assert.deepEqual(await alone.evaluate(looks), shown);
    // The same as points, made in the page under its policy: twice as fine, and not of one colour.
    const size = await page.locator("svg.line").first().evaluate((svg) => [svg.clientWidth, svg.clientHeight]);
    const points = page.waitForEvent("download");
    await page.locator("#answer [data-png]").first().click();
    const saved = await points;
    assert.equal(saved.suggestedFilename(), "Over time.png");
    const png = PNG.sync.read(readFileSync(await saved.path()));
    assert.deepEqual([png.width / 2, png.height / 2].map(Math.round), size);
    const colours = new Set(Array.from({ length: png.width * png.height }, (_, at) => png.data.readUInt32BE(at * 4)));
    assert.ok(colours.size > 20, `${colours.size} colours`);
    assert.deepEqual(errors, []);
    await page.context().close();
  });

test("a filter is of one step, and an exclusion ends the way", async () => {
  const { page, errors } = await open(`/p/${project.slug}/ask/funnel`);
  const people = () => page.locator(".funnel .people a").allTextContents();
  await page.locator("[name=fp]").first().fill("value");
  await page.locator("[name=fo]").first().selectOption("gt");
  await page.locator("[name=fv]").first().fill("100");
  await page.locator("[name=fs]").first().selectOption("3");
  await page.waitForFunction(() => document.querySelectorAll(".funnel .people a")[2]?.textContent === "0");
  assert.deepEqual(await people(), [String(REACH[0]), String(REACH[1]), "0"]);
  assert.equal(await page.locator("[name=fp]").count(), 2, "there is room for another");
  await page.locator("[name=fp]").first().fill("");
  await page.locator("[name=xe]").first().fill("add_to_cart");
  await page.locator("[name=xe]").first().dispatchEvent("change");
  await page.waitForFunction(() => document.querySelector("#answer")?.getAttribute("aria-busy") === "false" && location.search.includes("xe=add"));
  await page.reload();
  assert.equal(await page.locator("[name=xe]").first().inputValue(), "add_to_cart");
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a slow question can be called off", async () => {
  const { page } = await open(`/p/${project.slug}/ask/trend`);
  await page.route("**/*part=answer*", () => {}); // never answered
  await page.locator("[name=bucket]").selectOption("week");
  await page.locator("[data-cancel]").click();
  await page.waitForFunction(() => document.querySelector("#answer")?.getAttribute("aria-busy") === "false");
  assert.ok(await page.locator("#answer figure").first().isVisible(), "what was there stays");
  await page.context().close();
});

/** The home, whose look at yesterday is answered by `answer`. */
async function home(answer: (route: Route) => unknown): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({ storageState: state, locale: "en-GB" });
  const page = await context.newPage();
  const errors = watchErrors(page);
  await page.route("**/changes?part=answer", answer);
  await page.goto(`${collector.origin}/p/${project.slug}`);
  return { page, errors };
}

const looked = (page: Page) => page.waitForFunction(() => document.querySelector("#changes")?.getAttribute("aria-busy") === "false");

test("what changed comes after the page, and moves nothing of it", async () => {
  let come = () => {};
  const waits = new Promise<void>((done) => (come = done));
  const { page, errors } = await home(async (route) => (await waits, route.continue()));
  const below = () => page.locator("#active").evaluate((next) => next.getBoundingClientRect().top);
  assert.ok(await page.getByText("Looking at yesterday").isVisible());
  const before = await below();
  come();
  await looked(page);
  assert.match((await page.textContent("#changes")) ?? "", /Not enough history yet/);
  assert.equal(await below(), before);
  assert.deepEqual(await complaints(page), []);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a look at yesterday can be called off, and one that fails leads to its page", async () => {
  const never = await home(() => {});
  await never.page.locator("#changes").getByRole("button", { name: "Cancel" }).press("Enter");
  await looked(never.page);
  const way = (page: Page) => page.locator("#changes").getByRole("link", { name: "Look at yesterday" });
  assert.ok(await way(never.page).isVisible());
  await never.page.context().close();

  const { page } = await home((route) => route.fulfill({ status: 503, body: "<p>busy</p>" }));
  await looked(page);
  assert.ok(!(await page.textContent("#changes"))?.includes("busy"));
  await way(page).press("Enter");
  await page.waitForURL("**/changes");
  assert.match((await page.textContent("main")) ?? "", /Not enough history yet/);
  await page.context().close();
});

test("looking for rare events can be called off, and says so", async () => {
  const { page, errors } = await open(`/p/${project.slug}/events`);
  await page.route("**/*part=answer*", () => {}); // never answered
  await page.locator("[name=event]").fill("purchase");
  await page.locator("[name=event]").dispatchEvent("change");
  await page.locator(".working [data-cancel]").click();
  // The field loses the focus by the click, and says once more that it changed: nothing is asked by that.
  await page.waitForTimeout(500);
  assert.equal(await page.locator("#answer").getAttribute("aria-busy"), "false");
  assert.ok(await page.locator("#answer table").isVisible(), "what was there stays");
  const columns = () => page.locator("[name=col]:checked").evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
  await page.goto(`${collector.origin}/p/${project.slug}/events?event=purchase`);
  const head = await page.locator("#answer thead th").allTextContents();
  assert.deepEqual(await columns(), head.slice(-4), "the form says which columns the table has");
  await page.goto(`${collector.origin}/p/${project.slug}/events?event=purchase&part=form`);
  assert.match((await page.textContent("#answer")) ?? "", /The question was cancelled/);
  assert.deepEqual(await columns(), head.slice(-4), "whether the table is there or not");
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("of a page that still comes the newest line of progress is seen, none beside the answer, and no half of that", async () => {
  const whole = await (await browser.newContext({ storageState: state })).request.get(`${collector.origin}/p/${project.slug}?part=form`);
  const [before = "", after = ""] = (await whole.text()).split(/<div class="card empty">.*?<\/div>/s);
  assert.ok(after.includes("</main>"));
  const line = readFileSync(join(ROOT, "collector", "templates", "progress.html"), "utf8");
  const [half, rest] = ["<section>Three of three</section>", `<section>All of it</section><i id="whole" hidden></i>${after}`];
  let send = (_: string) => {};
  const slow = createServer(async ({ url }, response) => {
    if (url !== "/") {
      const asset = await fetch(collector.origin + url);
      response.writeHead(asset.status, { "content-type": asset.headers.get("content-type") ?? "" });
      return response.end(Buffer.from(await asset.arrayBuffer()));
    }
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.write(before + '<i id="begun" hidden></i>' + line.replaceAll("{{ words }}", "One of three") + line.replaceAll("{{ words }}", "Two of three"));
    send = (text) => (text === rest ? response.end(text) : response.write(text));
  });
  await new Promise<void>((done) => slow.listen(0, "127.0.0.1", done));
  const page = await (await browser.newContext()).newPage();
  try {
    await page.goto(`http://127.0.0.1:${(slow.address() as AddressInfo).port}/`, { waitUntil: "commit" });
    const seen = () => page.locator(".progress > span").evaluateAll((all) => all.filter((one) => one.checkVisibility()).map((one) => one.textContent));
    await page.getByText("Two of three").last().waitFor();
    // Until the style sheet is there both are seen.
    await page.getByText("One of three").waitFor({ state: "hidden" });
    assert.deepEqual(await seen(), ["Two of three"]);
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    send(half);
    await page.getByText("Three of three").waitFor({ state: "attached" });
    assert.ok(!(await page.getByText("Three of three").isVisible()), "half of an answer");
    assert.deepEqual(await seen(), ["Two of three"], "until it is whole");
    send(rest);
    await page.getByText("Three of three").waitFor();
    await page.waitForLoadState();
    assert.deepEqual(await seen(), []);
  } finally {
    await page.context().close();
    slow.close();
    slow.closeAllConnections();
  }
});

test("without a script the form asks by its button", async () => {
  const { page } = await open(`/p/${project.slug}/ask/trend`, { javaScriptEnabled: false });
  await page.locator("[name=event]").first().fill("purchase");
  await page.locator("[name=measure]").first().selectOption("count");
  await page.locator("form.builder button").click();
  assert.equal(await page.locator(".headlines dd").first().textContent(), String(REACH[2]));
  await page.context().close();
});

test("the palette leads to an event by the keyboard alone, and g with a letter to a page", async () => {
  const { page, errors } = await open(`/p/${project.slug}`);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("add_to");
  await page.waitForFunction(() => document.querySelector(".palette li")?.textContent?.includes("add_to_cart"));
  assert.deepEqual(await complaints(page), []);
  await page.keyboard.press("Enter");
  await page.waitForURL(/ask\/trend\?event=add_to_cart/);
  await page.keyboard.press("g");
  await page.keyboard.press("f");
  await page.waitForURL(/ask\/funnel$/);
  assert.deepEqual(errors, []);
  await page.context().close();
});

// Shows S3-21.
test("a question goes onto a dashboard, is moved by the keyboard, and refreshes itself", async () => {
  const { page, errors } = await open(`/p/${project.slug}/boards`);
  await page.locator("[name=name]").fill("Growth");
  await page.getByRole("button", { name: "Create" }).click();
  for (const [kind, name] of [["funnel", "To the purchase"], ["trend", "People"]]) {
    await page.goto(`${collector.origin}/p/${project.slug}/ask/${kind}`);
    await page.getByText("Save", { exact: true }).first().click();
    await page.locator("[name=name]").fill(name ?? "");
    await page.locator("[name=board]").selectOption("growth");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.waitForURL(/boards\/growth/);
  }
  const titles = () => page.locator(".tile h2 a").evaluateAll((all) => all.map((one) => one.textContent));
  assert.deepEqual((await titles()), ["To the purchase", "People"]);
  assert.deepEqual(await complaints(page), []);
  await page.locator(".tile").nth(1).locator("[value=move]").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".tile h2 a")?.textContent === "People");
  // Five minutes later the same page has newer figures, which are the API's.
  const people = () => page.locator(".tile .funnel .people").evaluateAll((all) => all.map((one) => Number.parseInt(one.textContent ?? "", 10)));
  const day = (ahead: number) => new Date(Date.now() + ahead * 86_400_000).toISOString().slice(0, 10);
  const answered = async () => {
    const question = { from: day(-7), to: day(1), steps: STEPS.map((event) => ({ event })) };
    const { steps } = await collector.query<{ steps: { persons: number }[] }>(project, "funnel", question);
    return steps.map(({ persons }) => persons);
  };
  await page.clock.install();
  await page.reload();
  assert.deepEqual(await people(), await answered());
  await collector.sendFromServer(project, story().map((event) => ({ ...event, user_id: "person-new" })));
  const asked = page.waitForResponse(/part=tiles/);
  await page.clock.fastForward(300_000);
  await asked;
  await page.waitForFunction((want) => document.querySelector(".tile .funnel .people")?.textContent?.startsWith(want), String((REACH[0] ?? 0) + 1));
  assert.deepEqual(await people(), REACH.map((count) => count + 1));
  assert.deepEqual(await people(), await answered());
  assert.deepEqual(errors, []);
  await page.context().close();
});
