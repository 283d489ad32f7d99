/** Pages that get in the way: patched and frozen built-ins, odd values, strict policies, odd places. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { figure } from "../support/amounts.ts";
import { flush, useBench, type Visit } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";
import { within } from "../support/within.ts";

const fixture = useBench();

/** How often everything odd is handed over. */
const ROUNDS = 20;

/** Everything a page may hand over, in a call each. */
const ODD = `(() => {
  const cycle = { a: 1 }; cycle.self = cycle;
  let deep = {}; for (let i = 0; i < 1000; i++) deep = { deep };
  const revoked = Proxy.revocable({}, {}); revoked.revoke();
  const values = [
    cycle, deep, revoked.proxy, new Proxy({}, { ownKeys() { throw new Error("no"); } }),
    { get trap() { throw new Error("no"); } }, { toJSON() { throw new Error("no"); } }, { big: 10n }, { symbol: Symbol("s") },
    { call() {} }, { when: new Date(NaN) }, { map: new Map([[1, 2]]) }, { bytes: new Uint8Array(10) }, { node: document.body },
    { text: "x".repeat(10 * 1024 * 1024) }, { half: "\\ud800" }, JSON.parse('{"__proto__":{"polluted":true}}'),
    { number: NaN }, { number: Infinity }, [1, 2], "text", 7, null, undefined, () => {}, Object.create(null), window,
  ];
  const thrown = [], took = [];
  const tried = (call) => {
    const from = performance.now();
    try { call(); } catch (error) { thrown.push(String(error)); }
    took.push(performance.now() - from);
  };
  for (let round = 0; round < ${ROUNDS}; round++) {
    for (const value of values) tried(() => tally.track("odd", value));
    for (const name of [undefined, null, 7, "", {}, Symbol("s"), "x".repeat(100_000), "\\ud800"]) tried(() => tally.track(name));
    for (const id of [undefined, null, 7, "", {}, Symbol("s")]) tried(() => tally.identify(id));
  }
  took.sort((a, b) => a - b);
  return { thrown, p99: took[Math.floor(took.length * 0.99)] };
})()`;

/** Errors of ours; those that a browser reports for a request that a test refuses are not. */
const uncaught = ({ errors }: Visit) => errors.filter((error) => error.startsWith("uncaught"));

test("55: whatever is handed over, no call throws or takes long, and the next event arrives", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "odd-values",
    // Finer clocks need a page that shares its process with nobody.
    headers: { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" },
  });
  await visit.page.evaluate("tally.ready()");
  await within({ "99 of 100 calls, ms": 0.2 }, async () => {
    const { thrown, p99 } = await visit.page.evaluate<{ thrown: string[]; p99: number }>(ODD);
    figure(`99 of 100 calls with odd values took at most ${(p99 * 1_000).toFixed(0)} µs`);
    assert.deepEqual(thrown, []);
    await flush(visit.page);
    return { "99 of 100 calls, ms": p99 };
  });
  await visit.page.evaluate(`tally.track("afterwards")`);
  await flush(visit.page);
  await until("the next event", async () => (await bench.collector.counts(visit.project))["afterwards"]);
  assert.equal(await visit.page.evaluate("({}).polluted"), undefined);
  assert.deepEqual(uncaught(visit), []);
  const { total } = await bench.collector.query<{ total: Record<string, unknown> }>(visit.project, "completeness", {});
  assert.equal(total["unexplained"], 0, JSON.stringify(total));
});

const HOSTS: Record<string, string> = {
  "freezes prototypes": `[Object, Array, Function, Promise, String, Map, Set, Date, RegExp].forEach((one) => Object.freeze(one.prototype));`,
  "patches fetch, as monitors do": `
    const real = window.fetch;
    window.fetch = async function (...given) { const answer = await real.apply(this, given); answer.clone().text(); return answer; };`,
  "patches JSON, and writes it for people": `
    const { parse, stringify } = JSON;
    JSON.stringify = (value, change) => stringify(value, change, 2);
    JSON.parse = function (...given) { return parse.apply(this, given); };`,
  "gives arrays and texts more to enumerate": `Array.prototype.extra = () => "extra"; String.prototype.other = "other";`,
  "writes arrays as texts, as an old library did": `Array.prototype.toJSON = function () { return "[" + this.join() + "]"; };`,
  "has no crypto.subtle": `Object.defineProperty(crypto, "subtle", { value: undefined });`,
  "has no idle moments, no channel between tabs and no locks": `
    delete window.requestIdleCallback; delete window.BroadcastChannel; Object.defineProperty(navigator, "locks", { value: undefined });`,
  "sets console and performance on fire": `
    console.warn = console.error = () => { throw new Error("no"); };
    performance.mark = performance.measure = () => { throw new Error("no"); };`,
};

