/** The loss meter: what is lost between a page and the collector is missing in the figure, exactly. */

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { gunzipSync } from "node:zlib";
import { test } from "node:test";

import { amount, figure, seeded } from "../support/amounts.ts";
import { flush, useBench } from "../support/bench.ts";
import { waiting } from "../support/profile.ts";
import type { Project } from "../support/collector.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

interface Figures {
  page_loads: number;
  issued: number;
  received: number;
  missing: number;
  unexplained: number;
  lost: Record<string, number>;
  browsers?: unknown;
}

async function total(project: Project): Promise<Figures> {
  const answer = await fixture.bench.collector.query<{ total: Figures }>(project, "completeness", {});
  return answer.total;
}

/** A way to the collector on which events vanish from batches, and nobody is told. */
async function thief(target: string, takes: (name: string) => boolean) {
  let taken = 0;
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const text = (body[0] === 0x1f ? gunzipSync(body) : body).toString("utf8");
    const batch = JSON.parse(text) as { events: { name: string }[] };
    const all = batch.events.length;
    batch.events = batch.events.filter(({ name }) => !takes(name));
    taken += all - batch.events.length;
    const onward = request(new URL("/v1/batch", target), { method: "POST", headers: { "content-type": "text/plain" } });
    onward.on("response", (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    onward.end(JSON.stringify(batch));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    origin: `http://127.0.0.1:${port}`,
    taken: () => taken,
    stop: () => server.closeAllConnections() ?? server.close(),
  };
}

test("52: events that vanish on the way are missing, exactly, when the page is closed", async () => {
  const random = seeded();
  const { bench } = fixture;
  const rounds = amount("TALLYMARK_TEST_METERED", 3);
  const road = await thief(bench.collector.origin, (name) => name === "step_done" && random() < 0.1);
  try {
    const project = await bench.collector.createProject("meter");
    let received = 0;
    for (let round = 0; round < rounds; round++) {
      const visit = await bench.visit({
        name: `meter-${round}`,
        changes: { key: project.write_key, salt: project.salt, endpoint: road.origin },
      });
      await visit.page.evaluate(`for (let i = 0; i < 100; i++) tally.track("step_done", { i })`);
      await flush(visit.page);
      // The last word, which does arrive: what nothing follows cannot be missed.
      await visit.page.evaluate(`tally.track("left")`);
      await visit.page.close({ runBeforeUnload: true });
      received = (round + 1) * 101;
      await untilEqual(received - road.taken(), async () => (await total(project)).received);
      await visit.context.close();
    }
    const { page_loads, issued, missing, unexplained } = await total(project);
    assert.deepEqual([page_loads, issued, missing, unexplained], [rounds, received, road.taken(), road.taken()]);
    figure(`${road.taken()} of ${received} events of ${rounds} page loads removed on the way: exactly those are missing`);
  } finally {
    road.stop();
  }
});

test("what a page drops by itself is missing with its reason", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "meter-dropped",
    script: `
      tally.track("opened");
      tally.track(" spaced ");
      tally.track("x".repeat(201));
      tally.track("large", { text: "x".repeat(40_000) });
      tally.track("closed");`,
  });
  await flush(visit.page);
  await untilEqual({ opened: 1, closed: 1 }, () => bench.collector.counts(visit.project));
  const { issued, received, lost, unexplained } = await total(visit.project);
  assert.deepEqual([issued, received, unexplained], [5, 2, 0]);
  assert.deepEqual(lost, { name_invalid: 2, event_too_large: 1 });
});

test("what a full queue drops is missing with its reason, also when the batch that says so is sent twice", async () => {
  const { bench } = fixture;
  let isOff = true;
  const visit = await bench.visit({ name: "meter-full", behave: (n) => (isOff ? "reset" : n % 2 ? "pass" : "lose-answer") });
  const count = 3_000;
  for (let done = 0; done < count; done += 500) {
    await visit.page.evaluate(`for (let i = 0; i < 500; i++) tally.track("step_done", { i })`);
    await until("the calls to be taken", () => visit.page.evaluate("new Promise((resolve) => requestIdleCallback(() => resolve(true)))"));
  }
  await until("the queue to drop some", async () => (await visit.page.evaluate<string[]>("window.reported")).includes("queue_full"));
  // What is dropped while it is on its way may have arrived all the same: all of it is stored, and what is too much gone.
  await flush(visit.page);
  isOff = false;
  await until("the queue to be empty", async () => {
    await flush(visit.page);
    return (await waiting(visit.page)) === 0;
  });
  await visit.page.evaluate(`tally.track("afterwards")`);
  await until("the last word", async () => {
    await flush(visit.page);
    return (await bench.collector.counts(visit.project))["afterwards"];
  });
  const { issued, received, missing, lost, unexplained } = await total(visit.project);
  assert.equal(issued, count + 1);
  assert.equal(received + missing, issued);
  assert.ok(missing > 1_000, `${missing} are missing`);
  assert.deepEqual([lost, unexplained], [{ queue_full: missing }, 0]);
});

test("what is on its way while the queue drops what is too much stays, and is not counted as lost", async () => {
  const { bench } = fixture;
  // Only where sending fails a page goes on recording more than may wait.
  const visit = await bench.visit({
    name: "meter-on-the-way",
    script: `for (let i = 0; i < 50; i++) tally.track("early", { i })`,
    behave: (n) => (n === 0 ? "reset" : n === 1 ? "stall-answer" : "pass"),
  });
  const { page, project, proxy } = visit;
  await until("a batch that is stored and never answered", () => proxy.batches.length === 2);
  const onTheWay = proxy.batches[1]!.events.length;
  assert.ok(onTheWay >= 20, `${onTheWay} events`);
  for (let done = 0; done < 3_000; done += 500) {
    await page.evaluate(`for (let i = 0; i < 500; i++) tally.track("step_done", { i })`);
    await until("the calls to be taken", () => page.evaluate("new Promise((resolve) => requestIdleCallback(() => resolve(true)))"));
  }
  await until("the queue to drop some", async () => (await page.evaluate<string[]>("window.reported")).includes("queue_full"));
  assert.equal(proxy.batches.length, 2, "it is still on its way");
  await page.evaluate(`tally.track("afterwards")`);
  await until("the queue to be empty", async () => (await flush(page), (await waiting(page)) === 0));
  const { issued, received, missing, lost, unexplained } = await total(project);
  assert.equal(issued, 3_051);
  assert.equal(received + missing, issued);
  assert.deepEqual([lost, unexplained], [{ queue_full: missing }, 0]);
});
