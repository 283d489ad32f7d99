/**
 * What was recorded is not lost: closed tabs, killed browsers, no network, many tabs, a bad network.
 *
 * The numbers are those of the list of reliability tests. `TALLYMARK_TEST_TABS_CLOSED`, `…_BROWSERS_KILLED`,
 * `…_OFFLINE` and `…_CHAOS` make them longer.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";

import { amount, figure, seeded } from "../support/amounts.ts";
import { flush, useBench } from "../support/bench.ts";
import { plainPage, type Settings } from "../support/plain.ts";
import { Profile, waiting } from "../support/profile.ts";
import type { Behaviour } from "../support/proxy.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const EVENTS = 100;
const track = (name: string, count = EVENTS) =>
  `for (let i = 0; i < ${count}; i++) tally.track("${name}", { i, plan: "team", seats: 5, value: 29.99, trial: false })`;

test("43: a hundred events and a tab closed at once, on a slow network: all arrive", async () => {
  const rounds = amount("TALLYMARK_TEST_TABS_CLOSED", 5);
  let arrived = 0;
  for (let round = 0; round < rounds; round++) {
    // A profile of its own: no later visit can make up for what this one lost.
    const visit = await fixture.bench.visit({
      name: `closed-${round}`,
      script: `tally.track("opened")`,
      behave: () => ({ passAfterMs: 800 }),
    });
    await until("the page to have begun", () => visit.proxy.batches[0]);
    await visit.page.evaluate(track("step_done"));
    await visit.page.close({ runBeforeUnload: true });
    await untilEqual({ opened: 1, step_done: EVENTS }, () => fixture.bench.collector.counts(visit.project));
    arrived += EVENTS;
    await visit.context.close();
  }
  figure(`${arrived} of ${rounds * EVENTS} events of ${rounds} tabs that were closed at once`);
});

/** A page in a profile that can be killed. */
async function lasting(name: string, behave: () => Behaviour) {
  const { bench } = fixture;
  const [project, proxy] = await Promise.all([bench.collector.createProject(name), bench.proxy()]);
  proxy.behave = behave;
  const settings: Settings = {
    key: project.write_key,
    salt: project.salt,
    endpoint: proxy.origin,
    mode: "full",
    autoPage: false,
  };
  Object.assign(bench.site.files, plainPage(name, settings, ""));
  const profile = new Profile();
  const visit = async (): Promise<Page> => {
    const context = await profile.open();
    const page = await context.newPage();
    await page.goto(bench.site.page(`/${name}.html`));
    await page.waitForFunction("window.started");
    return page;
  };
  return { project, proxy, profile, visit };
}

test("44: a browser killed after its events were stored: the next visit sends all of them", async () => {
  const rounds = amount("TALLYMARK_TEST_BROWSERS_KILLED", 2);
  for (let round = 0; round < rounds; round++) {
    const { project, proxy, profile, visit } = await lasting(`killed-${round}`, () => "reset");
    try {
      const page = await visit();
      await page.evaluate(track("step_done"));
      await until("the events to be stored", async () => (await waiting(page)) === EVENTS);
      await profile.kill();
      proxy.behave = () => "pass";
      await visit();
      await untilEqual({ step_done: EVENTS }, () => fixture.bench.collector.counts(project));
    } finally {
      await profile.remove();
    }
  }
  figure(`${rounds * EVENTS} of ${rounds * EVENTS} events of ${rounds} browsers killed after storing`);
});

test("45: a browser killed 50 ms after the last call loses little", async () => {
  const rounds = amount("TALLYMARK_TEST_BROWSERS_KILLED", 2);
  let arrived = 0;
  for (let round = 0; round < rounds; round++) {
    const { project, proxy, profile, visit } = await lasting(`hasty-${round}`, () => "reset");
    try {
      const page = await visit();
      await page.evaluate(`tally.track("opened")`);
      await until("the first event to be stored", async () => (await waiting(page)) === 1);
      await page.evaluate(`${track("step_done")}; new Promise((resolve) => setTimeout(resolve, 50))`);
      await profile.kill();
      proxy.behave = () => "pass";
      const next = await visit();
      await flush(next);
      await until("the queue to be empty", async () => (await waiting(next)) === 0);
      arrived += (await fixture.bench.collector.counts(project))["step_done"] ?? 0;
    } finally {
      await profile.remove();
    }
  }
  figure(`${arrived} of ${rounds * EVENTS} events of ${rounds} browsers killed 50 ms after the last call`);
  // A few browsers on a busy machine say little.
  assert.ok(arrived > (rounds < 20 ? 0 : 0.95 * rounds * EVENTS));
});

test("46: without a network, over a reload and a restart, nothing is lost or counted twice", async () => {
  const rounds = amount("TALLYMARK_TEST_OFFLINE", 1);
  for (let round = 0; round < rounds; round++) {
    const { project, proxy, profile, visit } = await lasting(`offline-${round}`, () => "reset");
    try {
      const page = await visit();
      await page.evaluate(`tally.track("opened")`);
      await untilEqual(1, () => waiting(page));
      await page.evaluate(track("step_done"));
      await page.reload();
      await page.waitForFunction("window.started");
      await untilEqual(EVENTS + 1, () => waiting(page));
      await profile.close();
      proxy.behave = () => "pass";
      const next = await visit();
      await untilEqual({ opened: 1, step_done: EVENTS }, () => fixture.bench.collector.counts(project));
      await until("the queue to be empty", async () => (await waiting(next)) === 0);
      assert.deepEqual(await fixture.bench.collector.counts(project), { opened: 1, step_done: EVENTS });
    } finally {
      await profile.remove();
    }
  }
  figure(`${rounds * EVENTS} of ${rounds * EVENTS} events of ${rounds} visits without a network, over a reload and a restart`);
});

