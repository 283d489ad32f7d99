/** Large bodies, what browsers let be in flight, servers that take less, and the way back to a page. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, type Page } from "playwright-core";

import { amount, figure } from "../support/amounts.ts";
import { FLAGS } from "../support/browser.ts";
import { flush, useBench, type Visit } from "../support/bench.ts";
import { plainPage } from "../support/plain.ts";
import { waiting } from "../support/profile.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const SLOW = () => ({ passAfterMs: 800 }) as const;

/** Text that does not pack well. The guard would hide some of it: pages that use it have none, so that bodies are as large as they look. */
const NOISE = `const noise = (bytes) => {
  let text = "";
  while (text.length < bytes) text += Math.random().toString(36).slice(2);
  return text.slice(0, bytes);
};`;

const SIZES = [60, 62, 63, 64, 65, 66];
let whole = 0;
for (const kib of SIZES) {
  test(`49: ${kib} KiB of events and a tab closed at once: none is lost`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({ name: `body-${kib}`, changes: { guard: false }, script: `tally.track("opened")`, behave: SLOW });
    await until("the page to have begun", () => visit.proxy.batches[0]);
    const events = 16;
    await visit.page.evaluate(`${NOISE}
      for (let i = 0; i < ${events}; i++) tally.track("step_done", { i, text: noise(${Math.floor((kib * 1024) / events) - 300}) })`);
    // What is more than a browser sends for a page that is gone waits for the next one.
    await visit.page.close({ runBeforeUnload: true });
    const next = await visit.context.newPage();
    await next.goto(bench.site.page(`/body-${kib}.html`));
    await untilEqual({ opened: 2, step_done: events }, () => bench.collector.counts(visit.project));
    whole++;
  });
}

test("49: all of that", () => {
  figure(`all events of ${whole} of ${SIZES.length} tabs closed with 60 to 66 KiB of them`);
});

/** Another tab of the same site, done with its own event. */
async function beside({ context, project, settings }: Visit, name: string): Promise<Page> {
  const { bench } = fixture;
  const other = await context.newPage();
  await other.goto(bench.site.page(`/${name}.html`));
  await untilEqual({ opened: 2 }, () => bench.collector.counts(project));
  await until("its queue to be empty", async () => (await waiting(other)) === 0);
  // It can be told to keep the database busy: what others store has to wait for that.
  await other.evaluate(async (database) => {
    const opening = indexedDB.open(database);
    await new Promise((resolve) => (opening.onsuccess = resolve));
    Object.assign(window, {
      beBusy: () => {
        const queue = opening.result.transaction("q", "readwrite").objectStore("q");
        const again = (): void => void ("isOver" in window || (queue.count().onsuccess = again));
        again();
      },
    });
  }, `tallymark:${settings.key}`);
  return other;
}

/** Runs this in a page and closes it; resolves when nothing is left of it. */
async function closeAfter(page: Page, script: string): Promise<void> {
  await page.evaluate(script);
  const gone = page.waitForEvent("close");
  await page.close({ runBeforeUnload: true });
  await gone;
  // Its database hears of it a moment later.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
}

const LARGE = `${NOISE} for (let i = 0; i < 16; i++) tally.track("step_done", { i, text: noise(3_800) })`;
/** Longer than a tab that was heard counts as being at work. */
const SILENCE_MS = 4_000;

test("49: what a closed tab could not send is sent by one that stays open and has nothing to do", async () => {
  const { bench } = fixture;
  const name = "idle-beside";
  // As in browsers that keep no request for later.
  const visit = await bench.visit({ name, changes: { guard: false }, before: "delete window.fetchLater", script: `tally.track("opened")`, behave: SLOW });
  const other = await beside(visit, name);
  await other.waitForTimeout(SILENCE_MS);
  await closeAfter(visit.page, LARGE);
  await untilEqual({ opened: 2, step_done: 16 }, () => bench.collector.counts(visit.project));
});

