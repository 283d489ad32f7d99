/**
 * An event as a batch carries it: one JSON text, written once, and the context of its page.
 */

import type { Properties } from "./types.js";

/** Longest text of a context: an address can be megabytes of data. */
const TEXT_MAX = 2_048;
const { stringify } = JSON;

/** That many random bytes in hexadecimal. */
export function random(bytes: number): string {
  return hex(crypto.getRandomValues(new Uint8Array(bytes)));
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += (byte + 256).toString(16).slice(1);
  return digits;
}

/** A UUIDv7 (RFC 9562): sorts by time, and carries it. */
export function uuid7(nowMs: number, noise = random(10)): string {
  const digits = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, "0") + noise;
  return digits.replace(
    /(.{8})(.{4}).(.{3})(.)(.{3})/,
    (_, high, low, one, variant: string, two) => `${high}-${low}-7${one}-${"89ab"[Number(`0x${variant}`) & 3]}${two}-`,
  );
}

/** Numbers the events of a page: 128 random bits and a counter. A loss meter, not a person. */
export interface Writer {
  id: string;
  n: number;
}

/** The id and the JSON of an event, which may have to be {@link mended}; it takes the page's next number. */
export function row(
  name: string,
  props: Properties,
  wallMs: number,
  monoMs: number,
  who: object,
  writer: Writer,
): [id: string, json: string] {
  const id = uuid7(wallMs);
  const json = stringify({
    id,
    name,
    at: wallMs,
    mono: tenths(monoMs),
    writer: writer.id,
    n: writer.n++,
    ...who,
    props,
  });
  return [id, json];
}

/**
 * The text without halves of surrogate pairs: JSON writes them as escapes, and the collector reads none. A
 * backslash of the text itself is written as two.
 */
export function mended(json: string): string {
  if (!json.includes("\\ud")) return json;
  return json.replace(/\\\\|\\ud[89a-f]../g, (found) => (found[1] === "u" ? "\ufffd" : found));
}

/** An address without its fragment, unless that is a route: sign-ins put tokens there. */
export function shortened(address: string): string {
  return address.replace(/#(?![/!]).*/, "");
}

/**
 * The page at this address, as JSON. What it is shown on, and where its visit came from before it, says the
 * core; a page that is left before does not say it.
 */
export function contextOf(address: string, more?: object): string {
  const short = (text: string) => text.slice(0, TEXT_MAX) || undefined;
  return stringify({
    url: short(shortened(address)),
    referrer: short(document.referrer),
    ...more,
  });
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
  const mono = isOwn ? `"sent_mono":${tenths(performance.now())},` : "";
  return `{"key":${stringify(key)},"nonce":"${nonce}","sdk":"${sdk}","sent_at":${Date.now()},${mono}${more}"context":${context},"events":[${events}]}`;
}

/** What browsers measure is not finer, and digits are bytes. */
const tenths = (ms: number): number => Math.floor(ms * 10) / 10;
