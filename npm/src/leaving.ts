/**
 * The page is hidden before the module is loaded: what was tracked leaves without it.
 *
 * A visitor who looks and goes within a second is a visitor. Such events carry no user, because
 * nothing here can hash; what an earlier page stored (hashes, session, the visitor's word) is used
 * as the module would. They are sent once and not kept: the page is about to be gone.
 *
 * The stored text is written and read by `sdk-wasm/src/identity.rs`; this reads the same format.
 */

import type { Made } from "./loader.js";
import type { Options } from "./types.js";

/** An event as it was tracked. */
export type Tracked = [name: string, propsJson: string, at: Made];

/** Half an hour of silence ends a session, a day of age as well. */
const GAP_MS = 30 * 60_000;
const AGE_MS = 24 * 60 * 60_000;
/** What browsers let be in flight when a page goes, less room for headers. */
const BODY_MAX = 60 * 1024;
const HASH = /^[0-9a-f]{64}$/;

/** Sends the first of these events; gives how many were allowed, fitted and were taken. */
export function sendWithoutModule(
  options: Options,
  sdk: string,
  url: string,
  word: "yes" | "no" | undefined,
  tracked: Tracked[],
): number {
  const who = tracked.length > 0 ? identify(options, word) : undefined;
  if (!who) return 0;
  const writer = random(16);
  const events: string[] = [];
  let bytes = 1_024;
  for (const [n, [name, props, at]] of tracked.entries()) {
    const event = JSON.stringify({ id: uuid7(at.wallMs), name, at: at.wallMs, mono: at.monoMs, writer, n, ...who });
    const json = props ? `${event.slice(0, -1)},"props":${props}}` : event;
    bytes += json.length * 3; // No text has more than three bytes per code unit.
    if (bytes > BODY_MAX) break;
    events.push(json);
  }
  const envelope = JSON.stringify({
    key: options.key,
    nonce: random(8),
    sdk,
    sent_at: Date.now(),
    sent_mono: performance.now(),
    context: {
      url: location.href.replace(/#(?![/!]).*/, ""),
      referrer: document.referrer,
      language: navigator.language,
      tz: Intl.DateTimeFormat().resolvedOptions().timeZone,
      screen: [screen.width, screen.height],
    },
  });
  const taken = navigator.sendBeacon(url, `${envelope.slice(0, -1)},"events":[${events.join()}]}`);
  return taken ? events.length : 0;
}

/** Whose the events are; `undefined` when nothing may be sent. */
function identify(options: Options, word: "yes" | "no" | undefined): object | undefined {
  const [, before, device, , user, id, started, last] = stored(options.key);
  const consent = word ? { yes: "g", no: "d" }[word] : before;
  const browser = navigator as Navigator & { globalPrivacyControl?: boolean };
  const mode = consent === "g" ? "full" : (options.mode ?? "cookieless");
  if (consent === "d" || mode === "none") return undefined;
  const now = Date.now();
  const fresh = { session: uuid7(now) };
  if (mode !== "full" || browser.globalPrivacyControl || browser.doNotTrack === "1") return fresh;
  if (!device || !HASH.test(device)) {
    // The module would hash a random id. A random hash is the same, and there is no id to keep.
    const made = random(32);
    try {
      localStorage.setItem(`tallymark:${options.key}`, `1|${consent ?? "-"}|${made}|${now}|`);
    } catch {
      // Storage is denied: the next page makes another one.
    }
    return { ...fresh, device: made };
  }
  const lasts = id && now - Number(last) <= GAP_MS && now - Number(started) < AGE_MS;
  return {
    device,
    ...(user && HASH.test(user) ? { user } : undefined),
    ...(lasts ? { session: id } : fresh),
  };
}

function stored(key: string): string[] {
  try {
    const text = localStorage.getItem(`tallymark:${key}`) ?? "";
    return text.startsWith("1|") ? text.split("|") : [];
  } catch {
    return [];
  }
}

/** That many random bytes in hexadecimal. */
function random(bytes: number): string {
  const all = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(all, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** As `protocol/src/uuid7.rs` makes them. */
function uuid7(nowMs: number): string {
  const time = nowMs.toString(16).padStart(12, "0");
  const noise = random(10);
  const variant = (8 + (Number.parseInt(noise.charAt(3), 16) & 3)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${noise.slice(0, 3)}-${variant}${noise.slice(4, 7)}-${noise.slice(7, 19)}`;
}
