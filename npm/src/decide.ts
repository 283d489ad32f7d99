/**
 * What somebody gets of a feature, for features that a few lines can decide: shares, ranges, filters,
 * holdouts and variants kept from before, by version 2 of the hash, and targeting where the caller
 * brings it. Nearly everything that the collector serves is of that kind, so pages load no module
 * and wait for none.
 *
 * `protocol/src/flags` says what it all means; both are held against each other in `npm/test`.
 */

import type { Units } from "./unit.js";

/** A JSON object. */
export type Rule = { readonly [name: string]: unknown };
type Pair = readonly [number, number];

/** An experiment that gave a variant by allocation; to be kept under an attribute, by a name. */
export type Decided = [key: string, variant: string, keptUnder?: keyof Units | undefined, keptAs?: string];

/** A value, where it came from, the variant if it came from an experiment, and all that decided. */
export interface Decision {
  value: unknown;
  source: "defaultValue" | "force" | "experiment";
  variant?: string | undefined;
  decided: Decided[];
}

/** What is asked of every rule here; one with anything else is left to the module. */
const KNOWN =
  /^(id|key|name|phase|seed|hashVersion|hashAttribute|fallbackAttribute|variations|weights|coverage|ranges|meta|filters|force|range)$/;

const rules = (feature: Rule): Rule[] => (feature["rules"] ?? []) as Rule[];

/** Targeting; what brings none leaves it to others. */
export interface Targeting {
  /** Whether a condition can be evaluated here. */
  isPlainCondition(condition: unknown): boolean;
  /** Whether the visitor fulfils it. */
  holds(condition: unknown): boolean;
}

/** Whether a feature can be decided here. */
export function isPlain(feature: Rule, targeting?: Targeting): boolean {
  const isTwo = (version: unknown) => version === 2;
  return rules(feature).every(
    (rule) =>
      Object.keys(rule).every(
        (field) => KNOWN.test(field) || (field === "condition" && targeting?.isPlainCondition(rule[field])),
      ) &&
      (isTwo(rule["hashVersion"]) || !(rule["variations"] || rule["range"])) &&
      !("force" in rule && "coverage" in rule) &&
      ((rule["filters"] ?? []) as Rule[]).every(({ hashVersion = 2 }) => isTwo(hashVersion)),
  );
}

/** What a plain feature gives. `kept` are the assignments of before, `url` is the page's. */
export function decide(
  name: string,
  feature: Rule,
  who: Units,
  kept: Rule,
  url: string,
  targeting?: Targeting,
): Decision {
  const search = new URL(url).searchParams;
  const id = (attribute: unknown) => who[attribute as keyof Units] || "";
  const decided: Decided[] = [];
  for (const rule of rules(feature)) {
    const variations = rule["variations"] as unknown[] | undefined;
    const count = variations?.length ?? 0;
    const key = (rule["key"] || name) as string;
    const meta = (rule["meta"] ?? []) as { key?: string; passthrough?: boolean }[];
    const { hashAttribute: first, fallbackAttribute: second } = rule;
    const asked = count > 1 ? Number.parseInt(search.get(key) ?? "", 10) : -1;
    const attribute = id(first) ? first : second;
    const own = id(attribute);
    const at = own && point((rule["seed"] as string) || key, own);
    let place = asked >= 0 && asked < count ? asked : -1;
    const isAsked = place >= 0;
    if (!isAsked && own && count > 1) {
      const before = [first, second].map(
        (one) => (kept[`${String(one)}||${id(one)}`] as { assignments?: Rule } | undefined)?.assignments?.[`${key}__0`],
      );
      place = meta.findIndex((one) => one.key && one.key === (before[0] ?? before[1]));
    }
    if (place < 0) {
      const filters = (rule["filters"] ?? []) as { attribute: string; seed: string; ranges: Pair[] }[];
      const passes = ({ attribute, seed, ranges }: (typeof filters)[0]) =>
        id(attribute) && ranges.some((range) => isIn(point(seed, id(attribute)), range));
      if (!filters.every(passes) || (rule["condition"] && !targeting?.holds(rule["condition"]))) continue;
      if ("force" in rule) {
        const range = rule["range"] as Pair | undefined;
        if (range && (at === "" || !isIn(at, range))) continue;
        return { value: rule["force"] ?? null, source: "force", decided };
      }
      if (at === "" || count < 2) continue;
      place = (
        (rule["ranges"] as Pair[] | undefined) ??
        ranges(count, (rule["coverage"] as number) ?? 1, rule["weights"] as number[] | undefined)
      ).findIndex((range) => isIn(at, range));
    }
    if (place < 0) continue;
    const variant = meta[place]?.key || `${place}`;
    if (!isAsked) decided.push([key, variant, second ? (attribute as keyof Units) : undefined, `${key}__0`]);
    if (meta[place]?.passthrough) continue;
    // Who is held out of an experiment has the control's value and no variant.
    const shown = meta.some(({ passthrough }) => passthrough) ? undefined : variant;
    return { value: variations?.[place], source: "experiment", variant: shown, decided };
  }
  return { value: feature["defaultValue"] ?? null, source: "defaultValue", decided };
}

/** The point of an id under a seed, as `protocol::allocation` makes it. */
export function point(seed: string, id: string): number {
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
  const isEqual = weights?.length !== count || sum < 0.99 || sum > 1.01;
  let end = 0;
  return Array.from({ length: count }, (_, at) => {
    const weight = isEqual ? 1 / count : (weights?.[at] as number);
    const start = end;
    end += weight;
    return [start, start + Math.min(1, Math.max(0, coverage)) * weight];
  });
}
