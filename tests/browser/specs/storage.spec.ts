/** Storage that is denied, hangs, is full or wiped: the page goes on, and what can arrive does. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { figure } from "../support/amounts.ts";
import { flush, useBench } from "../support/bench.ts";
import { waiting } from "../support/profile.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const DENIED = `
  const deny = () => { throw new DOMException("denied", "SecurityError"); };
  Object.defineProperty(window, "localStorage", { get: deny });
  Object.defineProperty(window, "indexedDB", { get: deny });`;

/** So many transactions work; this is what the others do. */
const after = (count: number, then: string): string => `
  const { transaction } = IDBDatabase.prototype;
  let left = ${count};
  IDBDatabase.prototype.transaction = function (...given) {
    if (left-- > 0) return transaction.apply(this, given);
    ${then}
  };`;

const STORAGE: Record<string, string> = {
  "denied": DENIED,
  "there without a database": `Object.defineProperty(window, "indexedDB", { value: undefined });`,
  "refused when it is opened": `IDBFactory.prototype.open = function () {
    const opening = { error: new DOMException("private mode", "InvalidStateError") };
    setTimeout(() => opening.onerror?.());
    return opening;
  };`,
  "hanging": `IDBFactory.prototype.open = () => ({});`,
  "hanging later": after(3, `return { objectStore: () => new Proxy({}, { get: () => () => ({}) }), commit() {} };`),
  // Whatever it is that fails first: putting, counting, reading, noting, removing.
  ...Object.fromEntries(
    [0, 1, 2, 3, 4, 5, 6].map((count) => [
      `closed after ${count} transactions`,
      after(count, `throw new DOMException("closing", "InvalidStateError");`),
    ]),
  ),
  "full": `IDBObjectStore.prototype.put = function () { throw new DOMException("full", "QuotaExceededError"); };`,
};

let survived = 0;
for (const [index, [state, before]] of Object.entries(STORAGE).entries()) {
  test(`50: storage that is ${state}: nothing is thrown, and every event arrives once`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({
      name: `storage-${index}`,
      before,
      script: `for (let i = 0; i < 30; i++) tally.track("step_done", { i })`,
      behave: (n) => (n === 0 ? "reset" : "pass"),
    });
    await until("the events", async () => {
      await flush(visit.page);
      return (await bench.collector.counts(visit.project))["step_done"] === 30;
    });
    await visit.page.evaluate(`tally.track("left")`);
    await visit.page.close({ runBeforeUnload: true });
    await untilEqual({ step_done: 30, left: 1 }, () => bench.collector.counts(visit.project));
    assert.deepEqual(visit.errors.filter((error) => !error.includes("ERR_")), []);
    survived++;
  });
}

test("50: all of that", () => {
  figure(`${survived} of ${Object.keys(STORAGE).length} ways in which storage fails: every event arrived once`);
});

/** The database opens so much later than it was asked to; tests that open it are not kept waiting. */
const openingAfter = (ms: number): string => `
  const { open } = IDBFactory.prototype;
  IDBFactory.prototype.open = function (...given) {
    IDBFactory.prototype.open = open;
    const opening = {};
    setTimeout(() => {
      const real = open.apply(this, given);
      real.onupgradeneeded = () => (opening.result = real.result, opening.onupgradeneeded());
      real.onsuccess = () => (opening.result = real.result, opening.onsuccess());
    }, ${ms});
    return opening;
  };`;

test("50: storage that opens late: what waited in memory is stored, survives the page, and arrives once", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "storage-late",
    before: openingAfter(2_500),
    script: `for (let i = 0; i < 30; i++) tally.track("step_done", { i })`,
    behave: () => "reset",
  });
  await until("an attempt without the database", () => visit.proxy.batches[0]);
  await visit.page.waitForTimeout(3_000);
  await visit.page.evaluate(`tally.track("later")`);
  await untilEqual(31, () => waiting(visit.page));
  visit.proxy.behave = () => "pass";
  await visit.page.goto("about:blank");
  await visit.page.goBack();
  await untilEqual({ step_done: 60, later: 1 }, async () => {
    await flush(visit.page);
    return bench.collector.counts(visit.project);
  });
});

test("50: storage that opens after the visitor declined: what an earlier visit left is gone", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "storage-declined", script: `tally.track("left_behind")`, behave: () => "reset" });
  await untilEqual(1, () => waiting(visit.page));
  await visit.context.addInitScript(openingAfter(2_500));
  await visit.page.reload();
  await visit.page.waitForFunction("window.started");
  await visit.page.waitForTimeout(1_500);
  await visit.page.evaluate(`tally.optOut()`);
  visit.proxy.behave = () => "pass";
  await visit.page.waitForTimeout(2_000);
  await untilEqual(0, () => waiting(visit.page));
  assert.deepEqual(await bench.collector.counts(visit.project), {});
});

