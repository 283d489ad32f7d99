/**
 * Experiments and flags in a page: `@tallymark/web/experiments`.
 *
 * The document of what is running comes from the collector and from the browser's cache; values are
 * decided on the device. Asking for a value records nothing: {@link exposure} does, when the visitor
 * really meets it.
 *
 * @packageDocumentation
 */

import { holds, isPlainCondition } from "./conditions.js";
import { type Decided, type Decision, decide, isPlain, type Rule } from "./decide.js";
import type { FlagDocument, Json, Source } from "./evaluator.js";
import { conversion as converted, exposure as record, quietly } from "./index.js";
import type { Conversion } from "./types.js";
import { type Units, units } from "./unit.js";

export type { FlagDocument, Json, Source } from "./evaluator.js";

/** What the visitor gets of a feature, and why. */
export interface Value {
  /** `null` when there is none. */
  value: unknown;
  /** Where it came from. */
  source: Source;
  /** The variant, if it came from an experiment. */
  variant?: string | undefined;
}

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
  /** Where `experiments_bg.wasm` is, if a bundler did not put it beside the script; or its bytes. Only
   * documents with versions, prerequisites or saved groups, or of GrowthBook, need it. */
  wasm?: string | URL | BufferSource;
}

/** Exposures that are remembered; more than any page has experiments. */
const EXPOSED_MAX = 200;

let options: ExperimentOptions | undefined;
let features: { readonly [key: string]: Rule } = {};
const targeting = {
  isPlainCondition,
  holds: (condition: unknown) => holds(condition as Json, known()),
};
/** Loaded for documents that need it: most do not. */
let evaluator: typeof import("./evaluator.js") | undefined;
let attributes: Json = {};
let isReady = false;
/** Whether {@link start} came to an end. */
let isDone = false;
/** What was called for before anything was known. */
let early: (() => void)[] = [];
/** Exposures of this page load, where nothing can be stored. */
const told = new Set<string>();
let listeners: (() => void)[] = [];

/**
 * Load the document, and the module if the document needs it. A document in the cache of the browser answers at once; a newer
 * one counts from the next page on, so that nothing changes under the visitor's eyes.
 *
 * @returns Whether values are known now. Never rejects.
 */
export async function start(given: ExperimentOptions): Promise<boolean> {
  if (typeof window === "undefined") return false;
  isReady = false;
  try {
    options = given;
    attributes = given.attributes ?? {};
    const document = given.document ?? (await load(given));
    features = (document.features ?? {}) as typeof features;
    if (!Object.values(features).every((feature) => isPlain(feature, targeting))) {
      evaluator = await import("./evaluator.js");
      await evaluator.start(given.wasm);
      evaluator.setDocument(document);
    }
    isReady = true;
  } catch {
    // Nothing is known, and everybody gets what is shown without experiments.
  }
  isDone = true;
  const calls = early;
  early = [];
  // A conversion counts without its variant too; an exposure without one is none.
  calls.forEach(quietly);
  listeners.forEach(quietly);
  return isReady;
}

/** What conditions look at from now on. */
export function setAttributes(given: Json): void {
  attributes = given;
  listeners.forEach(quietly);
}

/** Calls back whenever values may have changed. Gives the function that ends it. */
export function onChange(listener: () => void): () => void {
  listeners.push(listener);
  return () => {
    listeners = listeners.filter((one) => one !== listener);
  };
}

/** What the visitor gets of a feature, and why; `undefined` until {@link start} is done. */
export function evaluate(key: string): Value | undefined {
  return look(key);
}

function look(key: string): (Value & { decided: Decided[] }) | undefined {
  if (!isReady || !options) return undefined;
  try {
    const { key: project, mode } = options;
    const who = units(project, mode === "full");
    const name = `tallymark:${project}:kept`;
    const kept = JSON.parse((who && localStorage.getItem(name)) || "{}") as { [name: string]: Json };
    const feature = features[key];
    const found = !feature
      ? { value: null, source: "unknownFeature" as const, decided: [] }
      : isPlain(feature, targeting)
        ? decide(key, feature, who ?? { device: "", user: "" }, kept, location.href, targeting)
        : ask(key, who, kept);
    if (found && who) keep(name, kept, found.decided, who);
    return found;
  } catch {
    return undefined;
  }
}

