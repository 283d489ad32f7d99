/**
 * Properties to JSON, once. Whatever a page passes, the result is an object the collector accepts:
 * a property that cannot be read or written is left out and reported, the others stay.
 */

import type { Properties } from "./types.js";

/** Keys of one event; the rest is left out. The collector takes 256. */
const KEYS_MAX = 64;
/** Half of a surrogate pair, which JSON cannot carry. */
const HALF = /\p{Surrogate}/gu;

/** The properties as a JSON object; an empty text for none. */
export function encode(
  properties: Properties | undefined,
  report: (code: string, message: string) => void,
): string {
  if (properties === undefined || properties === null) return "";
  if (typeof properties !== "object") {
    report("props_invalid", "properties are an object; they were left out");
    return "";
  }
  const names = Object.keys(properties);
  if (names.length > KEYS_MAX) {
    report("too_many_props", `at most ${KEYS_MAX} properties; ${names.length - KEYS_MAX} were left out`);
  }
  let json = "";
  for (const name of names.slice(0, KEYS_MAX)) {
    const value = encodeValue(properties, name);
    if (value === undefined) continue;
    if (value === null) {
      report("props_invalid", `property ${name} cannot be written as JSON and was left out`);
      continue;
    }
    json += `${json && ","}${JSON.stringify(name.replace(HALF, "\ufffd"))}:${value}`;
  }
  return `{${json}}`;
}

/** The JSON of one property: `undefined` when there is nothing to write, `null` when it cannot be. */
function encodeValue(properties: Properties, name: string): string | undefined | null {
  try {
    const json: string | undefined = JSON.stringify(properties[name]);
    // Half surrogates come out of `JSON.stringify` as escapes; the check is cheap, the cure is not.
    if (json !== undefined && json.includes("\\ud")) {
      return JSON.stringify(JSON.parse(json), (_, value: unknown) =>
        typeof value === "string" ? value.replace(HALF, "\ufffd") : value,
      );
    }
    return json;
  } catch {
    return null;
  }
}