let borne = 0;
for (const [index, [host, before]] of Object.entries(HOSTS).entries()) {
  test(`55: a host that ${host}: events arrive as they were tracked`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({
      name: `host-${index}`,
      before,
      script: `
        tally.identify("marie@example.org");
        for (let i = 0; i < 20; i++) tally.track("step_done", { i, list: [1, 2], nested: { plan: "team" } });`,
    });
    await flush(visit.page);
    await untilEqual({ $identify: 1, step_done: 20 }, () => bench.collector.counts(visit.project));
    const events = await bench.collector.events(visit.project, { event: "step_done" });
    const steps = events.map(({ props }) => props["i"]).sort((a, b) => Number(a) - Number(b));
    assert.deepEqual(steps, Array.from({ length: 20 }, (_, i) => i));
    assert.ok(!visit.proxy.batches.some(({ text }) => text.includes("marie")), "no raw id on the wire");
    assert.deepEqual(uncaught(visit), []);
    borne++;
  });
}

test("55: all of that", () => {
  figure(`21 of 21 events on ${borne} of ${Object.keys(HOSTS).length} pages that change what scripts stand on`);
});

test("55: where nothing can hash, an id is left out and never sent as it is", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "no-hash",
    before: `Object.defineProperty(crypto, "subtle", { value: undefined }); Object.defineProperty(window, "WebAssembly", { value: undefined });`,
    script: `tally.identify("marie@example.org"); tally.track("opened")`,
  });
  await flush(visit.page);
  await until("the event", async () => (await bench.collector.counts(visit.project))["opened"]);
  assert.ok(!visit.proxy.batches.some(({ text }) => text.includes("marie")));
  for (const { user } of visit.proxy.sent()) assert.ok(user === undefined || /^[0-9a-f]{64}$/.test(user));
});

test("56: under default-src 'self' and Trusted Types everything works", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({
    name: "strict-policy",
    headers: {
      "content-security-policy":
        "default-src 'self'; connect-src 'self' http://127.0.0.1:*; require-trusted-types-for 'script'; trusted-types 'none'",
    },
    script: `tally.identify("marie"); tally.track("opened")`,
  });
  await flush(visit.page);
  await untilEqual({ $identify: 1, opened: 1 }, () => bench.collector.counts(visit.project));
  assert.deepEqual(uncaught(visit), []);
});

test("56: in a sandboxed frame without an origin events arrive", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "sandbox" });
  const { page } = visit;
  for (const [path, file] of Object.entries(bench.site.files)) {
    // A frame without an origin asks for scripts as a stranger.
    if (path.startsWith("/bundle/") || path === "/sandbox.js") file.headers = { ...file.headers, "access-control-allow-origin": "*" };
  }
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.evaluate(`
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    frame.src = "/sandbox.html";
    document.body.append(frame);`);
  const frame = await until("the frame", () => page.frames()[1]);
  await frame.waitForFunction("window.started");
  await frame.evaluate(`tally.track("inside")`);
  await until("the event", async () => (await bench.collector.counts(visit.project))["inside"]);
  assert.deepEqual(errors, []);
});

test("56: a worker can import the package and call it; nothing throws", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "in-worker" });
  bench.site.files["/worker.js"] = {
    body: `import("/bundle/plain.js").then(() => {
      tally.init(${JSON.stringify(visit.settings)});
      tally.track("inside");
      tally.identify("marie");
      return tally.flush();
    }).then((done) => postMessage(done), (error) => postMessage(String(error)));`,
  };
  const said = await visit.page.evaluate(`new Promise((resolve) => {
    const worker = new Worker("/worker.js", { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => resolve("failed: " + event.message);
  })`);
  assert.equal(said, false, "there is no page, so there is nothing to record");
});

for (const [asks, value] of [["globalPrivacyControl", "true"], ["doNotTrack", `"1"`]] as const)
  test(`56: a browser that asks for privacy by ${asks} gets no lasting id`, async () => {
    const { bench } = fixture;
    const visit = await bench.visit({
      name: asks.toLowerCase(),
      before: `Object.defineProperty(Navigator.prototype, "${asks}", { value: ${value} });`,
      script: `tally.identify("marie"); tally.track("opened")`,
    });
    await flush(visit.page);
    // Not even where the page says that the visitor agreed.
    await visit.page.evaluate(`tally.optIn(); tally.identify("marie"); tally.track("agreed")`);
    await flush(visit.page);
    await untilEqual({ opened: 1, agreed: 1 }, () => bench.collector.counts(visit.project));
    for (const event of visit.proxy.sent()) assert.deepEqual([event.device, event.user], [undefined, undefined]);
  });
