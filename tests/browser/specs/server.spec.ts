/** `@tallymark/server`, as it is packed, against a real collector: beside pages, through bad networks, at the end of a process. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { createClient, type ServerOptions } from "@tallymark/server";
import { stripeWebhook } from "@tallymark/server/stripe";

import { flush, ROOT, useBench } from "../support/bench.ts";
import type { Project } from "../support/collector.ts";
import { seeded } from "../support/amounts.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

const settings = ({ secret_key, write_key, salt }: Project, endpoint: string): ServerOptions => ({
  key: secret_key, writeKey: write_key, salt, endpoint, flushOnExit: false,
});

test("a page and a server that name the same user are one person, with the same variant", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "server-and-page", script: `tally.identify("ada"); tally.track("seen_in_page");` });
  await bench.collector.run(visit.project, [
    { kind: "experiment", key: "tea", unit: "user", variants: [{ key: "green" }, { key: "black" }], primary: { event: "paid" } },
    { kind: "flag", key: "german", value: false, rules: [{ value: true, targeting: { country: "DE" } }] },
  ]);
  await flush(visit.page);
  const tally = createClient(settings(visit.project, bench.collector.origin));
  assert.equal(await tally.ready(), true);
  tally.track("paid", { user: "ada" }, { amount: 29.99 });
  tally.exposure("tea", { user: "ada" });
  assert.equal(tally.value("german", null, { user: "ada", attributes: { country: "DE" } }), true);
  assert.equal(await tally.shutdown(), true);

  const events = await bench.collector.events(visit.project);
  const person = (name: string) => events.find((event) => event.name === name)?.person;
  assert.ok(person("paid"));
  assert.equal(person("paid"), person("seen_in_page"));
  assert.deepEqual(events.find(({ name }) => name === "$exposure")?.props, { experiment: "tea", variant: tally.variant("tea", { user: "ada" }) });
  assert.deepEqual(bench.collector.filesWith('"ada"'), []);
});

test("with a third of all answers lost, cut or refused, every event is counted once", async () => {
  const { bench } = fixture;
  const project = await bench.collector.createProject("server-chaos");
  const proxy = await bench.proxy();
  const random = seeded();
  const faults = ["reset", "lose-answer", "cut-answer", { status: 500 }, { status: 200, body: "<html>" }] as const;
  proxy.behave = () => (random() < 0.33 ? (faults[Math.floor(random() * faults.length)] ?? "pass") : "pass");
  const tally = createClient({ ...settings(project, proxy.origin), onError: () => undefined });
  for (let i = 0; i < 1_000; i++) tally.track("step_done", { user: String(i % 50) }, { i });
  assert.equal(await tally.shutdown(60_000), true);
  assert.deepEqual(await bench.collector.counts(project), { step_done: 1_000 });
  assert.ok(proxy.sent().length > 1_000, "some were sent twice");
  assert.deepEqual(tally.lost, {});
});

const ENDS: Record<string, { code: string; signal?: "SIGTERM"; want: number | null }> = {
  "runs out of work": { code: "", want: 0 },
  "is told to stop": { code: `setInterval(() => {}, 1e3); console.log("waits");`, signal: "SIGTERM", want: null },
};

for (const [index, [how, { code, signal, want }]] of Object.entries(ENDS).entries()) {
  test(`a process that ${how} has sent everything`, async () => {
    const { bench } = fixture;
    const project = await bench.collector.createProject(`server-end-${index}`);
    const { flushOnExit: _, ...given } = settings(project, bench.collector.origin);
    const script = `
      import { createClient } from "@tallymark/server";
      const tally = createClient(${JSON.stringify(given)});
      for (let i = 0; i < 250; i++) tally.track("job_done", { user: "worker" }, { i });
      ${code}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { cwd: join(ROOT, "tests", "browser"), stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise<[number | null, string | null]>((resolve) => child.once("exit", (status, by) => resolve([status, by])));
    if (signal) child.stdout.once("data", () => child.kill(signal));
    assert.deepEqual(await ended, [want, signal ?? null], "and ends as it would have without us");
    await untilEqual({ job_done: 250 }, () => bench.collector.counts(project));
  });
}

// Shows S4-13 and S4-16.
test("a payment that Stripe tells of twice counts once, with its people hashed", async () => {
  const { bench } = fixture;
  const project = await bench.collector.createProject("stripe");
  const tally = createClient(settings(project, bench.collector.origin));
  const webhook = stripeWebhook(tally, { secret: "whsec_test", salt: project.salt });
  const object = { id: "pi_1", amount_received: 2999, currency: "eur", metadata: { fan_id: "fan-7", creator_id: "creator-3" } };
  const atS = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({ id: "evt_1", type: "payment_intent.succeeded", created: atS - 5, data: { object } });
  const signature = `t=${atS},v1=${createHmac("sha256", "whsec_test").update(`${atS}.${body}`).digest("hex")}`;
  for (let told = 0; told < 2; told++) {
    assert.equal(await webhook(body, signature), "recorded");
    assert.equal(await tally.flush(), true);
  }
  const [paid, ...others] = await bench.collector.events(project);
  assert.deepEqual(others, []);
  assert.equal(paid?.name, "payment.completed");
  assert.equal(paid?.props["amount"], 29.99);
  assert.match(String(paid?.props["owner"]), /^[a-p]{16}$/);
  assert.deepEqual([...bench.collector.filesWith("fan-7"), ...bench.collector.filesWith("creator-3")], []);
  await tally.shutdown();
});
