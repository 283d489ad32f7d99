/** The React example, built as its README says, counts what it claims to count. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";

import { ROOT } from "../support/bench.ts";
import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";
import { Site } from "../support/site.ts";
import { untilEqual } from "../support/until.ts";

let collector: Collector;
let browser: Browser;
let project: Project;
let site: Site;
const dist = mkdtempSync(join(tmpdir(), "tallymark-react-"));

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  project = await collector.createProject("react");
  await collector.run(project, [
    { kind: "experiment", key: "price-headline", variants: [{ key: "control" }, { key: "per-day" }] },
  ]);
  const folder = join(ROOT, "examples", "react");
  const vite = join(folder, "node_modules", "vite", "bin", "vite.js");
  await promisify(execFile)(process.execPath, [vite, "build", "--outDir", dist, "--emptyOutDir"], {
    cwd: folder,
    env: {
      ...process.env,
      VITE_TALLYMARK_KEY: project.write_key,
      VITE_TALLYMARK_SALT: project.salt,
      VITE_TALLYMARK_ENDPOINT: collector.origin,
    },
  });
  site = await Site.start({ folder: dist, fallback: "/index.html" });
});

after(async () => {
  await browser?.close();
  await site?.stop();
  await collector?.stop();
  rmSync(dist, { recursive: true, force: true });
});

test("a member's way through the app is counted", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors = watchErrors(page);
  await page.goto(site.page("/"));
  await page.getByRole("link", { name: "See the plans" }).click();
  const heading = await page.getByRole("heading", { level: 1 }).textContent();
  await page.getByRole("button", { name: "Choose Coast" }).click();
  await page.getByLabel("E-mail").fill("ada@example.org");
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByRole("heading", { name: "You are in." }).waitFor();
  await page.goto("about:blank");

  const want = {
    $pageview: 4,
    $exposure: 1,
    plan_selected: 1,
    $identify: 1,
    purchase: 1,
    $conversion: 1,
  };
  await untilEqual(want, () => collector.counts(project));
  const [exposure] = await collector.events(project, { event: "$exposure" });
  assert.equal(exposure?.props["variant"], heading?.includes("a day") ? "per-day" : "control");
  const [purchase] = await collector.events(project, { event: "purchase" });
  assert.deepEqual(purchase?.props, { app: "tidewatch", plan: "coast", value: 9, currency: "EUR" });
  assert.ok(!JSON.stringify(await collector.events(project)).includes("ada@example.org"));
  assert.deepEqual(errors, []);
  await context.close();
});
