/**
 * Experiments and flags in a page: `@tallymark/web/experiments`.
 *
 * The document of what is running comes from the collector and from the browser's cache; values are
 * decided on the device. Asking for a value records nothing: {@link exposure} does, when the visitor
 * really meets it.
 *
 * @packageDocumentation
 */

import * as evaluator from "./evaluator.js";
import type { FlagDocument, Json, Met, Outcome } from "./evaluator.js";
import { exposure as record } from "./index.js";
import { units } from "./unit.js";

export type { FlagDocument, Json, Met, Outcome } from "./evaluator.js";

/** Settings of {@link start}. */
export interface ExperimentOptions {
  /** The project's write key. */
  key: string;
  /** The collector's address, as for `init`. */
  endpoint: string;
  /** The mode given to `init`. Without `"full"`, only visitors who agreed take part in experiments. */
  mode?: "full" | "cookieless" | "none";
  /** What conditions look at, beside `device`, `user`, `path` and `language`. */
  attributes?: Json;
  /** The document, if the page has it already, as `assignSync` needs it. */
  document?: FlagDocument;
  /** Where `experiments_bg.wasm` is, if a bundler did not put it beside the script; or its bytes. */
  wasm?: string | URL | BufferSource;
}

/** Exposures that are remembered; more than any page has experiments. */
const EXPOSED_MAX = 200;

let options: ExperimentOptions | undefined;
let attributes: Json = {};
let isReady = false;
/** Exposures called for before anything was known. */
let early: [key: string, met: string | undefined][] = [];
let listeners: (() => void)[] = [];

/**
 * Load the module and the document. A document in the cache of the browser answers at once; a newer
 * one counts from the next page on, so that nothing changes under the visitor's eyes.
 *
 * @returns Whether values are known now. Never rejects.
 */
export async function start(given: ExperimentOptions): Promise<boolean> {
  if (typeof window === "undefined") return false;
  options = given;
  attributes = given.attributes ?? {};
  try {
    const [document] = await Promise.all([given.document ?? load(given), evaluator.start(given.wasm)]);
    isReady = evaluator.setDocument(document);
  } catch {
    isReady = false;
  }
  const calls = early;
  early = [];
  if (isReady) for (const [key, met] of calls) exposure(key, met);
  for (const listener of listeners) listener();
  return isReady;
}

/** What conditions look at from now on. */
export function setAttributes(given: Json): void {
  attributes = given;
  for (const listener of listeners) listener();
}

/** Calls back whenever values may have changed. Gives the function that ends it. */
export function onChange(listener: () => void): () => void {
  listeners.push(listener);
  return () => {
    listeners = listeners.filter((one) => one !== listener);
  };
}

/** What the visitor gets of a feature, and why; `undefined` until {@link start} is done. */
export function evaluate(key: string): Outcome | undefined {
  if (!isReady || !options) return undefined;
  try {
    const { key: project, mode } = options;
    const who = units(project, mode === "full");
    const name = `tallymark:${project}:kept`;
    const kept = JSON.parse((who && localStorage.getItem(name)) || "{}") as { [name: string]: Json };
    const { pathname: path, href: url } = location;
    const known = evaluator.setPerson({
      attributes: { path, language: navigator.language, ...attributes, ...who },
      url,
      ...(who && { stickyBucketAssignmentDocs: kept }),
    });
    if (!known) return undefined;
    const outcome = evaluator.feature(key);
    if (who) keep(name, kept, outcome.decided, who as unknown as { [name: string]: string });
    return outcome;
  } catch {
    return undefined;
  }
}

/** The value of a feature; `fallback` while nothing is known, and for a feature that is not running. */
export function value<T>(key: string, fallback: T): T {
  const outcome = evaluate(key);
  return outcome && outcome.source !== "unknownFeature" ? ((outcome.value ?? fallback) as T) : fallback;
}

/** The variant of an experiment; `null` when the visitor does not take part, or nothing is known yet. */
export function variant(key: string): string | null {
  return evaluate(key)?.met?.variant ?? null;
}

/**
 * Record that the visitor really met a variant: call it when it is on screen. Recorded once for each
 * variant, however often it is called, on whatever page; and not before the variant is known.
 *
 * @param met - The variant that was shown, for example by `assignSync`. Another one than the
 *   visitor's is recorded as it is: results count people who met two.
 */
export function exposure(key: string, met?: string): void {
  if (!isReady) {
    early.push([key, met]);
    return;
  }
  const outcome = evaluate(key);
  if (!options || !outcome) return;
  for (const one of outcome.decided) {
    const shown = one.key === outcome.met?.key ? (met ?? one.variant) : one.variant;
    if (isNews(`${one.key}|${shown}`)) record(one.key, shown);
  }
}

/** Records the exposure as soon as half of the element is on screen. Gives the function that ends it. */
export function exposeWhenSeen(element: Element, key: string): () => void {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      exposure(key);
    },
    { threshold: 0.5 },
  );
  observer.observe(element);
  return () => observer.disconnect();
}

async function load({ endpoint, key }: ExperimentOptions): Promise<FlagDocument> {
  const url = new URL(endpoint, location.href);
  const base = url.pathname.replace(/\/(v1\/batch)?$/, "");
  const reply = await fetch(`${url.origin}${base}/v1/flags/${key}`);
  if (!reply.ok) throw new Error(`the collector answers ${reply.status}`);
  return (await reply.json()) as FlagDocument;
}

/** Keeps what was assigned, for later visits and after signing in. */
function keep(name: string, kept: { [name: string]: Json }, decided: Met[], who: { [name: string]: string }): void {
  const before = JSON.stringify(kept);
  for (const met of decided) {
    if (!met.keep || met.experiment["fallbackAttribute"] === undefined) continue;
    const { hashAttribute: attributeName } = met;
    const attributeValue = who[attributeName];
    const name = `${attributeName}||${attributeValue}`;
    const version = Number(met.experiment["bucketVersion"] ?? 0);
    const assignments = { ...(kept[name]?.["assignments"] as Json), [`${met.key}__${version}`]: met.variant };
    kept[name] = { attributeName, attributeValue, assignments };
  }
  const after = JSON.stringify(kept);
  if (after !== before) localStorage.setItem(name, after);
}

/** Whether an exposure was not recorded before for whoever is here. */
function isNews(exposed: string): boolean {
  const { key, mode } = options as ExperimentOptions;
  const who = units(key, mode === "full");
  const entry = `${(who?.user || who?.device || "").slice(0, 16)}|${exposed}`;
  const name = `tallymark:${key}:exposed`;
  try {
    const all = JSON.parse(localStorage.getItem(name) ?? "[]") as string[];
    if (all.includes(entry)) return false;
    localStorage.setItem(name, JSON.stringify([...all, entry].slice(-EXPOSED_MAX)));
  } catch {
    // Denied or full: then the core knows it for this visit.
  }
  return true;
}
