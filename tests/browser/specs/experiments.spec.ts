/** Experiments that a page brings along: the variant follows from the vectors, exposures are counted once. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { allocationPoint, equalShare } from "../support/allocation.ts";
import { flush, useBench, vectors } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

/** Enough that a wrong hash cannot pass by luck: one chance in 2^40. */
const KEYS = Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? `tést-☕-${i}` : `experiment-${i}`));
const VARIANTS = ["control", "green"];
const rule = {
  hashVersion: 2,
  hashAttribute: "device",
  variations: VARIANTS,
  meta: VARIANTS.map((key) => ({ key })),
};
const DOCUMENT = {
  features: Object.fromEntries(KEYS.map((key) => [key, { defaultValue: "control", rules: [{ ...rule, key }] }])),
};

/** Runs before anything is known of experiments; they start after it. */
const visit = (name: string, script: string) =>
  fixture.bench.visit({
    name,
    script: `
      await import("/bundle/flags.js");
      ${script}
      await flags.start({ ...settings, document: ${JSON.stringify(DOCUMENT)} });`,
  });

test("the hash of these tests is the one of the vectors", () => {
  type Case = [seed: string, value: string, version: number, point: number | null];
  const { hash } = vectors<{ hash: Case[] }>("growthbook-cases");
  assert.ok(hash.length >= 15);
  for (const [seed, value, version, want] of hash) {
    assert.equal(allocationPoint(seed, value, version), want, `${seed} ${value}`);
  }
});

test("a visitor's variants follow from the hash of the device, on every page load", async () => {
  const { page, proxy } = await visit("variants", `tally.track("opened");`);
  const ask = () => page.evaluate<(string | null)[]>(`${JSON.stringify(KEYS)}.map((key) => flags.variant(key))`);
  const first = await ask();
  const device = (await until("the first event", () => proxy.sent()[0])).device ?? "";
  const want = KEYS.map((key) => VARIANTS[equalShare(allocationPoint(key, device, 2) ?? NaN, 2)]);
  assert.deepEqual(first, want);
  assert.equal(new Set(first).size, 2, "both variants occur");

  await page.reload();
  await page.waitForFunction("window.started");
  assert.deepEqual(await ask(), first);
});

test("an unknown experiment has no variant, and asking counts nothing", async () => {
  const { page, proxy, project } = await visit("asking", `tally.track("opened");`);
  assert.equal(await page.evaluate(`flags.variant("nobody-made-this")`), null);
  assert.ok(await page.evaluate(`flags.variant("experiment-1")`));
  await page.evaluate(`tally.track("asked")`);
  await flush(page);
  await untilEqual({ opened: 1, asked: 1 }, () => fixture.bench.collector.counts(project));
  assert.ok(proxy.sent().every(({ name }) => name !== "$exposure"));
});

test("an exposure is counted once and says what was shown; a conversion names it", async () => {
  const { page, project } = await visit(
    "exposure",
    `for (let i = 0; i < 5; i++) flags.exposure("experiment-1");
     flags.conversion("purchase", { value: 12.5, currency: "EUR", experiment: "experiment-1" });
     flags.conversion("signup");`,
  );
  const variant = await page.evaluate<string>(`flags.exposure("experiment-1"); flags.variant("experiment-1")`);
  await flush(page);
  await untilEqual({ $exposure: 1, $conversion: 2 }, () => fixture.bench.collector.counts(project));
  const [exposure] = await fixture.bench.collector.events(project, { event: "$exposure" });
  assert.deepEqual(exposure?.props, { experiment: "experiment-1", variant });
  const conversions = await fixture.bench.collector.events(project, { event: "$conversion" });
  const want = { name: "purchase", value: 12.5, currency: "EUR", experiment: "experiment-1", variant };
  const byName = Object.fromEntries(conversions.map(({ props }) => [props["name"], props]));
  assert.deepEqual(byName, { purchase: want, signup: { name: "signup" } }, "called before the variant was known");
});
