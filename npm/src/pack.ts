/**
 * A value as the module for flags reads it: parts separated by NUL, see
 * `protocol/src/flags/packed.rs`. Whatever JSON would leave out is nothing here.
 */

/** Packs a value. Throws when it contains itself. */
export function pack(value: unknown): string {
  switch (typeof value) {
    case "string":
      return `s${clean(value)}`;
    case "number":
      return Number.isFinite(value) ? `n${value}` : "0";
    case "boolean":
      return value ? "t" : "f";
    case "object": {
      if (value === null) return "0";
      if (value instanceof Date) return `s${value.toJSON()}`;
      const inside = Array.isArray(value)
        ? value.map((item) => `${pack(item)}\0`)
        : Object.entries(value).map(([name, item]) => `:${clean(name)}\0${pack(item)}\0`);
      return `${Array.isArray(value) ? "[" : "{"}\0${inside.join("")}]`;
    }
    default:
      return "0";
  }
}

const clean = (text: string): string => text.replaceAll("\0", "\ufffd");
