/**
 * What pages of others can do with a reader who is signed in: frame nothing, change nothing, read nothing.
 *
 * Such a page stands once on another host, so that browsers keep cookies back, and once on another port of the same host,
 * where they do not. The routes are those of the access table.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";

import { figure } from "../support/amounts.ts";
import { launch } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";
import { ask, EXPERIMENT, Pages, ROUTES } from "../support/pages.ts";
import { Site } from "../support/site.ts";
import { tell } from "../support/story.ts";
import { until } from "../support/until.ts";

let browser: Browser;
let collector: Collector;
let project: Project;
let pages: Pages;
let site: Site;

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  site = await Site.start({ files: { "/": { body: "<!doctype html><title>Another page</title>" } } });
  project = await collector.createProject("shop");
  await ask(collector, project, "/v1/experiments", EXPERIMENT);
  let words = 0;
  await tell(collector, project, (place) => `${place} ${words++}`);
  pages = await Pages.prepare(collector, browser, project, Date.now());
});

after(async () => {
  await browser?.close();
  await site?.stop();
  await collector?.stop();
});

/** A page of others, in the browser of whoever runs the machine. */
async function foreign(host: string): Promise<Page> {
  const page = await pages.look();
  await page.context().addCookies(pages.cookies.operator);
  await page.goto(site.origin.replace("127.0.0.1", host));
  return page;
}

const SAME_HOST = "127.0.0.1";
const OTHER_HOST = "localhost";

test("36: no page can be framed by others, but for a dashboard that was shared to be", async () => {
  const shared = pages.all.find(({ name }) => name === "shared")?.at ?? "";
  for (const host of [SAME_HOST, OTHER_HOST]) {
    const page = await foreign(host);
    const addresses = [...pages.all.map(({ at }) => at), `${shared}?embed`];
    await page.evaluate(
      (addresses) =>
        Promise.all(
          addresses.map((src, nr) => {
            const frame = Object.assign(document.createElement("iframe"), { src, name: `frame ${nr}` });
            const loaded = new Promise((done) => (frame.onload = done));
            document.body.append(frame);
            return loaded;
          }),
        ),
      addresses.map((at) => collector.origin + at),
    );
    const frame = (nr: number) => page.frame(`frame ${nr}`);
    // A frame that may not be is one of the browser's own, with nothing in it.
    for (const [nr, { name }] of pages.all.entries()) {
      await until(`no frame with ${name}`, () => frame(nr) === null || frame(nr)?.url().startsWith("chrome-error:"));
    }
    const board = frame(pages.all.length);
    assert.ok(board?.url().startsWith(collector.origin), board?.url());
    await board?.getByText("way to buy").first().waitFor();
    await page.context().close();
  }
});

/** Forms that do something when they come from our own pages, by route: an address and its fields. */
const FORMS: Record<string, [at: string, fields: Record<string, string>]> = {
  "/organisations/{organisation}/new": ["/organisations/main/new", { name: "Taken", slug: "taken", tz: "UTC" }],
  "/p/{slug}/settings": ["/p/shop/settings", { name: "Taken", tz: "UTC", origins: "https://evil.example" }],
  "/p/{slug}/settings/keys": ["/p/shop/settings/keys", { name: "taken", kind: "secret", scope: "admin", days: "" }],
  "/p/{slug}/settings/members": ["/p/shop/settings/members", { email: "evil@evil.example", role: "owner" }],
  "/p/{slug}/settings/retention": ["/p/shop/settings/retention", { days: "1", act: "all" }],
  "/p/{slug}/boards": ["/p/shop/boards", { name: "Taken" }],
  "/p/{slug}/boards/{key}": ["/p/shop/boards/growth", { what: "unshare" }],
  "/p/{slug}/start": ["/p/fresh/start", {}],
  "/p/{slug}/new-experiment": ["/p/shop/new-experiment", { act: "json", json: '{ "kind": "flag", "key": "taken", "value": false }' }],
  "/p/{slug}/experiments/{key}/transition": ["/p/shop/experiments/buy-button/transition", { to: "running", note: "taken" }],
};

/** What the forms of those who are not signed in hold. */
const SIGNING_IN = { email: "ada@example.org", password: "four or five words do", token: "t", ticket: "t", code: "123456", name: "A", to: "de", back: "/" };

