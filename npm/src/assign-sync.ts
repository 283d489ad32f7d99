/**
 * Variants before the first paint: a script to be inlined in `<head>`, see `npm/EXPERIMENTS.md`.
 *
 * It decides what the page's experiments will decide, from the same document and the same ids, and
 * leaves out what needs the module: nothing is better than another variant than the one that comes.
 */

import { decide, isPlain, type Rule } from "./decide.js";
import { units } from "./unit.js";

/**
 * Gives the values of all features that can be decided at once, and notes the variants of experiments
 * on `<html>`: `data-tm-buy-button="green"`.
 *
 * @param key - The project's write key.
 * @param given - What the collector serves under `/v1/flags/<write key>`.
 * @param isFull - Whether the page's mode is `full`; else only visitors who agreed get a variant.
 */
function assignSync(key: string, given: { features?: { [key: string]: Rule } }, isFull?: boolean): { [key: string]: unknown } {
  const values: { [key: string]: unknown } = {};
  try {
    const who = units(key, isFull === true) ?? { device: "", user: "" };
    const kept = JSON.parse((who.device && localStorage.getItem(`tallymark:${key}:kept`)) || "{}") as Rule;
    for (const [name, feature] of Object.entries(given.features ?? {})) {
      if (!isPlain(feature)) continue;
      const { value, variant } = decide(name, feature, who, kept, location.href);
      values[name] = value;
      if (variant !== undefined) document.documentElement.setAttribute(`data-tm-${name}`, variant);
    }
  } catch {
    // Without an answer the page shows what it shows to everyone.
  }
  return values;
}

(globalThis as { assignSync?: unknown }).assignSync = assignSync;
