/** All 472 cases of the GrowthBook specification through the built module; native Rust reads the same file. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";

import { built, vectors } from "./built.mjs";

const golden = vectors("growthbook-cases");
/** The fields of a rule that belong to its experiment. */
const FIELDS = [
  "variations", "coverage", "weights", "hashAttribute", "fallbackAttribute", "disableStickyBucketing",
  "bucketVersion", "minBucketVersion", "namespace", "meta", "ranges", "name", "phase", "seed",
  "hashVersion", "filters", "condition",
];

let evaluator;

/** One section: all cases by name, each in a test of its own. */
function section(name, count, check) {
  describe(name, () => {
    test(`has ${count} cases`, () => assert.equal(golden[name].length, count));
    for (const one of golden[name]) test(String(one[0]), () => check(one));
  });
}

/** Evaluates in a context of the specification, which is document and person at once. */
function within(context) {
  assert.ok(evaluator.setDocument(context) && evaluator.setPerson(context));
}

function leaf(met, context) {
  if (met.leaf === undefined) return {};
  const bandit = context.contextualBandits[met.experiment.contextualBanditRef];
  const found = bandit.contexts?.[met.leaf] ?? { leafId: -1, weights: met.experiment.weights };
  return { leafId: found.leafId, variationWeights: found.weights, banditVersion: bandit.banditVersion };
}

function experiment(met, context) {
  const fields = FIELDS.filter((field) => field in met.experiment).map((field) => [field, met.experiment[field]]);
  const variations = met.experiment.contextualVariations;
  return {
    ...Object.fromEntries(fields),
    ...(variations && { variations }),
    ...(met.leaf !== undefined && { contextualBandit: leaf(met, context) }),
    key: met.key,
  };
}

function result(met, context) {
  const name = met.experiment.meta?.[met.variationId]?.name;
  return {
    featureId: met.featureId,
    key: met.variant,
    variationId: met.variationId,
    value: met.value,
    inExperiment: met.inExperiment,
    hashUsed: met.hashUsed,
    hashAttribute: met.hashAttribute,
    hashValue: context.attributes[met.hashAttribute],
    stickyBucketUsed: met.stickyBucketUsed,
    ...(name && { name }),
    ...(met.bucket !== undefined && { bucket: met.bucket }),
    ...leaf(met, context),
  };
}

