/**
 * Markup from template literals, with every value escaped unless it is markup already.
 *
 * In: a template and values. Out: a {@link Markup}. Invariant: a plain string can never become a
 * tag, so nothing a visitor types can.
 */

/** Text that is safe to hand to `innerHTML`. Made by {@link html} and {@link raw} only. */
export class Markup {
  constructor(readonly text: string) {}
}

type Value = Markup | string | number | null | false | readonly Value[];

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(value: Value): string {
  if (value === null || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(render).join("");
  return String(value).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

/** Build markup: values are escaped, lists are joined, `null` and `false` vanish. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + render(values[i - 1] ?? null) + part));
}

/** Our own drawings, which are markup by birth. */
export function raw(text: string): Markup {
  return new Markup(text);
}

const EURO = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });

/** An amount of cents as a visitor reads it: `€14.50`. */
export function euro(cents: number): string {
  return EURO.format(cents / 100);
}
