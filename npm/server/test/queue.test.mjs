/** What waits, what leaves, and what is lost: against a collector of paper. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { built, paper, SETTINGS } from "./built.mjs";

const { createClient } = await import(built("index.js"));
const ids = (events) => events.map(({ id }) => id);

/** A client with a collector that behaves so. */
function client(behave, more = {}) {
  const collector = paper(behave);
  const errors = [];
  const tally = createClient({ ...SETTINGS, fetch: collector.fetch, onError: ({ code }) => errors.push(code), ...more });
  return { tally, errors, ...collector };
}

test("an event carries hashes, an id that sorts, the writer's numbers, and no raw id", async () => {
  const { tally, batches, errors } = client();
  tally.track("invoice_paid", { user: 42, device: "cd".repeat(32), session: "s" }, { amount: 29.99, at: new Date(0), none: undefined });
  tally.identify({ user: "42", device: "kiosk 7" }, { plan: "team" });
  assert.equal(await tally.flush(), true);
  const [{ url, headers, events, writer, ...batch }] = batches;
  assert.equal(url, "https://stats.example/v1/batch");
  assert.equal(headers.authorization, "Bearer tm_sk_test");
  assert.equal(batch.key, undefined, "the secret key is in no body");
  assert.match(events[0].id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  assert.deepEqual(events.map(({ n }) => n), [0, 1]);
  assert.ok(events.every((event) => event.writer === writer));
  assert.equal(events[0].user, events[1].user, "a number and its text are one id");
  assert.match(events[0].user, /^[0-9a-f]{64}$/);
  assert.equal(events[0].device, "cd".repeat(32), "a page's hash stays as it is");
  assert.match(events[1].device, /^[0-9a-f]{64}$/);
  assert.deepEqual(events[0].props, { amount: 29.99, at: "1970-01-01T00:00:00.000Z" });
  assert.equal(events[1].name, "$identify");
  assert.ok(!JSON.stringify(batches).includes("kiosk"));
  assert.deepEqual(errors, []);
});

test("an event of another time keeps it, by both clocks", async () => {
  const { tally, batches } = client();
  const at = Date.now() - 60_000;
  tally.track("imported", { user: "1" }, {}, { at });
  await tally.flush();
  const [{ events: [event], sent_mono, sent_at }] = batches;
  assert.equal(event.at, at);
  assert.ok(Math.abs(sent_mono - event.mono - (sent_at - at)) < 50, "the collector takes the difference of the clock that never jumps");
});

test("batches leave when they are full, or in time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { tally, batches } = client(undefined, { batchEvents: 10, batchMs: 2_000 });
  for (let i = 0; i < 10; i++) tally.track("seen", { user: "1" });
  t.mock.timers.tick(0);
  await new Promise(setImmediate);
  await tally.flush();
  assert.deepEqual(batches.map(({ events }) => events.length), [10]);
  tally.track("seen", { user: "1" });
  t.mock.timers.tick(1_999);
  await new Promise(setImmediate);
  assert.equal(batches.length, 1);
  t.mock.timers.tick(1);
  await new Promise(setImmediate);
  assert.equal(batches.length, 2);
});

test("what fails is sent again under the same ids, in order, until it is acknowledged", async () => {
  const answers = [undefined, 500, 503, 200];
  const { tally, batches } = client((index) => answers[index]);
  for (let i = 0; i < 3; i++) tally.track("seen", { user: "1" }, { i });
  assert.deepEqual([await tally.flush(), await tally.flush(), await tally.flush(), await tally.flush()], [false, false, false, true]);
  const [first] = batches;
  assert.equal(batches.length, 4);
  for (const { events } of batches) assert.deepEqual(ids(events), ids(first.events));
  assert.deepEqual(tally.lost, {});
});

test("an answer that is not the collector's receipt of this batch acknowledges nothing", async () => {
  const portal = [
    () => new Response("<html>sign in</html>"),
    () => Response.json({ ok: 1, rejected: [], nonce: "another" }),
    () => Response.json(null),
  ];
  const { tally, batches } = client((index) => portal[index]?.() ?? 200);
  tally.track("seen", { user: "1" });
  for (const want of [false, false, false, true]) assert.equal(await tally.flush(), want);
  assert.equal(new Set(ids(batches.flatMap(({ events }) => events))).size, 1);
});

