/**
 * Whatever visitors and colleagues write, on every page: it is text, it runs nothing, it makes no element and no address.
 *
 * Two collectors have the same story, one in plain words and one in attacks. A page of the second must have no element
 * and no attribute that the same page of the first has not.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";

import { figure } from "../support/amounts.ts";
import { ATTACKS, Attacker } from "../support/attacks.ts";
import { ROOT } from "../support/bench.ts";
import { launch } from "../support/browser.ts";
import { Collector } from "../support/collector.ts";
import { ask, EXPERIMENT, Pages, unseen, type Shown } from "../support/pages.ts";
import { tell, type Speak } from "../support/story.ts";

/** Bytes of what a team writes. */
const ROOM: Record<string, number> = { hypothesis: 4_000, annotation: 900 };

const collectors: Collector[] = [];
let browser: Browser;
let plain: Pages;
let hostile: Pages;
const attacker = new Attacker();

before(async () => {
  browser = await launch();
  let words = 0;
  // Different words for different attacks.
  plain = await begin((place) => `${place} ${words++}`);
  hostile = await begin((place, bytesMax) => attacker.say(place, bytesMax));
});

after(async () => {
  await browser?.close();
  await Promise.all(collectors.map((collector) => collector.stop()));
});

/** A collector with the story, told this way, and everything that a team writes. */
async function begin(speak: Speak): Promise<Pages> {
  const collector = await Collector.start();
  collectors.push(collector);
  const project = await collector.createProject("shop");
  const send = (path: string, body: object, method = "POST") => ask(collector, project, path, body, method);
  await send("/v1/project", { name: speak("project", 190) }, "PATCH");
  await send("/v1/experiments", { ...EXPERIMENT, hypothesis: speak("hypothesis", 4_000) });
  await send("/v1/experiments/buy-button/transition", { to: "running", note: speak("note", 900) });
  await send("/v1/experiments", {
    key: "banner",
    kind: "flag",
    value: { text: speak("flag", 900), [speak("flag", 190)]: 1 },
    description: speak("description", 900),
  });
  await send("/v1/saved/cohorts/buyers", { name: speak("cohort", 190), cohort: { did: { event: "purchase", at_least: 1 } } }, "PUT");
  await send("/v1/keys", { name: speak("key", 90), scopes: ["analytics:read"], kind: "secret" });
  const said: Record<string, string> = {};
  await tell(collector, project, (place, bytesMax) => {
    const text = speak(place, bytesMax);
    said[place] ??= text;
    return text;
  });
  const pages = await Pages.prepare(collector, browser, project, Date.now(), (place, words) => {
    if (place === "address") return `${speak(place, 200).replace(/[\s@]/g, "/")}@example.org`;
    return words === "" ? "" : speak(place, ROOM[place] ?? 190);
  });
  const [property, event, value] = ["property", "event", "value"].map((place) => encodeURIComponent(said[place] ?? ""));
  const question = (query: string): Shown => ({ name: `ask-${query.replace(/%.*/, "…")}`, route: "", at: `/p/shop/ask/${query}` });
  pages.all.push(
    question("trend?event=$pageview&measure=count&by1=plan"),
    question("trend?event=$pageview&measure=count&by1=title&by2=utm_source"),
    question(`trend?event=${event}&measure=count&by1=${property}&fp=${property}&fo=ne&fv=${value}`),
    question("trend?event=$content_view&measure=persons&by1=owner&limit=20"),
    question("funnel?step=$pageview&step=view_product&step=purchase&by1=plan"),
    question("sessions?by1=utm_campaign"),
    question("retention?by1=plan"),
    question("content?by1=title"),
    question("attribution?prop=utm_source"),
    question("paths?prop=title"),
    question("persons?cohort=buyers"),
    { name: "events-columns", route: "", at: `/p/shop/events?col=title&col=plan&col=utm_source&col=${property}` },
    { name: "events-of-one", route: "", at: `/p/shop/events?event=${event}` },
    { name: "slices", route: "", at: "/p/shop/experiments/buy-button?slice=plan" },
    { name: "flag", route: "", at: "/p/shop/experiments/banner" },
    { name: "flag-code", route: "", at: "/p/shop/experiments/banner/code" },
    { name: "arrived", route: "", at: "/p/shop/arrived" },
    { name: "find", route: "", at: "/p/shop/find" },
    { name: "now", route: "", at: "/p/shop/now" },
    { name: "audit", route: "", at: "/p/shop/settings/audit?own=1" },
    { name: "embedded", route: "", at: `${pages.all.find(({ name }) => name === "shared")?.at}?embed`, as: "nobody" },
  );
  return pages;
}

