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
  const { instance } = await WebAssembly.instantiate(moduleBytes());
  wasm = instance.exports;
});

/** The hash of an id, written and read as the package does it; empty where there is none. */
function hashed({ memory, room, hashId }, salt, namespace, id) {
  const bytes = new Uint8Array(memory.buffer, room(), 128 * 1024);
  const [key, text] = [salt, id].map((one) => new TextEncoder().encode(one));
  bytes.set(key);
  bytes.set(text, key.length);
  return hashId(key.length, text.length, namespace === "device") ? hex(bytes.subarray(0, 32)) : "";
}

test("ids are hashed as Python's hmac hashes them, in WebAssembly and in JavaScript", () => {
  for (const { name, salt, namespace, id, repeat, h1 } of vectors("hashing").cases) {
    const want = id.trim() === "" ? "" : h1;
    for (const way of [wasm, fallback]) assert.equal(hashed(way, salt, namespace, id.repeat(repeat ?? 1)), want, name);
  }
});

test("what does not fit into the room has no hash, in WebAssembly and in JavaScript", () => {
  const all = 128 * 1024;
  for (const { memory, room, hashId } of [wasm, fallback]) {
    new Uint8Array(memory.buffer, room(), all).fill(97);
    assert.ok(hashId(4, all - 4, false), "as much as there is room for");
    assert.ok(!hashId(4, all - 3, false), "one byte more");
    assert.ok(!hashId(all + 1, 0, false));
    assert.ok(!hashId(-1, -1, false));
  }
});

test("10,000 ids have the same hash in WebAssembly, in JavaScript and by another program", () => {
  for (let i = 0; i < 10_000; i++) {
    const id = i % 3 === 0 ? `user-${i}@example.org` : i % 3 === 1 ? `ünï-${i}-☕` : randomBytes(i % 90).toString("base64") + i;
    const want = createHmac("sha256", "salt").update(`v1|user|${id}`).digest("hex");
    for (const way of [wasm, fallback]) assert.equal(hashed(way, "salt", "user", id), want, id);
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

/** What a plain experiment by allocation gives a device: the place of its variation, -1 outside. */
async function assigner() {
  const { decide, point } = await sources("decide");
  const place = ({ key, coverage, weights, count }, device) => {
    const variations = Array.from({ length: count }, (_, i) => i);
    const rule = { key, coverage, weights, variations, hashVersion: 2, hashAttribute: "device" };
    const found = decide(key, { defaultValue: -1, rules: [rule] }, { device, user: "" }, {}, "https://shop.example/");
    return found.value;
  };
  return { point, place };
}

test("points are those of the GrowthBook specification", async () => {
  const { point } = await assigner();
  for (const [seed, value, version, want] of vectors("growthbook-cases").hash) {
    if (version === 2) assert.equal(point(seed, value), want, `${seed} ${value}`);
  }
});

test("golden assignments and counts come out the same", async () => {
  const { point, place } = await assigner();
  for (const { id, fn, input, expected } of vectors("bucketing").cases) {
    if ((input.version ?? input.hash_version) === 1) continue; // Pages use version 2.
    if (fn === "growthbook_hash") {
      assert.equal(point(input.seed, input.value), expected.value, id);
    } else if (fn === "growthbook_assign") {
      const { seed, coverage, weights, units } = input;
      assert.deepEqual(units.map((unit) => point(seed, unit)), expected.buckets, id);
      const experiment = { key: seed, coverage, weights, count: weights.length };
      // Who has no id takes part in nothing; the golden cases know no such people.
      assert.deepEqual(units.map((unit) => place(experiment, unit)), expected.variations, id);
    } else if (fn === "growthbook_counts") {
      const experiment = { key: input.seed, coverage: input.coverage, count: input.variations };
      const counts = Array.from({ length: input.variations }, () => 0);
      let outside = 0;
      for (let unit = 0; unit < input.units; unit++) {
        const met = place(experiment, input.unit_prefix + unit);
        if (met < 0) outside += 1;
        else counts[met] += 1;
      }
      assert.deepEqual([counts, outside], [expected.counts, expected.not_included], id);
    } else {
      // Another library's hash, for comparing results; browsers do not carry it.
      assert.equal(fn, "planout_uniform", id);
    }
  }
});
