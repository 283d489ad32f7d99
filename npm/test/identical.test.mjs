/** The same calls make the same batches, byte by byte, whether WebAssembly or its translation computes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { built, moduleBytes } from "./built.mjs";
import { setStage } from "./stage.mjs";

const stage = setStage();
const from = Date.now();
// What no two page loads have in common, but these.
Date.now = () => from;
performance.now = () => 1_234.5;
globalThis.crypto.getRandomValues = (bytes) => bytes.fill(7);

/** The bodies of a page with this module, and what it reported. */
async function bodies(wasm) {
  stage.storage.clear();
  stage.sent.length = 0;
  const reported = [];
  const tally = await import(`${built("index.js")}?${wasm.length}`);
  tally.init({ key: "tm_pk_test_x", salt: "salt", endpoint: "https://stats.example", mode: "full", autoPage: false, wasm,
    onError: ({ code }) => reported.push(code) });
  // What is called before the module has come goes on its way in the meantime, as far as it needs none: batches of its own.
  await tally.flush();
  tally.track("opened", { text: "naïve ☕", value: 29.99, list: [1, null], when: new Date(0) });
  for (let i = 0; i < 50; i++) {
    tally.identify(`user-${i}@example.org`, { i });
    tally.track("step_done", { i });
  }
  assert.equal(await tally.flush(), true);
  const texts = stage.sent.map(({ options: { body } }) => (typeof body === "string" ? body : gunzipSync(body).toString("utf8")));
  return { reported, texts: texts.join("\n") };
}

test("batches are the same, byte by byte, with the module and without it", async () => {
  const compiled = await bodies(moduleBytes());
  const translated = await bodies(Buffer.from("no module"));
  assert.deepEqual([compiled.reported, translated.reported], [[], ["module_replaced"]]);
  assert.equal(compiled.texts.match(/"user":"[0-9a-f]{64}"/g).length, 100);
  assert.equal(translated.texts, compiled.texts);
});
