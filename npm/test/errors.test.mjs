/** Errors: what of them leaves the page, and how often. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { observedSources, sources } from "./built.mjs";

const { mask, scrub } = await sources("scrub");

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N";
for (const [what, text, want] of [
  ["an e-mail address", "no account for ada.lovelace+x@mail.example.org here", "no account for [email] here"],
  ["a query string", "GET https://a.example/pay/1?token=abc&x=1 failed", "GET https://a.example/pay/1 failed"],
  ["a query of a path", "GET /pay/1?code=abc failed", "GET /pay/1 failed"],
  ["a fragment", "at https://a.example/#access_token=abc", "at https://a.example/"],
  ["a query before a line of a script", "at pay (https://a.example/app.js?v=3:10:5)", "at pay (https://a.example/app.js:10:5)"],
  ["a name and a password", "https://ada:secret@a.example/x", "https://a.example/x"],
  ["a card", "card 4111 1111 1111 1111 was declined", "card [number] was declined"],
  ["a telephone number", "call +49 (30) 1234-5678 now", "call [number] now"],
  ["eight digits stay", "order 12345678 is unknown", "order 12345678 is unknown"],
  ["nine digits go", "order 123456789 is unknown", "order [number] is unknown"],
  ["a password", "login failed: password=hunter2, try again", "login failed: password=[secret], try again"],
  ["a secret in JSON", '{"api_key":"a b","n":1}', '{"api_key=[secret],"n":1}'],
  ["a token by its name", "accessToken: abc123; rest", "accessToken=[secret]; rest"],
  ["a cookie, to the end of its line", "Cookie: a=1; b=2\nnext", "Cookie=[secret]\nnext"],
  ["a bearer", "sent Bearer abc.def", "sent [token]"],
  ["a signed token", `bad ${JWT}!`, "bad [token]!"],
  ["an opaque token", "key 0123456789abcdef0123456789abcdef", "key [token]"],
  ["a long word stays", "thisIsTheNameOfAFunctionThatDoesVeryLittle is not defined", "thisIsTheNameOfAFunctionThatDoesVeryLittle is not defined"],
  ["a line of a stack stays", "at Cart.add (https://a.example/assets/app-4f3c2d.js:12:345)", "at Cart.add (https://a.example/assets/app-4f3c2d.js:12:345)"],
]) {
  test(`scrubbing: ${what}`, () => assert.equal(scrub(text, 500), want));
}

test("a scrubbed text is cut to its length, and hostile ones take no time", () => {
  assert.equal(scrub("a b ".repeat(50), 10), "a b a b a…");
  const from = performance.now();
  for (const hostile of ["a".repeat(1e6), "a.".repeat(1e6), "/".repeat(1e6), "1 ".repeat(1e6), "a-".repeat(1e6), "//".repeat(1e6) + "@"]) {
    assert.ok(scrub(hostile, 2_000).length <= 2_000);
  }
  const took = performance.now() - from;
  assert.ok(took < 1_000, `${took} ms`);
});

test("of an id its end is left, of a short one nothing", () => {
  assert.deepEqual([mask("cus_NffrFeUfNV2Hib"), mask("12345678")], ["…2Hib", "…"]);
});

const listeners = new Map();
globalThis.window = globalThis;
globalThis.addEventListener = (name, act) => listeners.set(name, [...(listeners.get(name) ?? []), act]);
globalThis.document = { visibilityState: "visible", addEventListener: globalThis.addEventListener };
const happen = (name, event = {}) => (listeners.get(name) ?? []).forEach((act) => act(event));
const hide = () => {
  document.visibilityState = "hidden";
  happen("visibilitychange");
  document.visibilityState = "visible";
};

let errors;
let recorded;
beforeEach(async () => {
  listeners.clear();
  const { module, calls } = await observedSources("errors");
  errors = module;
  recorded = () => calls.map(([, name, props]) => (assert.equal(name, "$error"), JSON.parse(JSON.stringify(props))));
});

// Shows S4-23, S4-25, S4-26, S4-27 and S4-72.
test("an error has its name, its scrubbed message and stack, and the business around it", () => {
  errors.setErrorContext({ user: { userType: "fan" }, technical: { source: "web", apiVersion: "v2" } });
  const error = new TypeError("card 4111 1111 1111 1111 of ada@example.org");
  errors.captureError(error, {
    user: { subscriptionTier: "gold" },
    payment: { paymentId: "pi_1", amount: 9.5, currency: "EUR", method: "card", stripeCustomerId: "cus_NffrFeUfNV2Hib" },
    business: { businessEvent: "payment.failed", funnel: "checkout", component: "Form", feature: "pay" },
    technical: { platform: "mobile" },
    extra: { attempt: 2 },
  }, "critical");
  const [{ stack, fingerprint, ...rest }] = recorded();
  assert.match(stack, /^at .*errors\.test\.mjs:\d+:\d+/);
  assert.match(fingerprint, /^[0-9a-f]{8}$/);
  assert.deepEqual(rest, {
    error_name: "TypeError",
    message: "card [number] of [email]",
    level: "critical",
    handled: true,
    occurrences: 1,
    attempt: 2,
    user_type: "fan",
    subscription_tier: "gold",
    payment_id: "pi_1",
    amount: 9.5,
    currency: "EUR",
    payment_method: "card",
    stripe_customer: "…2Hib",
    business_event: "payment.failed",
    funnel: "checkout",
    component: "Form",
    feature: "pay",
    source: "web",
    platform: "mobile",
    api_version: "v2",
  });
});

test("the same error is recorded once, and its repetitions when the page is hidden", () => {
  for (let i = 0; i < 1_000; i++) errors.captureError(makeError(i));
  assert.deepEqual(recorded().map(({ occurrences }) => occurrences), [1]);
  hide();
  hide();
  assert.deepEqual(recorded().map(({ message, occurrences }) => [message, occurrences]), [["order 0 is unknown", 1], ["order 0 is unknown", 999]]);
  const fingerprints = new Set(recorded().map(({ fingerprint }) => fingerprint));
  assert.equal(fingerprints.size, 1);
});

/** Numbers make no other error. */
function makeError(number) {
  return new Error(`order ${number} is unknown`);
}

