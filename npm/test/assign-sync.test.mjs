/** The inline script gives what the module gives: for 10,000 ids, and for everything it leaves to it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import vm from "node:vm";
import { brotliCompressSync } from "node:zlib";

import { built, vectors } from "./built.mjs";

const SCRIPT = readFileSync(built("assign-sync.js"), "utf8");
const KEY = "tm_pk_live_test";
const NOW = 1_795_331_401_767;

let evaluator;

before(async () => {
  evaluator = await import(built("evaluator.js"));
  await evaluator.start(readFileSync(built("experiments_bg.wasm")));
});

/** A page with this much of a browser. */
function page(stored = {}, href = "https://shop.example/") {
  const storage = new Map(Object.entries(stored));
  const shown = {};
  const context = vm.createContext({
    URL, Uint8Array, crypto, navigator: {}, location: { href },
    Date: { now: () => NOW },
    localStorage: {
      getItem: (name) => storage.get(name) ?? null,
      setItem: (name, text) => storage.set(name, text),
    },
    document: { documentElement: { setAttribute: (name, text) => (shown[name] = text) } },
  });
  vm.runInContext(SCRIPT, context);
  return { assign: (document, isFull) => context.assignSync(KEY, document, isFull), shown, storage };
}

const hash = (number) => number.toString(16).padStart(64, "0");
const stored = (device, user = "") => ({ [`tallymark:${KEY}`]: `1|g|${device}|${NOW}|${user}` });

const drawn = { hashAttribute: "device", hashVersion: 2 };
const meta = (...keys) => keys.map((key) => ({ key }));
const DOCUMENT = {
  features: {
    halves: { defaultValue: "a", rules: [{ ...drawn, key: "halves", variations: ["a", "b"], meta: meta("a", "b") }] },
    uneven: {
      defaultValue: 0,
      rules: [{ ...drawn, seed: "other", variations: [1, 2, 3], weights: [0.2, 0.3, 0.5], coverage: 0.35, meta: meta("x", "y", "z") }],
    },
    apart: {
      defaultValue: null,
      rules: [{ ...drawn, variations: [1, 2], filters: [{ attribute: "device", seed: "n", hashVersion: 2, ranges: [[0.25, 0.75]] }] }],
    },
    held: {
      defaultValue: "c",
      rules: [
        { ...drawn, key: "q4", variations: ["c", "c"], ranges: [[0, 0.1], [0.1, 1]], meta: [{ key: "held" }, { key: "open", passthrough: true }] },
        { ...drawn, key: "held", variations: ["c", "d"], meta: meta("c", "d") },
      ],
    },
    rollout: { defaultValue: false, rules: [{ ...drawn, seed: "rollout", force: true, range: [0, 0.3] }] },
    person: { defaultValue: 0, rules: [{ hashAttribute: "user", fallbackAttribute: "device", hashVersion: 2, seed: "p", force: 1, range: [0, 0.5] }] },
    unicode: { defaultValue: 0, rules: [{ ...drawn, seed: "grün 🌱", variations: [1, 2] }] },
    wrong: { defaultValue: 0, rules: [{ ...drawn, variations: [1, 2], weights: [0.9, 0.9] }] },
  },
};

test("10,000 ids get the values and variants of the module", () => {
  const keys = Object.keys(DOCUMENT.features);
  assert.ok(evaluator.setDocument(DOCUMENT));
  const seen = new Set();
  for (let unit = 0; unit < 10_000; unit++) {
    const device = hash(unit * 7_919);
    const { assign, shown } = page(stored(device));
    const values = assign(DOCUMENT);
    evaluator.setPerson({ attributes: { device }, stickyBucketAssignmentDocs: {} });
    for (const key of keys) {
      const { value, met } = evaluator.feature(key);
      assert.equal(values[key], value, `${key} ${device}`);
      const isHeldOut = met?.experiment.meta?.some(({ passthrough }) => passthrough);
      assert.equal(shown[`data-tm-${key}`], isHeldOut ? undefined : met?.variant, `${key} ${device}`);
      seen.add(`${key} ${value}`);
    }
  }
  assert.ok(seen.size >= 2 * keys.length, `every feature has several values: ${[...seen]}`);
});

