/** Business helpers: which event with which properties each call becomes, and what is refused. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { observedSources } from "./built.mjs";

let business;
let calls;
globalThis.matchMedia = () => ({ matches: false });
beforeEach(async () => {
  ({ module: business, calls } = await observedSources("business"));
});
/** As it would be sent. */
const recorded = () => JSON.parse(JSON.stringify(calls));
const refused = () => calls.map(([kind, code]) => [kind, code]);
const REFUSED = [["report", "argument_invalid"]];

test("an event has its business, performance and error parts unchanged, but for secrets", () => {
  business.logEvent("license.validated", {
    business_metric: "licenses.validation.count",
    metric_value: 1,
    duration_ms: 12.5,
    status: "error",
    error_name: "Expired",
    error_message: "license of ada@example.org",
    tier_id: 2,
  });
  assert.deepEqual(recorded(), [["track", "license.validated", {
    business_metric: "licenses.validation.count",
    metric_value: 1,
    duration_ms: 12.5,
    status: "error",
    error_name: "Expired",
    error_message: "license of [email]",
    tier_id: 2,
  }]]);
});

test("figures and durations are events with a name, a number and tags", () => {
  business.recordKpi("licenses.created.count", -2, { tier: "basic" });
  business.recordPerformance("search", 0, { status: "success" });
  assert.deepEqual(recorded(), [
    ["track", "kpi_recorded", { tier: "basic", kpi: "licenses.created.count", value: -2 }],
    ["track", "performance_recorded", { status: "success", operation: "search", duration_ms: 0 }],
  ]);
});

// Shows S1-31, S1-32 and S1-33, with the refusals below.
test("an expense, its change and a report have the names that the growth report counts", () => {
  business.trackExpenseLogged({ amount: 12.5, category: "food", source: "form" });
  business.trackExpenseEdited(7);
  business.trackReportRequested("summary_week");
  assert.deepEqual(recorded(), [
    ["track", "expense_logged", { amount: 12.5, category: "food", source: "form" }],
    ["track", "expense_edited", { expense_id: "7" }],
    ["track", "report_requested", { report_type: "summary_week" }],
  ]);
});

for (const [what, call] of [
  ["a negative expense", () => business.trackExpenseLogged({ amount: -0.01 })],
  ["an expense that is no number", () => business.trackExpenseLogged({ amount: NaN })],
  ["an expense without an amount", () => business.trackExpenseLogged({ category: "food" })],
  ["a change of no expense", () => business.trackExpenseEdited()],
  ["a report without a type", () => business.trackReportRequested("")],
  ["a figure that is none", () => business.recordKpi("a", NaN)],
  ["a figure without an end", () => business.recordKpi("a", Infinity)],
  ["a negative duration", () => business.recordPerformance("a", -1)],
  ["a figure as a text", () => business.logEvent("a", { metric_value: "1" })],
  ["a negative amount", () => business.trackPaymentSuccess({ paymentId: "p", amount: -0.01, currency: "EUR" })],
  ["an amount that is none", () => business.trackPaymentFailure({ paymentId: "p", amount: NaN, currency: "EUR" })],
  ["a currency that is none", () => business.trackPaymentSuccess({ paymentId: "p", amount: 1, currency: "€" })],
  ["an unknown type of user", () => business.trackUserRegistration({ userId: "ada", userType: "admin", registrationMethod: "email" })],
  ["a negative size", () => business.trackCreatorActivity({ activity: "content_upload", fileBytes: -1 })],
  ["a step that is none", () => business.startFunnel("checkout", ["address"]).reach("payment")],
  ["the end of no step", () => business.startFunnel("checkout", ["address"]).complete()],
]) {
  test(`${what} is refused, and told`, () => {
    call();
    assert.deepEqual(refused(), REFUSED);
  });
}

test("a registration signs in, and keeps everything but the e-mail address", () => {
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Mozilla/5.0 (X11; Linux x86_64)" }, configurable: true });
  const user = {
    userId: "ada",
    email: "Ada@Mail.example.org",
    userType: "creator",
    registrationMethod: "google",
    source: "newsletter",
    marketingChannel: "email",
    hasCompletedProfile: false,
  };
  business.trackUserRegistration(user);
  business.trackUserRegistration({ ...user, keepEmailDomain: true });
  const props = {
    user_type: "creator",
    registration_method: "google",
    source: "newsletter",
    marketing_channel: "email",
    has_completed_profile: false,
    platform: "desktop",
  };
  assert.deepEqual(recorded(), [
    ["identify", "ada"],
    ["track", "user_registered", props],
    ["identify", "ada"],
    ["track", "user_registered", { ...props, email_domain: "mail.example.org" }],
  ]);
});

test("payments and subscriptions have names of the catalogue, and no customer", () => {
  const payment = { paymentId: "pi_1", amount: 29.99, currency: "eur", method: "card", gateway: "stripe", stripeCustomerId: "cus_NffrFeUfNV2Hib" };
  business.trackPaymentSuccess(payment);
  business.trackPaymentFailure({ ...payment, failureCode: "card_declined" });
  business.trackSubscriptionCreated({ ...payment, subscriptionTier: "gold", interval: "year", owner: 7 });
  const props = { payment_id: "pi_1", amount: 29.99, currency: "EUR", payment_method: "card", gateway: "stripe", stripe_customer: "…2Hib" };
  assert.deepEqual(recorded(), [
    ["track", "payment.completed", props],
    ["track", "payment.failed", { ...props, failure_code: "card_declined" }],
    ["track", "subscription.created", { ...props, subscription_tier: "gold", interval: "year", owner: "7" }],
  ]);
});

