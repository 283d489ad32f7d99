/** Experiments that the collector defines: no flicker, the same variant everywhere, exposures when seen. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";

import { flush, ROOT, useBench } from "../support/bench.ts";
import { watchErrors } from "../support/browser.ts";
import type { Project } from "../support/collector.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const COLORS: Record<string, string> = { control: "rgb(1, 1, 1)", green: "rgb(0, 160, 0)" };
const BUTTON = {
  kind: "experiment",
  key: "buy-button",
  variants: [{ key: "control" }, { key: "green" }],
  holdout: "q4",
  primary: { event: "purchase" },
};
const HOLDOUT = { kind: "holdout", key: "q4", share: 0.05 };
/** Needs the module, because versions are compared. */
const GERMAN_APP = { country: "DE", app: { $vgte: "1.2.0" } };
const GERMAN = { kind: "flag", key: "german", value: false, rules: [{ value: true, targeting: GERMAN_APP }] };

/** What the script in the head found out. */
interface Found {
  values: Record<string, unknown>;
  decidedMs: number;
  /** The color of the button in every frame since. */
  frames: string[];
}

/** A shop whose head decides the button's color; the button is below the fold. */
function shop(project: Project, document: object, endpoint: string): string {
  const script = readFileSync(join(ROOT, "npm", "dist", "assign-sync.js"), "utf8");
  const { write_key: key, salt } = project;
  const settings = JSON.stringify({ key, salt, endpoint, mode: "full", autoPage: false });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,">
<style>#buy { color: ${COLORS["control"]}; margin-top: 300vh } [data-tm-buy-button="green"] #buy { color: ${COLORS["green"]} }</style>
<script>${script}</script>
<script>
const found = { values: assignSync(${JSON.stringify(key)}, ${JSON.stringify(document)}, true), decidedMs: performance.now(), frames: [] };
requestAnimationFrame(function look() {
  const button = document.getElementById("buy");
  if (button) found.frames.push(getComputedStyle(button).color);
  requestAnimationFrame(look);
});
</script></head>
<body><h1>shop</h1><button id="buy">Buy</button>
<script type="module">
import "/bundle/flags.js";
const { tally, flags } = window;
tally.init({ ...${settings}, onError: ({ code }) => window.reported.push(code) });
await flags.start({ ...${settings}, attributes: { country: "DE", app: "1.10.0" } });
flags.exposeWhenSeen(document.getElementById("buy"), "buy-button");
tally.track("opened");
window.started = true;
</script></body></html>`;
}

async function open(context: BrowserContext, name: string): Promise<{ page: Page; errors: string[] }> {
  const page = await context.newPage();
  const errors = watchErrors(page);
  await page.goto(fixture.bench.site.page(`/${name}.html`));
  // Not in the page: one of them forbids what is evaluated there.
  await until("the page has started", () => page.evaluate<boolean>("window.started === true"));
  return { page, errors };
}

/** A project whose shop is at `/<name>.html`. */
async function running(name: string, headers: Record<string, string> = {}): Promise<Project> {
  const { collector, site } = fixture.bench;
  const project = await collector.createProject(name);
  const document = await collector.run(project, [HOLDOUT, BUTTON, GERMAN]);
  site.files[`/${name}.html`] = { body: shop(project, document, collector.origin), headers };
  return project;
}

test("the variant is there before the first paint and never changes after it", async () => {
  await running("paint");
  const seen = new Set<string>();
  for (let visitor = 0; visitor < 30 && (visitor < 8 || seen.size < 2); visitor++) {
    const context = await fixture.bench.profile();
    const { page, errors } = await open(context, "paint");
    await page.waitForFunction("found.frames.length > 10");
    const { values, decidedMs, frames } = await page.evaluate<Found>("found");
    const variant = await page.evaluate<string>(`flags.value("buy-button", "none")`);
    assert.equal(values["buy-button"], variant, "the module's side says the same");
    assert.deepEqual([...new Set(frames)], [COLORS[variant]], "every frame has the variant's color");
    const paint = await page.evaluate<number>(
      `performance.getEntriesByType("paint").find(({ name }) => name === "first-paint").startTime`,
    );
    assert.ok(decidedMs < paint, `decided at ${decidedMs} ms, painted at ${paint} ms`);
    await page.reload();
    await page.waitForFunction("window.started");
    assert.equal((await page.evaluate<Found>("found")).values["buy-button"], variant, "the next page");
    assert.deepEqual(errors, []);
    seen.add(variant);
    await context.close();
  }
  assert.deepEqual([...seen].sort(), ["control", "green"]);
});

test("the exposure is recorded when the button is seen, once, whatever comes after", async () => {
  const { collector } = fixture.bench;
  const project = await running("seen");
  const context = await fixture.bench.profile();
  const { page } = await open(context, "seen");
  await flush(page);
  assert.deepEqual(await collector.counts(project, "$exposure"), {}, "nobody has seen the button");
  const variant = await page.evaluate<string | null>(`flags.variant("buy-button")`);
  const look = (at: Page) => at.evaluate(`document.getElementById("buy").scrollIntoView()`);
  await look(page);
  const exposures = async () => {
    const events = await collector.events(project, { event: "$exposure" });
    return events.map(({ props }) => `${String(props["experiment"])}=${String(props["variant"])}`).sort();
  };
  const want = variant ? [`buy-button=${variant}`, "q4=open"] : ["q4=held"];
  await untilEqual(want, exposures);

  // Again, on the next page, in another tab, and by hand.
  await page.reload();
  await page.waitForFunction("window.started");
  await look(page);
  const { page: tab } = await open(context, "seen");
  await look(tab);
  for (const at of [page, tab]) {
    await at.evaluate(`flags.exposure("buy-button")`);
    await at.evaluate(`tally.track("looked")`);
    await flush(at);
  }
  await untilEqual({ looked: 2 }, () => collector.counts(project, "looked"));
  assert.deepEqual(await exposures(), want);
});

test("where WebAssembly is refused, targeting works all the same", async () => {
  const policy = "script-src 'self' 'unsafe-inline'";
  await running("refused", { "content-security-policy": policy });
  const { page } = await open(await fixture.bench.profile(), "refused");
  assert.equal(await page.evaluate(`flags.value("german", false)`), true);
  assert.equal(await page.evaluate(`new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) && 1`).catch(() => 0), 0);
  await page.evaluate(`flags.setAttributes({ country: "DE", app: "1.1.9" })`);
  assert.equal(await page.evaluate(`flags.value("german", true)`), false);
});

test("signing in and out moves nobody who was allocated by device", async () => {
  await running("signing");
  const { page } = await open(await fixture.bench.profile(), "signing");
  const ask = () => page.evaluate<string>(`flags.value("buy-button", "none")`);
  const before = await ask();
  await page.evaluate(`tally.identify("ada")`);
  await until("the user's hash is kept", () => page.evaluate(`Object.values(localStorage).some((text) => text.split("|")[4]?.length === 64)`));
  assert.equal(await ask(), before);
});
