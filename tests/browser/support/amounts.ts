/** How much is tried: a short form as CI runs it, or what the environment says. */

/** The number in this variable, else `short`. */
export function amount(variable: string, short: number): number {
  return Number(process.env[variable] ?? short);
}

/** Pseudo-random numbers in [0, 1) that can be played again: `TALLYMARK_TEST_SEED`. */
export function seeded(): () => number {
  let state = Number(process.env["TALLYMARK_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31)) >>> 0;
  console.log(`seed ${state}`);
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A line for the table of results. */
export function figure(text: string): void {
  console.log(`figure: ${text}`);
}
