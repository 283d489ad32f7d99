/** Who an event is from: hashed in the page, the same person everywhere, forgotten on request. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { flush, useBench, vectors } from "../support/bench.ts";
import { storedOnDevice } from "../support/storage.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const HASH = /^[0-9a-f]{64}$/;
/** What {@link storedOnDevice} says of an untouched profile. */
const NOTHING = `${JSON.stringify({ cookie: "", local: {}, session: {}, databases: [] })}[]`;
const CANARY = "canary-4711@example.org";

interface HashCase {
  name: string;
  salt: string;
  namespace: "user" | "device";
  id: string;
  repeat?: number;
  h1: string;
}

const CASES = vectors<{ cases: HashCase[] }>("hashing").cases.filter(
  ({ namespace, id }) => namespace === "user" && id.trim() !== "",
);

for (const salt of new Set(CASES.map((one) => one.salt))) {
  const cases = CASES.filter((one) => one.salt === salt);
  test(`user ids are hashed as the vectors say, ${cases.map(({ name }) => name).join(", ")}`, async () => {
    const ids = cases.map(({ id, repeat }) => id.repeat(repeat ?? 1));
    const { page, proxy } = await fixture.bench.visit({
      name: `hash-${salt.length}-${salt.slice(0, 4).replace(/[^0-9a-z]/g, "x")}`,
      script: `for (const id of ${JSON.stringify(ids)}) { tally.identify(id); tally.track("seen"); }`,
      changes: { salt },
    });
    await flush(page);
    const users = await until("all events", () => {
      // In the order in which the page numbered them: ids of one millisecond have none.
      const seen = proxy.sent().filter(({ name }) => name === "seen").sort((a, b) => a.n - b.n);
      return seen.length >= cases.length && seen.map(({ user }) => user);
    });
    assert.deepEqual(users, cases.map(({ h1 }) => h1));
  });
}

test("a raw user or device id is never sent and never stored", async () => {
  const { page, proxy, project, settings } = await fixture.bench.visit({
    name: "canary",
    script: `tally.track("opened"); tally.identify("${CANARY}"); tally.track("signed_in");`,
  });
  await flush(page);
  await untilEqual({ opened: 1, $identify: 1, signed_in: 1 }, () =>
    fixture.bench.collector.counts(project),
  );
  await page.reload();
  await page.waitForFunction("window.started");
  await flush(page);

  const onDevice = await storedOnDevice(page);
  const onWire = proxy.batches.map(({ text }) => text).join("\n");
  for (const [where, text] of Object.entries({ onDevice, onWire })) {
    assert.ok(!text.includes(CANARY), `the user id is ${where}`);
    assert.ok(!text.includes(encodeURIComponent(CANARY)), `the encoded user id is ${where}`);
    assert.ok(!text.includes(Buffer.from(CANARY).toString("base64").slice(0, 20)), `base64 ${where}`);
  }

  // Event names are stored as text: the search does find what is there.
  assert.notDeepEqual(fixture.bench.collector.filesWith("signed_in"), []);
  assert.deepEqual(fixture.bench.collector.filesWith(CANARY), [], "the collector wrote the user id");
  const user = proxy.sent().find(({ name }) => name === "signed_in")?.user ?? "";
  assert.match(user, HASH);
  const bytes = Buffer.from(user, "hex");
  assert.deepEqual(fixture.bench.collector.filesWith(user, bytes), [], "it wrote the first hash");

  // The device id is random and unknown to us. But whatever is stored, hashing it once more must
  // not give what was sent: then the stored text would be the raw id.
  const device = proxy.sent()[0]?.device ?? "";
  assert.match(device, HASH);
  for (const token of new Set(onDevice.match(/[\w-]{8,}/g))) {
    const hashed = createHmac("sha256", settings.salt).update(`v1|device|${token}`).digest("hex");
    assert.notEqual(hashed, device, `the raw device id is stored as ${token}`);
  }
});

test("a device keeps its id over reloads and gets a new one on reset", async () => {
  const { page, proxy } = await fixture.bench.visit({ name: "reset", script: `tally.track("opened");` });
  await until("the first batch", () => proxy.batches[0]);
  await page.reload();
  await page.waitForFunction("window.started");
  await until("the second batch", () => proxy.sent().length >= 2);
  await page.evaluate(`tally.identify("ada"); tally.reset(); tally.track("after_reset")`);
  await flush(page);
  const sent = await until("the reset event", () => {
    const found = proxy.sent();
    return found.some(({ name }) => name === "after_reset") && found;
  });
  const [before, reloaded] = sent.filter(({ name }) => name === "opened");
  const reset = sent.find(({ name }) => name === "after_reset");
  assert.equal(before?.device, reloaded?.device);
  assert.notEqual(reset?.device, before?.device);
  assert.equal(reset?.user, undefined, "the user is forgotten");
  assert.notEqual(reset?.session, before?.session, "a reset ends the session");
});

