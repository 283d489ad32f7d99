/** Settings that cannot work are told at once, and nothing is recorded. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.mjs";
import { setStage } from "./stage.mjs";

const stage = setStage();
let pages = 0;
/** The package as another page would import it. */
const another = () => import(`${built("index.js")}?${pages++}`);
const good = { key: "tm_pk_test_x", salt: "salt", endpoint: "https://stats.example" };

for (const [what, settings, says] of [
  ["no key", { ...good, key: undefined }, /key is missing/],
  ["an empty salt", { ...good, salt: "" }, /salt is missing/],
  ["a number for an endpoint", { ...good, endpoint: 7 }, /endpoint is missing/],
  ["an endpoint that is no address", { ...good, endpoint: "http://" }, /endpoint is the address/],
  ["a secret key", { ...good, key: "tm_sk_live_x" }, /secret key, which must not be in a page/],
  ["an unknown mode", { ...good, mode: "everything" }, /mode is "full"/],
]) {
  test(`${what} is refused with what to do`, async () => {
    const errors = [];
    const tally = await another();
    tally.init({ ...settings, onError: (error) => errors.push(error) });
    assert.equal(await tally.ready(), false);
    while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(errors.length, 1);
    assert.equal(errors[0].code, "settings_invalid");
    assert.match(errors[0].message, says);
    assert.deepEqual(stage.sent, []);
  });
}

test("a module that cannot be loaded is replaced, and that is reported", async () => {
  const errors = [];
  const tally = await another();
  tally.track("early");
  tally.init({ ...good, mode: "full", wasm: Buffer.from("no module"), onError: (error) => errors.push(error.code) });
  tally.identify("ada");
  tally.track("late");
  assert.equal(await tally.ready(), true);
  assert.equal(await tally.flush(), true);
  assert.deepEqual(errors, ["module_replaced"]);
  assert.deepEqual(stage.events().map(({ name }) => name), ["early", "$pageview", "$identify", "late"]);
  assert.match(stage.events().at(-1).user, /^[0-9a-f]{64}$/);
});
