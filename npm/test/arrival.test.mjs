/** Where a visit came from, and how that stays with the events of its later pages. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { sources } from "./built.mjs";

globalThis.location = { host: "shop.example" };
const { arrive, carry } = await sources("arrival");
const SHOP = "https://shop.example/p/1";

for (const [what, address, referrer, known, want] of [
  ["a campaign and a site", `${SHOP}?utm_source=news&x=1&utm_medium=email`, "https://t.example/a?b", undefined, "&utm_source=news&utm_medium=email https://t.example"],
  ["a campaign alone", `${SHOP}?utm_source=news`, "", "", "&utm_source=news "],
  ["a site alone", SHOP, "https://t.example/", "", " https://t.example"],
  ["another host of the same site", SHOP, "https://www.shop.example/", "", " https://www.shop.example"],
  ["nothing", SHOP, "", undefined, ""],
  ["a step within the site", SHOP, "https://shop.example/p/0", "&utm_source=news ", "&utm_source=news "],
  ["a way back without a trace", SHOP, "", " https://t.example", " https://t.example"],
  ["another campaign, which counts from now on", `${SHOP}?utm_source=ad`, "", "&utm_source=news https://t.example", "&utm_source=ad "],
  ["a referrer that is no site", SHOP, "android-app://com.example/", "", ""],
  ["a fragment, which is no campaign", `${SHOP}#?utm_source=no`, "", "", ""],
  ["what would break the entry it is kept in", `${SHOP}?utm_source=a|b`, "https://t|.example/", "", "&utm_source=a https://t"],
]) {
  test(`a page that is come to with ${what}`, () => assert.equal(arrive(address, referrer, known), want));
}

test("a campaign without an end is cut", () => {
  assert.equal(arrive(`${SHOP}?utm_source=${"x".repeat(9_000)}`, "", "").length, 501);
});

const NEWS = "&utm_source=news&utm_medium=email https://t.example";
for (const [what, address, arrival, url, referrer] of [
  ["without a query", "https://shop.example/p/2", NEWS, "https://shop.example/p/2?utm_source=news&utm_medium=email", "https://t.example"],
  ["with a query", "https://shop.example/p/2?a=1", NEWS, "https://shop.example/p/2?a=1&utm_source=news&utm_medium=email", "https://t.example"],
  ["with a campaign of its own", "https://shop.example/?utm_source=ad", NEWS, "https://shop.example/?utm_source=ad", "https://t.example"],
  ["with a route in its fragment", "https://shop.example/#/p/2", NEWS, "https://shop.example/?utm_source=news&utm_medium=email#/p/2", "https://t.example"],
  ["of a visit from nowhere", "https://shop.example/p/2", "", "https://shop.example/p/2", ""],
]) {
  test(`an address ${what} carries what its visit came from`, () => assert.deepEqual(carry(address, arrival), [url, referrer]));
}
