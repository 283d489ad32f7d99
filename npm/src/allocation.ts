/**
 * Which variant a unit gets: as `protocol/src/allocation.rs`, which the collector uses and which says
 * what it means. It is here a second time because it is a few lines, and because a page that asks for
 * a variant cannot wait for a module. Both are held against the same vectors.
 */

import type { Experiment } from "./types.js";

/** FNV-1a over UTF-16 code units. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** The point of a unit in [0, 1). */
export function point(seed: string, unit: string): number {
  return (fnv1a(`${fnv1a(seed + unit)}`) % 10_000) / 10_000;
}

/** The variant of a unit; `null` when it does not take part. */
export function assign(experiment: Experiment, unit: string): string | null {
  const { key, seed, variants, coverage = 1, weights, namespace } = experiment;
  if (namespace) {
    const [name, from, to] = namespace;
    const place = (fnv1a(`${unit}__${name}`) % 1_000) / 1_000;
    if (place < from || place >= to) return null;
  }
  const sum = weights?.reduce((all, weight) => all + weight, 0) ?? 0;
  // Weights that do not fit are replaced by equal ones; what is no number takes part in nothing.
  const fits = weights?.length === variants.length && sum >= 0.99 && sum <= 1.01;
  const share = Math.min(Math.max(coverage, 0), 1);
  const at = point(seed ?? key, unit);
  let start = 0;
  for (const [i, variant] of variants.entries()) {
    const weight = fits ? (weights[i] as number) : 1 / variants.length;
    if (at >= start && at < start + share * weight) return variant;
    start += weight;
  }
  return null;
}
