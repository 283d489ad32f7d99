/**
 * Every page there is.
 *
 * In: a collector, a project with events, and what a team writes into it. Out: a list of all pages with an address each,
 * and who may look at them; whatever a page shows is there. A route of the access table that has no page in the list is
 * found by {@link unseen}, so a new page is a page of every test that goes through them.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";

import { ROOT } from "./bench.ts";
import type { Collector, Project } from "./collector.ts";

const DAY_MS = 86_400_000;

/** A page: its name, the route that makes it, an address of it. */
export interface Shown {
  name: string;
  route: string;
  at: string;
  /** Who looks: an admin with an account, somebody who may only look, nobody, or whoever runs the machine. */
  as?: Reader;
  german?: boolean;
  status?: number;
}

export type Reader = "operator" | "account" | "viewer" | "nobody";

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

/** Methods and routes of the access table. */
export const ROUTES = readFileSync(join(ROOT, "tests", "vectors", "access.tsv"), "utf8")
  .trim()
  .split("\n")
  .map((line) => line.split("\t"))
  .map(([method = "", path = "", needs = ""]) => ({ method, path, needs }));

/** Routes that make pages and are in no list: give them a line in {@link Pages.prepare}, or say above what they are. */
export function unseen(pages: Shown[]): string[] {
  const shown = new Set(pages.map(({ route }) => route));
  const routes = ROUTES.filter(({ method, path }) => method === "GET" && !/^\/(v1|api)\//.test(path)).map(({ path }) => path);
  return routes.filter((route) => !shown.has(route) && !(route in NO_PAGES));
}

/** What a team writes: for a place, what stands there in plain words. */
export type Say = (place: string, plain: string) => string;

export const EXPERIMENT = {
  key: "buy-button",
  kind: "experiment",
  hypothesis: "A green button is seen earlier, so more visitors buy.",
  variants: [{ key: "control" }, { key: "green" }],
  primary: { name: "bought", event: "purchase" },
  secondary: [{ name: "revenue", event: "purchase", kind: "revenue" }],
  mde: 0.1,
};

export class Pages {
  private constructor(
    readonly collector: Collector,
    readonly browser: Browser,
    readonly project: Project,
    readonly all: Shown[],
    readonly cookies: Record<Reader, Awaited<ReturnType<BrowserContext["cookies"]>>>,
    /** What the team has written. */
    readonly said: string[],
  ) {}

  /** Fill in what pages show, of this project at this time, whose experiment `buy-button` runs. */
  static async prepare(collector: Collector, browser: Browser, project: Project, now: number, words: Say = (_, plain) => plain): Promise<Pages> {
    const { slug } = project;
    const said = [slug, "fresh", "Demo shop", "Main", "ada@example.org", "vera@example.org", EXPERIMENT.key, "short-checkout", EXPERIMENT.hypothesis, "The letter of the week went out", "green", "bought", "revenue"];
    const say: Say = (place, plain) => {
      const text = words(place, plain);
      said.push(text);
      return text;
    };
    const send = (path: string, body: object, method = "POST") => ask(collector, project, path, body, method);
    await send("/v1/experiments", { ...EXPERIMENT, key: "short-checkout", hypothesis: say("hypothesis", "Fewer fields, more orders.") });
    const saved: [string, string, object][] = [
      ["way-to-buy", "funnel", { steps: [{ event: "view_product" }, { event: "add_to_cart" }, { event: "purchase" }] }],
      ["people", "trend", { series: [{ event: "$pageview", measure: "persons" }], compare: "previous" }],
      ["coming-back", "retention", { bucket: "week", periods: 6 }],
      ["countries", "trend", { series: [{ event: "$pageview", measure: "persons" }], breakdown: { prop: "country", limit: 20 } }],
    ];
    for (const [key, kind, question] of saved) {
      await send(`/v1/saved/questions/${key}`, { name: say("question", key.replaceAll("-", " ")), kind, question }, "PUT");
    }
    const at = new Date(now - 9 * DAY_MS).toISOString();
    await send("/v1/saved/annotations/release", { text: say("annotation", "Release 2.1"), at }, "PUT");

    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(collector.signInUrl);
    const tiles = saved.map(([question], at) => ({ question, wide: at === 1 }));
    await send("/v1/saved/dashboards/growth", { name: say("dashboard", "Growth"), tiles }, "PUT");
    await page.goto(`${collector.origin}/p/${slug}/boards/growth`);
    await page.locator("summary", { hasText: "Share" }).click();
    await page.getByRole("button", { name: "Make a link" }).click();
    const link = await page.locator("input[readonly]").first().inputValue();
    const shared = new URL(link, collector.origin).pathname;
    await page.goto(`${collector.origin}/p/${slug}/boards/growth/reports`);
    await page.getByRole("radio", { name: "to a webhook" }).check();
    await page.locator("textarea[name=to]").fill("https://hooks.example.org/growth");
    await page.getByRole("button", { name: "Set it up" }).click();
    const post = async (path: string, data?: object) => {
      const reply = await page.request.post(collector.origin + path, { data, headers: { origin: collector.origin } });
      assert.ok(reply.ok(), `${path}: ${reply.status()} ${await reply.text()}`);
      return ((await reply.json()) as { path: string }).path;
    };
    await post("/v1/organisations/main/projects", { name: say("project", "Fresh"), slug: "fresh", tz: "UTC" });
    const invite = (email: string, role: string) => post("/v1/organisations/main/invitations", { email, role });
    const invitation = await invite(say("address", "grace@example.org"), "analyst");
    const join = async (email: string, role: string, name: string) => {
      const joins = await browser.newContext();
      const joining = await joins.newPage();
      await joining.goto(collector.origin + (await invite(email, role)));
      await joining.getByLabel("Your name").fill(say("member", name));
      await joining.locator("[name=password]").fill("four or five words do");
      await joining.getByRole("button", { name: "Join" }).click();
      await joining.waitForURL((url) => url.pathname !== "/invitation");
      const cookies = await joins.cookies();
      await joins.close();
      return cookies;
    };
    const admin = await join("ada@example.org", "admin", "Ada");
    const viewer = await join("vera@example.org", "viewer", "Vera");
    const list = await page.request.get(`${collector.origin}/v1/organisations/main/members`);
    const { members } = (await list.json()) as { members: { id?: number; account?: number }[] };
    const account = members[0]?.account ?? members[0]?.id;
    const password = await post(`/v1/organisations/main/members/${account}/reset`);
    const cookies = { operator: await context.cookies(), account: admin, viewer, nobody: [] };
    const people = await collector.query<{ persons: { person: string }[] }>(project, "persons", { sort: "events", limit: 1 });

    // The kinds of questions are those that the navigation leads to.
    await page.goto(`${collector.origin}/p/${slug}`);
    const links = await page.locator(".side nav a").evaluateAll((all) => all.map((link) => new URL((link as HTMLAnchorElement).href).pathname));
    const kinds = links.filter((path) => path.includes("/ask/")).map((path) => path.split("/").at(-1) ?? "");
    assert.ok(kinds.length >= 13, String(kinds));
    await context.close();

    const question = (name: string, query: string, more: Partial<Shown> = {}): Shown => ({
      name,
      route: "/p/{slug}/ask/{kind}",
      at: `/p/${slug}/ask/${query}`,
      ...more,
    });
    const settings = ["keys", "members", "retention", "privacy", "delivery", "files", "limits", "audit"];
    const all: Shown[] = [
      { name: "projects", route: "/", at: "/?all" },
      { name: "home", route: "/p/{slug}", at: `/p/${slug}` },
      { name: "home-german", route: "/p/{slug}", at: `/p/${slug}`, german: true },
      { name: "first-run", route: "/p/{slug}", at: "/p/fresh" },
      { name: "changes", route: "/p/{slug}/changes", at: `/p/${slug}/changes` },
      ...kinds.map((kind) => question(`ask-${kind}`, kind)),
      question("ask-person", `person?person=${people.persons[0]?.person}`),
      question("ask-trend-countries", "trend?event=$pageview&measure=persons&by1=country&compare=previous"),
      question("ask-trend-german", "trend?event=purchase&measure=count&bucket=week&range=90d", { german: true }),
      question("ask-funnel-devices", "funnel?by1=device_type"),
      question("ask-sessions-channels", "sessions?by1=channel"),
      question("ask-refused", "trend?event=$pageview&measure=count&formula=A+%2F"),
      question("ask-incomplete", "person"),
      question("ask-nothing", "trend?event=never_seen&measure=count"),
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
      { name: "no-permission", route: "/p/{slug}/settings/keys", at: `/p/${slug}/settings/keys`, as: "viewer", status: 403 },
      { name: "growth", route: "/admin/metrics", at: `/admin/metrics?project=${slug}` },
      { name: "docs", route: "/docs", at: "/docs", as: "nobody" },
    ];
    return new Pages(collector, browser, project, all, cookies, said);
  }

  /** A browser's window in which pages can be looked at, one after the other. */
  async look(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.browser.newContext({ timezoneId: "UTC", ...options });
    return context.newPage();
  }

  /** Open a page as its reader; gives what is wrong with the answer, and its headers. */
  async open(page: Page, shown: Shown, german = shown.german ?? false): Promise<{ headers: Record<string, string>; wrong: string[] }> {
    const { name, at, as = "operator", status = 200 } = shown;
    await page.context().clearCookies();
    const language = { name: "tallymark_language", value: german ? "de" : "en", url: this.collector.origin };
    await page.context().addCookies([...this.cookies[as], language]);
    const reply = await page.goto(this.collector.origin + at);
    // What comes after the page.
    await page.waitForFunction(() => !document.querySelector("[data-load][aria-busy=true]"));
    const wrong = reply?.status() === status ? [] : [`${name} (${at}) answers ${reply?.status()}`];
    return { headers: reply?.headers() ?? {}, wrong };
  }
}

/** Ask with the project's secret key. */
export async function ask(collector: Collector, project: Project, path: string, body: object, method = "POST"): Promise<unknown> {
  const headers = { authorization: `Bearer ${project.secret_key}`, "content-type": "application/json" };
  const reply = await fetch(collector.origin + path, { method, headers, body: JSON.stringify(body) });
  const text = await reply.text();
  assert.ok(reply.ok, `${path}: ${reply.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}
