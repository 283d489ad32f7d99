/** What a consent banner says in Google's Consent Mode becomes what may be kept. */

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { observedSources } from "./built.mjs";

globalThis.window = globalThis;
mock.timers.enable({ apis: ["setTimeout"] });

/** As Google documents it: the queue gets the arguments themselves. */
function gtag() {
  globalThis.dataLayer.push(arguments);
}

const storage = (analytics_storage, more = {}) => ({ ad_storage: "denied", analytics_storage, ...more });

let answers;
let follow;

beforeEach(async () => {
  globalThis.dataLayer = [];
  const { calls, module } = await observedSources("consent-mode");
  follow = module.followConsentMode;
  answers = () => calls.filter(([name]) => name === "consent").map(([, answer]) => answer);
});

for (const [said, options, want] of [
  ["granted", {}, "granted"],
  ["denied", {}, "cookieless"],
  ["denied", { denied: "denied" }, "denied"],
]) {
  test(`an update to ${said} acts at once, as ${want}, before or after the call`, () => {
    gtag("consent", "update", storage(said));
    follow(options);
    assert.deepEqual(answers(), [want]);
    gtag("consent", "update", storage(said));
    assert.deepEqual(answers(), [want, want]);
  });
}

test("a refusal by default waits as long as the page says, and an update comes first", () => {
  follow();
  gtag("consent", "default", storage("denied", { wait_for_update: 700 }));
  mock.timers.tick(699);
  assert.deepEqual(answers(), []);
  gtag("consent", "update", storage("granted"));
  mock.timers.tick(10_000);
  assert.deepEqual(answers(), ["granted"]);
});

test("without an update what is refused by default is refused", () => {
  follow({ denied: "denied" });
  gtag("consent", "default", storage("denied"));
  mock.timers.tick(499);
  assert.deepEqual(answers(), []);
  mock.timers.tick(1);
  assert.deepEqual(answers(), ["denied"]);
});

test("what is refused in some regions is refused everywhere", () => {
  follow();
  gtag("consent", "default", storage("denied", { region: ["DE"] }));
  gtag("consent", "default", storage("granted"));
  mock.timers.tick(10_000);
  assert.deepEqual(answers(), ["cookieless"]);
});

for (const [said, other, want] of [["denied", "granted", "cookieless"], ["granted", "denied", "granted"]]) {
  test(`a default of ${other} after an update to ${said} changes nothing`, () => {
    follow();
    gtag("consent", "update", storage(said));
    gtag("consent", "default", storage(other));
    mock.timers.tick(10_000);
    assert.deepEqual(answers(), [want]);
  });
}

test("other commands, other signals and nonsense do nothing, and the queue is what it was", () => {
  const commands = [["js", new Date()], ["consent", "update", { ad_storage: "granted" }], ["consent", "update"], null, 7, "text", { event: "x" }];
  globalThis.dataLayer.push(...commands);
  follow();
  assert.equal(globalThis.dataLayer.push(["config", "G-1"], undefined), commands.length + 2);
  mock.timers.tick(10_000);
  assert.deepEqual(answers(), []);
  assert.deepEqual(globalThis.dataLayer.slice(0, commands.length), commands);
});

test("a second call follows nothing twice, and another queue can be named", () => {
  const mine = [];
  follow({ dataLayer: mine });
  follow({ dataLayer: mine });
  mine.push(["consent", "update", storage("granted")]);
  gtag("consent", "update", storage("denied"));
  assert.deepEqual(answers(), ["granted"]);
});
