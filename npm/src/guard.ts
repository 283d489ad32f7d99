/**
 * The property guard: e-mail addresses, telephone and card numbers, tokens and what is called a secret are
 * hidden in events before they are stored. Loaded when something looks like one (`suspect`). The collector
 * has the same rules (`ingest/guard.rs`), and both pass `tests/vectors/guard.json`. It reduces accidents; it is
 * no guarantee.
 *
 * Deliberately elsewhere: texts that nobody wrote for us (`scrub`), which lose more.
 */

/** Called with what was hidden, and the name of the property it was in. */
type Found = (what: string, name: string) => void;

const SECRET = "(?:passw(?:or)?d|pass(?:phrase|code)|pwd|secret|token|(?:api|access|private|auth)[-_ ]?key|authorization|credentials?|cookie|cvc|cvv|iban|ssn)";
const SECRET_NAME = new RegExp(`${SECRET}$`, "i");
const PHONE_NAME = /(?:phone|mobile)(?:[-_ ]?(?:number|no))?$/i;

/** What is hidden in texts, in this order: what has to be there for a closer look, and the look. A first group stays. */
const RULES: [what: string, need: RegExp, pattern: RegExp][] = [
  ["secret", /=|%3D|":/, new RegExp(`((?:\\b[\\w.-]{0,40}${SECRET}|[?&#](?:auth|code|jwt|key|otp|sid|sig|signature))(?:=|%3D|"\\s*:\\s*"?))[^\\s"'&#]+`, "gi")],
  ["token", /[\w-]{16}|bearer/i, /()(?:\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\bbearer\s+[\w.~+\/=-]{8,}|\b(?:(?:sk|rk)[_-](?:live|test|proj|ant)|tm_sk|whsec|gh[opsu]|glpat|xox[abprs])[_-][\w-]{16,})/gi],
  ["email", /@|%40/, /()[^\s@<>"'(),;:=\/?&#[\]]{1,64}(?:@|%40)[^\s@<>"'(),;:=\/?&#[\]%]{1,200}\.[a-z]{2,}/gi],
  ["phone", /\d\d/, /()(?:(?:\B\+|%2B)[1-9](?:[ ().\/-]{0,2}\d){7,14}|(?:\([2-9]\d\d\) ?|\b[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}\b|\b0\d{2,4}[ \/-]\d{3,4} ?\d{3,5}\b|\b0\d(?: \d\d){4}\b)/g],
  ["card", /\d{4}/, /()(?:\b(?:\d{4}[ -]){3}\d{1,7}\b|\b3\d{3}[ -]\d{6}[ -]\d{4,5}\b|\b\d{13,19}\b)/g],
];

/** The value without what should not leave. Objects and lists are changed in place. */
export function guard<T>(value: T, found: Found, name?: string): T;
export function guard(value: unknown, found: Found, name = ""): unknown {
  if (typeof value === "object" && value) {
    const all = value as Record<string, unknown>;
    for (const key in all) {
      const isNamed = !Array.isArray(value);
      const clean = guard(all[key], found, isNamed ? key : name);
      const called = isNamed ? hide(key, found, key) : key;
      if (called !== key) delete all[key];
      all[called] = clean;
    }
    return value;
  }
  if (!value || (typeof value !== "string" && typeof value !== "number")) return value;
  const text = String(value);
  const what = SECRET_NAME.test(name) ? "secret" : PHONE_NAME.test(name) && /^[+\d ().\/-]{7,}$/.test(text) ? "phone" : "";
  const clean = what ? `[${what}]` : hide(text, found, name);
  if (clean === text) return value;
  if (what) found(what, name);
  return clean;
}

function hide(text: string, found: Found, name: string): string {
  for (const [what, need, pattern] of RULES) {
    if (!need.test(text)) continue;
    text = text.replace(pattern, (hit: string, kept: string) => {
      // Words that begin like a token have neither digits nor a capital inside.
      const isOrdinary = what === "card" ? !isCard(hit.replace(/\D/g, "")) : what === "token" && !/\d|[a-z][A-Z]/.test(hit);
      const clean = isOrdinary ? hit : `${kept}[${what}]`;
      if (clean !== hit) found(what, name);
      return clean;
    });
  }
  return text;
}

/** Whether the digits begin and end as those of a card do: ISO/IEC 7812, the check digit by Luhn. */
function isCard(digits: string): boolean {
  if (!/^(?:4(?:.{12}|.{15}|.{18})|(?:5[1-5]|2[2-7]).{14}|3[47].{13}|3[0689].{12}|(?:35|6).{14,18})$/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = +(digits[digits.length - 1 - i] as string) << (i & 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}