test("beyond twenty different errors they are only counted, and none is lost", () => {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  for (const letter of letters) errors.captureError(`fault ${letter}`);
  errors.captureError("fault a");
  hide();
  const all = recorded();
  assert.equal(all.length, 22);
  assert.equal(all.reduce((sum, { occurrences }) => sum + occurrences, 0), 27);
  assert.deepEqual(all.at(-1), { fingerprint: "others", error_name: "others", level: "error", occurrences: 6 });
});

for (const [what, thrown, name, message] of [
  ["a text", "no", "string", "no"],
  ["nothing", undefined, "undefined", "undefined"],
  ["a number", 7, "number", "7"],
  ["an object with a message", { message: "no", password: "x" }, "Object", "no"],
  ["an object without one", { code: 1, password: "x" }, "Object", "an object with code, password"],
]) {
  test(`a page that throws ${what} is understood`, () => {
    errors.captureError(thrown);
    const [error] = recorded();
    assert.deepEqual([error.error_name, error.message], [name, message]);
  });
}

test("what the page does not handle is recorded on request, but for what is of no interest", () => {
  happen("error", { error: new Error("before") });
  const stop = errors.watchErrors({ ignore: ["ResizeObserver", /^Script error/g], context: { technical: { source: "shop" } } });
  happen("error", { error: new RangeError("a") });
  happen("error", { message: "Script error." });
  happen("error", { message: "Script error." });
  happen("error", { error: new Error("ResizeObserver loop") });
  happen("unhandledrejection", { reason: "b" });
  stop();
  assert.deepEqual(
    recorded().map(({ error_name, message, handled, source }) => [error_name, message, handled, source]),
    [["RangeError", "a", false, "shop"], ["string", "b", false, "shop"]],
  );
});
