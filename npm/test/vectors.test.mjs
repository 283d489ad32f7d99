/** The built package gives what the shared tables say; native Rust reads the same ones. */

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { before, test } from "node:test";

import { built, moduleBytes, sources, vectors } from "./built.mjs";

const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** The functions of the module, and of its translation to JavaScript. */
let wasm;
let fallback;

before(async () => {
  ({ functions: fallback } = await import(built("fallback.js")));
  // A second copy of the glue, for the module: the first one calls the translation.
  ({ functions: wasm } = await import(`${built("fallback.js")}?wasm`));
  const { instance } = await WebAssembly.instantiate(moduleBytes(), { "./tallymark_bg.js": wasm });
  wasm.__wbg_set_wasm(instance.exports);
});

test("ids are hashed as Python's hmac hashes them, in WebAssembly and in JavaScript", () => {
  for (const { name, salt, namespace, id, repeat, h1 } of vectors("hashing").cases) {
    if (id.trim() === "") continue;
    for (const { hashId } of [wasm, fallback]) {
      assert.equal(hex(hashId(salt, namespace === "device", id.repeat(repeat ?? 1))), h1, name);
    }
  }
  assert.equal(hex(wasm.hashId("salt", false, " ")), "", "an empty id has no hash");
});

test("10,000 ids have the same hash in WebAssembly, in JavaScript and by another program", () => {
  for (let i = 0; i < 10_000; i++) {
    const id = i % 3 === 0 ? `user-${i}@example.org` : i % 3 === 1 ? `ünï-${i}-☕` : randomBytes(i % 90).toString("base64") + i;
    const want = createHmac("sha256", "salt").update(`v1|user|${id}`).digest("hex");
    assert.equal(hex(wasm.hashId("salt", false, id)), want, id);
    assert.equal(hex(fallback.hashId("salt", false, id)), want, id);
  }
});

test("what a reply means is the same in WebAssembly and in JavaScript", () => {
  for (let status = 0; status < 600; status++) {
    for (const [receipt, ours, after] of [[true, false, -1], [false, true, -1], [false, false, 7_000]]) {
      assert.equal(wasm.judge(status, receipt, ours, after), fallback.judge(status, receipt, ours, after), `${status}`);
    }
  }
  for (let failures = 0; failures < 40; failures++) {
    assert.equal(wasm.backoffMs(failures, 0.7), fallback.backoffMs(failures, 0.7), `${failures}`);
  }
});

test("event ids have the bits of RFC 9562", async () => {
  const { uuid7 } = await sources("row");
  for (const { name, unix_ms, random, uuid } of vectors("uuid7").cases) {
    if (unix_ms < 2 ** 48) assert.equal(uuid7(unix_ms, random), uuid, name);
  }
});

test("points and namespaces are those of the GrowthBook specification", async () => {
  const { assign, point } = await sources("allocation");
  const golden = vectors("growthbook-cases");
  for (const [seed, value, version, want] of golden.hash) {
    if (version === 2) assert.equal(point(seed, value), want, `${seed} ${value}`);
  }
  for (const [name, unit, [namespace, start, end], want] of golden.inNamespace) {
    const met = assign({ key: "k", variants: ["only"], namespace: [namespace, start, end] }, unit);
    assert.equal(met !== null, want, name);
  }
});

test("golden assignments and counts come out the same", async () => {
  const { assign, point } = await sources("allocation");
  for (const { id, fn, input, expected } of vectors("bucketing").cases) {
    if ((input.version ?? input.hash_version) === 1) continue; // Pages use version 2.
    if (fn === "growthbook_hash") {
      assert.equal(point(input.seed, input.value), expected.value, id);
    } else if (fn === "growthbook_assign") {
      const { seed, coverage, weights, units } = input;
      assert.deepEqual(units.map((unit) => point(seed, unit)), expected.buckets, id);
      const experiment = { key: seed, coverage, weights, variants: weights.map((_, i) => String(i)) };
      assert.deepEqual(units.map((unit) => Number(assign(experiment, unit) ?? -1)), expected.variations, id);
    } else if (fn === "growthbook_counts") {
      const variants = Array.from({ length: input.variations }, (_, i) => String(i));
      const counts = variants.map(() => 0);
      let outside = 0;
      for (let unit = 0; unit < input.units; unit++) {
        const met = assign({ key: input.seed, coverage: input.coverage, variants }, input.unit_prefix + unit);
        if (met === null) outside += 1;
        else counts[Number(met)] += 1;
      }
      assert.deepEqual([counts, outside], [expected.counts, expected.not_included], id);
    } else {
      // Another library's hash, for comparing results; browsers do not carry it.
      assert.equal(fn, "planout_uniform", id);
    }
  }
});