for (const [kind, start] of [
  ["WebAssembly", (module) => module.start(readFileSync(built("experiments_bg.wasm")))],
  ["the package for servers", null],
  // Bytes that are no module: then the same Rust as JavaScript stands in.
  ["plain JavaScript", (module) => module.start(new Uint8Array(8))],
]) {
  describe(kind, () => {
    before(async () => {
      if (start) {
        evaluator = await import(`${built("evaluator.js")}?${encodeURIComponent(kind)}`);
        await start(evaluator);
      } else {
        evaluator = (await import(built("../server/dist/evaluator.js"))).createEvaluator();
      }
    });

    section("evalCondition", 248, ([, condition, attributes, want, savedGroups]) => {
      within({ features: { f: { rules: [{ force: true, condition }] } }, savedGroups, attributes });
      assert.equal(evaluator.feature("f").value === true, want);
    });

    section("feature", 55, ([, context, key, want]) => {
      within(context);
      const { value, source, rule, met } = evaluator.feature(key);
      const on = Boolean(value);
      assert.deepEqual(
        {
          value, on, off: !on, source, ruleId: rule?.id ?? "",
          ...(met && { experiment: experiment(met, context), experimentResult: result(met, context) }),
        },
        want,
      );
    });

    section("run", 73, ([, context, one, ...want]) => {
      within(context);
      const { value, inExperiment, hashUsed } = evaluator.run(one);
      assert.deepEqual([value, inExperiment, hashUsed], want);
    });

    section("stickyBucket", 13, ([, context, stored, key, want, after]) => {
      const { attributes } = context;
      const own = stored.filter((one) => attributes[one.attributeName] === one.attributeValue);
      const name = (one) => `${one.attributeName}||${one.attributeValue}`;
      const kept = Object.fromEntries(own.map((one) => [name(one), structuredClone(one)]));
      within({ ...context, stickyBucketAssignmentDocs: kept });
      const { met, decided } = evaluator.feature(key);
      for (const one of decided.filter((one) => one.keep)) {
        const document = { attributeName: one.hashAttribute, attributeValue: attributes[one.hashAttribute] };
        kept[name(document)] ??= { ...document, assignments: {} };
        kept[name(document)].assignments[`${one.key}__${one.experiment.bucketVersion ?? 0}`] = one.variant;
      }
      assert.deepEqual([met ? result(met, context) : null, kept], [want, after]);
    });

    section("urlRedirect", 4, ([, context, want]) => {
      within(context);
      const found = evaluator.redirect(context.experiments);
      const { inExperiment, value } = found ? evaluator.run(found.experiment) : {};
      const redirects = found ? [{ inExperiment, urlRedirect: value.urlRedirect, urlWithParams: found.url }] : [];
      assert.deepEqual(redirects, want);
    });

    section("getQueryStringOverride", 16, ([, key, url, count, want]) => {
      within({ url });
      const met = evaluator.run({ key, variations: Array(count).fill(0) });
      assert.equal(met.inExperiment ? met.variationId : null, want);
    });

    section("hash", 15, ([seed, value, hashVersion, want]) => {
      within({ attributes: { id: value } });
      const met = evaluator.run({ seed, key: seed, hashVersion, variations: [0, 1], ranges: [[0, 1], [2, 3]] });
      assert.equal(met.bucket ?? null, want);
    });

    section("getBucketRange", 13, ([, [count, coverage, weights], ranges]) => {
      // Where a thousand units fall tells the ranges: their points are known from the case `hash`.
      const variations = Array(count).fill(0);
      for (let unit = 0; unit < 1_000; unit++) {
        within({ attributes: { id: `${unit}` } });
        const ask = (more) => evaluator.run({ key: "k", hashVersion: 2, variations, ...more });
        const { bucket } = ask({ ranges: [[0, 1]] });
        const want = ranges.findIndex(([start, end]) => bucket >= start && bucket < end);
        const near = ranges.flat().some((edge) => Math.abs(edge - bucket) < 1e-9);
        const met = ask({ coverage, ...(weights && { weights }) });
        if (!near) assert.equal(met.inExperiment ? met.variationId : -1, want, `${bucket}`);
      }
    });

    section("chooseVariation", 13, ([, point, ranges, want]) => {
      // Ranges moved so that a unit with a known point stands where the case has it.
      within({ attributes: { id: "a" } });
      const variations = Array(Math.max(2, ranges.length)).fill(0);
      const ask = (moved) => evaluator.run({ key: "k", seed: "seed", hashVersion: 2, variations, ranges: moved });
      const { bucket } = ask([[0, 1]]);
      // Halves of thousandths, so that no sum is off by the last bit across an edge.
      const move = (edge) => bucket + Math.round((edge - point) * 1_024) / 1_024;
      const met = ask(ranges.map(([start, end]) => [move(start), move(end)]));
      assert.equal(met.inExperiment ? met.variationId : -1, want);
    });

    section("inNamespace", 16, ([, id, namespace, want]) => {
      within({ attributes: { id } });
      const met = evaluator.run({ key: "k", variations: [0, 1], ranges: [[0, 1], [2, 3]], namespace });
      assert.equal(met.inExperiment, want);
    });

    section("getEqualWeights", 6, ([count, weights]) => {
      if (count < 2) return assert.ok(weights.length < 2);
      const met = Array(count).fill(0);
      const variations = Array(count).fill(0);
      for (let unit = 0; unit < 2_000; unit++) {
        within({ attributes: { id: `${unit}` } });
        const { bucket, variationId } = evaluator.run({ key: "k", hashVersion: 2, variations });
        // Each weight is one of `count` equal parts of [0, 1).
        assert.equal(variationId, Math.min(count - 1, Math.floor(bucket * count + 1e-9)));
        met[variationId] += 1;
      }
      assert.ok(met.every((units) => units > 0));
    });
  });
}
