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

// Shows S0-03, S0-04, S4-14, S4-15, S4-17 and S4-19.
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
      business.trackSubscriptionCreated({ paymentId: "sub_1", amount: 120, currency: "EUR", interval: "year", subscriptionTier: "gold" });
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
      $identify: 1, user_registered: 1, "payment.completed": 3, "payment.failed": 1, "subscription.created": 1, content_interacted: 2, $content_view: 1,
      feature_usage: 3, kpi_recorded: 2, performance_recorded: 3, $funnel_step: 3, paid: 3,
    },
    () => collector.counts(project),
  );
  assert.deepEqual(await page.evaluate("reported"), ["argument_invalid"]);
  assert.deepEqual(await totals(project, "user_registered", "persons", null, "marketing_channel"), { social: 1 });
  assert.deepEqual(await totals(project, "payment.completed", "sum", "amount", "currency"), { EUR: 40, USD: 5 });
  assert.deepEqual(await totals(project, "payment.completed", "sum", "amount", "subscription_tier"), { gold: 40, basic: 5 });
  assert.deepEqual(await totals(project, "payment.failed", "count", null, "failure_code"), { card_declined: 1 });
  assert.deepEqual(await totals(project, "subscription.created", "sum", "amount", "subscription_tier"), { gold: 120 });
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

const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";

// Shows S4-07, S4-08, S4-09, S4-10, S4-11, S4-12, S4-18, S4-20 and S4-22.
test("who registered and from where, what was seen by whom and what was made are told apart by everything that was said", async () => {
  const { bench } = fixture;
  const { collector, browser, site } = bench;
  const { context, project } = await bench.visit({ name: "people", bundle: "measures" });
  const people = [
    { userId: "ada-7", email: "ada@example.org", userType: "creator", registrationMethod: "email", source: "footer", marketingChannel: "email", hasCompletedProfile: true },
    { userId: "bob-7", email: "bob@mail.example.net", userType: "fan", registrationMethod: "google", marketingChannel: "social", hasCompletedProfile: false, keepEmailDomain: true },
    { userId: "cleo-7", userType: "fan", registrationMethod: "google", marketingChannel: "social", hasCompletedProfile: false },
  ];
  await context.close();
  for (const [at, person] of people.entries()) {
    const visitor = await browser.newContext(at === 0 ? { userAgent: PHONE } : {});
    const page = await visitor.newPage();
    await page.goto(site.page("/people.html"), { referer: "https://t.example/a" });
    await page.waitForFunction("window.started");
    await page.evaluate(`
      const { business } = measures;
      business.trackUserRegistration(${JSON.stringify(person)});
      business.trackUserRegistration({ userId: "eve-7", userType: "admin", registrationMethod: "email" });
      ${at === 1 ? `business.trackPaymentSuccess({ paymentId: "pi_1", amount: 10, currency: "EUR" });` : ""}
      business.trackContentInteraction({ contentId: "v1", contentType: "video", creatorId: "ines", action: "view", duration_ms: ${1_000 * (at + 1)},
        isSubscribed: ${at === 0}, tierRequired: "gold" });
      ${at === 0 ? `for (const fileBytes of [1_000, 2_500]) business.trackCreatorActivity({ activity: "content_upload", contentType: "video", fileBytes, duration_ms: 40, creatorTier: "gold" });` : ""}`);
    await flush(page);
    assert.deepEqual(await page.evaluate("reported"), ["argument_invalid"], "another type of user is refused");
    await visitor.close();
  }
  await untilEqual(
    { $identify: 3, user_registered: 3, "payment.completed": 1, content_interacted: 3, $content_view: 3, creator_activity: 2 },
    () => collector.counts(project),
  );

  const registered = (by: string) => totals(project, "user_registered", "persons", null, by);
  assert.deepEqual(await registered("user_type"), { creator: 1, fan: 2 });
  assert.deepEqual(await registered("registration_method"), { email: 1, google: 2 });
  assert.deepEqual(await registered("has_completed_profile"), { true: 1, false: 2 });
  assert.deepEqual(await registered("source"), { footer: 1 });
  assert.deepEqual(await registered("email_domain"), { "mail.example.net": 1 });
  assert.deepEqual(await registered("platform"), { mobile: 1, desktop: 2 });
  assert.deepEqual(await registered("referrer_host"), { "t.example": 3 });
  assert.deepEqual(Object.keys(await registered("browser")).length, 2);
  assert.deepEqual(collector.filesWith("ada@", "bob@", "ada-7", "bob-7"), []);

  const funnel = await collector.query<{ breakdown: { value: string | null; steps: { persons: number }[] }[] }>(project, "funnel", {
    ...aroundNow(),
    steps: [{ event: "user_registered" }, { event: "payment.completed" }],
    window: "1h",
    breakdown: { prop: "marketing_channel", limit: 5 },
  });
  const steps = funnel.breakdown.map(({ value, steps }) => [value, ...steps.map(({ persons }) => persons)]);
  assert.deepEqual(steps.filter(([value]) => value !== null).sort(), [["email", 1, 0], ["social", 2, 1]]);

  for (const [by, want] of [
    ["content_id", { v1: 3 }], ["content_type", { video: 3 }], ["owner", { ines: 3 }], ["action", { view: 3 }], ["tier", { gold: 3 }],
    ["is_subscribed", { true: 1, false: 2 }],
  ] as const) {
    assert.deepEqual(await totals(project, "content_interacted", "count", null, by), want, by);
  }
  assert.deepEqual(await totals(project, "content_interacted", "max", "duration_ms", "is_subscribed"), { true: 1_000, false: 3_000 });
  assert.deepEqual(await totals(project, "content_interacted", "p50", "duration_ms", "action"), { view: 2_000 });
  assert.deepEqual(await totals(project, "$content_view", "count", null, "is_subscribed"), { true: 1, false: 2 });
  assert.deepEqual(await totals(project, "creator_activity", "count", null, "activity"), { content_upload: 2 });
  assert.deepEqual(await totals(project, "creator_activity", "sum", "file_bytes", "creator_tier"), { gold: 3_500 });
});
