/**
 * 57: marked values go in by every way there is; then all that was sent, answered, logged and written is searched for
 * them, while the collector runs, after a kill, after merges and in a backup; and what the page keeps on the device. What
 * the browser itself keeps of a page, its address and its files, is not ours.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page, Request } from "playwright-core";

import { amount, figure } from "../support/amounts.ts";
import { flush, ROOT } from "../support/bench.ts";
import { launch } from "../support/browser.ts";
import { addresses, card, files, inMemory, mark, NETWORK, search, type Searched } from "../support/canary.ts";
import { Collector, type Project } from "../support/collector.ts";
import { bundlePackage, plainPage } from "../support/plain.ts";
import { Profile, stored } from "../support/profile.ts";
import { Proxy } from "../support/proxy.ts";
import { aroundNow } from "../support/range.ts";
import { Site } from "../support/site.ts";
import { until } from "../support/until.ts";

/** Segments are written and merged while the test looks on. */
const SETTINGS = [
  "--log=debug", "--trusted-proxies=127.0.0.0/8", "--flush-interval-ms=1000", "--merge-segments=2", "--merge-idle-ms=1000",
];

const names = ["user", "device", "trait", "path", "query", "referrer", "name", "key", "inner", "password", "message", "label", "typed", "content", "context", "goal", "step", "bare", "refused"] as const;
/** All of them begin alike, so that one search finds any. */
const begin = mark();
const marks = Object.fromEntries(names.map((name) => [name, begin + name])) as Record<(typeof names)[number], string>;
const mail = Object.fromEntries(names.map((name) => [name, `${marks[name]}@mail.example`])) as typeof marks;
const numbers = { card: card(), phone: `+4915${String(Date.now()).slice(-9)}` };
const token = `eyJ${begin}head.${begin}body.${begin}sign`;
/** What nobody hides, so that the search is seen to find. */
const plain = mark();
const visitors = addresses(amount("TALLYMARK_TEST_ADDRESSES", 60));

let collector: Collector;
let browser: Browser;
let site: Site;
let proxy: Proxy;
let project: Project;
const folder = mkdtempSync(join(tmpdir(), "tallymark-canary-"));
/** Everything that leaves the browser for the collector, and everything it answers. */
const wire: Searched[] = [];

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(SETTINGS), launch()]);
  site = await Site.start({ files: await bundlePackage(join(ROOT, "tests", "browser")) });
  proxy = await Proxy.start(collector.origin);
  project = await collector.createProject("canary");
});

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await site?.stop();
  await collector?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const secretsOfPage = { mark: begin, ...numbers };
const secrets = { mark: begin, network: NETWORK, ...numbers };

/** Finds nothing that was to be hidden, and what was not to be hidden in each of these. */
async function nowhere(places: Searched[], plainIn: RegExp[], page: Page): Promise<void> {
  assert.deepEqual(await search(secrets, places, page, site), []);
  const there = await search({ plain }, places, page, site);
  for (const place of plainIn) assert.ok(there.some((where) => place.test(where)), `${place} is searched: ${there.join()}`);
}