test("50: what waits in memory alone is bounded, and what is dropped is counted", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "storage-bounded", before: DENIED, behave: () => "reset" });
  for (let done = 0; done < 1_000; done += 100) {
    await visit.page.evaluate(`for (let i = 0; i < 100; i++) tally.track("step_done", { i })`);
    await visit.page.waitForTimeout(50);
  }
  await until("the list to drop some", async () => (await visit.page.evaluate<string[]>("window.reported")).includes("queue_full"));
  visit.proxy.behave = () => "pass";
  await visit.page.evaluate(`tally.track("left")`);
  await until("the last event", async () => {
    await flush(visit.page);
    return (await bench.collector.counts(visit.project))["left"];
  });
  const { total } = await bench.collector.query<{ total: Record<string, unknown> }>(visit.project, "completeness", {});
  assert.equal(total["unexplained"], 0);
  assert.deepEqual(total["lost"], { queue_full: total["missing"] });
});

test("50: a disk with no room for the page: every event arrives once", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "storage-quota", behave: () => "reset" });
  const session = await visit.context.newCDPSession(visit.page);
  await visit.page.evaluate(`tally.track("opened")`);
  await until("it to be stored", async () => (await waiting(visit.page)) === 1);
  await session.send("Storage.overrideQuotaForOrigin", { origin: bench.site.origin, quotaSize: 1 });
  await visit.page.evaluate(`for (let i = 0; i < 50; i++) tally.track("step_done", { i, text: "x".repeat(2_000) })`);
  await visit.page.waitForTimeout(500);
  visit.proxy.behave = () => "pass";
  await until("the events", async () => {
    await flush(visit.page);
    return (await bench.collector.counts(visit.project))["step_done"] === 50;
  });
  assert.deepEqual(await bench.collector.counts(visit.project), { opened: 1, step_done: 50 });
});

test("50: storage that is wiped in the middle of a visit: what this page has not sent still arrives", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "storage-wiped", behave: () => "reset" });
  await visit.page.evaluate(`for (let i = 0; i < 50; i++) tally.track("before", { i })`);
  await until("them to be stored", async () => (await waiting(visit.page)) === 50);
  const session = await visit.context.newCDPSession(visit.page);
  await session.send("Storage.clearDataForOrigin", { origin: bench.site.origin, storageTypes: "all" });
  await visit.page.evaluate(`for (let i = 0; i < 50; i++) tally.track("after", { i })`);
  visit.proxy.behave = () => "pass";
  await until("the events", async () => {
    await flush(visit.page);
    return (await bench.collector.counts(visit.project))["after"] === 50;
  });
  assert.deepEqual(await bench.collector.counts(visit.project), { before: 50, after: 50 });
});

/** What is read and then written in one transaction takes two seconds more. */
const SLOW_STEP = `
  const { get } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.get = function (key) {
    if (this.transaction.mode === "readonly") return get.call(this, key);
    const reading = {};
    const until = performance.now() + 2_000;
    const again = () => {
      const real = get.call(this, key);
      real.onsuccess = () => {
        if (performance.now() < until) return again();
        reading.result = real.result;
        reading.onsuccess();
      };
    };
    again();
    return reading;
  };`;

test("46: what tabs note for each other keeps no event of a page that goes from being stored", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "storage-noting", before: SLOW_STEP, script: `tally.track("opened")`, behave: () => "reset" });
  await until("an attempt that fails", () => visit.proxy.batches[0]);
  await visit.page.waitForTimeout(500);
  await visit.page.evaluate(`for (let i = 0; i < 100; i++) tally.track("step_done", { i })`);
  await visit.page.reload();
  await visit.page.waitForFunction("window.started");
  // Each time the page opens, it says so.
  await untilEqual(102, () => waiting(visit.page));
});

test("without Web Locks, three tabs share a queue: each event arrives, and few are sent twice", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "lease",
    before: `Object.defineProperty(navigator, "locks", { value: undefined });`,
    behave: () => ({ passAfterMs: 50 }),
  });
  const pages = [visit.page];
  while (pages.length < 3) {
    const page = await visit.context.newPage();
    await page.goto(bench.site.page("/lease.html"));
    await page.waitForFunction("window.started");
    pages.push(page);
  }
  for (let done = 0; done < 100; done += 10) {
    await Promise.all(pages.map((page) => page.evaluate(`for (let i = 0; i < 10; i++) tally.track("step_done", { i: ${done} + i })`)));
    await visit.page.waitForTimeout(100);
  }
  await untilEqual({ step_done: 300 }, () => bench.collector.counts(visit.project));
  await until("the queue to be empty", async () => (await waiting(visit.page)) === 0);
  const sent = visit.proxy.sent();
  const twice = sent.length - new Set(sent.map(({ id }) => id)).size;
  assert.ok(twice <= 3, `${twice} were sent twice`);
});