// Browsers throw away with a tab what it stored if that has to wait.
for (const isAtWork of [false, true]) {
  test(`49: a tab closed at once beside one that ${isAtWork ? "sends" : "is silent"}, while the database is busy: none is lost`, async () => {
    const { bench } = fixture;
    const name = `busy-beside-${isAtWork}`;
    const visit = await bench.visit({ name, changes: { guard: false }, script: `tally.track("opened")`, behave: SLOW });
    const other = await beside(visit, name);
    if (isAtWork) await other.evaluate(`tally.track("worked"); tally.flush()`);
    else await other.waitForTimeout(SILENCE_MS);
    await other.evaluate("beBusy()");
    await closeAfter(visit.page, isAtWork ? `tally.track("step_done"); tally.track("step_done")` : LARGE);
    await other.evaluate("void (window.isOver = true)");
    const expected = isAtWork ? { opened: 2, worked: 1, step_done: 2 } : { opened: 2, step_done: 16 };
    await untilEqual(expected, () => bench.collector.counts(visit.project));
  });
}

test("49: three large batches of three tabs that are closed together: none is lost", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "three-bodies", changes: { guard: false }, behave: SLOW });
  const pages = [visit.page];
  while (pages.length < 3) {
    const page = await visit.context.newPage();
    await page.goto(bench.site.page("/three-bodies.html"));
    await page.waitForFunction("window.started");
    pages.push(page);
  }
  await Promise.all(
    pages.map(async (page) => {
      await page.evaluate(`${NOISE} for (let i = 0; i < 10; i++) tally.track("step_done", { i, text: noise(3_000) })`);
      await page.close({ runBeforeUnload: true });
    }),
  );
  const next = await visit.context.newPage();
  await next.goto(bench.site.page("/three-bodies.html"));
  await untilEqual({ step_done: 30 }, () => bench.collector.counts(visit.project));
});

test("49: an event of 32 KiB arrives, and one that is larger is counted as lost", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "large-event", changes: { guard: false } });
  await visit.page.evaluate(`${NOISE} tally.track("large", { text: noise(32_000) }); tally.track("too_large", { text: noise(32_768) })`);
  await flush(visit.page);
  await untilEqual({ large: 1 }, () => bench.collector.counts(visit.project));
  assert.deepEqual(await visit.page.evaluate("window.reported"), ["event_too_large"]);
});

for (const queue of ["device", "memory"] as const) test(`a server that takes small batches only gets them, each event once: queue: ${queue}`, async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: `small-batches-${queue}`,
    changes: { queue },
    script: `for (let i = 0; i < 60; i++) tally.track("step_done", { i })`,
  });
  visit.proxy.behave = (n) => ((visit.proxy.batches[n]?.events.length ?? 0) > 7 ? { status: 413 } : "pass");
  await visit.page.evaluate(`for (let i = 60; i < 120; i++) tally.track("step_done", { i })`);
  await until("all events", async () => {
    await flush(visit.page);
    return (await bench.collector.counts(visit.project))["step_done"] === 120 && (await waiting(visit.page)) === 0;
  });
  assert.deepEqual(await bench.collector.counts(visit.project), { step_done: 120 });
  assert.ok(visit.proxy.batches.some(({ events }) => events.length > 7), "larger ones were tried");
});

test("48: bodies of which half arrives, packed and plain: nothing of them is stored, and each event is counted once", async () => {
  const { bench } = fixture;
  const script = `for (let i = 0; i < 80; i++) tally.track("step_done", { i, plan: "team" })`;
  for (const [name, before] of [["half-packed", ""], ["half-plain", "delete window.CompressionStream"]] as const) {
    const visit = await bench.visit({ name, before, script, behave: () => "cut-body" });
    await until("three bodies to be cut", () => visit.proxy.batches.length >= 3);
    assert.deepEqual(await bench.collector.counts(visit.project), {});
    const isPacked = visit.proxy.batches.some(({ bytes, text }) => bytes < text.length / 2);
    assert.equal(isPacked, name === "half-packed");
    visit.proxy.behave = () => "pass";
    await until("all to be sent", async () => {
      await flush(visit.page);
      return (await waiting(visit.page)) === 0;
    });
    assert.deepEqual(await bench.collector.counts(visit.project), { step_done: 80 });
    assert.equal(new Set(visit.proxy.sent().map(({ id }) => id)).size, 80, "a resent event keeps its id");
  }
});

