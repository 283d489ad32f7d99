/**
 * What is said to developers: the sentences behind the codes of reports, and with the setting `debug`
 * what happens to events, in the console. Loaded when there is something to say.
 */

import type { Page } from "./page.js";
import type { Options } from "./types.js";

/** By code. `{}` is what the report is about. A code without a sentence comes with its own. */
const SENTENCES: Readonly<Record<string, string>> = {
  batch_unreadable: "the collector cannot read a batch of one event; it was dropped",
  closed: "this project takes no more events",
  core_unavailable: "the core cannot be loaded, so nothing is recorded: {}",
  event_name_invalid: "a name is 1 to 200 characters without control characters or white space around it; the event was dropped",
  event_too_large: "one event is at most 32 KiB of JSON; it was dropped: send large texts somewhere else",
  id_omitted: "nothing here can hash the id, so events go without it",
  identify_needs_consent: 'without mode "full" or optIn() no lasting id is sent; this one waits for optIn()',
  init_twice: "init was called before; this call was ignored",
  module_replaced: "WebAssembly cannot be used ({}); JavaScript stands in",
  module_unavailable: "neither module can be loaded: events are kept for the next page: {}",
  paused: "the collector asks to wait; events are kept: {}",
  props_invalid: "properties are an object of what JSON can carry; this was left out: {}",
  queue_full: "more events wait than are kept: some are dropped",
  sdk_error: "a fault of this package; your page is not touched by it: {}",
  settings_invalid: "{}; nothing will be recorded",
  too_many_props: "at most 64 properties; the others were left out",
  user_id_invalid: "identify needs the id of a user: not nothing, and at most 100 KiB",
};

/** What is wrong with a setting. */
const FAULTS: Readonly<Record<string, string>> = {
  key: "key is missing",
  salt: "salt is missing",
  endpoint: "endpoint is missing",
  address: "endpoint is the address of the collector, like https://stats.example.com",
  mode: 'mode is "full", "cookieless" or "none"',
  secret: "key is a secret key, which must not be in a page: use the write key (tm_pk_…) and revoke this one",
};

/** Tells the page's developer. What was thrown may be hostile itself; then the caller tells the code alone. */
export function say({ debug, onError }: Options, code: string, detail?: unknown): void {
  const given = detail === undefined ? "" : String(detail);
  const about = code === "settings_invalid" ? (FAULTS[given] ?? given) : given;
  const message = SENTENCES[code]?.replace("{}", () => about) ?? (given || "the collector refused an event");
  try {
    if (debug || !onError) console.warn(`tallymark: ${code}: ${message}`);
    onError?.({ code, message });
  } catch {
    // A page whose `onError` throws has no way left to be told.
  }
}

const VERDICTS: Readonly<Record<number, string>> = {
  [-1]: "on the collector's disk",
  [-2]: "unreadable: half of it is sent",
  [-3]: "too long: half of it is sent",
  [-4]: "no usable answer: sent again later",
  [-5]: "the project takes no more events",
};

/** Explains from now on. */
export function explain(page: Page): void {
  const { lose } = page;
  const say = (...words: unknown[]): void => console.debug("%ctallymark", "color:#2a7", ...words);
  const mode = ["nothing may be recorded", "no id, nothing but the queue on the device", "lasting hashed ids"];
  say(`starts with mode ${page.options.mode ?? "cookieless"}: ${mode[page.identity.grip()] ?? ""}`);
  page.lose = (reason, count = 1) => {
    if (count > 0) say(`lost ${count}: ${reason}`, { ...page.lost });
    lose(reason, count);
  };
  page.tell = (what, detail) => {
    if (what === "captured") say("captured", JSON.parse(String(detail)));
    else if (what === "answered") {
      const { verdict, ...rest } = detail as { verdict: number };
      say("answered:", VERDICTS[verdict] ?? `asked to wait ${verdict} ms`, rest);
    } else say(what, detail);
  };
}
