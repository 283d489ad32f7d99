/**
 * The first lines of the package in a page: it takes calls, in order, with their times and addresses,
 * and loads the core, which does the rest when the page has time.
 */

import { watchAddress } from "./autopage.js";
import { copy } from "./copy.js";
import { sendEarly } from "./early.js";
import { gripOf, holds } from "./identity.js";
import { type Call, CONSENT, type Core, type Start, TRACK, type Word } from "./page.js";
import { batch, contextOf, hex, random, row, uuid7, type Writer } from "./row.js";
import type { Options } from "./types.js";

/** Calls that wait for an idle moment; a page in its right mind never has that many. */
const CALLS_MAX = 10_000;

/** A server imports this too. */
const isPage = typeof window !== "undefined";
const calls: Call[] = [];
const lost: Record<string, number> = {};
const writer: Writer = { id: "", n: 0 };
let page: Start | undefined;
let core: Core | undefined;
/** Resolves when the core is loaded, or cannot be; there once it is asked for, or begins to load. */
let started: Promise<Core | undefined> | undefined;
let begin: ((starting: Promise<Core | undefined>) => void) | undefined;

/** Takes the settings and begins to load; `shown` is called whenever a page is shown. */
export function load(given: Options, shown: () => void): void {
  if (!isPage) return;
  if (page) return report("init_twice");
  // Nothing at all is settings too: then the core says what is missing.
  const options = { ...given };
  const start: Start = {
    options,
    calls,
    lost,
    hands: [batch, contextOf, gripOf, hex, holds, random, row, uuid7],
    writer,
    report,
  };
  page = start;
  writer.id = random(16);
  // The page is hidden: what waits for the core may have no other chance.
  const leave = ({ type }: Event): void => {
    if (!core && (type === "pagehide" || document.hidden)) quietly(() => sendEarly(start));
  };
  for (const moment of ["pagehide", "visibilitychange"]) addEventListener(moment, leave);
  if (options.autoPage !== false) start.look = watchAddress(shown);
  const starting = import("./core.js")
    .then((core) => core.start(start))
    .then(
      (there) => (core = there),
      (error) => report("core_unavailable", error) as undefined,
    );
  begin?.(starting);
  started ??= starting;
}

/** Notes a call. Its arguments are copied: nothing of the page's is held or changed. */
export function call(kind: number, name?: unknown, properties?: unknown): void {
  quietly(() => {
    if (!isPage) return;
    const props = copy(properties, report);
    if (!props) return lose("event_too_large");
    if (calls.length >= CALLS_MAX) return lose("queue_full");
    calls.push([kind, String(name), props, Date.now(), performance.now(), location.href]);
    core?.wake();
  });
}

/** Notes what the visitor said; a no acts at once, and holds for what was called before as well. */
export function say(word: Word): void {
  quietly(() => {
    if (word === "d") {
      drop("opted_out", calls.splice(0).filter(([kind]) => kind === TRACK).length);
      if (core) return core.optOut();
    }
    call(CONSENT, word);
  });
}

/** Asks the core when it is there; `false` where it cannot be. Never rejects. */
export function whenLoaded(question: (core: Core) => Promise<boolean>): Promise<boolean> {
  if (!isPage) return Promise.resolve(false);
  started ??= new Promise((resolve) => (begin = resolve));
  return started.then((there) => (there ? question(there) : false)).catch(() => false);
}

/** What `init` was given. */
export function settings(): Options | undefined {
  return page?.options;
}

/** Nothing of ours may break the page. */
export function quietly<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    return report("sdk_error", error) as undefined;
  }
}

function lose(reason: string): void {
  drop(reason, 1);
  report(reason);
}

/** Counts calls that are lost. They take numbers, so that the collector misses them. */
function drop(reason: string, count: number): void {
  if (count) lost[reason] = (lost[reason] ?? 0) + count;
  writer.n += count;
}

/** Tells the page's developer, see `Start.report`. */
export function report(code: string, detail?: unknown): void {
  if (!page) return;
  const { options } = page;
  import("./debug.js")
    .then(({ say }) => say(options, code, detail))
    // Without the sentences there is still the code.
    .catch(() => options.onError?.({ code, message: code }))
    .catch(() => {});
}
