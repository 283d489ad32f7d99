/**
 * An event as a batch carries it: one JSON text, written once, and the context of its page.
 */

import type { Properties } from "./types.js";

/** Of this package; the build puts it here. */
declare const TALLYMARK_VERSION: string;

/** Longest text of a context: an address can be megabytes of data. */
const TEXT_MAX = 2_048;

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
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, "0");
  const variant = ((Number(`0x${noise[4]}`) & 3) | 8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${noise.slice(1, 4)}-${variant}${noise.slice(5, 8)}-${noise.slice(8)}`;
}

/** Numbers the events of a page: 128 random bits and a counter. A loss meter, not a person. */
export interface Writer {
  id: string;
  n: number;
}

/** The id and the JSON of an event, which may have to be mended (`mended`); it takes the page's next number. */
export function row(
  name: string,
  props: Properties,
  wallMs: number,
  monoMs: number,
  who: object,
  writer: Writer,
): [id: string, json: string] {
  const id = uuid7(wallMs);
  const json = JSON.stringify({
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
  return JSON.stringify({
    url: short(shortened(address)),
    referrer: short(document.referrer),
    ...more,
  });
}

/** A batch: an envelope around events that are JSON already. */
export function batch(
  key: string,
  nonce: string,
  context: string,
  events: string,
  isOwn: boolean,
  more = "",
): string {
  // The clock of another page load says nothing about ours.
  const mono = isOwn ? `"sent_mono":${tenths(performance.now())},` : "";
  return `{"key":${JSON.stringify(key)},"nonce":"${nonce}","sdk":"web/${TALLYMARK_VERSION}","sent_at":${Date.now()},${mono}${more}"context":${context},"events":[${events}]}`;
}

/** What browsers measure is not finer, and digits are bytes. */
const tenths = (ms: number): number => Math.floor(ms * 10) / 10;
