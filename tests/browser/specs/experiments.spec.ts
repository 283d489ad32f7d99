/** Experiments in the page: the variant follows from the vectors, the exposure is counted once. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { allocationPoint, equalShare } from "../support/allocation.ts";
import { flush, useBench, vectors } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

/** Enough that a wrong hash cannot pass by luck: one chance in 2^40. */
const EXPERIMENTS = Array.from({ length: 40 }, (_, i) => ({
  key: i % 4 === 0 ? `tést-☕-${i}` : `experiment-${i}`,
  variants: ["control", "green"],
}));

test("the hash of these tests is the one of the vectors", () => {
  type Case = [seed: string, value: string, version: number, point: number | null];
  const { hash } = vectors<{ hash: Case[] }>("growthbook-cases");
  assert.ok(hash.length >= 15);
  for (const [seed, value, version, want] of hash) {
    assert.equal(allocationPoint(seed, value, version), want, `${seed} ${value} ${version}`);
  }
});

test("a visitor's variants follow from the hash of the device, on every page load", async () => {
  const { page, proxy } = await fixture.bench.visit({
    name: "variants",
    script: `
      window.ask = () => ${JSON.stringify(EXPERIMENTS)}.map(({ key }) => tally.variant(key));
      tally.track("opened");`,
    changes: { experiments: EXPERIMENTS },
  });
  await page.evaluate("tally.ready()");
  const first = await page.evaluate<(string | null)[]>("ask()");
  const device = (await until("the first event", () => proxy.sent()[0])).device ?? "";
  const want = EXPERIMENTS.map(({ key, variants }) => {
    const point = allocationPoint(key, device, 2) ?? NaN;
    return variants[equalShare(point, variants.length)];
  });
  assert.deepEqual(first, want);
  assert.equal(new Set(first).size, 2, "both variants occur");

  await page.reload();
  await page.waitForFunction("window.started");
  await page.evaluate("tally.ready()");
  assert.deepEqual(await page.evaluate("ask()"), first);
});

test("an unknown experiment has no variant, and asking counts nothing", async () => {
  const { page, proxy, project } = await fixture.bench.visit({
    name: "asking",
    script: `tally.track("opened");`,
    changes: { experiments: EXPERIMENTS },
  });
  await page.evaluate("tally.ready()");
  assert.equal(await page.evaluate(`tally.variant("nobody-made-this")`), null);
  assert.ok(await page.evaluate(`tally.variant("experiment-1")`));
  await page.evaluate(`tally.track("asked")`);
  await flush(page);
  await untilEqual({ opened: 1, asked: 1 }, () => fixture.bench.collector.counts(project));
  assert.ok(proxy.sent().every(({ name }) => name !== "$exposure"));
});

test("an exposure is counted once and says what was shown; a conversion names it", async () => {
  const { page, project } = await fixture.bench.visit({
    name: "exposure",
    script: `
      for (let i = 0; i < 5; i++) tally.exposure("experiment-1");
      tally.conversion("purchase", { value: 12.5, currency: "EUR", experiment: "experiment-1" });`,
    changes: { experiments: EXPERIMENTS },
  });
  await page.evaluate("tally.ready()");
  const variant = await page.evaluate<string>(`tally.exposure("experiment-1"); tally.variant("experiment-1")`);
  await flush(page);
  await untilEqual({ $exposure: 1, $conversion: 1 }, () => fixture.bench.collector.counts(project));
  const [exposure] = await fixture.bench.collector.events(project, { event: "$exposure" });
  assert.deepEqual(exposure?.props, { experiment: "experiment-1", variant });
  const [conversion] = await fixture.bench.collector.events(project, { event: "$conversion" });
  const { name, value, currency, experiment } = conversion?.props ?? {};
  assert.deepEqual([name, value, currency, experiment], ["purchase", 12.5, "EUR", "experiment-1"]);
});
