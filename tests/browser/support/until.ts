/** Waiting for something to become true, without ever sleeping for a guessed time. */

import { deepStrictEqual } from "node:assert/strict";

const PATIENCE_MS = 30_000;
const PAUSE_MS = 25;

/** Ask again until `probe` gives something other than `undefined`, `null` or `false`. */
export async function until<T>(
  what: string,
  probe: () => Promise<T> | T,
  patienceMs = PATIENCE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + patienceMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) {
        return found as Exclude<T, false | null | undefined>;
      }
      last = found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${patienceMs} ms for ${what}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Ask again until the answer equals `want`; shows the last difference if it never does. */
export async function untilEqual(
  want: unknown,
  probe: () => unknown,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      deepStrictEqual(await probe(), want);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
