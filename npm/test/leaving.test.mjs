/** The page is left before the core is loaded. */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";

import { built } from "./built.mjs";
import { setStage } from "./stage.mjs";

const KEY = "tm_pk_test_x";
const HASH = "ab".repeat(32);
const USER = "cd".repeat(32);
const SESSION = "01a20217-218f-7da0-9d12-b3f82d8397c8";
const STORED_AS = `tallymark:${KEY}`;
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let loads = 0;
let stage;
let tally;

/** The package without its core: as if the page were left before that is loaded. */
const folder = mkdtempSync(join(tmpdir(), "tallymark-early-"));
copyFileSync(built("index.js"), join(folder, "index.mjs"));
after(() => rmSync(folder, { recursive: true }));

/** A page whose core never comes. */
async function open(settings, stored = {}, privacy = false) {
  stage = setStage({ stored, privacy });
  tally = await import(`file://${join(folder, "index.mjs")}?${(loads += 1)}`);
  tally.init({ key: KEY, salt: "salt", endpoint: "https://stats.example", autoPage: false, ...settings });
}

const events = () => stage.beacons.flatMap(({ batch }) => batch.events);

beforeEach(() => {
  stage = tally = undefined;
});

test("what was tracked leaves without the module, once", async () => {
  await open({ mode: "cookieless" });
  const from = Date.now();
  tally.page();
  tally.track("checkout_started", { seats: 5 });
  stage.hide();
  stage.happen("pagehide", { type: "pagehide" });
  assert.equal(stage.beacons.length, 1);
  const [{ url, batch }] = stage.beacons;
  assert.equal(url, "https://stats.example/v1/batch");
  assert.equal(batch.key, KEY);
  assert.equal(batch.context.url, "https://shop.example/p/1?utm_source=news");
  assert.deepEqual(batch.events.map(({ name, n, props }) => [name, n, props]), [
    ["$pageview", 0, {}],
    ["checkout_started", 1, { seats: 5 }],
  ]);
  for (const event of batch.events) {
    assert.match(event.id, UUID7);
    assert.match(event.session, UUID7);
    assert.match(event.writer, /^[0-9a-f]{32}$/);
    assert.ok(event.at >= from && event.at <= batch.sent_at && event.mono <= batch.sent_mono);
    assert.equal("device" in event || "user" in event, false);
  }
  assert.equal(stage.storage.size, 0);
});

test("hashes and the session of an earlier page are used", async () => {
  const now = Date.now();
  await open({ mode: "full" }, { [STORED_AS]: `1|-|${HASH}|5|${USER}|${SESSION}|${now - 1_000}|${now - 500}` });
  tally.page();
  stage.hide();
  const [event] = events();
  assert.deepEqual([event.device, event.user, event.session], [HASH, USER, SESSION]);
});

test("a session that is over is not used", async () => {
  const old = Date.now() - 30 * 60_000 - 1_000;
  await open({ mode: "full" }, { [STORED_AS]: `1|-|${HASH}|5||${SESSION}|${old}|${old}` });
  tally.page();
  stage.hide();
  assert.notEqual(events()[0].session, SESSION);
  assert.equal("user" in events()[0], false);
});

test("a first visit makes a device hash that the next page finds", async () => {
  await open({ mode: "full" });
  // No hash can have such a name in it by chance.
  tally.identify("ursula@example.org");
  tally.page();
  stage.hide();
  const { device, user } = events()[0];
  assert.match(device, /^[0-9a-f]{64}$/);
  assert.equal(user, undefined, "nothing here can hash a user");
  assert.equal(stage.storage.get(STORED_AS).split("|")[2], device);
  assert.equal(JSON.stringify(stage.beacons).includes("ursula"), false);
});

for (const [what, settings, stored, early] of [
  ["the mode is none", { mode: "none" }, {}, () => {}],
  ["the visitor declined on an earlier page", { mode: "full" }, { [STORED_AS]: "1|d" }, () => {}],
  ["the visitor declines now", { mode: "full" }, {}, () => tally.optOut()],
]) {
  test(`nothing leaves and nothing is stored when ${what}`, async () => {
    await open(settings, stored);
    tally.page();
    early();
    tally.track("afterwards");
    stage.hide();
    assert.deepEqual(stage.beacons, []);
    assert.deepEqual(Object.fromEntries(stage.storage), stored);
  });
}

test("a browser that asks for privacy gets no id", async () => {
  await open({ mode: "full" }, {}, true);
  tally.page();
  stage.hide();
  assert.equal("device" in events()[0], false);
  assert.equal(stage.storage.size, 0);
});

test("a yes counts at once", async () => {
  await open({ mode: "none" });
  tally.optIn();
  tally.page();
  stage.hide();
  assert.match(events()[0].device, /^[0-9a-f]{64}$/);
  assert.equal(stage.storage.get(STORED_AS).startsWith("1|g|"), true);
});

test("more than a beacon may carry leaves in portions", async () => {
  await open({ mode: "cookieless" });
  for (let i = 0; i < 40; i++) tally.track("long", { i, text: "x".repeat(1_000) });
  stage.hide();
  const first = events().length;
  assert.ok(first > 5 && first < 40, `${first}`);
  stage.happen("pagehide", { type: "pagehide" });
  assert.deepEqual(events().map(({ props }) => props.i), Array.from({ length: events().length }, (_, i) => i));
  assert.ok(events().length > first);
  assert.deepEqual(events().map(({ n }) => n), events().map((_, i) => i), "what stays takes no number");
});

for (const [what, name, props] of [
  ["an address", "sent", { to: "ann@example.org" }],
  ["a secret", "sent", { password: "hunter2" }],
  ["a number of a card", "sent", { text: "4111 1111 1111 1111" }],
  ["a telephone number", "called +49 (151) 12345678", {}],
  ["half a character", "sent", { text: "\ud800" }],
]) {
  test(`${what} does not leave before something has looked at it, and takes no number`, async () => {
    await open({ mode: "cookieless" });
    tally.track("opened", { plan: "team", value: 29.99, at: "2026-11-26", seats: 12_345_678 });
    tally.track(name, props);
    stage.hide();
    stage.happen("pagehide", { type: "pagehide" });
    tally.track("afterwards");
    assert.deepEqual(events().map(({ name, n }) => [name, n]), [["opened", 0]]);
  });
}
