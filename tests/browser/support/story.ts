/**
 * Visitors whose browsers, pages and purchases say whatever a test wants them to say, in every place that takes a text.
 *
 * In: how to say things. Out: events of two dozen people over six days, some that were refused, and an experiment that
 * nobody defined. The same people do the same whatever is said, so that two such projects differ in their words alone.
 */

import { randomBytes } from "node:crypto";

import type { Collector, Project } from "./collector.ts";

/** A text for a place, at most so many bytes long. */
export type Speak = (place: string, bytesMax: number) => string;

const DAY_MS = 86_400_000;
const PEOPLE = 24;

export async function tell(collector: Collector, project: Project, speak: Speak): Promise<void> {
  // So many have it in common that strangers may see it too.
  const plans = [speak("value", 900), speak("value", 900)];
  const experiment = speak("experiment", 190);
  const variants = [speak("variant", 190), speak("variant", 190)];
  const property = speak("property", 190);
  const everyone = speak("event", 190);
  for (let person = 0; person < PEOPLE; person++) {
    const began = Date.now() - 120_000 - (person % 6) * DAY_MS;
    const hex = (bytes: number) => randomBytes(bytes).toString("hex");
    const events: object[] = [];
    const add = (name: string, props: object = {}) => {
      const at = began + events.length * 500;
      const time = at.toString(16).padStart(12, "0");
      const id = `${time.slice(0, 8)}-${time.slice(8)}-7${hex(2).slice(1)}-8${hex(2).slice(1)}-${hex(6)}`;
      events.push({ id, name, at, user_id: `person-${person}`, props: { plan: plans[person % 2], [property]: speak("value", 900), ...props } });
    };
    add("$pageview", { title: speak("title", 400) });
    add("$exposure", { experiment, variant: variants[person % 2] });
    add("$exposure", { experiment: "buy-button", variant: person % 2 ? "green" : "control" });
    add("view_product", { product: speak("value", 400) });
    add("click", { text: speak("clicked", 190), tag: "a", href: speak("link", 400) });
    add("form_submit", { form: speak("form", 190) });
    add(everyone);
    add(speak("event", 190), { [speak("property", 190)]: { [speak("property", 190)]: [speak("value", 190)] } });
    add("$content_view", { content_id: speak("content", 190), content_type: plans[0], owner: plans[1], title: speak("title", 190), engaged_ms: 4_000, completion: 0.9 });
    add("$error", { message: speak("error", 400), type: speak("error", 190), source: speak("link", 190) });
    add("feature_used", { feature: speak("feature", 190) });
    add("$pwa_prompt", { outcome: "shown" });
    if (person % 2) add("add_to_cart");
    if (person % 4 === 1) add("purchase", { value: 12.5, currency: "EUR", product: speak("value", 190) });
    add("subscription.created", { amount: 9, currency: "EUR", plan: speak("value", 190) });
    const query = ["source", "medium", "campaign", "term", "content"].map((name) => `utm_${name}=${encodeURIComponent(speak(`utm_${name}`, 190))}`);
    const context = {
      url: `https://shop.example/${encodeURI(speak("path", 400)).replaceAll("?", "%3F").replaceAll("#", "%23")}?${query.join("&")}`,
      referrer: `https://x${person}.example/${speak("referrer", 190)}`,
      language: speak("language", 190),
      display_mode: speak("display_mode", 190),
    };
    // Refused: one without a time, one whose name is too long.
    events.push({ id: "no id", name: speak("refused", 190) }, { name: speak("refused", 900), at: began });
    await send(collector, project, { sdk: speak("sdk", 190), context, events }, speak("agent", 400));
  }
}

async function send(collector: Collector, project: Project, batch: object, agent: string): Promise<void> {
  const reply = await fetch(`${collector.origin}/v1/batch`, {
    method: "POST",
    // Headers take no other letters.
    headers: { authorization: `Bearer ${project.secret_key}`, "user-agent": agent.replace(/[^ -~]/g, "") },
    body: JSON.stringify({ nonce: "0".repeat(32), sent_at: Date.now(), ...batch }),
  });
  const receipt = (await reply.json()) as { ok: number; rejected: { code: string }[] };
  if (receipt.rejected?.length !== 2) throw new Error(`${reply.status} ${JSON.stringify(receipt)}`);
}
