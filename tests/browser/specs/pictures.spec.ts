/**
 * Every page as it was when somebody looked at it and found it good: at both ends of width, in both themes, without a
 * finding of axe, without scrolling sideways, without an error. A page that nobody took pictures of fails.
 *
 * `npm run pictures` keeps what pages look like now; look at them before you commit them.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

import { ROOT } from "../support/bench.ts";
import { FLAGS, watchErrors } from "../support/browser.ts";
import { Collector, runCommand, type Project } from "../support/collector.ts";
import { compare, forget } from "../support/pictures.ts";

const AXE = readFileSync(createRequire(join(ROOT, "tests", "browser", "package.json")).resolve("axe-core/axe.min.js"), "utf8");
/** When it is: a Wednesday at noon. */
const NOW = new Date("2026-09-16T12:00:00Z");
const DAY_MS = 86_400_000;
/** Days that the experiment has run. */
const RUNNING_DAYS = 21;
const WIDTHS = [360, 1280];
const THEMES = ["light", "dark"] as const;

/** A page: the name of its picture, the route that makes it, an address of it. */
interface Shown {
  name: string;
  route: string;
  at: string;
  /** Who looks: somebody with an account, nobody, or whoever runs the machine. */
  as?: "account" | "nobody";
  german?: boolean;
  status?: number;
}

/** Routes that are no pages: what they are instead. */
const NO_PAGES: Record<string, string> = {
  "/p/{slug}/now": "a part of the home",
  "/p/{slug}/find": "a part of the palette",
  "/p/{slug}/arrived": "a part of the first run",
  "/p/{slug}/boards/{key}/pdf": "a file",
  "/assets/{file}": "style and script",
  "/admin/metrics.js": "a script",
  "/admin/metrics.css": "a style",
  "/sdk/{file}": "a script",
  "/sdk/{build}/{file}": "a script",
  "/signin/oidc": "a way to the provider of accounts",
  "/signin/oidc/back": "the way back from it",
  "/healthz": "for machines",
  "/readiness": "for machines",
  "/metrics": "for machines",
  "/openapi.json": "for machines",
};

let collector: Collector;
let browser: Browser;
let project: Project;
let tools: string;
let pages: Shown[];
let cookies: Record<"operator" | "account" | "nobody", Awaited<ReturnType<BrowserContext["cookies"]>>>;

before(async () => {
  tools = mkdtempSync(join(tmpdir(), "tallymark-clock-"));
  const shim = join(tools, "clock.so");
  const source = join(ROOT, "tests", "native", "clock.c");
  const { status, stderr } = spawnSync("cc", ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, source], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const clock = (at: number) => ({ ...process.env, LD_PRELOAD: shim, CLOCK_STANDS_AT: String(Math.floor(at / 1000)) });
  const folder = mkdtempSync(join(tmpdir(), "tallymark-data-"));

  const filled = await runCommand(["demo", "--events", "40000", "--json"], folder, clock(NOW.getTime()));
  project = JSON.parse(filled.toString().trim().split("\n").at(-1) ?? "") as Project;
  const more = join(tools, "subscriptions.jsonl");
  writeFileSync(more, subscriptions().map((event) => JSON.stringify(event)).join("\n"));
  await runCommand(["import", "--project", project.slug, "--format", "jsonl", more], folder, clock(NOW.getTime()));
  const before = await Collector.start([], folder, clock(NOW.getTime() - RUNNING_DAYS * DAY_MS));
  await before.run(project, [EXPERIMENT]).finally(() => before.end("SIGTERM"));
  collector = await Collector.start([], folder, clock(NOW.getTime()));
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [...FLAGS, "--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb", "--hide-scrollbars"],
  });
  pages = await prepare();
});

after(async () => {
  await browser?.close();
  await collector?.stop();
  if (tools) rmSync(tools, { recursive: true });
});

