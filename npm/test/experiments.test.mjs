/** What a page gets of `@tallymark/web/experiments`, and what it costs. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, beforeEach, test } from "node:test";
import { brotliCompressSync } from "node:zlib";

import { built, vectors } from "./built.mjs";

const KEY = "tm_pk_live_test";
const DEVICE = "cd".repeat(32);
const halves = { hashAttribute: "device", hashVersion: 2, variations: ["a", "b"], meta: [{ key: "a" }, { key: "b" }] };
const PLAIN = {
  features: {
    button: { defaultValue: "a", rules: [{ ...halves, key: "button" }] },
    held: {
      defaultValue: "a",
      rules: [
        { ...halves, key: "q4", ranges: [[0, 0], [0, 1]], meta: [{ key: "held" }, { key: "open", passthrough: true }] },
        { ...halves, key: "held" },
      ],
    },
    menu: { defaultValue: true },
  },
};
const GERMAN = { country: "DE", app: { $vgte: "1.2.0" } };
const TARGETED = {
  features: { ...PLAIN.features, german: { defaultValue: 0, rules: [{ ...halves, key: "german", condition: GERMAN }] } },
};

let experiments;
let storage;
let loads;

/** The entry anew, as on a new page. */
async function page() {
  experiments = await import(`${built("experiments.js")}?${Math.random()}`);
}

/** Exposures that were recorded, as the page remembers them. */
const exposed = () => JSON.parse(storage.get(`tallymark:${KEY}:exposed`) ?? "[]").map((one) => one.slice(17));

before(() => {
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  define("window", globalThis);
  define("location", new URL("https://shop.example/cart"));
  define("navigator", { language: "de-DE" });
  define("localStorage", { getItem: (name) => storage.get(name) ?? null, setItem: (name, text) => storage.set(name, text) });
  define("document", { addEventListener() {}, visibilityState: "visible" });
  define("fetch", async (url) => {
    loads.push(String(url));
    if (String(url).includes("/v1/flags/")) return Response.json(PLAIN);
    return new Response(readFileSync(built("experiments_bg.wasm")), { headers: { "content-type": "application/wasm" } });
  });
});

beforeEach(async () => {
  storage = new Map([[`tallymark:${KEY}`, `1|g|${DEVICE}|1|`]]);
  loads = [];
  await page();
});

const start = (more) => experiments.start({ key: KEY, endpoint: "https://stats.example", ...more });

test("nothing but the document is loaded", async () => {
  assert.equal(experiments.value("menu", false), false, "nothing is known yet");
  assert.equal(await start(), true);
  assert.deepEqual(loads, [`https://stats.example/v1/flags/${KEY}`]);
  assert.equal(experiments.value("menu", false), true);
  assert.equal(experiments.value("absent", "fallback"), "fallback");
  assert.match(experiments.variant("button"), /^[ab]$/);
});

test("where versions are compared the module is loaded, and gives all else the same", async () => {
  await start();
  const plain = ["button", "held", "menu"].map((key) => experiments.evaluate(key).value);
  await page();
  loads = [];
  assert.equal(await start({ document: TARGETED, attributes: { country: "DE", app: "1.10.0" } }), true);
  assert.equal(loads.length, 1);
  assert.match(loads[0], /experiments_bg\.wasm$/);
  assert.deepEqual(["button", "held", "menu"].map((key) => experiments.evaluate(key).value), plain);
  assert.match(experiments.variant("german"), /^[ab]$/);
  experiments.setAttributes({ country: "DE", app: "1.1.9" });
  assert.equal(experiments.variant("german"), null);
});