/** A page that uses everything, by a visitor of this address. */
async function visit(address: string, context?: BrowserContext): Promise<Page> {
  proxy.visitor = address;
  const settings = { key: project.write_key, salt: project.salt, endpoint: proxy.origin, mode: "full", autoPage: true } as const;
  const made = plainPage("canary", settings, `
    const { autocapture, business, content, errors, pwa, vitals } = measures;
    autocapture.autocapture({ text: true });
    errors.watchErrors({ context: { extra: { contact: ${JSON.stringify(mail.context)} } } });
    vitals.watchVitals(); pwa.watchPwa(); content.watchMarkedContent({ forMs: 0 });
  `, {
    bundle: "measures",
    body: `<form id="order" onsubmit="return false"><input name="who"><input type="password" name="pin"><button>Send to ${mail.label}</button></form>
      <a id="out" href="https://elsewhere.example/${mail.path}?token=${marks.query}" onclick="return false" data-tm-prop-contact="${mail.label}">Write to ${mail.label}</a>
      <article data-tm-content="${mail.content}" data-tm-type="letter">A letter</article>`,
  });
  const [html, script] = Object.values(made);
  if (!html || !script) throw new Error("a page is two files");
  // The address of the page itself is marked.
  const path = `/u/${mail.path}.html`;
  Object.assign(site.files, { ...made, [path]: html });
  context ??= await browser.newContext();
  const page = await context.newPage();
  page.on("request", (request: Request) => {
    if (!request.url().startsWith(proxy.origin)) return;
    const headers = JSON.stringify(request.headers());
    wire.push([`request ${request.url()}`, Buffer.concat([Buffer.from(`${request.url()} ${headers}`), request.postDataBuffer() ?? Buffer.alloc(0)])]);
  });
  await page.goto(site.page(`${path}?access_token=${marks.query}&email=${encodeURIComponent(mail.query)}&utm_term=${mail.query}#/in?token=${marks.query}`), {
    referer: `https://mail.example/inbox/${mail.referrer}?q=${marks.referrer}`,
  });
  await page.waitForFunction("window.started");
  await page.evaluate(
    async ({ marks, mail, numbers, token, plain }) => {
      const { tally, measures } = window as unknown as { tally: Record<string, (...given: unknown[]) => unknown>; measures: Record<string, Record<string, (...given: unknown[]) => unknown>> };
      tally["identify"]!(mail.user, { contact: mail.trait, known: plain });
      tally["track"]!(`wrote to ${mail.name}`, { [mail.key]: 1 });
      tally["track"]!("sent", { letter: { to: [mail.inner] }, password: marks.password, card: Number(numbers.card), text: `card ${numbers.card}, call ${numbers.phone}`, token, link: `/reset?code=${marks.query}`, known: plain });
      tally["conversion"]!(mail.goal, { value: 1 });
      tally["funnelStep"]!("letters", mail.step);
      tally["contentView"]!({ id: mail.content, type: "letter" });
      measures["business"]!["logEvent"]!("letter_sent", { to: mail.inner });
      measures["errors"]!["captureError"]!(new Error(`no such person: ${mail.message} password=${marks.password}`), { user: { userType: mail.user }, extra: { jwt: token } });
      void Promise.reject(new Error(`not handled: ${mail.message}`));
      history.pushState(null, "", `/u/${mail.path}/letters?token=${marks.query}`);
    },
    { marks, mail, numbers, token, plain },
  );
  await page.fill("[name=who]", marks.typed);
  await page.fill("[name=pin]", marks.typed);
  await page.click("#order button");
  await page.click("#out");
  await flush(page);
  return page;
}

