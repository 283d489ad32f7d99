/** The example shop without a network: it opens, sells, and counts when the network is back. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";

import { launch } from "../support/browser.ts";
import { Collector } from "../support/collector.ts";
import { openShop, Visitor } from "../support/shop.ts";
import { untilEqual } from "../support/until.ts";

let collector: Collector;
let browser: Browser;

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
});
after(async () => {
  await browser?.close();
  await collector?.stop();
});

test("after one visit the shop works with its server gone, and still counts", async () => {
  const project = await collector.createProject("offline");
  const { write_key: key, salt } = project;
  const shop = await openShop({ key, salt, endpoint: collector.origin });
  const context = await browser.newContext();
  const visitor = await Visitor.enter(context, shop);
  const { page } = visitor;
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve));
    }
  });
  await shop.stop();

  await page.goto(shop.page("/journal/ink-that-changes-its-mind"));
  await page.getByRole("heading", { name: "Ink that changes its mind", level: 1 }).waitFor();
  await visitor.lookAt("Oak gall ink");
  await visitor.addToCart();
  // The collector was reachable all the time, and the kept configuration says where it is.
  await untilEqual(1, async () => (await collector.counts(project))["add_to_cart"]);

  await context.setOffline(true);
  await page.reload();
  await page.getByRole("heading", { name: "Oak gall ink", level: 1 }).waitFor();
  await visitor.addToCart();
  await context.setOffline(false);
  await untilEqual(2, async () => (await collector.counts(project))["add_to_cart"]);
  await context.close();
});

test("the shop meets what browsers ask of an installable app", async () => {
  const shop = await openShop({ key: "k", salt: "s", endpoint: collector.origin });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(shop.page("/"));
  const devtools = await context.newCDPSession(page);
  const { errors, data } = await devtools.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data ?? "{}") as { display: string; icons: { src: string; sizes: string }[] };
  assert.equal(manifest.display, "standalone");
  for (const { src, sizes } of manifest.icons.filter((icon) => icon.src.endsWith(".png"))) {
    const size = await page.evaluate(async (address) => {
      const image = await createImageBitmap(await (await fetch(address)).blob());
      return `${image.width}x${image.height}`;
    }, src);
    assert.equal(size, sizes, src);
  }
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  const { installabilityErrors } = await devtools.send("Page.getInstallabilityErrors");
  // Incognito profiles, such as a test's, may never install; nothing else may be wrong.
  const wrong = installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito");
  assert.deepEqual(wrong, []);
  await context.close();
  await shop.stop();
});
