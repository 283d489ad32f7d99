/** Settings that cannot work are told at once, and nothing is recorded. What to do about them says `debug`. */

import { Identity } from "./identity.js";
import type { Page, Start } from "./page.js";
import type { Options } from "./types.js";

/** The page, if its settings are valid. */
export function setUp(start: Start): Page | undefined {
  const { options, lost, writer } = start;
  const fault = check(options);
  if (fault) {
    start.report("settings_invalid", fault);
    return undefined;
  }
  const [batch, contextOf, gripOf, hex, holds, random, row, uuid7] = start.hands;
  const make = { batch, contextOf, gripOf, hex, holds, random, row, uuid7 };
  return {
    ...start,
    make,
    url: batchUrl(options.endpoint),
    identity: new Identity(`tallymark:${options.key}`, options.mode ?? "cookieless", make),
    lose(reason, count = 1) {
      if (count > 0) lost[reason] = (lost[reason] ?? 0) + count;
    },
    drop(reason, count = 1) {
      writer.n += count;
      this.lose(reason, count);
    },
  };
}

/** Which setting is wrong, if any. */
function check(given: Options): string | undefined {
  for (const name of ["key", "salt", "endpoint"] as const) {
    if (typeof given[name] !== "string" || !given[name]) return name;
  }
  if (given.key.startsWith("tm_sk_")) return "secret";
  if (given.mode !== undefined && !["full", "cookieless", "none"].includes(given.mode)) return "mode";
  try {
    batchUrl(given.endpoint);
  } catch {
    return "address";
  }
  return undefined;
}

/** Where batches go: relative endpoints are on the page's own host. */
export function batchUrl(endpoint: string): string {
  const url = new URL(endpoint, location.href);
  url.pathname = url.pathname.replace(/(\/v1\/batch)?\/?$/, "/v1/batch");
  return url.href;
}
