/** Settings that cannot work are told at once, and nothing is recorded. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.mjs";
import { setStage } from "./stage.mjs";

const stage = setStage();
const tally = await import(built("index.js"));
const good = { key: "tm_pk_test_x", salt: "salt", endpoint: "https://stats.example" };

for (const [what, settings, says] of [
  ["no key", { ...good, key: undefined }, /key is missing/],
  ["an empty salt", { ...good, salt: "" }, /salt is missing/],
  ["a number for an endpoint", { ...good, endpoint: 7 }, /endpoint is missing/],
  ["an endpoint that is no address", { ...good, endpoint: "http://" }, /endpoint is the address/],
  ["a secret key", { ...good, key: "tm_sk_live_x" }, /secret key, which must not be in a page/],
  ["an unknown mode", { ...good, mode: "everything" }, /mode is "full"/],
]) {
  test(`${what} is refused with what to do`, () => {
    const errors = [];
    tally.init({ ...settings, onError: (error) => errors.push(error) });
    assert.equal(errors.length, 1);
    assert.equal(errors[0].code, "settings_invalid");
    assert.match(errors[0].message, says);
    assert.deepEqual(stage.sent, []);
  });
}

test("a module that cannot be loaded is reported, and calls go on doing no harm", async () => {
  const errors = [];
  tally.track("early");
  tally.init({ ...good, wasm: Buffer.from("no module"), onError: (error) => errors.push(error.code) });
  assert.equal(await tally.ready(), false);
  assert.equal(await tally.flush(), false);
  tally.track("late");
  assert.deepEqual(errors, ["module_unavailable"]);
  assert.deepEqual(stage.sent, []);
});
