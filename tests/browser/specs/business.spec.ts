/** Business events as questions see them: money, features, steps, figures, and functions that are measured. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import type { Project } from "../support/collector.ts";
import { aroundNow } from "../support/range.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

interface Series {
  value: string | null;
  total: number | null;
}

/** Totals of one event's measure by the values of a property. */
async function totals(project: Project, event: string, measure: string, prop: string | null, by: string): Promise<Record<string, number | null>> {
  const { series } = await fixture.bench.collector.query<{ series: Series[] }>(project, "trend", {
    ...aroundNow(),
    bucket: "month",
    series: [{ event, measure, ...(prop && { prop }) }],
    breakdown: { prop: by, limit: 10 },
  });
  return Object.fromEntries(series.filter(({ value }) => value !== null).map(({ value, total }) => [value ?? "", total]));
}

test("registrations, money, features, steps and figures can be asked for", async () => {
  const { collector } = fixture.bench;
  const { page, project, proxy, errors } = await fixture.bench.visit({
    name: "business",
    bundle: "measures",
    script: `
      const { business } = measures;
      business.trackUserRegistration({ userId: "ada-7", email: "ada@example.org", userType: "fan", registrationMethod: "google",
        marketingChannel: "social", hasCompletedProfile: true });
      business.trackPaymentSuccess({ paymentId: "pi_1", amount: 29.99, currency: "EUR", subscriptionTier: "gold", stripeCustomerId: "cus_NffrFeUfNV2Hib" });
      business.trackPaymentSuccess({ paymentId: "pi_2", amount: 10.01, currency: "EUR", subscriptionTier: "gold" });
      business.trackPaymentSuccess({ paymentId: "pi_3", amount: 5, currency: "USD", subscriptionTier: "basic" });
      business.trackPaymentFailure({ paymentId: "pi_4", amount: 5, currency: "EUR", failureCode: "card_declined" });
      business.trackPaymentSuccess({ paymentId: "pi_5", amount: -5, currency: "EUR" });
      business.trackContentInteraction({ contentId: "v1", contentType: "video", creatorId: "ines", action: "view", duration_ms: 1500, isSubscribed: true });
      business.trackContentInteraction({ contentId: "v1", contentType: "video", creatorId: "ines", action: "like" });
      business.featureUsed("tips", { duration_ms: 100, value: 3, currency: "EUR" });
      business.featureUsed("tips", { duration_ms: 300, value: 4, currency: "EUR" });
      business.featureUsed("export");
      business.recordKpi("licenses.created.count", 2, { tier: "basic" });
      business.recordKpi("licenses.created.count", 3, { tier: "pro" });
      for (const ms of [10, 20, 60]) business.recordPerformance("search", ms);
      const checkout = business.startFunnel("checkout", ["address", "delivery", "payment"]);
      checkout.reach("address"); checkout.complete(); checkout.reach("delivery");
      const pay = business.measured("paid", (amount) => { if (amount > 10) throw new RangeError("too much"); return amount; });
      pay(1); pay(2);
      try { pay(11); } catch {}`,
  });
  await flush(page);
  await untilEqual(
    {
      $identify: 1, user_registered: 1, "payment.completed": 3, "payment.failed": 1, content_interacted: 2, $content_view: 1,
      feature_usage: 3, kpi_recorded: 2, performance_recorded: 3, $funnel_step: 3, paid: 3,
    },
    () => collector.counts(project),
  );
  assert.deepEqual(await page.evaluate("reported"), ["argument_invalid"]);
  assert.deepEqual(await totals(project, "user_registered", "persons", null, "marketing_channel"), { social: 1 });
  assert.deepEqual(await totals(project, "payment.completed", "sum", "amount", "currency"), { EUR: 40, USD: 5 });
  assert.deepEqual(await totals(project, "payment.completed", "sum", "amount", "subscription_tier"), { gold: 40, basic: 5 });
  assert.deepEqual(await totals(project, "payment.failed", "count", null, "failure_code"), { card_declined: 1 });
  assert.deepEqual(await totals(project, "content_interacted", "count", null, "action"), { view: 1, like: 1 });
  assert.deepEqual(await totals(project, "feature_usage", "sum", "value", "feature"), { tips: 7 });
  assert.deepEqual(await totals(project, "feature_usage", "avg", "duration_ms", "feature"), { tips: 200 });
  assert.deepEqual(await totals(project, "kpi_recorded", "sum", "value", "tier"), { basic: 2, pro: 3 });
  assert.deepEqual(await totals(project, "performance_recorded", "max", "duration_ms", "operation"), { search: 60 });
  assert.deepEqual(await totals(project, "performance_recorded", "avg", "duration_ms", "operation"), { search: 30 });
  assert.deepEqual(await totals(project, "paid", "count", null, "status"), { success: 2, error: 1 });

  const content = await collector.query<{ items: { id: string; owner: string; views: number; engaged_ms: number }[] }>(project, "content", aroundNow());
  assert.deepEqual(content.items.map(({ id, owner, views, engaged_ms }) => [id, owner, views, engaged_ms]), [["v1", "ines", 1, 1500]]);
  const step = (name: string) => ({ event: "$funnel_step", where: [{ prop: "step", op: "eq", value: name }] });
  const funnel = await collector.query<{ steps: { persons: number }[] }>(project, "funnel", {
    ...aroundNow(),
    steps: ["address", "delivery", "payment"].map(step),
    window: "1h",
  });
  assert.deepEqual(funnel.steps.map(({ persons }) => persons), [1, 1, 0]);

  const everything = proxy.batches.map(({ text }) => text).join();
  for (const secret of ["ada-7", "ada@", "example.org", "cus_Nffr"]) assert.ok(!everything.includes(secret), `${secret} was sent`);
  const users = new Set(proxy.sent().map(({ user }) => user));
  assert.equal(users.size, 1, "who registers is signed in");
  assert.deepEqual(errors, []);
});