test("all conditions of the specification hold, and those without versions and groups need no module", async () => {
  let plain = 0;
  for (const [name, condition, attributes, want, savedGroups] of vectors("growthbook-cases").evalCondition) {
    if (!JSON.stringify(condition).match(/"\$(v|inGroup|notInGroup)/)) {
      await page();
      loads = [];
      plain += 1;
    }
    const document = { features: { f: { rules: [{ force: true, condition }] } }, savedGroups };
    assert.equal(await start({ document, attributes }), true, name);
    assert.equal(experiments.value("f", false), want, name);
    if (plain > 0 && loads.length > 0) assert.match(JSON.stringify(condition), /"\$(v|inGroup|notInGroup)/, name);
  }
  assert.equal(plain, 150);
});

test("an exposure waits until the variant is known, and is recorded once, on later pages too", async () => {
  experiments.exposure("button");
  assert.deepEqual(exposed(), []);
  await start();
  const variant = experiments.variant("button");
  assert.deepEqual(exposed(), [`button|${variant}`]);
  experiments.exposure("button");
  await page();
  await start();
  experiments.exposure("button");
  assert.deepEqual(exposed(), [`button|${variant}`]);
  storage.set(`tallymark:${KEY}`, `1|g|${DEVICE}|1|${"ef".repeat(32)}`);
  experiments.exposure("button");
  assert.deepEqual(exposed(), [`button|${variant}`, `button|${variant}`], "somebody else signed in");
});

test("a holdout is exposed with its experiment, and a variant the page showed is recorded as it is", async () => {
  await start();
  experiments.exposure("held", "z");
  assert.deepEqual(exposed(), ["q4|open", "held|z"]);
  experiments.exposure("menu");
  experiments.exposure("absent");
  assert.equal(exposed().length, 2, "a flag is no experiment");
});

test("whoever is held out has the control, no variant, and an exposure to the holdout", async () => {
  const rule = { ...halves, key: "q4", variations: ["a", "a"], ranges: [[0, 1], [1, 1]], meta: [{ key: "held" }, { key: "open", passthrough: true }] };
  for (const condition of [undefined, { country: "DE" }]) {
    storage.delete(`tallymark:${KEY}:exposed`);
    const rules = [rule, { ...halves, key: "f" }].map((one) => (condition ? { ...one, condition } : one));
    await start({ document: { features: { f: { defaultValue: "a", rules } } }, attributes: { country: "DE" } });
    assert.deepEqual([experiments.value("f", "z"), experiments.variant("f")], ["a", null]);
    experiments.exposure("f", "b");
    assert.deepEqual(exposed(), ["q4|held"]);
  }
});

test("without consent there is no variant, no exposure, and nothing is kept", async () => {
  storage.set(`tallymark:${KEY}`, "1|d");
  await start({ mode: "full" });
  assert.equal(experiments.variant("button"), null);
  assert.equal(experiments.value("button", "x"), "a", "the control");
  experiments.exposure("button");
  assert.deepEqual([...storage], [[`tallymark:${KEY}`, "1|d"]]);
});

test("whoever signs in keeps the variant of before", async () => {
  const rule = { ...halves, key: "k", hashAttribute: "user", fallbackAttribute: "device" };
  const kept = [];
  for (let unit = 0; unit < 40; unit++) {
    storage = new Map([[`tallymark:${KEY}`, `1|g|${DEVICE}|1|`]]);
    await start({ document: { features: { k: { defaultValue: 0, rules: [rule] } } } });
    const before = experiments.variant("k");
    const user = unit.toString(16).padStart(64, "0");
    storage.set(`tallymark:${KEY}`, `1|g|${DEVICE}|1|${user}`);
    assert.equal(experiments.variant("k"), before);
    storage.delete(`tallymark:${KEY}:kept`);
    kept.push(experiments.variant("k") === before);
  }
  assert.ok(kept.includes(false), "without what was kept, some would have changed sides");
});

test("the collector being away is said, not thrown", async () => {
  globalThis.fetch = async () => new Response("", { status: 503 });
  assert.equal(await start(), false);
  assert.equal(experiments.value("menu", "fallback"), "fallback");
});

/** Bytes after brotli, of files that a page loads together. */
function weight(...names) {
  return names.reduce((sum, name) => sum + brotliCompressSync(readFileSync(built(name))).length, 0);
}

test("sizes are what EXPERIMENTS.md says", () => {
  assert.ok(weight("experiments.js") <= 3_584, `plain: ${weight("experiments.js")}`);
  const module = weight("evaluator.js", "experiments_bg.wasm");
  assert.ok(module <= 15_360, `with the module: ${module} more`);
  assert.ok(weight("openfeature.js") <= 1_024, `openfeature: ${weight("openfeature.js")}`);
});
