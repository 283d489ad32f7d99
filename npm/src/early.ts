/**
 * The page is left before the core is loaded: what was called leaves as it is, once.
 *
 * A visitor who looks and goes within a second is a visitor. Such events carry no user who signed in
 * just now, because nothing here can hash; what an earlier page stored (`identity`) is used as it
 * stands, the visitor's word above all.
 */

import { gripOf, holds, type Session } from "./identity.js";
import { CONSENT, type Start, TRACK } from "./page.js";
import { batch, contextOf, random, row, uuid7 } from "./row.js";
import { batchUrl } from "./settings.js";

/** What browsers let be in flight when a page goes, less room for headers. */
const BYTES_MAX = 60 * 1024;

/** Sends what was called and may be sent; the rest stays. */
export function sendEarly({ options, calls, writer }: Start): void {
  const entry = `tallymark:${options.key}`;
  let stored = "";
  try {
    stored = localStorage.getItem(entry) ?? "";
  } catch {
    // Denied: then nobody said anything.
  }
  const now = Date.now();
  let [, word = "-", device, , user, ...visit] = stored.split("|");
  const fresh = uuid7(now);
  // Texts of numbers: subtracting makes numbers of them.
  const session = holds(visit as unknown as Session, now) ? visit[0] : fresh;
  const events: string[] = [];
  let room = BYTES_MAX;
  let sent = 0;
  let address = "";
  for (const [kind, name, props, wallMs, monoMs, href] of calls) {
    if (kind === CONSENT) word = name;
    const grip = gripOf(word, options.mode);
    if (!grip) return;
    if (kind === TRACK) {
      if (grip > 1 && !device) {
        // The next page finds it: see `identity`.
        device = random(32);
        try {
          localStorage.setItem(entry, `1|${word}|${device}|${now}|`);
        } catch {
          // Denied or full: the next page makes another one.
        }
      }
      // No text has more than three bytes per code unit; beside what was said, ids. What has to be mended, or looked at
      // closely, waits for the core: addresses, secrets, and (but in the page's address) nine digits in a row.
      const said = JSON.stringify([name, props]);
      if ((room -= said.length * 3 + 512) < 0 || /\\ud|@|%40|pass|secret|token|\d(?:\W{0,2}\d){8}.*]/i.test(said + href)) break;
      const who = grip > 1 ? { device, user: user || undefined, session } : { session: fresh };
      const [, json] = row(name, props, wallMs, monoMs, who, writer);
      events.push(json);
      address ||= href;
    }
    sent++;
  }
  const body = batch(options.key, random(8), contextOf(address), events.join(), true);
  if (events[0] && navigator.sendBeacon(batchUrl(options.endpoint), body)) calls.splice(0, sent);
  // Numbers of what did not leave are given again.
  else writer.n -= events.length;
}
