/**
 * Properties as the page passes them, copied: what it does to its own objects afterwards changes
 * nothing, and what cannot be sent is left out here. Bounded: neither a cycle nor ten megabytes of
 * text can hold up the page.
 *
 * Writing the copy as JSON is left for an idle moment (`row`).
 */

import type { Properties } from "./types.js";

type Report = (code: string, detail?: unknown) => void;

/** Keys of one event; the rest is left out. The collector takes 256. */
const KEYS_MAX = 64;
/** Levels inside the properties, as at the collector. */
const DEPTH_MAX = 15;
/** Characters and values of one event; the collector takes 32 KiB of JSON. */
const ROOM = 32 * 1024;

let room: number;

/** A copy that JSON can carry; nothing for an event that is too large. */
export function copy(given: unknown, report: Report): Properties | undefined {
  room = ROOM;
  let all: unknown = {};
  try {
    // A list has no names; and a proxy may throw at the first look.
    if (given !== undefined && (typeof given !== "object" || Array.isArray(given))) throw given;
    all = members(given ?? null, DEPTH_MAX, report);
  } catch {
    report("props_invalid");
  }
  return room < 0 ? undefined : (all as Properties);
}

/** A copy of an object or a list. With `report`, what cannot be copied is left out, and else it throws. */
function members(given: object | null, depth: number, report?: Report): unknown {
  // Elements and windows hold the whole page, and only listing their names takes milliseconds.
  if (given instanceof EventTarget) throw given;
  const all: Record<string, unknown> = Array.isArray(given) ? ([] as never) : {};
  let keys = 0;
  for (const name in given) {
    if (report && ++keys > KEYS_MAX) {
      report("too_many_props");
      break;
    }
    // Too large is not invalid: the whole event is refused, so the rest need not be looked at.
    if ((room -= name.length + 3) < 0) break;
    // What JSON leaves out stays `undefined`. Caught at the top only: thrown on from level to level it would hold up the page.
    if (!report) all[name] = plain(given[name as never], depth);
    else
      try {
        all[name] = plain(given[name as never], depth);
      } catch {
        report("props_invalid", name);
      }
  }
  return all;
}

/** A plain copy of a value; `undefined` for what JSON leaves out. Throws for what it cannot carry. */
function plain(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
      room -= value.length;
    // Falls through.
    case "boolean":
    // JSON writes `null` for what is not finite.
    case "number":
      return value;
    case "bigint":
      throw value;
    case "object": {
      if (!value) return null;
      if (!depth) throw value;
      const { toJSON } = value as { toJSON?: unknown };
      return typeof toJSON === "function" ? plain(toJSON.call(value), depth - 1) : members(value, depth - 1);
    }
    default:
      return undefined;
  }
}
