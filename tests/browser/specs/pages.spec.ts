/**
 * Every page, for everybody: by the keyboard, for a screen reader, on a wall of a screen, in German, without moving, with
 * the headers that keep browsers to our rules; small, quick, and without a jump.
 *
 * What a page looks like is asked in `pictures`, whether it is safe in `injection` and `foreign`.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";

import { figure } from "../support/amounts.ts";
import { launch } from "../support/browser.ts";
import { NOW, startDemo } from "../support/demo.ts";
import { texts, withoutKeyboard, withoutWords } from "../support/everyone.ts";
import { Pages } from "../support/pages.ts";

/** Widths between those of the pictures, and beyond. */
const WIDTHS = [768, 1920, 3840];
/** Bytes of a page with all it loads, and of one that follows. */
const FIRST_BYTES_MAX = 150 * 1024;
const NEXT_BYTES_MAX = 60 * 1024;
/** Until something is seen; more where others use the machine. */
const isQuiet = Boolean(process.env["TALLYMARK_TEST_QUIET"]);
const PAINT_MS = 300 * (isQuiet ? 1 : 10);
/** How far all of a page may move: nothing, but for rounding. */
const SHIFT_MAX = 0.01;

let demo: Awaited<ReturnType<typeof startDemo>>;
let pages: Pages;

before(async () => {
  demo = await startDemo();
  pages = await Pages.prepare(demo.collector, await launch(), demo.project, NOW);
});

after(async () => {
  await pages?.browser.close();
  await demo?.stop();
});

const HEADERS: Record<string, RegExp> = {
  "content-security-policy": /^(?!.*unsafe)(?=.*default-src 'none')(?=.*base-uri 'none')(?=.*frame-ancestors 'none')(?=.*form-action 'self')/,
  "x-content-type-options": /^nosniff$/,
  "referrer-policy": /^(no-referrer|same-origin)$/,
  "cross-origin-opener-policy": /^same-origin$/,
  "permissions-policy": /camera=\(\)/,
};