test("large batches are packed where the browser can, and are as they would be where it cannot", async () => {
  const { bench } = fixture;
  const script = `for (let i = 0; i < 80; i++) tally.track("step_done", { i, plan: "team" })`;
  for (const [name, before] of [["packs", ""], ["packs-not", "delete window.CompressionStream"]] as const) {
    const visit = await bench.visit({ name, before, script });
    await flush(visit.page);
    await untilEqual({ step_done: 80 }, () => bench.collector.counts(visit.project));
    const smaller = visit.proxy.batches.some(({ bytes, text }) => bytes < text.length / 2);
    assert.equal(smaller, name === "packs");
  }
});

test("a browser without keepalive sends what is left as a beacon", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "beacon",
    before: `delete Request.prototype.keepalive;
      const beacon = navigator.sendBeacon.bind(navigator);
      navigator.sendBeacon = (...given) => { window.name = "beacon"; return beacon(...given); };`,
    script: `tally.track("opened")`,
    behave: SLOW,
  });
  await until("the page to have begun", () => visit.proxy.batches[0]);
  await visit.page.evaluate(`tally.track("left")`);
  await visit.page.close({ runBeforeUnload: true });
  await untilEqual({ opened: 1, left: 1 }, () => bench.collector.counts(visit.project));
});

test("a page that crashes: the browser sends what it was given to keep", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "kept-later", behave: () => "reset" });
  if (!(await visit.page.evaluate<boolean>(`"fetchLater" in window`))) throw new Error("this Chromium has no fetchLater");
  await visit.page.evaluate(`for (let i = 0; i < 20; i++) tally.track("step_done", { i })`);
  await until("them to be stored", async () => (await waiting(visit.page)) === 20);
  // It is armed again once a second at most.
  await visit.page.waitForTimeout(1_500);
  const session = await visit.context.newCDPSession(visit.page);
  visit.proxy.behave = () => "pass";
  void session.send("Page.crash").catch(() => undefined);
  await untilEqual({ step_done: 20 }, () => bench.collector.counts(visit.project));
});

test("49: forth and back: the page is kept each time, and nothing of ours stands in the way", async () => {
  const rounds = amount("TALLYMARK_TEST_WAYS_BACK", 5);
  const { bench } = fixture;
  // Playwright switches this cache off.
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: FLAGS,
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
  try {
    const [project, proxy] = await Promise.all([bench.collector.createProject("way-back"), bench.proxy()]);
    const settings = { key: project.write_key, salt: project.salt, endpoint: proxy.origin, mode: "full", autoPage: false } as const;
    Object.assign(bench.site.files, plainPage("way-back", settings, ""), {
      "/elsewhere.html": { body: "<!doctype html><title>Elsewhere</title><p>Elsewhere" },
    });
    const page = await (await browser.newContext()).newPage();
    await page.goto(bench.site.page("/way-back.html"));
    await page.waitForFunction("window.started");
    await page.evaluate(`window.kept = true; tally.track("opened")`);
    await until("a first answer", async () => (await bench.collector.counts(project))["opened"]);
    for (let round = 1; round <= rounds; round++) {
      await page.evaluate(`tally.track("leaving")`);
      await page.evaluate(`location.href = "/elsewhere.html"`).catch(() => undefined);
      await page.waitForURL("**/elsewhere.html");
      await page.evaluate("history.back()").catch(() => undefined);
      // A page that was kept is not loaded.
      await page.waitForURL("**/way-back.html", { waitUntil: "commit" });
      const state = await until("the page", () =>
        page.evaluate<{ kept: boolean; why: unknown } | undefined>(
          `window.started && { kept: window.kept === true, why: performance.getEntriesByType("navigation")[0].notRestoredReasons }`,
        ),
      );
      assert.deepEqual(state, { kept: true, why: null }, `round ${round}`);
      await page.evaluate(`tally.track("back")`);
      await untilEqual({ opened: 1, leaving: round, back: round }, () => bench.collector.counts(project));
    }
    figure(`${rounds} of ${rounds} ways back found the page as it was left`);
  } finally {
    await browser.close();
  }
});
