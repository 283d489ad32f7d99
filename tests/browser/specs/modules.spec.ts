/** 53 and 54: the module is blocked, missing, wrong, slow or breaks. Everything arrives, hashed the same. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import type { Route } from "playwright-core";

import { figure } from "../support/amounts.ts";
import { useBench } from "../support/bench.ts";
import { waiting } from "../support/profile.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

const SCRIPT = `
  tally.identify("ada");
  for (let i = 0; i < 99; i++) tally.track("step_done", { i });`;
const ALL = { $identify: 1, step_done: 99 };

const WAYS: Record<string, { headers?: Record<string, string>; wasm?: (route: Route) => Promise<void> }> = {
  "is there": {},
  "is blocked by the page's policy": { headers: { "content-security-policy": "script-src 'self'" } },
  "is missing": { wasm: (route) => route.fulfill({ status: 404, body: "not found" }) },
  "comes with a wrong type": {
    wasm: async (route) => route.fulfill({ response: await route.fetch(), contentType: "text/plain" }),
  },
  "is damaged": {
    wasm: (route) => route.fulfill({ contentType: "application/wasm", body: Buffer.from([0, 97, 115, 109, 1, 0, 0, 0, 99]) }),
  },
  "takes half a minute": {
    wasm: (route) => new Promise((resolve) => setTimeout(() => resolve(route.continue().catch(() => undefined)), 30_000)),
  },
  "cannot be reached": { wasm: (route) => route.abort("internetdisconnected") },
};

let arrived = 0;
for (const [index, [way, { headers, wasm }]] of Object.entries(WAYS).entries()) {
  test(`53: a hundred of a hundred events arrive when the module ${way}`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({ name: `module-${index}`, ...(headers && { headers }) });
    if (wasm) {
      await visit.context.route("**/*.wasm", wasm);
      await visit.page.reload();
      await visit.page.waitForFunction("window.started");
    }
    await visit.page.evaluate(SCRIPT);
    await untilEqual(ALL, () => bench.collector.counts(visit.project));
    const want = createHmac("sha256", visit.settings.salt).update("v1|user|ada").digest("hex");
    assert.deepEqual([...new Set(visit.proxy.sent().map(({ user }) => user))], [want]);
    assert.deepEqual(visit.errors.filter((error) => error.startsWith("uncaught")), []);
    arrived++;
    await visit.context.close();
  });
}

test("53: all of that", () => {
  figure(`100 of 100 events in ${arrived} of ${Object.keys(WAYS).length} ways in which a module does or does not come`);
});

test("53: when neither module nor translation can be loaded, the next page sends what was kept", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "module-none" });
  await visit.context.route(/\.wasm$|fallback/, (route) => route.abort());
  await visit.page.reload();
  await visit.page.waitForFunction("window.started");
  await visit.page.evaluate(SCRIPT);
  await untilEqual(100, () => waiting(visit.page));
  await visit.context.unroute(/\.wasm$|fallback/);
  await visit.page.reload();
  await untilEqual(ALL, () => bench.collector.counts(visit.project));
  assert.ok(visit.proxy.sent().every(({ user }) => user === undefined), "an id that cannot be hashed is left out");
  assert.ok(visit.proxy.batches.every(({ text }) => !text.includes('"ada"')));
});

const BROKEN = ["room", "hashId", "judge", "backoffMs"];
let replaced = 0;
for (const broken of BROKEN) {
  test(`54: a module that traps in ${broken} is replaced, and nothing is lost`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({
      name: `trap-${broken.toLowerCase()}`,
      behave: (n) => (n === 0 ? { status: 500 } : "pass"),
    });
    await visit.page.addInitScript(`
      const start = WebAssembly.instantiateStreaming;
      WebAssembly.instantiateStreaming = async (...given) => {
        const { instance } = await start(...given);
        const exports = { ...instance.exports, ${broken}: () => { throw new WebAssembly.RuntimeError("unreachable"); } };
        return { instance: { exports } };
      };`);
    await visit.page.reload();
    await visit.page.waitForFunction("window.started");
    await visit.page.evaluate(SCRIPT);
    await untilEqual(ALL, () => bench.collector.counts(visit.project));
    const want = createHmac("sha256", visit.settings.salt).update("v1|user|ada").digest("hex");
    assert.deepEqual([...new Set(visit.proxy.sent().map(({ user }) => user))], [want]);
    assert.deepEqual(visit.errors.filter((error) => error.startsWith("uncaught")), []);
    assert.ok((await visit.page.evaluate<string[]>("window.reported")).includes("module_replaced"));
    replaced++;
  });
}

test("54: all of that", () => {
  figure(`100 of 100 events with a module that traps, in ${replaced} of ${BROKEN.length} functions`);
});
