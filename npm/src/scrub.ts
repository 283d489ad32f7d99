/**
 * Texts that nobody wrote for us (messages of errors, stacks, labels), without what is personal or
 * secret in them. It reduces accidents; it is no guarantee.
 */

/** What is replaced, in this order. */
const RULES: [RegExp, string][] = [
  // Addresses keep host, path and the line of a script; queries and fragments may hold anything.
  [/((?:\b[a-z][a-z0-9+.-]{0,20}:)?\/[^\s?#"'<>()]*)[?#][^\s"'<>()]*?(?=(?::\d+){0,2}(?:[\s"'<>()]|$))/gi, "$1"],
  [/\/\/[^\s/@"']{1,200}@/g, "//"],
  [/[^\s@<>"'(),;:=/]{1,64}@[^\s@<>"'(),;:=/]{1,200}\.[a-z]{2,}/gi, "[email]"],
  [/\b((?:set-)?cookie|authorization)\b["']?\s*[:=].*/gi, "$1=[secret]"],
  [/\bbearer\s+\S+/gi, "[token]"],
  [/\b(\w*(?:passw(?:or)?d|pwd|secret|token|api[-_]?key|session[-_]?id|credential|cvc|cvv|iban))\b["']?\s*[:=]\s*(?:"[^"]*"?|'[^']*'?|[^\s,;&)}]+)/gi, "$1=[secret]"],
  [/\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g, "[token]"],
  // Long, and letters and digits mixed: nobody writes such words.
  [/\b(?=[\w-]{0,99}\d)(?=[\w-]{0,99}[a-z])[\w-]{32,}/gi, "[token]"],
  // Cards and telephones: nine digits or more, however they are grouped.
  [/\+?\d(?:[ ().\/-]{0,2}\d){8,}/g, "[number]"],
];

/** The text without what should not leave, and not longer than that. */
export function scrub(text: string, longest: number): string {
  // What is cut off need not be looked at; a secret at the edge is looked at as a whole.
  let clean = text.slice(0, longest * 2);
  for (const [pattern, by] of RULES) clean = clean.replace(pattern, by);
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean;
}

/** The end of an id, for telling two of them apart. */
export function mask(id: string): string {
  return id.length > 8 ? `…${id.slice(-4)}` : "…";
}
