/**
 * The text without halves of surrogate pairs: JSON writes them as escapes, and the collector reads none. A
 * backslash of the text itself is written as two.
 */
export function mended(json: string): string {
  if (!json.includes("\\ud")) return json;
  return json.replace(/\\\\|\\ud[89a-f]../g, (found) => (found[1] === "u" ? "\ufffd" : found));
}
