/** Background Sync: what pages could not send leaves when they are closed, sent by the service worker. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { useBench, type Visit } from "../support/bench.ts";
import { waiting } from "../support/profile.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

/** A visitor whose page has registered the worker. */
async function visit(name: string): Promise<Visit> {
  const { bench } = fixture;
  const visit = await bench.visit({ name, behave: () => "reset" });
  const sw = bench.site.files["/bundle/sw.js"]!;
  sw.headers = { "service-worker-allowed": "/" };
  const { key, endpoint } = visit.settings;
  const address = `/bundle/sw.js?${new URLSearchParams({ key, endpoint }).toString()}`;
  await visit.context.grantPermissions(["background-sync"] as never[]).catch(() => undefined);
  await visit.page.evaluate(`
    (async () => {
      await import("/bundle/background.js");
      await navigator.serviceWorker.register(${JSON.stringify(address)}, { type: "module", scope: "/" });
      await navigator.serviceWorker.ready;
      askForDelivery({ key: ${JSON.stringify(key)} });
    })()`);
  return visit;
}

/** Says that there is a network again, as a browser does some time after there is one. */
async function sync({ context, settings }: Visit): Promise<void> {
  const { bench } = fixture;
  // Of a page elsewhere on the site: it has none of our scripts.
  bench.site.files["/plain.html"] = { body: "<!doctype html><title>Plain</title>" };
  const page = await context.newPage();
  await page.goto(bench.site.page("/plain.html"));
  const session = await context.newCDPSession(page);
  let registrationId = "";
  session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    registrationId = registrations.find(({ isDeleted }) => !isDeleted)?.registrationId ?? registrationId;
  });
  await session.send("ServiceWorker.enable");
  await until("the worker", () => registrationId !== "");
  const tag = `tallymark:${settings.key}`;
  await session.send("ServiceWorker.dispatchSyncEvent", { origin: bench.site.origin, registrationId, tag, lastChance: false });
  await page.close();
}

test("a page that was closed without a network: the worker sends what it stored, each event once", async () => {
  const { bench } = fixture;
  const visitor = await visit("worker-closed");
  await visitor.page.evaluate(`for (let i = 0; i < 150; i++) tally.track("step_done", { i })`);
  await until("them to be stored", async () => (await waiting(visitor.page)) === 150);
  await visitor.page.close({ runBeforeUnload: true });
  await sync(visitor);
  assert.deepEqual(await bench.collector.counts(visitor.project), {}, "there is no network yet");
  visitor.proxy.behave = () => "pass";
  await until("the worker to deliver", async () => {
    if ((await bench.collector.counts(visitor.project))["step_done"] === 150) return true;
    await sync(visitor);
    return false;
  });
  assert.deepEqual(await bench.collector.counts(visitor.project), { step_done: 150 });
});

test("a page that is open beside the worker: one of them sends, and each event is counted once", async () => {
  const { bench } = fixture;
  const visitor = await visit("worker-beside");
  await visitor.page.evaluate(`for (let i = 0; i < 50; i++) tally.track("step_done", { i })`);
  await until("them to be stored", async () => (await waiting(visitor.page)) === 50);
  visitor.proxy.behave = () => "pass";
  await Promise.all([sync(visitor), visitor.page.evaluate("tally.flush()")]);
  await untilEqual({ step_done: 50 }, () => bench.collector.counts(visitor.project));
  await until("the queue to be empty", async () => (await waiting(visitor.page)) === 0);
});

test("what waits when a page is hidden is asked for by its tag", async () => {
  const visitor = await visit("worker-tag");
  const { page, settings } = visitor;
  await page.evaluate(`
    window.asked = [];
    navigator.serviceWorker.ready.then((registration) => {
      registration.sync.register = async (tag) => void window.asked.push(tag);
    });`);
  await page.evaluate(`tally.track("opened")`);
  await until("it to be stored", async () => (await waiting(page)) === 1);
  await page.evaluate(`
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));`);
  await untilEqual([`tallymark:${settings.key}`], () => page.evaluate("window.asked"));
});