test("what a creator did has its size, its time and the creator's tier", () => {
  business.trackCreatorActivity({ activity: "content_upload", contentType: "video", fileBytes: 2_500, duration_ms: 40, creatorTier: "gold" });
  const props = { activity: "content_upload", content_type: "video", file_bytes: 2_500, duration_ms: 40, creator_tier: "gold" };
  assert.deepEqual(recorded(), [["track", "creator_activity", props]]);
});

test("an interaction is an event by its action, and a view is a content view as well", () => {
  const interaction = { contentId: 42, contentType: "video", creatorId: "ines", isSubscribed: true, tierRequired: "gold", duration_ms: 900 };
  business.trackContentInteraction({ ...interaction, action: "like" });
  business.trackContentInteraction({ ...interaction, action: "view" });
  const about = { owner: "ines", tier: "gold", is_subscribed: true };
  const props = { ...about, content_id: "42", content_type: "video", duration_ms: 900 };
  assert.deepEqual(recorded(), [
    ["track", "content_interacted", { ...props, action: "like" }],
    ["track", "content_interacted", { ...props, action: "view" }],
    ["contentView", { ...about, id: 42, type: "video", engaged_ms: 900 }],
  ]);
});

test("the use of a feature has its time, and is recorded once", () => {
  business.featureUsed("tips", { duration_ms: 5, value: 2, currency: "EUR", viewers: 3 });
  const finish = business.startFeature("editor");
  finish({ value: 1 });
  finish();
  const [[, , tips], [, name, { duration_ms, ...editor }], ...rest] = recorded();
  assert.deepEqual(tips, { feature: "tips", duration_ms: 5, value: 2, currency: "EUR", viewers: 3 });
  assert.deepEqual([name, editor, rest], ["feature_usage", { feature: "editor", value: 1 }, []]);
  assert.ok(duration_ms >= 0);
});

test("a funnel numbers its steps and knows how long each one took", () => {
  const checkout = business.startFunnel("checkout", ["address", "delivery", "payment"]);
  checkout.reach("delivery", { express: true });
  checkout.complete();
  const [reached, [, , step, { time_spent_ms, ...done }]] = recorded();
  assert.deepEqual(reached, ["funnelStep", "checkout", "delivery", { express: true, completed: false, step_number: 2 }]);
  assert.deepEqual([step, done], ["delivery", { completed: true, step_number: 2 }]);
  assert.ok(time_spent_ms >= 0 && Number.isInteger(time_spent_ms));
});

test("a measured function does the same, and records one event per call", async () => {
  const oddly = {
    factor: 3,
    times: business.measured("multiplied", function (value) { return this.factor * value; }, (value) => ({ value })),
  };
  assert.equal(oddly.times(2), 6);
  const fault = new TypeError("token=abc");
  assert.throws(() => business.measured("failed", () => { throw fault; })(), (error) => error === fault);
  assert.throws(() => business.measured("failed_with_nothing", () => { throw undefined; })(), (error) => error === undefined);
  const later = business.measured("sold", async () => ({ business_metric: "revenue", metric_value: 5, more: 1 }));
  assert.deepEqual(await later(), { business_metric: "revenue", metric_value: 5, more: 1 });
  await assert.rejects(business.measured("rejected", () => Promise.reject(fault))(), (error) => error === fault);
  const events = recorded().map(([, name, { duration_ms, ...props }]) => (assert.ok(duration_ms >= 0, name), [name, props]));
  assert.deepEqual(events, [
    ["multiplied", { value: 2, status: "success" }],
    ["failed", { error_name: "TypeError", error_message: "token=[secret]", status: "error" }],
    ["failed_with_nothing", { error_name: "undefined", error_message: "undefined", status: "error" }],
    ["sold", { business_metric: "revenue", metric_value: 5, status: "success" }],
    ["rejected", { error_name: "TypeError", error_message: "token=[secret]", status: "error" }],
  ]);
});

test("what fifty milliseconds took is measured in milliseconds", async () => {
  await business.measured("slept", () => new Promise((resolve) => setTimeout(resolve, 50)))();
  const { duration_ms } = recorded()[0][2];
  // A timer may come a little early by another clock, and late on a busy machine.
  assert.ok(duration_ms >= 49 && duration_ms < 1_000, `${duration_ms} ms`);
});

const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";
for (const [agent, mode, want] of [
  [PHONE, "browser", "mobile"],
  [PHONE, "standalone", "pwa"],
  ["Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36", "browser", "mobile"],
  ["Mozilla/5.0 (Linux; Android 15; SM-X910) AppleWebKit/537.36 Chrome/142.0 Safari/537.36", "browser", "tablet"],
  ["Mozilla/5.0 (iPad; CPU OS 12_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15A5341f Safari/604.1", "browser", "tablet"],
  ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36", "browser", "desktop"],
  ["", "browser", "desktop"],
]) {
  // Shows S4-21.
  test(`the platform of ${agent.slice(13, 40) || "nobody"} as ${mode} is ${want}`, () => {
    assert.equal(business.detectPlatform(agent, mode), want);
  });
}
