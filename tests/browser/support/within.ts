/** Bounds of what is measured, held as they are promised although others use the machine. */

import assert from "node:assert/strict";

/** Others can only make it slower: so what is within its bounds once is. */
const ROUNDS = 3;

/** Measures until everything is within its bound, a few times at most. */
export async function within<Name extends string>(bounds: Record<Name, number>, measure: (round: number) => Promise<Record<Name, number>>): Promise<void> {
  for (let round = 1; ; round++) {
    const measured = await measure(round);
    const over = (Object.keys(bounds) as Name[]).filter((name) => !(measured[name] <= bounds[name]));
    if (over.length === 0) return;
    const said = over.map((name) => `${name}: ${measured[name]}, at most ${bounds[name]}`).join("; ");
    if (round === ROUNDS) assert.fail(said);
    console.log(`round ${round}: ${said}`);
  }
}