test("web and server events of one user are one person", async () => {
  const { page, project } = await fixture.bench.visit({
    name: "one-person",
    script: `tally.identify(" ${CANARY} "); tally.track("signed_in");`,
  });
  await flush(page);
  const id = "01a20217-218f-7da0-9d12-b3f82d8397c8";
  await fixture.bench.collector.sendFromServer(project, [
    { id: id.replace("01a20217-218f", uuidTime()), name: "invoice_paid", at: Date.now(), user_id: CANARY },
  ]);
  const persons = await until("both events", async () => {
    const events = await fixture.bench.collector.events(project);
    const of = (name: string) => events.find((event) => event.name === name)?.person;
    return of("signed_in") && of("invoice_paid") && [of("signed_in"), of("invoice_paid")];
  });
  assert.equal(persons[0], persons[1]);
});

test("without consent nothing is kept and nothing is sent", async () => {
  const { page, proxy, project } = await fixture.bench.visit({
    name: "consent",
    script: `tally.track("before"); window.allowed = true;`,
    behave: (n) => (n === 0 ? { status: 503, headers: { "retry-after": "1" } } : "pass"),
  });
  await until("a failed batch", () => proxy.batches[0]);
  // What waits for its second attempt goes as well.
  await page.evaluate(`tally.optOut(); tally.track("meanwhile"); tally.page()`);
  await flush(page);
  await page.evaluate(`tally.optIn(); tally.track("afterwards")`);
  await flush(page);
  await until("the event after opting in", () =>
    proxy.sent().some(({ name }) => name === "afterwards"),
  );
  await untilEqual({ afterwards: 1 }, () => fixture.bench.collector.counts(project));
});

test("in cookieless mode no id is sent, and nothing is stored but what waits", async () => {
  const { page, proxy } = await fixture.bench.visit({
    name: "cookieless",
    script: `tally.track("opened");`,
    changes: { mode: "cookieless" },
  });
  await flush(page);
  const { cookie, local, session, databases } = JSON.parse(
    (await storedOnDevice(page)).replace(/\[\]$/, ""),
  ) as { cookie: string; local: object; session: object; databases: { records: unknown[] }[] };
  assert.deepEqual([cookie, local, session], ["", {}, {}]);
  assert.deepEqual(databases.map(({ records }) => records), [[], []], "the queue is empty again");
  assert.equal(proxy.sent()[0]?.device, undefined);
});

test("in cookieless mode with the queue in memory nothing is stored at all", async () => {
  const { page, proxy } = await fixture.bench.visit({
    name: "cookieless-memory",
    script: `tally.track("opened");`,
    changes: { mode: "cookieless", queue: "memory" },
  });
  await until("the first batch", () => proxy.batches[0]);
  assert.equal(await storedOnDevice(page), NOTHING);
  await flush(page);
});

test("in mode none nothing is stored and nothing is sent", async () => {
  const { page, proxy, project } = await fixture.bench.visit({
    name: "mode-none",
    script: `tally.track("opened"); tally.page(); tally.identify("${CANARY}");`,
    changes: { mode: "none" },
  });
  await flush(page);
  assert.equal(await storedOnDevice(page), NOTHING);
  assert.deepEqual(proxy.batches, []);
  assert.deepEqual(await fixture.bench.collector.events(project), []);
});

// Shows S3-65.
test("in mode none the page is as it was: its functions, its errors, its addresses", async () => {
  const { page, proxy, errors } = await fixture.bench.visit({
    name: "mode-none-host",
    before: `
      window.parts = () => [fetch, XMLHttpRequest.prototype.open, XMLHttpRequest.prototype.send, navigator.sendBeacon, history.pushState,
        history.replaceState, addEventListener, Storage.prototype.setItem, console.error, console.log, onerror, onunhandledrejection, setTimeout];
      window.atFirst = parts();`,
    script: `tally.track("opened"); tally.page(); tally.identify("${CANARY}");`,
    changes: { mode: "none", autoPage: true },
  });
  assert.equal(await page.evaluate("parts().every((part, i) => part === atFirst[i])"), true);
  const host = await page.evaluate(async () => {
    const thrown = new Promise((resolve) => addEventListener("error", (event) => resolve(event.message), { once: true }));
    setTimeout(() => { throw new Error("the host's own"); });
    history.pushState({ mine: 1 }, "", "?next");
    localStorage.setItem("host", "kept");
    const { ok } = await fetch(location.href);
    return [await thrown, location.search, history.state, localStorage.getItem("host"), ok];
  });
  assert.deepEqual(host, ["Uncaught Error: the host's own", "?next", { mine: 1 }, "kept", true]);
  assert.equal(errors.length, 1, "the host's own error is all there is");
  assert.deepEqual(proxy.batches, []);
});

/** The first two groups of a UUIDv7 made now. */
function uuidTime(): string {
  const hex = Date.now().toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