const EXPERIMENT = {
  key: "buy-button",
  kind: "experiment",
  hypothesis: "A green button is seen earlier, so more visitors buy.",
  variants: [{ key: "control" }, { key: "green" }],
  primary: { name: "bought", event: "purchase" },
  secondary: [{ name: "revenue", event: "purchase", kind: "revenue" }],
  mde: 0.1,
};
const DRAFT = { ...EXPERIMENT, key: "short-checkout", hypothesis: "Fewer fields, more orders." };

async function send(path: string, body: object, method = "POST"): Promise<void> {
  const headers = { authorization: `Bearer ${project.secret_key}`, "content-type": "application/json" };
  const reply = await fetch(collector.origin + path, { method, headers, body: JSON.stringify(body) });
  assert.ok(reply.ok, `${path}: ${reply.status} ${await reply.text()}`);
}

/** Subscriptions, of which the demo has none. */
function subscriptions(): object[] {
  const events: object[] = [];
  const add = (person: number, name: string, daysAgo: number, props: object) => {
    const at = NOW.getTime() - daysAgo * DAY_MS + events.length;
    const hex = at.toString(16).padStart(12, "0");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(events.length).padStart(12, "0")}`;
    events.push({ id, name, at, user: `customer-${person}`, props: { currency: "EUR", ...props } });
  };
  for (let person = 0; person < 60; person++) {
    const daysAgo = 175 - person * 2.5;
    const amount = [9, 19, 49][person % 3] ?? 9;
    add(person, "subscription.created", daysAgo, { amount });
    for (let paid = daysAgo; paid > 0; paid -= 30) add(person, "payment.completed", paid, { amount });
    if (person % 7 === 3 && daysAgo > 40) add(person, "subscription.cancelled", daysAgo - 35, {});
    if (person % 9 === 4 && daysAgo > 20) add(person, "subscription.changed", daysAgo - 15, { amount: amount + 10 });
  }
  return events;
}

/** Fill in what pages show; gives every page there is. */
async function prepare(): Promise<Shown[]> {
  const slug = project.slug;
  await send("/v1/experiments", DRAFT);
  const saved: [string, string, object][] = [
    ["way-to-buy", "funnel", { steps: [{ event: "view_product" }, { event: "add_to_cart" }, { event: "purchase" }] }],
    ["people", "trend", { series: [{ event: "$pageview", measure: "persons" }], compare: "previous" }],
    ["coming-back", "retention", { bucket: "week", periods: 6 }],
    ["countries", "trend", { series: [{ event: "$pageview", measure: "persons" }], breakdown: { prop: "country", limit: 20 } }],
  ];
  for (const [key, kind, question] of saved) await send(`/v1/saved/questions/${key}`, { name: key.replaceAll("-", " "), kind, question }, "PUT");
  await send("/v1/saved/annotations/release", { text: "Release 2.1", at: new Date(NOW.getTime() - 9 * DAY_MS).toISOString() }, "PUT");
  await collector.command("project", "create", "Fresh", "--slug", "fresh", "--json");

  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(collector.signInUrl);
  const tiles = saved.map(([question], at) => ({ question, wide: at === 1 }));
  await send("/v1/saved/dashboards/growth", { name: "Growth", tiles }, "PUT");
  await page.goto(`${collector.origin}/p/${slug}/boards/growth`);
  await page.locator("summary", { hasText: "Share" }).click();
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = await page.locator("input[readonly]").first().inputValue();
  const shared = new URL(link, collector.origin).pathname;
  await page.goto(`${collector.origin}/p/${slug}/boards/growth/reports`);
  await page.getByRole("radio", { name: "to a webhook" }).check();
  await page.locator("textarea[name=to]").fill("https://hooks.example.org/growth");
  await page.getByRole("button", { name: "Set it up" }).click();
  const invite = async (email: string, role: string) => {
    const reply = await page.request.post(`${collector.origin}/v1/organisations/main/invitations`, {
      data: { email, role },
      headers: { origin: collector.origin },
    });
    return ((await reply.json()) as { path: string }).path;
  };
  const invitation = await invite("grace@example.org", "analyst");
  const joins = await browser.newContext();
  const joining = await joins.newPage();
  await joining.goto(collector.origin + (await invite("ada@example.org", "admin")));
  await joining.getByLabel("Your name").fill("Ada");
  await joining.locator("[name=password]").fill("four or five words do");
  await joining.getByRole("button", { name: "Join" }).click();
  await joining.waitForURL((url) => url.pathname !== "/invitation");
  const members = (await (await page.request.get(`${collector.origin}/v1/organisations/main/members`)).json()) as { members: { id?: number; account?: number }[] };
  const account = members.members[0]?.account ?? members.members[0]?.id;
  const reset = await page.request.post(`${collector.origin}/v1/organisations/main/members/${account}/reset`, { headers: { origin: collector.origin } });
  const password = ((await reset.json()) as { path: string }).path;
  cookies = { operator: await context.cookies(), account: await joins.cookies(), nobody: [] };
  const people = await collector.query<{ persons: { person: string }[] }>(project, "persons", { sort: "events", limit: 1 });

  // The kinds of questions are those that the navigation leads to.
  await page.goto(`${collector.origin}/p/${slug}`);
  const links = await page.locator(".side nav a").evaluateAll((all) => all.map((link) => new URL((link as HTMLAnchorElement).href).pathname));
  const kinds = links.filter((path) => path.includes("/ask/")).map((path) => path.split("/").at(-1) ?? "");
  assert.ok(kinds.length >= 13, String(kinds));
  await joins.close();
  await context.close();

  const ask = (name: string, query: string, more: Partial<Shown> = {}): Shown => ({ name, route: "/p/{slug}/ask/{kind}", at: `/p/${slug}/ask/${query}`, ...more });
  const settings = ["keys", "members", "retention", "privacy", "delivery", "limits", "audit"];
  return [
    { name: "projects", route: "/", at: "/?all" },
    { name: "home", route: "/p/{slug}", at: `/p/${slug}` },
    { name: "home-german", route: "/p/{slug}", at: `/p/${slug}`, german: true },
    { name: "first-run", route: "/p/{slug}", at: "/p/fresh" },
    ...kinds.map((kind) => ask(`ask-${kind}`, kind)),
    ask("ask-person", `person?person=${people.persons[0]?.person}`),
    ask("ask-trend-countries", "trend?event=$pageview&measure=persons&by1=country&compare=previous"),
    ask("ask-trend-german", "trend?event=purchase&measure=count&bucket=week&range=90d", { german: true }),
    ask("ask-funnel-devices", "funnel?by1=device_type"),
    ask("ask-sessions-channels", "sessions?by1=channel"),
    ask("ask-refused", "trend?event=$pageview&measure=count&formula=A+%2F"),
    ask("ask-incomplete", "person"),
    ask("ask-nothing", "trend?event=never_seen&measure=count"),
    { name: "events", route: "/p/{slug}/events", at: `/p/${slug}/events` },
    { name: "boards", route: "/p/{slug}/boards", at: `/p/${slug}/boards` },
    { name: "boards-empty", route: "/p/{slug}/boards", at: "/p/fresh/boards" },
    { name: "board", route: "/p/{slug}/boards/{key}", at: `/p/${slug}/boards/growth` },
    { name: "reports", route: "/p/{slug}/boards/{key}/reports", at: `/p/${slug}/boards/growth/reports` },
    { name: "shared", route: "/share/{of}/{key}/{token}", at: shared, as: "nobody" },
    { name: "settings", route: "/p/{slug}/settings", at: `/p/${slug}/settings` },
    ...settings.map((name) => ({ name: `settings-${name}`, route: `/p/{slug}/settings/${name}`, at: `/p/${slug}/settings/${name}` })),
    { name: "experiments", route: "/p/{slug}/experiments", at: `/p/${slug}/experiments` },
    { name: "experiments-empty", route: "/p/{slug}/experiments", at: "/p/fresh/experiments" },
    { name: "experiment", route: "/p/{slug}/experiments/{key}", at: `/p/${slug}/experiments/buy-button?slice=country` },
    { name: "experiment-draft", route: "/p/{slug}/experiments/{key}", at: `/p/${slug}/experiments/short-checkout` },
    { name: "experiment-code", route: "/p/{slug}/experiments/{key}/code", at: `/p/${slug}/experiments/buy-button/code` },
    { name: "new-experiment", route: "/p/{slug}/new-experiment", at: `/p/${slug}/new-experiment` },
    { name: "account", route: "/account", at: "/account", as: "account" },
    { name: "second-step", route: "/account/second-step", at: "/account/second-step", as: "account" },
    { name: "new-project", route: "/organisations/{organisation}/new", at: "/organisations/main/new" },
    { name: "signin", route: "/signin", at: "/signin", as: "nobody" },
    { name: "invitation", route: "/invitation", at: invitation, as: "nobody" },
    { name: "forgot", route: "/forgot", at: "/forgot", as: "nobody" },
    { name: "password", route: "/password", at: password, as: "nobody" },
    { name: "nothing-here", route: "/p/{slug}", at: "/p/nothing-here", status: 404 },
    { name: "growth", route: "/admin/metrics", at: `/admin/metrics?project=${slug}` },
    { name: "docs", route: "/docs", at: "/docs", as: "nobody" },
  ];
}

async function complaints(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<unknown> } }).axe.run());
  const { violations } = found as { violations: { id: string; nodes: { html: string }[] }[] };
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

test("every page has a picture, and every picture a page", () => {
  const rules = readFileSync(join(ROOT, "tests", "vectors", "access.tsv"), "utf8").trim().split("\n").map((line) => line.split("\t"));
  const routes = rules.filter(([method, path]) => method === "GET" && !/^\/(v1|api)\//.test(path ?? "")).map(([, path]) => path ?? "");
  const shown = new Set(pages.map(({ route }) => route));
  const without = routes.filter((route) => !shown.has(route) && !(route in NO_PAGES));
  assert.deepEqual(without, [], "these pages are in no picture: give them a line in `prepare`, or say in NO_PAGES what they are");
  const names = pages.flatMap(({ name }) => WIDTHS.flatMap((width) => THEMES.map((theme) => `${name}-${width}-${theme}`)));
  assert.deepEqual(forget(new Set(names)), [], "these pictures are of no page; `npm run pictures` takes them away");
});

for (const width of WIDTHS)
  for (const theme of THEMES)
    test(`at ${width} pixels, ${theme}, every page looks as it did`, async () => {
      const wrong: string[] = [];
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: theme, reducedMotion: "reduce", timezoneId: "UTC" });
      const page = await context.newPage();
      const errors = watchErrors(page);
      for (const { name, at, as = "operator", german = false, status = 200 } of pages) {
        await context.clearCookies();
        await context.addCookies([...cookies[as], { name: "tallymark_language", value: german ? "de" : "en", url: collector.origin }]);
        const reply = await page.goto(collector.origin + at);
        if (reply?.status() !== status) wrong.push(`${name} (${at}) answers ${reply?.status()}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) wrong.push(`${name} is ${wide} pixels too wide`);
        const different = await compare(page, `${name}-${width}-${theme}`);
        if (different) wrong.push(different);
        // Narrow pages are the same elements.
        if (width === 1280) wrong.push(...(await complaints(page)).map((one) => `${name}: ${one}`));
        const said = errors.splice(0).filter((error) => status === 200 || !error.includes(String(status)));
        wrong.push(...said.map((error) => `${name}: ${error}`));
      }
      await context.close();
      assert.deepEqual(wrong, [], "what is meant is kept by `npm run pictures`, in tests/browser");
    });
