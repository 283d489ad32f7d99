/** With `debug`, the console tells what becomes of events; without it, that code is not even loaded. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";

import { flush, useBench } from "../support/bench.ts";
import { until } from "../support/until.ts";

const fixture = useBench();

/** A page from its start on: what its console is told, and the files it loads. */
async function listen(name: string, debug: boolean): Promise<{ page: Page; said: string[]; loaded: string[] }> {
  const { page } = await fixture.bench.visit({ name, changes: { debug } });
  const said: string[] = [];
  const loaded: string[] = [];
  page.on("console", (message) => said.push(message.text().replace(/^%ctallymark color:#2a7 /, "")));
  page.on("request", (request) => loaded.push(new URL(request.url()).pathname));
  await page.reload();
  await page.waitForFunction("window.started");
  return { page, said, loaded };
}

test("what is captured, stored, sent, refused and lost is explained", async () => {
  const { page, said } = await listen("explained", true);
  await page.evaluate(`tally.track("opened", { contact: "ann@example.org" }); tally.track(" "); tally.track("$of_nobody"); tally.track("huge", { text: "x".repeat(40_000) })`);
  await flush(page);
  const wanted = [
    /^starts with mode full: lasting hashed ids/,
    /^hid email in contact$/,
    /^captured/,
    /^stored/,
    /^sent/,
    /^answered: on the collector's disk/,
    /^lost 1: name_invalid/,
    /^lost 1: refused/,
    /reserved_name_unknown: names that begin with \$ are reserved/,
    /event_name_invalid: a name is 1 to 200 characters/,
    /event_too_large: one event is at most 32 KiB of JSON/,
  ];
  for (const pattern of wanted) {
    await until(`the console says ${pattern}`, () => said.some((line) => pattern.test(line)));
  }
  assert.deepEqual(said.filter((line) => line.includes("ann@")), [], "what was hidden is not told");
});

test("without the setting nothing is explained, and a page without faults loads no sentences", async () => {
  const { page, said, loaded } = await listen("silent", false);
  await page.evaluate(`tally.track("opened")`);
  await flush(page);
  assert.deepEqual(said, []);
  assert.ok(loaded.some((url) => /core/.test(url)), "the names of loaded files say what they are");
  assert.deepEqual(loaded.filter((url) => /debug/.test(url)), []);
});
