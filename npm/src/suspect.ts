/**
 * Whether something may have to be hidden. A page whose events have nothing of that kind never loads what
 * looks closely (`guard`); whatever that hides, this finds.
 */
export function isSuspect(text: string): boolean {
  return SUSPECT.test(text.replace(IGNORED, " "));
}

/**
 * What was hidden already, by us or by `scrub`, with the name that it was hidden for; and escapes of JSON, whose letter
 * would begin the word behind it. Linear in long words.
 */
const IGNORED = /(?:\b\w{1,40}=)?\[(?:card|email|hidden|number|phone|secret|token)\]|\\(?:u....|.)/g;

const SUSPECT =
  /@|%40|(?:\+|%2B)[1-9]|\beyJ|bearer|pass[wpc]|pwd|secret|token|key\W|authori|credent|cookie|cvc|cvv|iban|ssn|phone|mobile|[?&#](?:auth|code|jwt|otp|sid|sig)|[_-]\w{16}|\b0\d{1,4}[ \/]\d|\) ?\d{3}|\b\d{3}[-. ]\d{3}|\b0\d{3,4}-\d{5}|\b[2-6]\d{3}[ -]?\d{4}[ -]?\d\d/i;