/** What conditions look at. */
function known(): Json {
  const { key, mode } = options as ExperimentOptions;
  const who = units(key, mode === "full");
  // Nobody is signed in: then there is no user, instead of one without a name.
  const ids = who && (who.user ? who : { device: who.device });
  return { path: location.pathname, language: navigator.language, ...attributes, ...ids };
}

/** Asks the module. */
function ask(key: string, who: Units | undefined, kept: Json): (Value & { decided: Decision["decided"] }) | undefined {
  const isKnown = evaluator?.setPerson({
    attributes: known(),
    url: location.href,
    ...(who && { stickyBucketAssignmentDocs: kept as { [name: string]: Json } }),
  });
  if (!evaluator || !isKnown) return undefined;
  const { value, source, met, decided } = evaluator.feature(key);
  const outcome = (one: (typeof decided)[0]): Decided => [
    one.key,
    one.variant,
    one.keep && one.experiment["fallbackAttribute"] ? (one.hashAttribute as keyof Units) : undefined,
    `${one.key}__${String(one.experiment["bucketVersion"] ?? 0)}`,
  ];
  const meta = met?.experiment["meta"] as { passthrough?: boolean }[] | undefined;
  const isHeldOut = meta?.some(({ passthrough }) => passthrough);
  return { value, source, variant: isHeldOut ? undefined : met?.variant, decided: decided.map(outcome) };
}

/** The value of a feature; `fallback` while nothing is known, and for a feature that is not running. */
export function value<T>(key: string, fallback: T): T {
  const outcome = evaluate(key);
  return outcome && outcome.source !== "unknownFeature" ? ((outcome.value ?? fallback) as T) : fallback;
}

/** The variant of an experiment; `null` when the visitor does not take part, or nothing is known yet. */
export function variant(key: string): string | null {
  return evaluate(key)?.variant ?? null;
}

/**
 * Record that the visitor really met a variant: call it when it is on screen. Recorded once for each
 * variant, however often it is called, on whatever page; and not before the variant is known.
 *
 * @param met - The variant that was shown, for example by `assignSync`. Another one than the
 *   visitor's is recorded as it is: results count people who met two.
 */
export function exposure(key: string, met?: string): void {
  if (isEarly(() => exposure(key, met))) return;
  quietly(() => {
    const { decided, variant: given } = look(key) ?? { decided: [] };
    for (const [at, [experiment, variant]] of decided.entries()) {
      // The last one gave the value, if any did; before it come prerequisites and holdouts.
      const isShown = at === decided.length - 1 && given !== undefined;
      const shown = isShown ? (met ?? variant) : variant;
      if (isNews(`${experiment}|${shown}`)) record(experiment, shown);
    }
  });
}

/**
 * Record that a goal was reached, with the variant that the visitor has of `properties.experiment`.
 *
 * @example
 * conversion("purchase", { value: 29.99, currency: "EUR", experiment: "buy-button" });
 */
export function conversion(name: string, properties?: Conversion): void {
  quietly(() => {
    const { experiment } = properties ?? {};
    if (experiment && isEarly(() => conversion(name, properties))) return;
    const found = experiment ? variant(experiment) : null;
    converted(name, found === null ? properties : { variant: found, ...properties });
  });
}

/** Keeps a call until something is known, or cannot be. */
function isEarly(call: () => void): boolean {
  if (typeof window === "undefined" || isDone) return false;
  early.push(call);
  return true;
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
function keep(name: string, kept: { [name: string]: Json }, decided: Decided[], who: Units): void {
  const before = JSON.stringify(kept);
  for (const [, variant, attributeName, keptAs] of decided) {
    if (!attributeName || !keptAs) continue;
    const attributeValue = who[attributeName];
    const under = `${attributeName}||${attributeValue}`;
    const assignments = { ...(kept[under]?.["assignments"] as Json), [keptAs]: variant };
    kept[under] = { attributeName, attributeValue, assignments };
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
    // Denied or full.
    if (told.has(entry)) return false;
    told.add(entry);
  }
  return true;
}
