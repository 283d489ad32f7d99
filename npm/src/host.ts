/** What a browser has already and the module for flags would carry twice; see `sdk-wasm/src/evaluation.rs`. */

/** Whether a regular expression is found in a text. One that cannot be read is found nowhere. */
export function matches(pattern: string, anyCase: boolean, text: string): boolean {
  try {
    return new RegExp(pattern, anyCase ? "i" : "").test(text);
  } catch {
    return false;
  }
}

/** A text as a number; `NaN` if it is none. */
export const number = (text: string): number => Number(text);

/** A number as a text. */
export const text = (number: number): string => String(number);

/** A text in lower case. */
export const lower = (text: string): string => text.toLowerCase();