for (const tabs of [2, 10]) {
  test(`47: ${tabs} tabs share a queue and are closed at random: each event once, few sent twice`, async () => {
    const random = seeded();
    const { bench } = fixture;
    const visit = await bench.visit({
      name: `tabs-${tabs}`,
      script: "",
      behave: () => ({ passAfterMs: Math.floor(random() * 100) }),
    });
    const events = Array.from({ length: tabs }, () => 150 + Math.floor(random() * amount("TALLYMARK_TEST_TAB_EVENTS", 300)));
    const all = events.reduce((sum, count) => sum + count);
    const pages = [visit.page];
    while (pages.length < tabs) {
      const page = await visit.context.newPage();
      await page.goto(bench.site.page(`/tabs-${tabs}.html`));
      await page.waitForFunction("window.started");
      pages.push(page);
    }
    const closed: { from: number; to: number }[] = [];
    const work = pages.map(async (page, tab) => {
      const total = events[tab] as number;
      for (let done = 0; done < total; done += 5) {
        const count = Math.min(5, total - done);
        await page.evaluate(`for (let i = 0; i < ${count}; i++) tally.track("step_done", { tab: ${tab}, i: ${done} + i })`);
        await page.waitForTimeout(random() * 400);
      }
      // One stays, as somebody who reads on.
      if (tab === 0) return;
      const from = Date.now();
      await page.close({ runBeforeUnload: true });
      closed.push({ from, to: Date.now() });
    });
    await Promise.all(work);
    await untilEqual({ step_done: all }, () => bench.collector.counts(visit.project));
    await flush(visit.page);
    await until("the queue to be empty", async () => (await waiting(visit.page)) === 0);
    const sent = visit.proxy.sent();
    const again = (some: { id: string }[]) => some.length - new Set(some.map(({ id }) => id)).size;
    // Nobody hears the answer to what is on its way when a tab is closed, so it is sent again.
    const onTheWay = visit.proxy.batches.filter(({ at, answeredAt = Infinity }) =>
      closed.some(({ from, to }) => at <= to && answeredAt >= from),
    );
    const unheard = new Set(onTheWay.flatMap(({ events }) => events.map(({ id }) => id)));
    const needless = again(sent.filter(({ id }) => !unheard.has(id)));
    figure(`${all} events of ${tabs} tabs, ${again(sent)} sent twice, ${needless} of them needlessly`);
    const stored = await bench.collector.events(visit.project);
    assert.equal(new Set(stored.map(({ id }) => id)).size, all);
    // A tab of a few seconds has much of its life on the way: only the full form counts that too.
    const twice = process.env["TALLYMARK_TEST_TAB_EVENTS"] ? again(sent) : needless;
    assert.ok(twice / sent.length < 0.01, `${twice} of ${sent.length} were sent twice`);
  });
}

test("48: a network where three of ten requests fail in some way: each event is counted once", async () => {
  const random = seeded();
  const count = amount("TALLYMARK_TEST_CHAOS", 600);
  const portal = { status: 200, headers: { "content-type": "text/html" }, body: "<title>Sign in</title>" };
  const faults: Behaviour[] = [
    { status: 500 },
    { status: 429, headers: { "retry-after": "1" } },
    { status: 408 },
    "stall-answer",
    "reset",
    "cut-body",
    "lose-answer",
    "cut-answer",
    portal,
  ];
  const { page, proxy, project } = await fixture.bench.visit({
    name: "chaos",
    script: "",
    behave: () => (random() < 0.3 ? (faults[Math.floor(random() * faults.length)] as Behaviour) : "pass"),
  });
  // Longer than the longest pause of five minutes, which eight failures in a row may reach.
  const patienceMs = 360_000;
  const counts = () => fixture.bench.collector.counts(project);
  for (let done = 0; done < count; done += 100) {
    await page.evaluate(track("step_done", Math.min(100, count - done)));
    // Half of what a device keeps, wherever in the page it waits: nothing has to be dropped.
    await until("room", async () => done + 100 - ((await counts())["step_done"] ?? 0) < 500, patienceMs);
  }
  await untilEqual({ step_done: count }, counts, patienceMs).catch(async (error) => {
    const last = proxy.batches.slice(-12).map(({ at, answeredAt, events }) => [at, answeredAt, events.length]);
    figure(`at ${Date.now()} ${await waiting(page)} events wait; last requests: ${JSON.stringify(last)}`);
    throw error;
  });
  await until("the queue to be empty", async () => (await waiting(page)) === 0, patienceMs);
  assert.deepEqual(await counts(), { step_done: count });
  figure(`${count} events over ${proxy.batches.length} requests, three of ten failing: ${count} stored`);
});
