/** Webhooks of Stripe, signed here as Stripe signs them, against a collector of paper. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { built, paper, SETTINGS } from "./built.mjs";

const { createClient, hashId } = await import(built("index.js"));
const { stripeWebhook } = await import(built("stripe.js"));

const SECRET = "whsec_test";
const NOW_S = Math.floor(Date.now() / 1_000);

function signed(body, { at = NOW_S, secret = SECRET } = {}) {
  return `t=${at},v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")},v0=ab`;
}

function hook() {
  const collector = paper();
  const errors = [];
  const tally = createClient({ ...SETTINGS, fetch: collector.fetch, onError: ({ code }) => errors.push(code) });
  return { tally, errors, webhook: stripeWebhook(tally, { secret: SECRET, salt: SETTINGS.salt }), ...collector };
}

const metadata = { fan_id: "fan-7", creator_id: "creator-3", tier_name: "gold" };
const event = (type, object, id = "evt_1") =>
  JSON.stringify({ id, type, created: NOW_S - 60, data: { object: { metadata, currency: "eur", ...object } } });
const paid = (more) => event("payment_intent.succeeded", { id: "pi_1", amount: 2999, amount_received: 2999, customer: "cus_NffrFeUfNV2Hib", payment_method_types: ["card"], ...more });

test("a payment is recorded once, with hashes and without raw ids, however often it is told", async () => {
  const { tally, webhook, events, batches, errors } = hook();
  for (const at of [NOW_S, NOW_S - 10]) assert.equal(await webhook(paid(), signed(paid(), { at })), "recorded");
  await tally.flush();
  const [one, again] = events();
  assert.equal(one.name, "payment.completed");
  assert.equal(one.id, again.id, "the collector counts an id once");
  assert.equal(one.at, (NOW_S - 60) * 1_000);
  assert.match(one.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(one.user, hashId(SETTINGS.salt, false, "fan-7"));
  const { owner, ...props } = one.props;
  assert.match(owner, /^[a-p]{16}$/);
  assert.deepEqual(props, {
    payment_id: "pi_1",
    amount: 29.99,
    currency: "EUR",
    payment_method: "card",
    gateway: "stripe",
    subscription_tier: "gold",
    stripe_customer: "…2Hib",
  });
  assert.ok(!/fan-7|creator-3|cus_Nffr/.test(JSON.stringify(batches)));
  assert.deepEqual(errors, []);
});

test("what Stripe tells becomes these events", async () => {
  const { tally, webhook, events } = hook();
  const items = { data: [{ quantity: 2, price: { unit_amount: 900, recurring: { interval: "year" }, nickname: "plus" } }] };
  const told = [
    paid({ amount_received: 500, currency: "jpy" }),
    paid({ amount_received: 12345, currency: "kwd" }),
    event("payment_intent.payment_failed", { id: "pi_2", amount: 1000, last_payment_error: { code: "card_declined", decline_code: "insufficient_funds" } }),
    event("payment_intent.payment_failed", { id: "pi_3", amount: 1000, last_payment_error: { code: "expired_card" } }),
    event("customer.subscription.created", { id: "sub_1", items, metadata: {} }),
  ];
  for (const body of told) assert.equal(await webhook(body, signed(body)), "recorded");
  assert.equal(await webhook(event("invoice.paid", {}), signed(event("invoice.paid", {}))), "ignored");
  assert.equal(await webhook(event("constructor", {}), signed(event("constructor", {}))), "ignored");
  await tally.flush();
  const seen = events().map(({ name, user, props }) => [name, props.amount, props.failure_code ?? props.interval ?? props.currency, props.subscription_tier, Boolean(user)]);
  assert.deepEqual(seen, [
    ["payment.completed", 500, "JPY", "gold", true],
    ["payment.completed", 12.345, "KWD", "gold", true],
    ["payment.failed", 10, "insufficient_funds", "gold", true],
    ["payment.failed", 10, "expired_card", "gold", true],
    ["subscription.created", 18, "year", "plus", false],
  ]);
});

test("what is not from Stripe is refused and records nothing", async () => {
  const { tally, webhook, events } = hook();
  const body = paid();
  const right = signed(body);
  const wrong = [
    [body, null],
    [body, ""],
    [body, "t=,v1="],
    [body, right.replace(/v1=./, "v1=x")],
    [body, right.replace(/v1=/, "v2=")],
    [body, right.replace(/,v1=(..)/, ",v1=")],
    [body, signed(body, { secret: "whsec_other" })],
    [body, signed(body, { at: NOW_S - 400 })],
    [body, signed(body, { at: NOW_S + 400 })],
    [`${body} `, right],
    ["not JSON", signed("not JSON")],
    ["{}", signed("{}")],
    [paid({ currency: "euros" }), signed(paid({ currency: "euros" }))],
    [paid({ amount_received: "1e9" }), signed(paid({ amount_received: "1e9" }))],
  ];
  for (const [text, signature] of wrong) assert.equal(await webhook(text, signature), "refused", `${text} ${signature}`);
  await tally.flush();
  assert.deepEqual(events(), []);
  assert.throws(() => stripeWebhook(tally, { secret: "", salt: "s" }), /secret/);
});

test("an id without a time is told", async () => {
  const { tally, errors } = hook();
  tally.track("paid", { user: "1" }, {}, { id: "order 7" });
  assert.deepEqual(errors, ["id_without_time"]);
});
