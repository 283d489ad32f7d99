/** The built module gives what the shared tables say; native Rust reads the same ones. */

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { built, moduleBytes, vectors } from "./built.mjs";

let glue;

before(async () => {
  glue = await import(built("engine.js"));
  await glue.start(moduleBytes());
});

test("ids are hashed as Python's hmac hashes them", () => {
  for (const { name, salt, namespace, id, repeat, h1 } of vectors("hashing").cases) {
    assert.equal(glue.hashId(salt, namespace, id.repeat(repeat ?? 1)), h1, name);
  }
  assert.equal(glue.hashId("salt", "no such namespace", "ada"), "");
});

test("event ids have the bits of RFC 9562", () => {
  for (const { name, unix_ms, random, uuid } of vectors("uuid7").cases) {
    assert.equal(glue.uuid7(unix_ms, Buffer.from(random, "hex")), uuid, name);
  }
});

test("points, choices and namespaces are those of the GrowthBook specification", () => {
  const golden = vectors("growthbook");
  for (const [seed, value, version, want] of golden.hash) {
    assert.equal(glue.allocationPoint(seed, value, version), want ?? -1, `${seed} ${value}`);
  }
  for (const [name, unit, [namespace, start, end], want] of golden.inNamespace) {
    assert.equal(glue.inNamespace(unit, namespace, start, end), want, name);
  }
  for (const [name, [count, coverage, weights], ranges] of golden.getBucketRange) {
    const choose = (point) => glue.chooseVariant(point, count, coverage, weights ?? undefined);
    for (const [place, [start, end]] of ranges.entries()) {
      const empty = end - start < 1e-9;
      // The edges themselves may be off by the last bit; next to them the answer is certain.
      if (!empty) assert.equal(choose(start + 1e-7), place, `${name}: start of ${place}`);
      if (!empty) assert.equal(choose(end - 1e-7), place, `${name}: end of ${place}`);
      assert.notEqual(choose(end + 1e-7), place, `${name}: behind ${place}`);
    }
  }
});

test("golden assignments and counts come out the same", () => {
  for (const { id, fn, input, expected } of vectors("bucketing").cases) {
    if (fn === "growthbook_hash") {
      assert.equal(glue.allocationPoint(input.seed, input.value, input.version), expected.value, id);
    } else if (fn === "growthbook_assign") {
      const { seed, hash_version, coverage, weights, units } = input;
      const points = units.map((unit) => glue.allocationPoint(seed, unit, hash_version));
      assert.deepEqual(points, expected.buckets, id);
      const chosen = points.map((point) => glue.chooseVariant(point, weights.length, coverage, weights));
      assert.deepEqual(chosen, expected.variations, id);
    } else if (fn === "growthbook_counts") {
      const counts = Array(input.variations).fill(0);
      let outside = 0;
      for (let unit = 0; unit < input.units; unit++) {
        const point = glue.allocationPoint(input.seed, input.unit_prefix + unit, input.hash_version);
        const chosen = glue.chooseVariant(point, input.variations, input.coverage, undefined);
        if (chosen < 0) outside += 1;
        else counts[chosen] += 1;
      }
      assert.deepEqual([counts, outside], [expected.counts, expected.not_included], id);
    } else {
      // Another library's hash, for comparing results; browsers do not carry it.
      assert.equal(fn, "planout_uniform", id);
    }
  }
});
