/** Errors with the business around them, and how quick a page was: what is stored of them, and what is not. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import { aroundNow } from "../support/range.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

// Shows S4-24 and S4-28.
test("an error inside of a business event knows it, and nothing secret is stored", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "failing",
    bundle: "measures",
    script: `
      const { business, errors } = measures;
      errors.watchErrors({ ignore: ["ResizeObserver"], context: { user: { userType: "fan" } } });
      tally.identify("ada-7");
      const pay = business.measured("checkout_paid", () => { throw new TypeError("card 4111 1111 1111 1111 of ada@example.org, password=hunter2"); });
      const failing = () => pay();
      setTimeout(failing, 0);
      setTimeout(failing, 0);
      setTimeout(() => { throw new Error("ResizeObserver loop limit"); }, 0);
      errors.captureError(new Error("handled"), { payment: { paymentId: "pi_1", stripeCustomerId: "cus_NffrFeUfNV2Hib" }, business: { funnel: "checkout" } }, "warning");
      setTimeout(() => {
        Promise.reject(new RangeError("GET https://shop.example/pay?token=SECRET failed"));
        setTimeout(() => { window.isOver = true; }, 50);
      }, 10);`,
  });
  await page.waitForFunction("window.isOver");
  await page.goto("about:blank");
  await untilEqual({ $identify: 1, checkout_paid: 2, $error: 4 }, () => collector.counts(project));
  const stored = await collector.events(project, { event: "$error" });
  const told = stored.map(({ props }) => [props["error_name"], props["message"], props["level"], props["handled"], props["occurrences"], props["business_event"] ?? null]);
  const text = "card [number] of [email], password=[secret]";
  const by = (one: unknown[]): string => JSON.stringify(one);
  assert.deepEqual(
    told.sort((a, b) => by(a).localeCompare(by(b))),
    [
      ["Error", "handled", "warning", true, 1, null],
      ["RangeError", "GET https://shop.example/pay failed", "error", false, 1, "checkout_paid"],
      ["TypeError", text, "error", false, 1, "checkout_paid"],
      ["TypeError", text, "error", false, 1, null],
    ].sort((a, b) => by(a).localeCompare(by(b))),
  );
  const first = stored.find(({ props }) => props["business_event"] === "checkout_paid");
  assert.equal(first?.props["user_type"], "fan");
  assert.match(String(first?.props["stack"]), /^at .*\/failing\.js:\d+:\d+/);
  const handled = stored.find(({ props }) => props["message"] === "handled");
  assert.deepEqual([handled?.props["stripe_customer"], handled?.props["payment_id"], handled?.props["funnel"]], ["…2Hib", "pi_1", "checkout"]);
  assert.deepEqual(collector.filesWith("4111 1111", "hunter2", "ada@example", "SECRET", "cus_Nffr", "ada-7"), []);
  // A count that is right although repetitions are one event.
  const { series } = await collector.query<{ series: { value: string | null; total: number }[] }>(project, "trend", {
    ...aroundNow(),
    bucket: "month",
    series: [{ event: "$error", measure: "sum", prop: "occurrences" }],
    breakdown: { prop: "error_name", limit: 10 },
  });
  const totals = Object.fromEntries(series.map(({ value, total }) => [value ?? "", total]));
  assert.deepEqual([totals["TypeError"], totals["RangeError"], totals["Error"]], [2, 1, 1]);
  const active = await collector.query<{ persons: number }>(project, "active", { ...aroundNow(), event: "$error" });
  assert.equal(active.persons, 1);
});

test("errors in a loop cost the page two events, and the count is right", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "looping",
    bundle: "measures",
    script: `measures.errors.watchErrors();
      window.times = 0;
      const timer = setInterval(() => { if (++times === 300) clearInterval(timer); throw new Error("again"); }, 0);`,
  });
  await page.waitForFunction("window.times === 300");
  await flush(page);
  await page.goto("about:blank");
  await untilEqual({ $error: 2 }, () => collector.counts(project));
  const occurrences = (await collector.events(project)).map(({ props }) => props["occurrences"]);
  assert.deepEqual(occurrences, [1, 299]);
});

test("web vitals are recorded once each, when they are final", async () => {
  const { collector } = fixture.bench;
  const { page, project, errors } = await fixture.bench.visit({
    name: "vitals",
    bundle: "measures",
    body: `<p>something to paint</p><button onclick="document.querySelector('p').textContent = 'painted'">paint</button>`,
    script: `measures.vitals.watchVitals(); measures.vitals.watchVitals();`,
  });
  await page.getByRole("button").click();
  await page.waitForFunction(`document.querySelector("p").textContent === "painted"`);
  for (const type of ["paint", "largest-contentful-paint", "first-input"]) {
    // A browser that is busy tells of a paint and of a click long after them.
    await page.evaluate(`new Promise((resolve) => new PerformanceObserver(() => resolve(true)).observe({ type: "${type}", buffered: true }))`);
  }
  // `web-vitals` takes note of a click when nothing else is to be done, which browsers look for while they paint.
  await page.evaluate(`new Promise((resolve) => {
    let isIdle = false;
    requestIdleCallback(() => void (isIdle = true));
    const paint = () => (isIdle ? resolve(true) : requestAnimationFrame(paint));
    paint();
  })`);
  await page.goto("about:blank");
  const recorded = () => collector.events(project, { event: "$web_vital" });
  await untilEqual(["CLS", "FCP", "INP", "LCP", "TTFB"], async () => (await recorded()).map(({ props }) => props["metric"]).sort());
  const vitals = await recorded();
  for (const { props } of vitals) {
    assert.ok(Number(props["value"]) >= 0 && ["good", "needs-improvement", "poor"].includes(String(props["rating"])), JSON.stringify(props));
    assert.equal(props["navigation_type"], "navigate");
  }
  const answer = await collector.query<{ series: { value: string; total: number | null }[] }>(project, "trend", {
    ...aroundNow(),
    bucket: "month",
    series: [{ event: "$web_vital", measure: "p90", prop: "value" }],
    breakdown: { prop: "metric", limit: 10 },
  });
  const paint = answer.series.find(({ value }) => value === "LCP")?.total ?? 0;
  assert.ok(paint > 0 && paint < 60_000, `${paint} ms`);
  assert.deepEqual(errors, []);
});
