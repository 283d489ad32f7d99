/**
 * An event as a batch carries it: one JSON text, written once, and the context of its page.
 */

import type { Properties } from "./types.js";

/** When and where something happened. */
export interface Made {
  wallMs: number;
  monoMs: number;
  address: string;
}

/** Longest text of a context: an address can be megabytes of data. */
const TEXT_MAX = 2_048;
/** Half of a surrogate pair, which JSON cannot carry. */
const HALF = /\p{Surrogate}/gu;
const { stringify } = JSON;

/** Random hexadecimal digits that are not used yet: asking for a few at a time costs as much as for many. */
let pool = "";
const POOL_BYTES = 1_024;

/** That many random bytes in hexadecimal. */
export function random(bytes: number): string {
  if (pool.length < bytes * 2) {
    pool = hex(crypto.getRandomValues(new Uint8Array(POOL_BYTES)));
  }
  const digits = pool.slice(0, bytes * 2);
  pool = pool.slice(bytes * 2);
  return digits;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += (byte + 256).toString(16).slice(1);
  return digits;
}

/** A UUIDv7 (RFC 9562): sorts by time, and carries it. */
export function uuid7(nowMs: number, noise = random(10)): string {
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, "0");
  const variant = ((Number.parseInt(noise.charAt(4), 16) & 3) | 8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${noise.slice(1, 4)}-${variant}${noise.slice(5, 8)}-${noise.slice(8, 20)}`;
}

/** Numbers the events of a page: 128 random bits and a counter. A loss meter, not a person. */
export interface Writer {
  id: string;
  n: number;
}

/** The id and the JSON of an event; it takes the page's next number. */
export function row(name: string, props: Properties, at: Made, who: object, writer: Writer): [id: string, json: string] {
  const id = uuid7(at.wallMs);
  let json = stringify({
    id,
    name,
    at: at.wallMs,
    mono: Math.floor(at.monoMs * 10) / 10,
    writer: writer.id,
    n: writer.n++,
    ...who,
    props,
  });
  // Half surrogates come out as escapes; the check is cheap, the cure is not.
  if (json.includes("\\ud")) json = whole(json);
  return [id, json];
}

function whole(json: string): string {
  return stringify(JSON.parse(json), (_, value: unknown) => {
    if (typeof value === "string") return value.replace(HALF, "\ufffd");
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inside]) => [key.replace(HALF, "\ufffd"), inside]));
  });
}

/** The page at this address, as JSON. A fragment that is no route stays here: sign-ins put tokens there. */
export function contextOf(address: string): string {
  const short = (text: string | undefined) => text?.slice(0, TEXT_MAX) || undefined;
  const of = <T>(look: () => T): T | undefined => {
    try {
      return look();
    } catch {
      return undefined;
    }
  };
  return stringify({
    url: short(address.replace(/#(?![/!]).*/, "")),
    referrer: short(of(() => document.referrer)),
    language: navigator.language,
    tz: of(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
    screen: of(() => [screen.width, screen.height]),
    display_mode: of(displayMode),
  });
}

/** How the page is shown; `browser` for an ordinary tab. */
export function displayMode(): string {
  const modes = ["standalone", "minimal-ui", "window-controls-overlay", "fullscreen"];
  const shown = modes.find((mode) => matchMedia(`(display-mode: ${mode})`).matches);
  // Safari on iOS told so before it knew display modes.
  return shown ?? ((navigator as { standalone?: boolean }).standalone ? "standalone" : "browser");
}

/** A batch: an envelope around events that are JSON already. */
export function batch(
  key: string,
  sdk: string,
  nonce: string,
  context: string,
  events: string,
  isOwn: boolean,
  more = "",
): string {
  // The clock of another page load says nothing about ours.
  const mono = isOwn ? `"sent_mono":${Math.floor(performance.now() * 10) / 10},` : "";
  return `{"key":${stringify(key)},"nonce":"${nonce}","sdk":"${sdk}","sent_at":${Date.now()},${mono}${more}"context":${context},"events":[${events}]}`;
}