/** What a page is made of, and what in it could act. */
interface Made {
  /** Elements with their parents and the names of their attributes. */
  elements: string[];
  /** What runs, or leads elsewhere than to this host. */
  acts: string[];
  /** All that can be read, in texts, fields and attributes. */
  words: string;
}

/** As {@link Made}; runs in a page, for its document or for another one. */
const MADE = `(root) => {
  const named = (element) => element.localName + "[" + element.getAttributeNames().sort().join(" ") + "]";
  const elements = new Set();
  const acts = [];
  const words = [root.body?.textContent ?? ""];
  for (const element of root.querySelectorAll("*")) {
    // Whether an answer was waited for is a matter of the moment; what stands in a line of progress is not.
    if (!element.matches("i#begun[hidden], i#whole[hidden], p.progress")) elements.add((element.parentElement?.localName ?? "") + " > " + named(element));
    if (element.localName === "script" && (element.textContent || !element.src)) acts.push(element.outerHTML);
    if (element.hasAttribute("hacked") || /hacked/.test(element.localName)) acts.push(element.outerHTML.slice(0, 200));
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name) || name === "style" || name === "srcdoc") acts.push(named(element));
      if (["title", "aria-label", "value", "alt", "placeholder", "content"].includes(name)) words.push(value);
      if (!/^(xlink:)?(href|src|action|formaction|data|poster|ping|background|srcset|cite)$/.test(name)) continue;
      const { protocol, origin } = new URL(value, location.href);
      if (element.localName === "link" && element.rel === "icon") continue;
      if (!/^https?:$/.test(protocol) || origin !== location.origin) acts.push(named(element) + " " + value.slice(0, 100));
    }
  }
  return { elements: [...elements], acts, words: words.join("\\n") };
}`;

const made = (page: Page) => page.evaluate(`(${MADE})(document)`) as Promise<Made>;

/** What an answer would become in a page of this host, without going there. */
const parsed = (page: Page, html: string) =>
  page.evaluate(`(${MADE})(new DOMParser().parseFromString(${JSON.stringify(html)}, "text/html"))`) as Promise<Made>;

/** Which of these would act. */
const acting = (page: Page, all: string[]) =>
  page.evaluate(`${JSON.stringify(all)}.map((html) => (${MADE})(new DOMParser().parseFromString(html, "text/html")).acts.length > 0)`) as Promise<boolean[]>;

/** Notes what runs and what the policy stopped, over all pages of a window. */
async function watch(page: Page): Promise<string[]> {
  const seen: string[] = [];
  await page.context().exposeBinding("seen", (_, what: string) => seen.push(what));
  await page.addInitScript(`
    Object.defineProperty(window, "hacked", { set: (nr) => seen("attack " + nr + " ran") });
    addEventListener("securitypolicyviolation", (event) => seen("the policy stopped " + event.violatedDirective + " " + event.blockedURI));`);
  page.on("dialog", (dialog) => {
    seen.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && origin !== hostile.collector.origin && origin !== plain.collector.origin) seen.push(`asked ${request.url()}`);
  });
  return seen;
}

/** A line of progress, as any page may have it. */
const PROGRESS = readFileSync(join(ROOT, "collector", "templates", "progress.html"), "utf8");

/** Where a page may forget to escape. */
const FORGOTTEN = [
  (text: string) => `<p>${text}</p>`,
  (text: string) => `<a title="${text}">x</a>`,
  (text: string) => `<a title='${text}'>x</a>`,
  (text: string) => `<a title=${text}>x</a>`,
  (text: string) => `<a href="${text.replaceAll('"', "&quot;")}">x</a>`,
  (text: string) => `<title>${text}</title>`,
  (text: string) => `<textarea>${text}</textarea>`,
  (text: string) => `<select><option>${text}</option></select>`,
  (text: string) => `<svg><text>${text}</text></svg>`,
  (text: string) => `<!-- ${text} -->`,
  (text: string) => `<template>${text}</template>`,
  (text: string) => `<noscript>${text}</noscript>`,
];

