/** What axe finds wrong with a page. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";

import { ROOT } from "./bench.ts";

const AXE = readFileSync(createRequire(join(ROOT, "tests", "browser", "package.json")).resolve("axe-core/axe.min.js"), "utf8");

/** A line for each rule that does not hold. */
export async function complaints(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<unknown> } }).axe.run());
  const { violations } = found as { violations: { id: string; nodes: { html: string }[] }[] };
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}