test("every page is for everybody, and says what browsers may do with it", async () => {
  const wrong: Record<string, string[]> = {};
  const page = await pages.look({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
  for (const shown of pages.all) {
    const found: string[] = [];
    const { headers, wrong: refused } = await pages.open(page, shown);
    found.push(...refused);
    for (const [name, like] of Object.entries(HEADERS)) if (!like.test(headers[name] ?? "")) found.push(`${name}: ${headers[name]}`);
    if (shown.as !== "nobody" && !/private, no-store/.test(headers["cache-control"] ?? "")) found.push(`may be kept: ${headers["cache-control"]}`);
    found.push(...(await withoutWords(page)), ...(await withoutKeyboard(page)));
    const moving = await page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === "running").length);
    if (moving > 0) found.push(`${moving} animations run where less motion is wanted`);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) found.push(`is ${wide} pixels too wide at ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
    if (found.length > 0) wrong[shown.name] = found;
  }
  await page.context().close();
  assert.deepEqual(wrong, {});
});

/** Words that are the same in German, names of products, and what is written the same everywhere. */
const SAME = [
  ...["Dashboards", "Name", "Browser", "Person", "Tablet", "Desktop", "Video", "Definition", "Code", "Rate", "In React", "Japan", "min", "Import", "Export"],
  ...["Tallymark", "PostHog", "Mixpanel", "Amplitude", "ClickHouse", "Matomo", "Chrome", "Safari", "Edge", "Firefox", "Samsung Internet", "Linux"],
  ...["SVG", "PNG", "PDF", "csv", "jsonl", "parquet", "key", "user=customer, name==purchase", "user, at, name", "ann@example.org, bob@example.org", "subscription.renewed", "KiB", "MiB", "UTC", "SHA-256", "https://shop.example", "essay-1", "pay.example", "pages", "servers", "project", "session", "name", "API", "shop", "plan", "free", "false", "identity", "Total Expenses", "Total Reports", "Challenges Started"],
  ...["last", "first", "linear", "decay", "position"],
];

/** Everything that came with events or that somebody wrote, long texts first. */
async function everySaid(): Promise<string[]> {
  const said = new Set([...SAME, ...pages.said]);
  const add = (value: unknown): void => {
    if (typeof value === "string") said.add(value);
    else if (typeof value === "object" && value !== null) Object.entries(value).forEach(([name, inner]) => (said.add(name), add(inner)));
  };
  const exported = await demo.collector.text(demo.project, "/v1/export?format=jsonl");
  for (const line of exported.trim().split("\n")) add(JSON.parse(line));
  return [...said].filter((text) => /\p{L}{2}/u.test(text)).sort((a, b) => b.length - a.length);
}

test("no page has a word of English in German", async () => {
  const data = await everySaid();
  const code = /[/\w.-]+…|\b[0-9a-f]{16}\b|\S*[_$/{}"]\S*|\w+\.\w+/g;
  const without = (text: string) => data.reduce((text, known) => text.replaceAll(known, " "), text).replace(code, " ");
  const page = await pages.look();
  const wrong: Record<string, string[]> = {};
  for (const shown of pages.all.filter(({ german }) => !german)) {
    await pages.open(page, shown);
    const english = new Set(await texts(page));
    await pages.open(page, shown, true);
    const german = await texts(page);
    const both = german.filter((text) => english.has(text) && /\p{L}{3}/u.test(without(text)));
    // Numbers as they are written there.
    const figures = german.filter((text) => /(^|\s)[1-9]\d{0,2}(,\d{3})+(\s|$)|\d\.\d\s?%/.test(text));
    if (both.length + figures.length > 0) wrong[shown.name] = [...both, ...figures];
  }
  await page.context().close();
  assert.deepEqual(wrong, {});
});

test("a page that its reader waits for no more says so, and leads to its answer", async () => {
  const page = await pages.look();
  const wrong: string[] = [];
  for (const name of ["home", "changes", "board", "shared", "experiments", "experiment", "settings-delivery"]) {
    const shown = pages.all.find((one) => one.name === name);
    assert.ok(shown, name);
    const at = `${shown.at}${shown.at.includes("?") ? "&" : "?"}part=form`;
    wrong.push(...(await pages.open(page, { ...shown, at })).wrong);
    const isOff = async () => (await page.textContent("body"))?.includes("The question was cancelled");
    if (!(await isOff())) wrong.push(`${name} says nothing`);
    await page.locator(".empty").getByRole("link", { name: "Show" }).click();
    await page.waitForURL((url) => !url.search.includes("part="));
    if (await isOff()) wrong.push(`${name} does not lead back`);
  }
  await page.context().close();
  assert.deepEqual(wrong, []);
});

/** Pages add up in `shift` how far they move, as browsers measure it. */
function watchShifts(page: Page): Promise<unknown> {
  return page.addInitScript(() => {
    const seen = window as unknown as { shift: number };
    seen.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.shift += (entry as unknown as { value: number }).value;
    }).observe({ type: "layout-shift", buffered: true });
  });
}

/** How much slower than this one a processor is on which a page is drawn in the middle of its tables. */
const SLOW = 12;

test("nothing jumps on a slow processor, which draws a page while it still comes", async () => {
  const page = await pages.look({ viewport: { width: 1280, height: 800 } });
  await watchShifts(page);
  const wire = await page.context().newCDPSession(page);
  await wire.send("Emulation.setCPUThrottlingRate", { rate: SLOW });
  const wrong: string[] = [];
  for (const name of ["home", "changes", "ask-trend", "events", "board", "experiments", "experiment", "settings-keys"]) {
    const shown = pages.all.find((one) => one.name === name);
    assert.ok(shown, name);
    for (let time = 1; time <= 3; time++) {
      await pages.open(page, shown);
      const shift = await page.evaluate(() => new Promise<number>((done) => requestAnimationFrame(() => setTimeout(() => done((window as unknown as { shift: number }).shift)))));
      if (shift > SHIFT_MAX / 10) wrong.push(`${name} moves by ${shift.toFixed(4)}`);
    }
  }
  await page.context().close();
  assert.deepEqual(wrong, []);
});

const kib = (bytes: number) => (bytes / 1024).toFixed(1);

test("every page is small and quick, and nothing in it jumps", async () => {
  const wrong: string[] = [];
  const most = { first: 0, next: 0, paint: 0, shift: 0 };
  for (const shown of pages.all) {
    const page = await pages.look({ viewport: { width: 1280, height: 800 } });
    const wire = await page.context().newCDPSession(page);
    await wire.send("Network.enable");
    let bytes = 0;
    wire.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    await watchShifts(page);
    const look = async () => {
      bytes = 0;
      // A browser that has just made a window, or ended one, is busy with itself: that is no page's fault.
      if (isQuiet) await new Promise((done) => setTimeout(done, 500));
      await pages.open(page, shown);
      await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
      const seen = await page.evaluate(() => ({
        paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity,
        shift: (window as unknown as { shift: number }).shift,
      }));
      return { bytes, ...seen };
    };
    const first = await look();
    const next = await look();
    const paint = Math.max(first.paint, next.paint);
    const shift = Math.max(first.shift, next.shift);
    const said = [shown.name, kib(first.bytes), kib(next.bytes), first.paint.toFixed(0), next.paint.toFixed(0), shift.toFixed(4)].join(" | ");
    if (isQuiet) figure(`| ${said} |`);
    if (first.bytes > FIRST_BYTES_MAX || next.bytes > NEXT_BYTES_MAX || paint > PAINT_MS || shift > SHIFT_MAX) wrong.push(said);
    most.first = Math.max(most.first, first.bytes);
    most.next = Math.max(most.next, next.bytes);
    most.paint = Math.max(most.paint, paint);
    most.shift = Math.max(most.shift, shift);
    await page.context().close();
  }
  figure(`${pages.all.length} pages: at most ${kib(most.first)} KiB at first and ${kib(most.next)} KiB after, painted after ${most.paint.toFixed(0)} ms, moved by ${most.shift.toFixed(4)}`);
  assert.deepEqual(wrong, [], "page, KiB at first and after, ms until the first paint of both, how far it moved");
});