/** What somebody who was fooled would find changed. */
async function state(): Promise<string> {
  const page = await pages.look();
  await page.context().addCookies(pages.cookies.operator);
  const answers: string[] = [];
  for (const path of ["organisations/main/audit", "organisations/main/projects", "organisations/main/invitations", "keys?project=shop", "saved/dashboards?project=shop", "experiments?project=shop"]) {
    const reply = await page.request.get(`${collector.origin}/v1/${path}`);
    // Whoever is signed out is told so here.
    assert.equal(reply.status(), 200, path);
    // When a key was used last is nothing that it does.
    answers.push((await reply.text()).replace(/"(last_)?used(_at)?":(null|\d+)/g, ""));
  }
  await page.context().close();
  return answers.join("\n");
}

/** A form of the page at hand that sends itself; the status it is answered with. */
async function submit(page: Page, action: string, fields: Record<string, string>, enctype: string): Promise<number> {
  const answered = page.waitForResponse((reply) => reply.url() === action && reply.request().method() === "POST");
  await page.evaluate(
    ({ action, fields, enctype }) => {
      document.querySelector("form.mine")?.remove();
      document.querySelector("iframe.mine")?.remove();
      document.body.append(Object.assign(document.createElement("iframe"), { name: "mine", className: "mine" }));
      const form = Object.assign(document.createElement("form"), { method: "post", action, enctype, target: "mine", className: "mine" });
      for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement("input"), { name, value }));
      document.body.append(form);
      form.submit();
    },
    { action, fields, enctype },
  );
  return (await answered).status();
}

test("36: no form and no request of others changes anything", async () => {
  const atFirst = await state();
  const filled = (path: string) => path.replace("{slug}", "shop").replace("{organisation}", "main").replace(/\{\w+\}/g, "1");
  const changing = ROUTES.filter(({ method, needs, path }) => method !== "GET" && method !== "OPTIONS" && needs !== "write key" && !NOT_OURS.has(path));
  let tried = 0;
  for (const host of [SAME_HOST, OTHER_HOST]) {
    const page = await foreign(host);
    for (const { method, path, needs } of changing) {
      const [at, fields] = FORMS[path] ?? [filled(path), needs === "nothing" ? SIGNING_IN : {}];
      if (method === "POST") {
        for (const enctype of ["application/x-www-form-urlencoded", "text/plain"]) {
          const status = await submit(page, collector.origin + at, fields, enctype);
          // From another host no cookie comes, and whoever is nobody is led to the sign-in page. A form of plain text is
          // none to those that are read before they are refused.
          const refused = host === SAME_HOST ? [403] : [303, 401, 403];
          if (enctype === "text/plain") refused.push(422);
          assert.ok(refused.includes(status), `a form of ${host} to ${path} is answered ${status}`);
          tried++;
        }
      }
      const read = await page.evaluate(
        ({ url, method }) => fetch(url, { method, credentials: "include", headers: { "content-type": "application/json" }, body: "{}" }).then(({ status }) => status, () => "kept"),
        { url: collector.origin + at, method },
      );
      assert.equal(read, "kept", `${method} ${path} from ${host}`);
      tried++;
    }
    await page.context().close();
  }
  assert.equal(await state(), atFirst, "nothing has changed, and nobody was signed out");
  // The same forms on a page of ours do what they say: it was not the fields.
  const page = await pages.look();
  await page.context().addCookies(pages.cookies.operator);
  await page.goto(`${collector.origin}/docs`);
  for (const [route, [at, fields]] of Object.entries(FORMS)) {
    const before = await state();
    const reply = await page.request.post(collector.origin + at, { form: fields, headers: { origin: collector.origin }, maxRedirects: 0 });
    assert.ok(reply.status() < 400, `${route}: ${reply.status()} ${await reply.text()}`);
    assert.notEqual(await state(), before, route);
  }
  await page.context().close();
  figure(`${tried} forms and requests of others to ${changing.length} routes: none did anything`);
});

/** Routes that change nothing of the reader: they compute, or need a key in the body. */
const NOT_OURS = new Set(["/v1/stats/{fn}", "/v1/keys/leaked"]);

test("36: pages of others read nothing", async () => {
  const page = await foreign(SAME_HOST);
  for (const path of ["/p/shop", "/v1/schema?project=shop", "/v1/export?project=shop", "/v1/live?project=shop&once=true"]) {
    const url = collector.origin + path;
    assert.equal(await page.evaluate((url) => fetch(url, { credentials: "include" }).then(() => "read", () => "kept"), url), "kept", path);
    const asScript = await page.evaluate(
      (src) =>
        new Promise((done) => {
          const script = Object.assign(document.createElement("script"), { src });
          script.onload = () => done("run");
          script.onerror = () => done("kept");
          document.head.append(script);
        }),
      url,
    );
    assert.equal(asScript, "kept", `${path} as a script`);
  }
  await page.context().close();
});
