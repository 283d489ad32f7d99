/**
 * Whether attributes fulfil a targeting condition, by JavaScript's own comparisons, which are what
 * conditions are defined by; `protocol/src/flags/condition.rs` says what they mean. Versions and
 * saved groups are left to the module.
 */

type Json = { readonly [name: string]: unknown };
type Wanted = unknown;

/** What stands behind an attribute and can be evaluated here. */
const OPERATORS: { readonly [name: string]: (value: unknown, wanted: Wanted) => boolean } = {
  $eq: (value, wanted) => value === wanted,
  $ne: (value, wanted) => value !== wanted,
  $lt: (value, wanted) => (value as number) < (wanted as number),
  $lte: (value, wanted) => (value as number) <= (wanted as number),
  $gt: (value, wanted) => (value as number) > (wanted as number),
  $gte: (value, wanted) => (value as number) >= (wanted as number),
  $exists: (value, wanted) => (value !== null) === Boolean(wanted),
  $in: (value, wanted) => Array.isArray(wanted) && isIn(value, wanted),
  $nin: (value, wanted) => Array.isArray(wanted) && !isIn(value, wanted),
  $ini: (value, wanted) => Array.isArray(wanted) && isIn(lower(value), lower(wanted) as unknown[]),
  $nini: (value, wanted) => Array.isArray(wanted) && !isIn(lower(value), lower(wanted) as unknown[]),
  $all: (value, wanted) => hasAll(value, wanted),
  $alli: (value, wanted) => hasAll(lower(value), lower(wanted)),
  $not: (value, wanted) => !fits(wanted, value),
  $size: (value, wanted) => Array.isArray(value) && fits(wanted, value.length),
  $elemMatch: (value, wanted) =>
    Array.isArray(value) && value.some((item) => (isOperators(wanted) ? fits(wanted, item) : holds(wanted as Json, item))),
  $regex: (value, wanted) => matches(value, wanted, ""),
  $regexi: (value, wanted) => matches(value, wanted, "i"),
  $type: (value, wanted) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value) === wanted,
};

/** Whether all of a condition can be evaluated here. */
export function isPlainCondition(condition: unknown): boolean {
  if (typeof condition !== "object" || condition === null) return true;
  return Object.entries(condition).every(
    ([name, wanted]) => !/^\$(v|inGroup|notInGroup)/.test(name) && isPlainCondition(wanted),
  );
}

/** Whether `subject` fulfils every part of a condition. */
export function holds(condition: Json, subject: unknown): boolean {
  return Object.entries(condition).every(([name, wanted]) => {
    const list = (wanted ?? []) as Json[];
    if (name === "$or") return isAny(list, subject);
    if (name === "$nor") return !isAny(list, subject);
    if (name === "$and") return list.every((one) => holds(one, subject));
    if (name === "$not") return !holds(wanted as Json, subject);
    return fits(wanted, at(subject, name));
  });
}

const isAny = (list: Json[], subject: unknown): boolean => !list.length || list.some((one) => holds(one, subject));

/** What a path of names leads to; `null` when it leads nowhere. */
function at(subject: unknown, path: string): unknown {
  let value: unknown = subject;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return null;
    value = (value as Json)[name] ?? null;
  }
  return value;
}

/** Whether a value is, or fulfils, what is wanted of it. */
function fits(wanted: Wanted, value: unknown): boolean {
  if (wanted === null) return value === null;
  if (typeof wanted === "string") return `${value as string}` === wanted;
  if (typeof wanted === "number") return Number(value) === wanted;
  if (typeof wanted === "boolean") return value !== null && Boolean(value) === wanted;
  if (isOperators(wanted)) {
    return Object.entries(wanted as Json).every(([name, operand]) => OPERATORS[name]?.(value, operand) ?? false);
  }
  return isEqual(wanted, value);
}

/** Whether it is an object of operators: it has names, and all begin with `$`. */
function isOperators(wanted: Wanted): boolean {
  const names = Array.isArray(wanted) ? [] : Object.keys(wanted as Json);
  return names.length > 0 && names.every((name) => name.startsWith("$"));
}

/** Equal in type and content, whatever the order of names. */
function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return a === b;
  const names = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isEqual((a as Json)[name], (b as Json)[name]))
  );
}

const isIn = (value: unknown, list: unknown[]): boolean =>
  Array.isArray(value) ? value.some((item) => list.includes(item)) : list.includes(value);

const hasAll = (value: unknown, wanted: Wanted): boolean =>
  Array.isArray(value) && Array.isArray(wanted) && wanted.every((one) => value.some((item) => fits(one, item)));

/** Texts in lower case, in lists too. */
function lower(value: unknown): unknown {
  return Array.isArray(value) ? value.map(lower) : typeof value === "string" ? value.toLowerCase() : value;
}

function matches(value: unknown, pattern: unknown, flags: string): boolean {
  try {
    return typeof pattern === "string" && new RegExp(pattern, flags).test(String(value));
  } catch {
    return false;
  }
}
