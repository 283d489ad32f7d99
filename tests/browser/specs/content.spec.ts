/** Content that measures itself: what the question `content` then knows. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";

import { flush, useBench } from "../support/bench.ts";
import type { Project } from "../support/collector.ts";
import { aroundNow } from "../support/range.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

interface Item {
  id: string;
  content_type: string | null;
  owner: string | null;
  views: number;
  viewers: number;
  engaged_ms: number;
  reached: number[];
}

async function contents(project: Project): Promise<Record<string, Item>> {
  const answer = await fixture.bench.collector.query<{ items: Item[] }>(project, "content", aroundNow());
  return Object.fromEntries(answer.items.map((item) => [item.id, item]));
}

/** Waits until the page's own clock says so: what is tested is time. */
function pass(page: Page, ms: number): Promise<unknown> {
  return page.evaluate(`new Promise((resolve) => setTimeout(resolve, ${ms}))`);
}

const ARTICLES = `
<article data-tm-content="short" data-tm-type="article" data-tm-owner="ada" data-tm-tier="free" style="height:200px">short</article>
<article data-tm-content="tall" data-tm-type="essay" data-tm-owner="ines" style="height:4000px">tall</article>
<article data-tm-content="below" data-tm-type="article" style="height:200px">below</article>`;

test("marked content has views, time with a focus, and how far it was read", async () => {
  const { collector } = fixture.bench;
  const { page, project, errors } = await fixture.bench.visit({
    name: "reading",
    bundle: "measures",
    body: ARTICLES,
    script: `measures.content.watchMarkedContent();`,
  });
  await pass(page, 1_300);
  // Far enough for three fifths of the tall one; the short one is gone.
  await page.evaluate(`scrollTo(0, document.querySelector("[data-tm-content=tall]").offsetTop + 2_400 - innerHeight)`);
  await pass(page, 200);
  await page.evaluate(`document.hasFocus = () => false; dispatchEvent(new Event("blur"))`);
  await pass(page, 2_000);
  await page.goto("about:blank");
  await untilEqual({ $content_view: 2 }, () => collector.counts(project));
  const { short, tall, below } = await contents(project);
  assert.equal(below, undefined, "nobody saw what is below the fold");
  assert.deepEqual([short?.content_type, short?.owner, short?.views, short?.viewers], ["article", "ada", 1, 1]);
  assert.deepEqual(short?.reached, [1, 1, 1, 1]);
  assert.deepEqual([tall?.content_type, tall?.owner, tall?.views], ["essay", "ines", 1]);
  assert.deepEqual(tall?.reached, [1, 1, 0, 0]);
  const [one, other] = [short?.engaged_ms ?? 0, tall?.engaged_ms ?? 0];
  assert.ok(one >= 1_290 && one < other, `${one} ms for the short one`);
  assert.ok(other >= 1_490 && other < 3_000, `${other} ms for the tall one: without focus nobody reads`);
  const tiers = (await collector.events(project)).map(({ props }) => [props["content_id"], props["tier"]]);
  assert.deepEqual(Object.fromEntries(tiers), { short: "free", tall: undefined });
  assert.deepEqual(errors, []);
});

test("content that is added later, taken away, and reused for other content is seen for itself", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "feed",
    bundle: "measures",
    body: `<main></main>`,
    script: `measures.content.watchMarkedContent({ forMs: 300 });
      window.main = document.querySelector("main");
      window.add = (id) => { main.innerHTML = '<section><div data-tm-content="' + id + '" data-tm-type="card" style="height:90px"></div></section>'; };
      add("first");`,
  });
  await pass(page, 500);
  await page.evaluate(`add("glimpse")`);
  await pass(page, 50);
  await page.evaluate(`add("second")`);
  await pass(page, 500);
  // A framework that keeps the element and gives it new content; then moves it without changing it.
  await page.evaluate(`main.querySelector("[data-tm-content]").dataset.tmContent = "third"`);
  await pass(page, 200);
  await page.evaluate(`{ const it = main.querySelector("[data-tm-content]"); it.dataset.tmContent = "third"; main.append(it); }`);
  await pass(page, 200);
  await page.evaluate(`main.replaceChildren()`);
  await flush(page);
  await untilEqual({ $content_view: 3 }, () => collector.counts(project));
  const found = await contents(project);
  assert.deepEqual(Object.keys(found).sort(), ["first", "second", "third"]);
  const third = found["third"]?.engaged_ms ?? 0;
  assert.ok(third >= 390, `${third} ms: moving it is not leaving it`);
});

test("the page itself can be watched, and a way back makes another view", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "whole",
    bundle: "measures",
    body: `<div style="height:3000px"></div>`,
    script: `measures.content.watchContent(document.documentElement, { id: "whole", type: "page", section: "help" }, { forMs: 200 });`,
  });
  await pass(page, 300);
  await page.goto("about:blank");
  await untilEqual({ $content_view: 1 }, () => collector.counts(project));
  await page.goBack();
  await pass(page, 300);
  await page.evaluate(`scrollTo(0, 10_000)`);
  await pass(page, 100);
  await page.goto("about:blank");
  await untilEqual({ $content_view: 2 }, () => collector.counts(project));
  const { whole } = await contents(project);
  assert.deepEqual([whole?.views, whole?.viewers, whole?.reached], [2, 1, [1, 1, 1, 1]]);
  const views = await collector.events(project, { event: "$content_view" });
  assert.deepEqual(views.map(({ props }) => [props["section"], props["scroll_depth"] === 1]), [["help", false], ["help", true]]);
});

/** A silent sound of that many seconds, as the address of an audio element. */
const SOUND = `(seconds) => {
  const samples = 8_000 * seconds;
  const view = new DataView(new ArrayBuffer(44 + samples));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + samples, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, 8_000, true); view.setUint32(28, 8_000, true);
  view.setUint16(32, 1, true); view.setUint16(34, 8, true); text(36, "data"); view.setUint32(40, samples, true);
  for (let i = 44; i < 44 + samples; i++) view.setUint8(i, 128);
  return URL.createObjectURL(new Blob([view], { type: "audio/wav" }));
}`;

test("a sound is measured by what was played of it, not by where somebody jumped to", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "listening",
    bundle: "measures",
    body: `<audio data-tm-content="whole" data-tm-type="sound"></audio><audio data-tm-content="jumped" data-tm-type="sound"></audio>`,
    script: `measures.content.watchMarkedContent();
      const address = (${SOUND});
      const [whole, jumped] = document.querySelectorAll("audio");
      whole.src = address(2);
      jumped.src = address(10);
      whole.muted = jumped.muted = true;
      window.play = async () => {
        await Promise.all([whole.play(), jumped.play()]);
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        jumped.currentTime = 9;
        const ended = (sound) => sound.ended || new Promise((resolve) => sound.addEventListener("ended", resolve));
        await Promise.all([ended(whole), ended(jumped)]);
      };`,
  });
  await page.evaluate(`play()`);
  await page.goto("about:blank");
  await untilEqual({ $content_view: 2 }, () => collector.counts(project));
  const { whole, jumped } = await contents(project);
  assert.deepEqual(whole?.reached, [1, 1, 1, 1]);
  // One and a half seconds and the last one, of ten: a busy machine plays a little more before the jump.
  assert.deepEqual(jumped?.reached.slice(1), [0, 0, 0]);
  const [view] = await collector.events(project, { event: "$content_view" });
  assert.ok(["played_ms", "duration_ms"].every((name) => Number(view?.props[name]) >= 1_000));
});