test("34: where a page forgot to escape, attacks would be found", async () => {
  const page = await plain.look();
  await page.goto(`${plain.collector.origin}/signin`);
  const found: boolean[][] = [];
  for (const put of FORGOTTEN) found.push(await acting(page, ATTACKS.map(put)));
  await page.context().close();
  for (const [at, put] of FORGOTTEN.entries()) assert.ok(found[at]?.includes(true), `${put("…")} hides all`);
  // Some act only where they are decoded once more, in a script, or in a spreadsheet.
  const missed = ATTACKS.filter((_, nr) => !found.some((list) => list[nr]));
  assert.ok(missed.length < ATTACKS.length / 20, String(missed));
});

test("34: on no page does an attack run or make an element, and it can be read", async () => {
  assert.ok(ATTACKS.length >= 300, `${ATTACKS.length} attacks`);
  assert.deepEqual(unseen(hostile.all), []);
  // Without the policy of pages, so that what was forgotten is not hidden by the second line of defence.
  const [page, other] = await Promise.all([hostile.look({ bypassCSP: true }), plain.look()]);
  const seen = await watch(page);
  const wrong: string[] = [];
  await other.goto(`${plain.collector.origin}/signin`);
  const waiting = (await parsed(other, PROGRESS)).elements;
  const read = new Set<number>();
  const unread = new Set(attacker.said.keys());
  for (const [at, shown] of hostile.all.entries()) {
    const { name } = shown;
    wrong.push(...(await hostile.open(page, shown)).wrong);
    wrong.push(...(await plain.open(other, plain.all[at] as Shown)).wrong);
    const [now, usual] = [await made(page), await made(other)];
    const known = new Set([...usual.elements, ...waiting]);
    wrong.push(...now.elements.filter((element) => !known.has(element)).map((element) => `${name} has ${element}`));
    wrong.push(...now.acts.map((act) => `${name}: ${act}`), ...seen.splice(0).map((what) => `${name}: ${what}`));
    ATTACKS.forEach((attack, nr) => now.words.includes(attack) && read.add(nr));
    for (const place of unread) if (attacker.said.get(place)?.some((text) => now.words.includes(text))) unread.delete(place);
  }
  assert.deepEqual(wrong, []);
  assert.deepEqual([...unread], [], "nothing that was said in these places can be read anywhere");
  // Names take no control characters, so the few attacks with one are never whole.
  assert.ok(read.size > ATTACKS.length * 0.95, `${read.size} attacks were read`);
  figure(`${ATTACKS.length} attacks in ${attacker.said.size} places on ${hostile.all.length} pages: none ran, no element was added, ${read.size} were read as text`);
  await Promise.all([page.context().close(), other.context().close()]);
});

test("34: under the policy of pages the same, and the policy has nothing to stop", async () => {
  const page = await hostile.look({ viewport: { width: 360, height: 800 } });
  const seen = await watch(page);
  const wrong: string[] = [];
  for (const shown of hostile.all) {
    await hostile.open(page, shown);
    // What opens and closes is opened, so that all of it is there.
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    wrong.push(...seen.splice(0).map((what) => `${shown.name}: ${what}`));
  }
  // The palette and the values of a property are fetched by the script.
  await page.setViewportSize({ width: 1280, height: 800 });
  await hostile.open(page, hostile.all.find(({ name }) => name === "ask-trend") as Shown);
  await page.locator("[name=fp]").first().fill("plan");
  await page.locator("[name=fv]").first().focus();
  await page.waitForFunction(() => (document.querySelector("[data-values]")?.children.length ?? 0) > 0);
  await page.keyboard.press("Control+k");
  await page.waitForFunction(() => (document.querySelector(".palette ul")?.children.length ?? 0) > 10);
  wrong.push(...(await made(page)).acts, ...seen.splice(0));
  assert.deepEqual(wrong, []);
  await page.context().close();
});

/** Fields that pages read from an address, beside those of their forms. */
const READ = ["token", "part", "prop", "saved", "slice", "state", "own", "verify", "receipt", "cursor", "back", "embed", "project", "all", "col", "step", "metric", "window"];

