/** The same ids, the same variants, and the same answers as in pages and in the collector; and no need of Node.js. */

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";

import { vectors } from "../../test/built.mjs";
import { built, paper, SETTINGS } from "./built.mjs";

const { createClient, hashId } = await import(built("index.js"));

/** The package once more, in a place that has no hash of its own. */
async function withoutNative() {
  const { getBuiltinModule } = process;
  process.getBuiltinModule = undefined;
  try {
    const { outputFiles } = await build({ entryPoints: [fileURLToPath(built("index.js"))], bundle: true, format: "esm", platform: "neutral", write: false });
    return await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
  } finally {
    process.getBuiltinModule = getBuiltinModule;
  }
}

for (const [by, load] of [["the platform", () => ({ hashId })], ["Rust", withoutNative]]) test(`ids are hashed as the shared table says, and as another program does, by ${by}`, async () => {
  const { hashId } = await load();
  for (const { name, salt, namespace, id, repeat, h1 } of vectors("hashing").cases) {
    if (id.trim() === "") continue;
    assert.equal(hashId(salt, namespace === "device", id.repeat(repeat ?? 1)), h1, name);
  }
  for (let i = 0; i < 2_000; i++) {
    const id = i % 2 ? `user-${i}@example.org` : `ü${randomBytes(i % 1_400).toString("base64")}${i}`;
    for (const isDevice of [false, true]) {
      const want = createHmac("sha256", "salt").update(`v1|${isDevice ? "device" : "user"}|${id}`).digest("hex");
      assert.equal(hashId("salt", isDevice, id), want, id);
    }
  }
  assert.equal(hashId("salt", false, " "), "");
  assert.equal(hashId("salt", false, "x".repeat(128 * 1024 - 4)).length, 64);
  assert.equal(hashId("salt", false, "x".repeat(128 * 1024 - 3)), "");
});

/** 50 : 50, as the collector writes it. */
const DOCUMENT = {
  features: {
    "buy-button": {
      defaultValue: "control",
      rules: [
        {
          key: "buy-button", seed: "buy-button", hashVersion: 2, hashAttribute: "device", weights: [0.5, 0.5], coverage: 1,
          variations: ["control", "green"], meta: [{ key: "control" }, { key: "green" }],
        },
      ],
    },
    german: { defaultValue: false, rules: [{ condition: { country: "DE" }, force: true }] },
  },
};

test("a variant is the page's variant, by the same hash of the same device", async () => {
  const { sources } = await import("../../test/built.mjs");
  const { decide } = await sources("decide");
  const tally = createClient({ ...SETTINGS, document: DOCUMENT });
  const seen = new Set();
  for (let i = 0; i < 500; i++) {
    const device = randomBytes(32).toString("hex");
    const inPage = decide("buy-button", DOCUMENT.features["buy-button"], { device, user: "" }, {}, "https://shop.example/").variant;
    assert.equal(tally.variant("buy-button", { device }), inPage);
    seen.add(inPage);
  }
  assert.deepEqual([...seen].sort(), ["control", "green"]);
  assert.equal(tally.value("german", null, { user: "1", attributes: { country: "DE" } }), true);
  assert.equal(tally.value("german", null, { user: "1" }), false);
  assert.equal(tally.value("nothing", "fallback", { user: "1" }), "fallback");
});

test("an exposure is recorded once for each person and variant", async () => {
  const { fetch, events } = paper();
  const tally = createClient({ ...SETTINGS, document: DOCUMENT, fetch });
  for (let i = 0; i < 3; i++) for (const device of ["a", "b"]) tally.exposure("buy-button", { device });
  tally.exposure("german", { user: "1" });
  await tally.flush();
  assert.deepEqual(events().map(({ name, props }) => [name, props.experiment]), Array(2).fill(["$exposure", "buy-button"]));
});

test("the document is fetched once a minute, and an old one answers meanwhile", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const asked = [];
  const fetch = async (url, { headers } = {}) => {
    asked.push(headers?.["if-none-match"]);
    if (asked.length === 3) return new Response("", { status: 500 });
    return headers ? new Response(null, { status: 304 }) : Response.json(DOCUMENT, { headers: { etag: 'W/"1"' } });
  };
  const errors = [];
  const tally = createClient({ ...SETTINGS, writeKey: "tm_pk_x", fetch, onError: ({ code }) => errors.push(code) });
  assert.equal(tally.variant("buy-button", { device: "a" }), null, "nothing is known yet");
  assert.equal(await tally.ready(), true);
  const variant = tally.variant("buy-button", { device: "a" });
  assert.deepEqual(asked, [undefined]);
  for (const want of [2, 3]) {
    t.mock.timers.tick(60_000);
    assert.equal(tally.variant("buy-button", { device: "a" }), variant);
    assert.equal(await tally.ready(), true);
    await new Promise(setImmediate);
    assert.equal(asked.length, want);
  }
  assert.deepEqual(asked, [undefined, 'W/"1"', 'W/"1"']);
  assert.deepEqual(errors, ["flags_unavailable"]);
});

test("at the edge fetch, crypto and timers are enough", async () => {
  for (const file of ["index.js", "evaluator.js", "stripe.js"]) {
    assert.ok(!/from\s*"(?!\.\/)/.test(readFileSync(built(file), "utf8")), "no import leaves the package");
  }
  const { outputFiles } = await build({
    stdin: { contents: `export { createClient } from ${JSON.stringify(fileURLToPath(built("index.js")))}`, resolveDir: "." },
    bundle: true, format: "iife", globalName: "edge", platform: "neutral", write: false,
  });
  const { fetch, batches } = paper();
  // No randomness before the first request and a process that refuses to be asked, as on some platforms; no `performance`, no `Buffer`.
  const process = new Proxy({}, { get(_, name) { throw new Error(`${String(name)} is not supported`); } });
  let isAllowed = false;
  const crypto = {
    getRandomValues(bytes) {
      if (!isAllowed) throw new Error("no randomness outside of a request");
      return globalThis.crypto.getRandomValues(bytes);
    },
  };
  const context = createContext({ process, fetch, crypto, URL, TextEncoder, TextDecoder, AbortController, setTimeout, clearTimeout, console, Response, Blob, CompressionStream });
  runInContext(outputFiles[0].text, context);
  runInContext(`tally = edge.createClient(${JSON.stringify({ ...SETTINGS, flushOnExit: true, document: DOCUMENT })})`, context);
  isAllowed = true;
  const device = "ab".repeat(32);
  assert.equal(
    await runInContext(`
      for (let i = 0; i < 50; i++) tally.track("served", { user: "ada" }, { i });
      tally.exposure("buy-button", { device: "${device}" });
      tally.flush()`, context),
    true,
  );
  const want = createHmac("sha256", SETTINGS.salt).update("v1|user|ada").digest("hex");
  assert.equal(batches[0].events.length, 51);
  assert.ok(batches[0].events.slice(0, 50).every(({ user }) => user === want));
  assert.match(batches[0].url, /z=gzip$/);
});
