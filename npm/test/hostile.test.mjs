/** Whatever a page passes to whatever is exported: nothing throws, no promise rejects, no raw id leaves. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { types } from "node:util";

import { built, moduleBytes } from "./built.mjs";
import { setStage } from "./stage.mjs";

/** In ids and traits of `identify`; never to be seen again. */
const CANARY = "canary-7f3a";
const ROUNDS = Number(process.env.TALLYMARK_TEST_ROUNDS ?? 3_000);

/** Pseudo-random numbers in [0, 1) that can be played again. */
let state = Number(process.env.TALLYMARK_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31)) >>> 0;
console.log(`seed ${state}`);
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];

/** Cannot even be turned into a text. */
const unspeakable = { toString() { throw unspeakable; }, [Symbol.toPrimitive]() { throw unspeakable; } };
const throws = () => { throw unspeakable; };
const everyTrap = new Proxy({}, Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((trap) => [trap, throws])));
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const cycle = { list: [] };
cycle.list.push(cycle, [cycle]);
const itself = { toJSON: () => itself };
let deep = [];
for (let i = 0; i < 50_000; i++) deep = [deep];
const endless = new Proxy({}, { ownKeys: () => Array.from({ length: 100_000 }, (_, i) => `k${i}`), get: () => "v",
  getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: "v" }) });

const VALUES = [
  undefined, null, true, 0, -0, NaN, Infinity, 10n, Symbol("s"), "", " ", "a", "\ud800", "\0", "x".repeat(1_000_000), "$pageview",
  throws, class {}, [], {}, [unspeakable], Object.create(null), new Date(NaN), new Map([[1, 2]]), new Uint8Array(9), new Array(1e9),
  unspeakable, everyTrap, revoked.proxy, cycle, itself, deep, endless, globalThis, Promise.resolve(1), /x/g,
  { get a() { throw unspeakable; } }, { toJSON: throws }, { toJSON: unspeakable }, { a: 1n, b: Symbol("b"), c: throws, d: unspeakable },
  { id: unspeakable, type: everyTrap }, { experiment: unspeakable }, { a: { b: { c: "\udc00" } } }, JSON.parse('{"__proto__": {"a": 1}}'),
  Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i])), { key: "tm_pk_x", salt: unspeakable, endpoint: 7 },
];

const went = [];
for (const name of ["unhandledRejection", "uncaughtException"]) process.on(name, (error) => went.push([name, error]));
// Fifty pages that nobody leaves have timers of their own.
after(() => void setTimeout(() => process.exit(), 200));

const stage = setStage();
console.warn = console.debug = () => {};

/** Calls everything that is exported, with anything; gives the promises it returned. */
function torment(api, names, rounds) {
  const given = [];
  for (let i = 0; i < rounds; i++) {
    const name = pick(names);
    const args = Array.from({ length: Math.floor(random() * 4) }, () => pick(VALUES));
    let answer;
    try {
      answer = api[name](...args);
    } catch {
      assert.fail(`${name} throws for ${args.map((arg) => VALUES.indexOf(arg))}`);
    }
    if (types.isPromise(answer)) given.push(answer.catch(() => assert.fail(`${name} rejects`)));
    if (name === "identify") api.identify(`${CANARY}@example.org`, pick(VALUES));
  }
  return given;
}

const functions = (api) => Object.keys(api).filter((name) => typeof api[name] === "function");

test("no exported function throws, and what it promises it keeps", async () => {
  const tally = await import(built("index.js"));
  const names = functions(tally).filter((name) => name !== "init");
  assert.ok(names.length >= 13, names.join());
  const before = torment(tally, names, 300);
  tally.init({ key: "tm_pk_test_x", salt: "salt", endpoint: "https://stats.example", mode: "full", wasm: moduleBytes(),
    onError: () => throws() });
  tally.optIn();
  const while_ = torment(tally, names, ROUNDS);
  assert.equal(await tally.ready(), true);
  const later = torment(tally, [...names, "init"], ROUNDS);
  tally.optIn();
  tally.track("at_last", { fine: true });
  assert.equal(await tally.flush(), true);
  await Promise.all([...before, ...while_, ...later]);
  assert.ok(stage.events().some(({ name }) => name === "at_last"), "it still works");
  const everything = JSON.stringify([stage.sent, stage.beacons, [...stage.storage]]);
  assert.equal(everything.includes(CANARY), false, "a raw id left the page");
  assert.deepEqual(went, []);
});

test("settings of every kind are refused without a throw", async () => {
  for (const [at, settings] of VALUES.entries()) {
    const tally = await import(`${built("index.js")}?settings=${at}`);
    tally.init(settings);
    tally.track("nothing");
    tally.init({ key: settings, salt: settings, endpoint: settings, mode: settings, wasm: settings, queue: settings, autoPage: settings });
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(went, []);
});

test("experiments throw nothing either, before and after they start", async () => {
  const flags = await import(built("experiments.js"));
  // It observes elements, and a page that has none passes none. A start is awaited below.
  const names = functions(flags).filter((name) => !["exposeWhenSeen", "onChange", "start"].includes(name));
  const given = torment(flags, names, 200);
  const start = (document, attributes) => flags.start({ key: "tm_pk_test_x", endpoint: "https://stats.example", document, attributes });
  for (const value of VALUES) if (value != null) await start(value, value);
  await start({ features: { a: { rules: everyTrap } } }, everyTrap);
  given.push(...torment(flags, names, 500));
  await Promise.all(given);
  assert.deepEqual(went, []);
});