test("34: what an address or a form says comes back as text", async () => {
  const page = await hostile.look();
  const wrong: string[] = [];
  let asked = 0;
  const spoken = new Attacker();
  const routes = new Set<string>();
  const look = async (what: string, html: string) => {
    const { acts } = await parsed(page, html);
    wrong.push(...acts.map((act) => `${what}: ${act}`));
    asked++;
  };
  for (const shown of hostile.all) {
    await hostile.open(page, shown);
    const forms = await page.evaluate(() =>
      [...document.forms].map((form) => ({
        method: form.method,
        action: form.action,
        fields: [...form.elements].map((field) => ({
          name: (field as HTMLInputElement).name,
          value: (field as HTMLInputElement).value,
          isText: field.matches("textarea, input:not([type]), input[type=text], input[type=search], input[type=email], input[type=date], input[type=number]"),
        })),
      })),
    );
    const address = new URL(shown.at, hostile.collector.origin);
    // Pages of one route read the same.
    const read = routes.has(shown.route) ? [] : READ;
    routes.add(shown.route);
    const names = new Set([...read, ...forms.filter(({ method }) => method === "get").flatMap(({ fields }) => fields.map(({ name }) => name))]);
    for (const name of names) {
      if (!name) continue;
      const asking = new URL(address);
      asking.searchParams.set(name, spoken.say(name, 400));
      const reply = await page.request.get(String(asking), { headers: { accept: "text/html" } });
      assert.ok(reply.status() < 500, `${asking}: ${reply.status()}`);
      if (reply.headers()["content-type"]?.startsWith("text/html")) await look(String(asking), await reply.text());
    }
    for (const { action, fields } of forms.filter(({ method, fields }) => method === "post" && fields.some(({ isText }) => isText))) {
      const form = Object.fromEntries(fields.filter(({ name }) => name).map(({ name, value, isText }) => [name, isText ? spoken.say(name, 190) : value]));
      const headers = { origin: hostile.collector.origin, accept: "text/html" };
      const reply = await page.request.post(action, { form, headers });
      assert.ok(reply.status() < 500, `${action}: ${reply.status()}`);
      await look(`a form to ${action}`, await reply.text());
    }
  }
  for (const path of ["/p/", "/admin/", "/share/x/y/", "/invitation/", "/"]) {
    const reply = await page.request.get(hostile.collector.origin + path + encodeURIComponent(spoken.say("path", 400)), { headers: { accept: "text/html" } });
    await look(path, await reply.text());
  }
  assert.deepEqual(wrong, []);
  figure(`${asked} addresses and forms that bring attacks along: all came back as text`);
  await page.context().close();
});

/** Cells of a CSV file as RFC 4180 has them. */
function cells(csv: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, bare, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? bare ?? "");
    if (end === "\r\n") rows.push([]);
    if (end === "") break;
  }
  return rows;
}

test("34: tables and pictures that are downloaded hold texts too", async () => {
  const page = await hostile.look({ bypassCSP: true });
  const seen = await watch(page);
  let files = 0;
  for (const shown of hostile.all.filter(({ at }) => /\/(ask|events)/.test(at))) {
    await hostile.open(page, shown);
    const links = await page.locator("a[download]").evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href));
    for (const link of links) {
      const reply = await page.request.get(link);
      const headers = reply.headers();
      assert.match(headers["content-type"] ?? "", /^text\/csv/, link);
      assert.match(headers["content-disposition"] ?? "", /^attachment/, link);
      assert.equal(headers["x-content-type-options"], "nosniff");
      for (const cell of cells(await reply.text()).flat()) {
        assert.ok(!/^[=+@\t\r-]/.test(cell) || /^-?[\d.]+$/.test(cell), `${link}: a spreadsheet would calculate ${cell}`);
      }
      files++;
    }
  }
  const charts = ["ask-trend?event=$pageview&measure=count&by1=plan", "ask-paths"].map((name) => hostile.all.find((shown) => shown.name.startsWith(name)));
  for (const shown of charts) {
    await hostile.open(page, shown as Shown);
    for (const button of await page.locator("[data-svg]:visible").all()) {
      const waiting = page.waitForEvent("download");
      await button.click();
      const file = await (await waiting).path();
      const svg = readFileSync(file, "utf8");
      const root = await page.evaluate((svg) => {
        const read = new DOMParser().parseFromString(svg, "image/svg+xml");
        const odd = [...read.querySelectorAll("*")].filter((one) => one.hasAttribute("hacked") || /script|foreignObject|parsererror|^a$/.test(one.localName) || one.getAttributeNames().some((name) => /^on|href$/.test(name)));
        return { name: read.documentElement.localName, odd: odd.map(({ outerHTML }) => outerHTML.slice(0, 200)), text: read.documentElement.textContent ?? "" };
      }, svg);
      assert.deepEqual([root.name, root.odd], ["svg", []], shown?.name);
      const alone = await page.context().newPage();
      await alone.goto(`data:image/svg+xml,${encodeURIComponent(svg)}`);
      await alone.close();
      files++;
    }
  }
  assert.deepEqual(seen, []);
  figure(`${files} files downloaded`);
  await page.context().close();
});
