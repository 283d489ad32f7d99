/**
 * Every page as it was when somebody looked at it and found it good: at both ends of width, in both themes, without a
 * finding of axe, without scrolling sideways, without an error. A page that nobody took pictures of fails.
 *
 * `npm run pictures` keeps what pages look like now; look at them before you commit them.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { complaints } from "../support/axe.ts";
import { FLAGS, watchErrors } from "../support/browser.ts";
import { NOW, startDemo } from "../support/demo.ts";
import { Pages, unseen } from "../support/pages.ts";
import { compare, forget } from "../support/pictures.ts";

const WIDTHS = [360, 1280];
const THEMES = ["light", "dark"] as const;

let demo: Awaited<ReturnType<typeof startDemo>>;
let pages: Pages;

before(async () => {
  demo = await startDemo();
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [...FLAGS, "--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb", "--hide-scrollbars"],
  });
  pages = await Pages.prepare(demo.collector, browser, demo.project, NOW);
});

after(async () => {
  await pages?.browser.close();
  await demo?.stop();
});

test("every page has a picture, and every picture a page", () => {
  assert.deepEqual(unseen(pages.all), [], "these pages are in no picture: give them a line in `support/pages.ts`, or say there what they are");
  const names = pages.all.flatMap(({ name }) => WIDTHS.flatMap((width) => THEMES.map((theme) => `${name}-${width}-${theme}`)));
  assert.deepEqual(forget(new Set(names)), [], "these pictures are of no page; `npm run pictures` takes them away");
});

for (const width of WIDTHS)
  for (const theme of THEMES)
    test(`at ${width} pixels, ${theme}, every page looks as it did`, async () => {
      const found: string[] = [];
      const page = await pages.look({ viewport: { width, height: 800 }, colorScheme: theme, reducedMotion: "reduce" });
      const errors = watchErrors(page);
      for (const shown of pages.all) {
        const { name, status = 200 } = shown;
        found.push(...(await pages.open(page, shown)).wrong);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${name} is ${wide} pixels too wide`);
        const different = await compare(page, `${name}-${width}-${theme}`);
        if (different) found.push(different);
        // Narrow pages are the same elements.
        if (width === 1280) found.push(...(await complaints(page)).map((one) => `${name}: ${one}`));
        const said = errors.splice(0).filter((error) => status === 200 || !error.includes(String(status)));
        found.push(...said.map((error) => `${name}: ${error}`));
      }
      await page.context().close();
      assert.deepEqual(found, [], "what is meant is kept by `npm run pictures`, in tests/browser");
    });
