/**
 * The demo's shop with its clock standing: the same data at the same moment, whenever it runs.
 *
 * An experiment has run for three weeks, and there are subscriptions, of which the demo has none.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { amount } from "./amounts.ts";
import { ROOT } from "./bench.ts";
import { Collector, runCommand, type Project } from "./collector.ts";
import { EXPERIMENT } from "./pages.ts";

/** When it is: a Wednesday at noon. */
export const NOW = new Date("2026-09-16T12:00:00Z").getTime();
/** Enough for something on every page. */
const EVENTS = amount("TALLYMARK_TEST_EVENTS", 40_000);
const DAY_MS = 86_400_000;
/** Days that the experiment has run. */
const RUNNING_DAYS = 21;

/** A collector with the shop's project. */
export async function startDemo(): Promise<{ collector: Collector; project: Project; stop: () => Promise<void> }> {
  const tools = mkdtempSync(join(tmpdir(), "tallymark-clock-"));
  const shim = join(tools, "clock.so");
  const source = join(ROOT, "tests", "native", "clock.c");
  const { status, stderr } = spawnSync("cc", ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, source], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const clock = (at: number) => ({ ...process.env, LD_PRELOAD: shim, CLOCK_STANDS_AT: String(Math.floor(at / 1000)) });
  const folder = mkdtempSync(join(tmpdir(), "tallymark-data-"));

  const filled = await runCommand(["demo", "--events", String(EVENTS), "--json"], folder, clock(NOW));
  const project = JSON.parse(filled.toString().trim().split("\n").at(-1) ?? "") as Project;
  const more = join(tools, "subscriptions.jsonl");
  writeFileSync(more, subscriptions().map((event) => JSON.stringify(event)).join("\n"));
  await runCommand(["import", "--project", project.slug, "--format", "jsonl", more], folder, clock(NOW));
  const before = await Collector.start([], folder, clock(NOW - RUNNING_DAYS * DAY_MS));
  await before.run(project, [EXPERIMENT]).finally(() => before.end("SIGTERM"));
  const collector = await Collector.start([], folder, clock(NOW));
  const stop = async () => {
    await collector.stop();
    rmSync(tools, { recursive: true });
  };
  return { collector, project, stop };
}

function subscriptions(): object[] {
  const events: object[] = [];
  const add = (person: number, name: string, daysAgo: number, props: object) => {
    const at = NOW - daysAgo * DAY_MS + events.length;
    const hex = at.toString(16).padStart(12, "0");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(events.length).padStart(12, "0")}`;
    events.push({ id, name, at, user: `customer-${person}`, props: { currency: "EUR", ...props } });
  };
  for (let person = 0; person < 60; person++) {
    const daysAgo = 175 - person * 2.5;
    const amount = [9, 19, 49][person % 3] ?? 9;
    add(person, "subscription.created", daysAgo, { amount });
    for (let paid = daysAgo; paid > 0; paid -= 30) add(person, "payment.completed", paid, { amount });
    if (person % 7 === 3 && daysAgo > 40) add(person, "subscription.cancelled", daysAgo - 35, {});
    if (person % 9 === 4 && daysAgo > 20) add(person, "subscription.changed", daysAgo - 15, { amount: amount + 10 });
  }
  return events;
}
