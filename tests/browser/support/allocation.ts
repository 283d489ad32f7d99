/**
 * The allocation hash, written a third time, from its description: what a variant must be.
 *
 * FNV-1a with 32 bits over UTF-16 code units; version 2 hashes twice to spread similar seeds.
 * Independent of the package on purpose.
 */

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}

/** Where a unit falls in 0 to 1; `null` for a version that does not exist. */
export function allocationPoint(seed: string, unit: string, version: number): number | null {
  if (version === 1) return (fnv1a(unit + seed) % 1_000) / 1_000;
  if (version === 2) return (fnv1a(String(fnv1a(seed + unit))) % 10_000) / 10_000;
  return null;
}

/** The place of the variant among `count` of equal weight. */
export function equalShare(point: number, count: number): number {
  return Math.min(Math.floor(point * count), count - 1);
}
