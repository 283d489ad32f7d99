/**
 * Variants before the first paint: a script to be inlined in `<head>`, see `npm/README.md`.
 *
 * It does by hand what the module does for features without conditions: the same points, ranges,
 * filters and holdouts, and the ids that the module will use. A feature that needs more (targeting,
 * prerequisites, version 1 of the hash) is left out: nothing is better than another variant than
 * the one that comes.
 */

import { units, type Units } from "./unit.js";

type Rule = { readonly [name: string]: unknown };
type Pair = readonly [number, number];

/** What is asked of every rule; one with anything else is left to the module. */
const KNOWN = /^(id|key|name|phase|seed|hashVersion|hashAttribute|fallbackAttribute|variations|weights|coverage|ranges|meta|filters|force|range)$/;

/** The point of an id under a seed, as `protocol::allocation` makes it (version 2). */
function point(seed: string, id: string): number {
  return (fnv1a(`${fnv1a(seed + id)}`) % 10_000) / 10_000;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

const isIn = (at: number, [start, end]: Pair): boolean => at >= start && at < end;

/** What each variation covers, as `protocol::allocation::bucket_ranges` says it. */
function ranges(count: number, coverage: number, weights: readonly number[] | undefined): Pair[] {
  const sum = weights?.reduce((all, weight) => all + weight, 0) ?? 0;
  const equal = weights?.length !== count || sum < 0.99 || sum > 1.01;
  let end = 0;
  return Array.from({ length: count }, (_, at) => {
    const weight = equal ? 1 / count : (weights?.[at] as number);
    const start = end;
    end += weight;
    return [start, start + Math.min(1, Math.max(0, coverage)) * weight];
  });
}

/** The value of a feature and the variant it came from; `undefined` when only the module can say. */
function evaluate(name: string, feature: Rule, who: Units, kept: Rule, url: URL): [unknown, string?] | undefined {
  for (const rule of (feature["rules"] ?? []) as Rule[]) {
    const variations = rule["variations"] as unknown[] | undefined;
    if (Object.keys(rule).some((field) => !KNOWN.test(field))) return undefined;
    if (rule["hashVersion"] !== 2 && (variations || rule["range"])) return undefined;
    const id = (attribute: unknown) => who[attribute as keyof Units] || "";
    const key = (rule["key"] ?? name) as string;
    const meta = (rule["meta"] ?? []) as { key?: string; passthrough?: boolean }[];
    const count = variations?.length ?? 0;
    const asked = Number.parseInt(url.searchParams.get(key) ?? "", 10);
    let own = id(rule["hashAttribute"]);
    let place = variations && asked >= 0 && asked < count ? asked : -1;
    if (place < 0) {
      const second = rule["fallbackAttribute"];
      const names = [rule["hashAttribute"], second].map((one) => `${String(one)}||${id(one)}`);
      own ||= variations ? id(second) : "";
      const before = names.map((one) => (kept[one] as { assignments?: Rule } | undefined)?.assignments?.[`${key}__0`]);
      if (own && variations) place = meta.findIndex((one) => one.key !== undefined && one.key === (before[0] ?? before[1]));
    }
    if (place < 0) {
      const filters = (rule["filters"] ?? []) as { attribute: string; seed: string; ranges: Pair[]; hashVersion?: number }[];
      if (filters.some((one) => (one.hashVersion ?? 2) !== 2)) return undefined;
      const passes = filters.every(
        (one) => id(one.attribute) && one.ranges.some((range) => isIn(point(one.seed, id(one.attribute)), range)),
      );
      if (!passes) continue;
      const at = own && point((rule["seed"] as string) || key, own);
      if (!variations) {
        const range = rule["range"] as Pair | undefined;
        if (!range || (at !== "" && isIn(at, range))) return [rule["force"]];
        continue;
      }
      if (at === "" || count < 2) continue;
      const all = (rule["ranges"] as Pair[] | undefined) ?? ranges(count, (rule["coverage"] as number) ?? 1, rule["weights"] as number[] | undefined);
      place = all.findIndex((range) => isIn(at, range));
    }
    if (place < 0 || meta[place]?.passthrough) continue;
    return [variations?.[place], meta[place]?.key ?? `${place}`];
  }
  return [feature["defaultValue"] ?? null];
}

/**
 * Gives the values of all features that can be decided at once, and notes the variants of experiments
 * on `<html>`: `data-tm-buy-button="green"`.
 *
 * @param key - The project's write key.
 * @param document - What the collector serves under `/v1/flags/<write key>`.
 * @param isFull - Whether the page's mode is `full`; else only visitors who agreed get a variant.
 */
function assignSync(key: string, given: { features?: { [key: string]: Rule } }, isFull?: boolean): { [key: string]: unknown } {
  const values: { [key: string]: unknown } = {};
  try {
    const who = units(key, isFull === true) ?? { device: "", user: "" };
    const kept = JSON.parse((who.device && localStorage.getItem(`tallymark:${key}:kept`)) || "{}") as Rule;
    for (const [name, feature] of Object.entries(given.features ?? {})) {
      const found = evaluate(name, feature, who, kept, new URL(location.href));
      if (!found) continue;
      values[name] = found[0];
      if (found[1] !== undefined) document.documentElement.setAttribute(`data-tm-${name}`, found[1]);
    }
  } catch {
    // Without an answer the page shows what it shows to everyone.
  }
  return values;
}

(globalThis as { assignSync?: unknown }).assignSync = assignSync;
