/** The built package on a stage: what calls become on the wire. */

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { built, moduleBytes } from "./built.mjs";
import { setStage } from "./stage.mjs";

const reported = [];
let stage;
let tally;

before(async () => {
  stage = setStage();
  tally = await import(built("index.js"));
  tally.optIn(); // Records nothing, so the address is still news to the module.
  tally.track("before_init", { early: true });
  tally.init({
    key: "tm_pk_test_x",
    salt: "salt",
    endpoint: "https://stats.example/",
    mode: "full",
    onError: (error) => reported.push(error.code),
    wasm: moduleBytes(),
  });
  tally.identify("ada@example.org", { plan: "team" });
  tally.exposure("buy-button", "green");
  tally.conversion("purchase", { value: 29.99, currency: "EUR", experiment: "buy-button" });
  history.pushState(null, "", "/p/2");
  tally.contentView({ id: 42, type: "article", owner: "ines" });
  tally.funnelStep("checkout", "address", { step_number: 2 });
  assert.equal(await tally.ready(), true);
  assert.equal(await tally.flush(), true);
});

test("early calls arrive in order, each with the address it was made at", () => {
  const seen = stage.sent.flatMap(({ batch }) =>
    batch.events.map(({ n, name }) => [n, name, new URL(batch.context.url).pathname]),
  );
  assert.deepEqual(seen, [
    [0, "before_init", "/p/1"],
    [1, "$pageview", "/p/1"],
    [2, "$identify", "/p/1"],
    [3, "$exposure", "/p/1"],
    [4, "$conversion", "/p/1"],
    [5, "$pageview", "/p/2"],
    [6, "$content_view", "/p/2"],
    [7, "$funnel_step", "/p/2"],
  ]);
});

test("calls become the documented properties", () => {
  const props = Object.fromEntries(stage.events().map(({ name, props }) => [name, props]));
  assert.deepEqual(props.$identify, { plan: "team" });
  assert.deepEqual(props.$exposure, { experiment: "buy-button", variant: "green" });
  assert.deepEqual(props.$conversion, {
    name: "purchase",
    value: 29.99,
    currency: "EUR",
    experiment: "buy-button",
  });
  assert.deepEqual(props.$content_view, { content_id: "42", content_type: "article", owner: "ines" });
  assert.deepEqual(props.$funnel_step, { funnel: "checkout", step: "address", step_number: 2 });
});

test("requests need no preflight, carry no credentials and outlive the page", () => {
  for (const { url, options, batch } of stage.sent) {
    assert.match(url, /^https:\/\/stats\.example\/v1\/batch(\?z=gzip)?$/);
    assert.equal(options.method, "POST");
    assert.equal(options.credentials, "omit");
    assert.equal(options.keepalive, true);
    assert.equal(options.headers, undefined);
    assert.match(batch.sdk, /^web\/\d+\.\d+\.\d+$/);
    assert.equal(batch.context.url.includes("#"), false, "a fragment that is no route stays here");
    assert.deepEqual(batch.context.screen, [1280, 800]);
  }
});

test("no raw id is sent or stored", () => {
  const everything = JSON.stringify(stage.sent) + JSON.stringify([...stage.storage]);
  assert.equal(everything.includes("ada@"), false);
  const { user, device } = stage.events().at(-1);
  assert.match(user, /^[0-9a-f]{64}$/);
  assert.match(device, /^[0-9a-f]{64}$/);
});

test("nothing a page can pass throws, and what is left out is reported", async () => {
  const cyclic = {};
  cyclic.self = cyclic;
  const hostile = {
    cyclic,
    big: 10n,
    get thrower() { throw new Error("from a getter"); },
    symbol: Symbol("s"),
    call: () => 1,
    half: "\ud800",
    "half\ud800": 1,
    escaped: "\\ud800",
    missing: undefined,
    infinite: Infinity,
    at: new Date(0),
  };
  reported.length = 0;
  tally.track("hostile", hostile);
  tally.track("no_object", 7);
  tally.track(undefined);
  tally.track(null, null);
  tally.identify("");
  tally.contentView(null);
  tally.conversion("x", null);
  tally.init({});
  tally.track("wide", Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i])));
  assert.equal(await tally.flush(), true);
  const props = Object.fromEntries(stage.events().map(({ name, props }) => [name, props]));
  assert.deepEqual(props.hostile, {
    half: "\ufffd",
    "half\ufffd": 1,
    escaped: "\\ud800",
    infinite: null,
    at: "1970-01-01T00:00:00.000Z",
  });
  assert.deepEqual(props.no_object, {});
  assert.equal(Object.keys(props.wide).length, 64);
  // Sentences are loaded when there is something to say.
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const code of ["props_invalid", "user_id_invalid", "init_twice", "too_many_props"]) {
    assert.ok(reported.includes(code), code);
  }
});

test("an event tracked in the moment a page is hidden leaves at once", () => {
  const before = stage.sent.length;
  tally.track("one");
  tally.track("two");
  stage.hide();
  tally.track("three");
  const names = stage.sent.slice(before).flatMap(({ batch }) => batch.events.map(({ name }) => name));
  assert.deepEqual(names.sort(), ["one", "three", "two"]);
});

test("what leaves with a page outlives it, as much as browsers let it, in bytes", async () => {
  document.visibilityState = "visible";
  stage.happen("visibilitychange");
  assert.equal(await tally.flush(), true);
  const before = stage.sent.length;
  // 54 KiB where most letters have two bytes.
  for (let i = 0; i < 9; i++) tally.track("long", { i, text: "я".repeat(3_000) });
  stage.hide();
  const left = stage.sent.slice(before);
  assert.deepEqual(left.flatMap(({ batch }) => batch.events.map(({ props }) => props.i)), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  for (const { options } of left) assert.equal(options.keepalive, true);
  const bytes = left.reduce((sum, { options }) => sum + Buffer.byteLength(options.body), 0);
  assert.ok(bytes > 54 * 1024 && bytes < 64 * 1024, `${bytes}`);
});
