/** The provider answers OpenFeature's own client. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";

import { built } from "./built.mjs";

const KEY = "tm_pk_live_test";
const DEVICE = "ab".repeat(32);
const DOCUMENT = {
  features: {
    yes: { defaultValue: true },
    text: { defaultValue: "hello" },
    number: { defaultValue: 7 },
    object: { defaultValue: { color: "green" } },
    nothing: { defaultValue: null },
    german: { defaultValue: false, rules: [{ force: true, condition: { country: "DE" } }] },
    button: {
      defaultValue: "a",
      rules: [{ key: "button", hashAttribute: "device", hashVersion: 2, variations: ["a", "b"], meta: [{ key: "a" }, { key: "b" }] }],
    },
    circle: { defaultValue: 1, rules: [{ parentConditions: [{ id: "circle", condition: {} }], force: 2 }] },
  },
};

let client;
let fetched = [];
const storage = new Map([[`tallymark:${KEY}`, `1|g|${DEVICE}|1|`]]);

before(async () => {
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  define("window", globalThis);
  define("location", new URL("https://shop.example/cart"));
  define("navigator", { language: "de-DE" });
  define("localStorage", { getItem: (name) => storage.get(name) ?? null, setItem: (name, text) => storage.set(name, text) });
  define("document", { addEventListener() {}, visibilityState: "visible" });
  define("fetch", async (url) => {
    fetched.push(String(url));
    return new Response(JSON.stringify(DOCUMENT), { headers: { "content-type": "application/json" } });
  });
  const { TallymarkProvider } = await import(built("openfeature.js"));
  const wasm = readFileSync(built("experiments_bg.wasm"));
  const provider = new TallymarkProvider({ key: KEY, endpoint: "https://stats.example/base/", wasm });
  await OpenFeature.setProviderAndWait(provider);
  client = OpenFeature.getClient();
});

after(() => OpenFeature.close());

test("the document comes from the collector, by the write key", () => {
  assert.deepEqual(fetched, [`https://stats.example/base/v1/flags/${KEY}`]);
});

test("every type is answered", () => {
  assert.equal(client.getBooleanValue("yes", false), true);
  assert.equal(client.getStringValue("text", ""), "hello");
  assert.equal(client.getNumberValue("number", 0), 7);
  assert.deepEqual(client.getObjectValue("object", {}), { color: "green" });
});

test("what cannot be answered is the fallback, with the reason", () => {
  const details = client.getBooleanDetails("absent", true);
  assert.deepEqual([details.value, details.reason, details.errorCode], [true, "ERROR", "FLAG_NOT_FOUND"]);
  const mismatch = client.getNumberDetails("text", 5);
  assert.deepEqual([mismatch.value, mismatch.errorCode], [5, "TYPE_MISMATCH"]);
  assert.deepEqual(client.getStringDetails("nothing", "x").value, "x");
  assert.equal(client.getNumberDetails("circle", 5).errorCode, "GENERAL");
});

test("an experiment says its variant, targeting follows the context", async () => {
  const details = client.getStringDetails("button", "a");
  assert.equal(details.reason, "SPLIT");
  assert.equal(details.variant, details.value);
  assert.equal(client.getBooleanValue("german", false), false);
  let changes = 0;
  client.addHandler(ProviderEvents.ConfigurationChanged, () => (changes += 1));
  await OpenFeature.setContext({ targetingKey: "ada@example.org", country: "DE" });
  const german = client.getBooleanDetails("german", false);
  assert.deepEqual([german.value, german.reason, changes], [true, "TARGETING_MATCH", 1]);
});

test("an evaluation with a variant is one exposure, remembered without a raw id", () => {
  for (let i = 0; i < 5; i++) client.getStringValue("button", "a");
  const exposed = JSON.parse(storage.get(`tallymark:${KEY}:exposed`));
  assert.equal(exposed.length, 1, String(exposed));
  assert.match(exposed[0], /^abababababababab\|button\|[ab]$/);
  assert.ok(![...storage.values()].join().includes("ada@example.org"));
});