test("points are those of the vectors, beyond ASCII as well", () => {
  const cases = vectors("bucketing").cases.filter(({ fn, input }) => fn === "growthbook_assign" && input.hash_version === 2);
  assert.ok(cases.length > 0);
  for (const { id, input, expected } of cases) {
    const variations = input.weights.map((_, at) => at);
    const rule = { ...drawn, seed: input.seed, weights: input.weights, coverage: input.coverage, variations };
    const document = { features: { f: { defaultValue: -1, rules: [rule] } } };
    // Ids in the vectors are no hashes, so they come in where the module's person would have them.
    assert.ok(evaluator.setDocument(document));
    for (const [at, unit] of input.units.entries()) {
      evaluator.setPerson({ attributes: { device: unit } });
      assert.equal(evaluator.feature("f").value, expected.variations[at], `${id} ${unit}`);
    }
  }
});

test("what needs the module is left out", () => {
  const rules = {
    targeted: { ...drawn, variations: [1, 2], condition: { country: "DE" } },
    dependent: { ...drawn, variations: [1, 2], parentConditions: [] },
    old: { variations: [1, 2] },
    somewhere: { ...drawn, variations: [1, 2], urlPatterns: [] },
    filtered: { ...drawn, variations: [1, 2], filters: [{ attribute: "device", seed: "n", hashVersion: 1, ranges: [[0, 1]] }] },
  };
  const features = Object.fromEntries(Object.entries(rules).map(([key, rule]) => [key, { defaultValue: 0, rules: [rule] }]));
  const { assign, shown } = page(stored(hash(1)));
  assert.deepEqual({ ...assign({ features: { ...features, plain: { defaultValue: 5 } } }) }, { plain: 5 });
  assert.deepEqual(shown, {});
});

test("a first visit gets an id that the core takes over, and only where it may", () => {
  const first = page();
  const values = first.assign(DOCUMENT, true);
  const text = first.storage.get(`tallymark:${KEY}`);
  assert.match(text, new RegExp(`^1\\|-\\|[0-9a-f]{64}\\|${NOW}\\|$`));
  assert.deepEqual({ ...page(Object.fromEntries(first.storage)).assign(DOCUMENT, true) }, { ...values });
  for (const [name, before, isFull] of [["cookieless", {}, false], ["denied", { [`tallymark:${KEY}`]: "1|d" }, true]]) {
    const other = page(before);
    assert.equal(other.assign(DOCUMENT, isFull).halves, "a", name);
    assert.deepEqual([other.shown, Object.fromEntries(other.storage)], [{}, before], name);
  }
});

test("a variant asked for in the address is shown, as by the module", () => {
  for (const [query, want] of [["halves=0", "a"], ["halves=1", "b"], ["x=1&halves=1#top", "b"]]) {
    const href = `https://shop.example/?${query}`;
    for (let unit = 0; unit < 20; unit++) {
      assert.equal(page(stored(hash(unit)), href).assign(DOCUMENT).halves, want);
      evaluator.setDocument(DOCUMENT);
      evaluator.setPerson({ attributes: { device: hash(unit) }, url: href });
      assert.equal(evaluator.feature("halves").value, want);
    }
  }
});

test("whoever signs in keeps the variant of before, here and in the module", () => {
  const rule = { hashAttribute: "user", fallbackAttribute: "device", hashVersion: 2, key: "k", variations: [1, 2, 3], meta: meta("a", "b", "c") };
  const document = { features: { k: { defaultValue: 0, rules: [rule] } } };
  evaluator.setDocument(document);
  let moved = 0;
  for (let unit = 0; unit < 300; unit++) {
    const [device, user] = [hash(unit), hash(unit + 1_000_000)];
    const before = page(stored(device)).assign(document).k;
    const kept = { [`device||${device}`]: { attributeName: "device", attributeValue: device, assignments: { k__0: "abc"[before - 1] } } };
    const after = page({ ...stored(device, user), [`tallymark:${KEY}:kept`]: JSON.stringify(kept) });
    assert.equal(after.assign(document).k, before);
    evaluator.setPerson({ attributes: { device, user }, stickyBucketAssignmentDocs: kept });
    assert.equal(evaluator.feature("k").value, before);
    evaluator.setPerson({ attributes: { device, user } });
    if (evaluator.feature("k").value !== before) moved += 1;
  }
  assert.ok(moved > 100, "without what was kept, many would have changed sides");
});

test("it costs the head of a page at most 1.5 KiB", () => {
  const bytes = brotliCompressSync(readFileSync(built("assign-sync.js"))).length;
  assert.ok(bytes <= 1_536, `${bytes} bytes after brotli`);
});
