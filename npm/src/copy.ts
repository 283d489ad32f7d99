/**
 * Properties as the page passes them, copied: what it does to its own objects afterwards changes
 * nothing, and what cannot be sent is left out here. Bounded: neither a cycle nor ten megabytes of
 * text can hold up the page.
 *
 * Writing the copy as JSON is left for an idle moment (`row`).
 */

import type { Properties } from "./types.js";

type Report = (code: string, message: string) => void;

/** Keys of one event; the rest is left out. The collector takes 256. */
const KEYS_MAX = 64;
/** Levels inside the properties, as at the collector. */
const DEPTH_MAX = 15;
/** Characters and values of one event; the collector takes 32 KiB of JSON. */
export const ROOM = 32 * 1024;

let room: number;

/** A copy that JSON can carry; nothing for an event that is too large. */
export function copy(given: unknown, report: Report): Properties | undefined {
  const all: Record<string, unknown> = {};
  if (typeof given !== "object" || given === null) {
    if (given != null) report("props_invalid", "properties are an object; they were left out");
    return all as Properties;
  }
  room = ROOM;
  let keys = 0;
  for (const name in given) {
    if (++keys > KEYS_MAX) {
      report("too_many_props", `at most ${KEYS_MAX} properties; the others were left out`);
      break;
    }
    try {
      const value = plain((given as Record<string, unknown>)[name], DEPTH_MAX);
      if (value !== undefined) all[name] = value;
    } catch {
      report("props_invalid", `property ${name} cannot be written as JSON and was left out`);
    }
    if ((room -= name.length) < 0) return undefined;
  }
  return all as Properties;
}

/** A plain copy of a value; `undefined` for what JSON leaves out. Throws for what it cannot carry. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "string") {
    room -= value.length;
    return value;
  }
  if (typeof value === "number") return value - value === 0 ? value : null;
  if (typeof value === "boolean" || value === null) return value;
  if (typeof value === "bigint") throw value;
  if (typeof value !== "object") return undefined;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return plain(toJSON.call(value), depth - 1);
  if (depth <= 0) throw value;
  // Too large is not invalid: the whole event is refused, so the rest need not be looked at.
  if ((room -= 8) < 0) return null;
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    for (let i = 0; i < value.length && room >= 0; i++) {
      room -= 2;
      list[i] = plain(value[i], depth - 1) ?? null;
    }
    return list;
  }
  const object: Record<string, unknown> = {};
  for (const name in value) {
    if ((room -= name.length + 3) < 0) break;
    const inside = plain((value as Record<string, unknown>)[name], depth - 1);
    if (inside !== undefined) object[name] = inside;
  }
  return object;
}