/** What pages never do: raw properties and ids, from servers, from other programs, and from mistakes. */
async function sendRaw(): Promise<void> {
  const id = () => {
    const time = Date.now().toString(16).padStart(12, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${Math.floor(Math.random() * 2 ** 47).toString(16).padStart(12, "0")}`;
  };
  const props = { to: mail.bare, password: marks.bare, card: numbers.card, call: numbers.phone, [mail.bare]: [token], known: plain };
  const event = (fields: object) => ({ id: id(), name: `wrote to ${mail.bare}`, at: Date.now(), props, ...fields });
  const context = { url: `https://shop.example/u/${mail.bare}?token=${marks.bare}&utm_campaign=${mail.bare}`, referrer: `https://t.example/${mail.bare}` };
  for (const address of visitors) {
    const body = { key: project.write_key, nonce: "n", sdk: "other/1", sent_at: Date.now(), context, events: [event({}), event({ user: mail.refused }), event({ at: 1, note: mail.refused }), mail.refused] };
    const reply = await fetch(new URL("/v1/batch", collector.origin), { method: "POST", body: JSON.stringify(body), headers: { "x-forwarded-for": address } });
    wire.push(["answer to a raw batch", Buffer.from(await reply.text())]);
  }
  await collector.sendFromServer(project, [event({ user_id: mail.user, device_id: marks.device })]);
  for (const broken of ["{", `{"key":"${mail.bare}","events":[]}`, `{"key":"${project.write_key}","events":${JSON.stringify(mail.bare)}}`]) {
    const reply = await fetch(new URL("/v1/batch", collector.origin), { method: "POST", body: broken });
    wire.push(["answer to a broken batch", Buffer.from(await reply.text())]);
  }
}

/** Everything that an operator can read. */
async function answers(): Promise<Searched[]> {
  const texts = ["/v1/events?limit=1000", "/v1/schema", "/v1/quarantine", "/metrics", "/metrics?format=json"].map(
    async (path): Promise<Searched> => [`GET ${path}`, Buffer.from(await collector.text(project, path))],
  );
  const series = [{ event: "sent", measure: "count" }];
  const asked = ["path", "known", "$guarded", "utm_term"].map(async (prop): Promise<Searched> => {
    const answer = await collector.query(project, "trend", { ...aroundNow(), series, breakdown: { prop, limit: 20 } });
    return [`trend by ${prop}`, Buffer.from(JSON.stringify(answer))];
  });
  return Promise.all([...texts, ...asked]);
}

/** Where a browser's profile has what pages keep. */
const KEPT_BY_PAGES = /\/(?:IndexedDB|Local Storage|Session Storage|WebStorage|Service Worker|File System|databases|Network|Cookies)\b/;

test("57: what is marked is not on the device, while events wait there", async () => {
  const profile = new Profile();
  const reader = await (await browser.newContext()).newPage();
  await reader.goto(site.page("/"));
  try {
    proxy.behave = () => "reset";
    const page = await visit("", await profile.open());
    await until("the events to be stored", async () => (await stored(page)).events > 15);
    // What pages keep is on the disk when the browser has ended, at the latest.
    await profile.close();
    const kept = files(profile.folder).filter(([file]) => KEPT_BY_PAGES.test(file));
    await nowhere(kept, [/IndexedDB/], reader);
    const entries = await search({ entry: `tallymark:${project.write_key}` }, kept, reader, site);
    assert.ok(entries.some((where) => where.includes("Local Storage")), "local storage is searched");
    figure(`${names.length + 3} marked values in none of ${kept.length} files in which a browser keeps what pages store`);
  } finally {
    proxy.behave = () => "pass";
    await reader.close();
    await profile.remove();
  }
});

// Shows S4-69 and S4-71.
test("57: what is marked is nowhere: not on the wire, not in memory, not in answers and logs, not on the disk", async () => {
  const page = await visit(visitors[0] ?? "");
  // Of what a page hides or hashes, the collector's memory never had anything, also where it was freed.
  await until("the page's events", async () => (await collector.events(project, { event: "sent" })).length);
  const memory = collector.memory();
  assert.deepEqual(inMemory(secretsOfPage, memory), []);
  assert.notDeepEqual(inMemory({ plain }, memory), []);
  await sendRaw();
  await until("raw events", async () => (await collector.events(project)).length > visitors.length);
  for (const [i, { text }] of proxy.batches.entries()) wire.push([`batch ${i}`, Buffer.from(text)]);
  await nowhere(wire, [/batch/], page);
  await nowhere(await answers(), [/GET \/v1\/events/, /GET \/v1\/quarantine/, /trend by known/], page);

  // What hid something says so, by project, event and rule.
  const sent = await collector.events(project, { event: "sent" });
  assert.deepEqual(sent.map(({ context }) => context["$guarded"]), ["secret,email,phone,card"]);
  assert.deepEqual(sent[0]?.props, {
    letter: { to: ["[email]"] }, password: "[secret]", card: "[card]", text: "card [card], call [phone]", token: "[secret]", link: "/reset?code=[secret]", known: plain,
  });
  const metrics = await collector.text(project, "/metrics");
  for (const rule of ["secret", "token", "email", "phone", "card"]) {
    assert.match(metrics, new RegExp(`tallymark_events_guarded_total\\{rule="${rule}"\\} [1-9]`));
  }

  for (const format of ["jsonl", "csv", "parquet"]) {
    const exported = await collector.command("export", "--project", project.slug, "--format", format);
    writeFileSync(join(folder, `export.${format}`), exported);
  }
  await collector.command("backup", join(folder, "backup"));
  // Parquet packs its pages by runs of letters, so even what is there cannot always be found as it is.
  await nowhere(files(folder), [/export\.jsonl/, /export\.csv/, /backup/], page);

  await collector.end("SIGKILL");
  await nowhere(files(collector.folder), [/./], page);
  const printed: Searched[] = [["the log", Buffer.from(collector.printed())]];

  collector = await Collector.start(SETTINGS, collector.folder);
  proxy.visitor = undefined;
  await sendRaw();
  await nowhere(await answers(), [/GET \/v1\/events/], page);
  // Files are merged, and what was in the log is in segments.
  await until("the log to be written as segments", async () => /^tallymark_store_memtable_rows 0$/m.test(await collector.text(project, "/metrics")));
  await collector.end("SIGTERM");
  printed.push(["the second log", Buffer.from(collector.printed())]);
  assert.ok(printed.every(([, log]) => log.length > 0), "there are logs");
  await nowhere([...files(collector.folder), ...printed], [/seg\//], page);
  figure(`${names.length + 3} marked values and ${visitors.length} addresses in none of ${wire.length} bodies and answers and ${files(collector.folder).length} files`);
});