test("an event that the collector refuses is told and counted, the others are not sent again", async () => {
  const refuse = (_, { nonce, events }) => Response.json({ nonce, ok: events.length - 1, dup: 0, rejected: [{ i: 0, code: "event_name_invalid" }] });
  const { tally, errors, batches } = client(refuse);
  tally.track("", { user: "1" });
  tally.track("seen", { user: "1" });
  assert.equal(await tally.flush(), true);
  assert.equal(await tally.flush(), true);
  assert.equal(batches.length, 1);
  assert.deepEqual([tally.lost, errors], [{ refused: 1 }, ["event_name_invalid"]]);
});

test("a batch that is too long is halved, down to the event that is to blame", async () => {
  const { tally, batches } = client((_, { events }) => (events.some(({ props }) => props.bad) ? 413 : 200));
  for (let i = 0; i < 8; i++) tally.track("seen", { user: "1" }, { i, bad: i === 5 });
  assert.equal(await tally.flush(), true);
  const arrived = batches.filter(({ events }) => events.every(({ props }) => !props.bad)).flatMap(({ events }) => events);
  assert.deepEqual(arrived.map(({ props }) => props.i), [0, 1, 2, 3, 4, 6, 7]);
  assert.deepEqual(tally.lost, { unreadable: 1 });
});

test("the queue has an end, and what does not fit is counted", async () => {
  const { tally, errors, events } = client(undefined, { queueEvents: 5 });
  for (let i = 0; i < 7; i++) tally.track("seen", { user: "1" }, { i });
  assert.deepEqual([tally.lost, errors], [{ queue_full: 2 }, ["queue_full", "queue_full"]]);
  tally.track("seen", { user: "1" }, { text: "x".repeat(40_000) });
  assert.equal(tally.lost.event_too_large, 1);
  await tally.flush();
  assert.deepEqual(events().map(({ props }) => props.i), [0, 1, 2, 3, 4]);
});

test("the collector is told what was lost", async () => {
  const { tally, batches } = client(undefined, { queueEvents: 1 });
  tally.track("seen", { user: "1" });
  tally.track("seen", { user: "1" });
  await tally.flush();
  assert.deepEqual(batches[0].lost, { queue_full: 1 });
});

test("a shutdown tries again until its time is over, and says what is left", async () => {
  let works = false;
  const { tally, errors, events } = client(() => (works ? 200 : undefined));
  tally.track("seen", { user: "1" });
  setTimeout(() => (works = true), 50);
  assert.equal(await tally.shutdown(20_000), true);
  assert.ok(events().length >= 1);
  tally.track("seen", { user: "1" });
  assert.equal(tally.lost.closed, 1, "nothing is taken after a shutdown");

  const dead = client(() => undefined);
  dead.tally.track("seen", { user: "1" });
  assert.equal(await dead.tally.shutdown(0), false);
  assert.deepEqual([dead.tally.lost, dead.errors], [{ shutdown: 1 }, ["shutdown"]]);
  assert.deepEqual(errors, []);
});

test("nothing that is passed makes it throw", () => {
  const { tally, errors } = client();
  const cycle = {};
  cycle.self = cycle;
  const hostile = { get a() { throw new Error("no"); } };
  for (const given of [cycle, hostile, null, 5, { big: 1n }]) tally.track("seen", { user: "1" }, given);
  tally.track(undefined, undefined);
  tally.track(Symbol("x"), { user: Symbol("y") });
  tally.track("seen", { user: " " });
  assert.ok(errors.includes("id_invalid") && errors.includes("sdk_error"));
});

test("settings that cannot work are found before anything runs", () => {
  for (const wrong of [{ key: "tm_pk_x" }, { salt: "" }, { endpoint: "stats" }, { writeKey: "tm_sk_x" }]) {
    assert.throws(() => createClient({ ...SETTINGS, ...wrong }), TypeError, JSON.stringify(wrong));
  }
});
