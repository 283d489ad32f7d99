/** What happens to events, told in the console. Loaded only with the setting `debug`. */

import type { Page } from "./page.js";

const VERDICTS: Record<number, string> = {
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
