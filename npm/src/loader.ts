/**
 * The first lines of the package in a page: it takes calls, in order, with their times and addresses,
 * and loads the core, which does the rest when the page has time.
 */

import { copy } from "./copy.js";
import { sendEarly } from "./early.js";
import { type Call, CONSENT, type Core, type Start, TRACK } from "./page.js";
import { random } from "./row.js";
import type { Options } from "./types.js";

/** Name and version in batches; the build puts the version here. */
declare const TALLYMARK_VERSION: string;

/** Calls that wait for an idle moment; a page in its right mind never has that many. */
const CALLS_MAX = 10_000;

const calls: Call[] = [];
const lost: Record<string, number> = {};
let page: Start | undefined;
let core: Core | undefined;
let begin: (starting: Promise<Core | undefined>) => void;
/** Resolves when the core is loaded, or cannot be. */
const started = new Promise<Core | undefined>((resolve) => (begin = resolve));

/** Takes the settings and begins to load; gives whether this was the first time. */
export function load(options: Options): boolean {
  if (typeof window === "undefined") return false;
  if (page) {
    report("init_twice", "init was called before; this call was ignored");
    return false;
  }
  page = {
    options,
    sdk: `web/${TALLYMARK_VERSION}`,
    calls,
    lost,
    writer: { id: random(16), n: 0 },
    report: (code, message) => {
      try {
        if (options.debug || !options.onError) console.warn(`tallymark: ${code}: ${message}`);
        options.onError?.({ code, message });
      } catch {
        // A page whose `onError` throws has no way left to be told.
      }
    },
  };
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", leave);
  begin(start(page));
  return true;
}

async function start(of: Start): Promise<Core | undefined> {
  try {
    return (core = await (await import("./core.js")).start(of));
  } catch (error) {
    of.report("core_unavailable", `the core cannot be loaded: ${String(error)}`);
    return undefined;
  }
}

/** Notes a call. Its arguments are copied: nothing of the page's is held or changed. */
export function call(kind: number, name: unknown, properties?: unknown): void {
  quietly(() => {
    if (typeof window === "undefined") return;
    const props = copy(properties, report);
    if (!props) return lose("event_too_large", "one event is at most 32 KiB of JSON; send large texts somewhere else");
    if (calls.length >= CALLS_MAX) return lose("queue_full", "too many calls wait for an idle moment; this one was dropped");
    calls.push([kind, String(name), props, Date.now(), performance.now(), location.href]);
    core?.wake();
  });
}

/** Notes what the visitor said; a no acts at once, and holds for what was called before as well. */
export function say(answer: "granted" | "cookieless" | "denied"): void {
  quietly(() => {
    if (answer !== "denied") return call(CONSENT, answer === "granted" ? "g" : "c");
    drop("opted_out", calls.filter(([kind]) => kind === TRACK).length);
    calls.length = 0;
    if (core) core.optOut();
    else call(CONSENT, "d");
  });
}

/** The core, once it is loaded. */
export function loaded(): Core | undefined {
  return core;
}

/** Asks the core when it is there; `false` where it cannot be. */
export async function whenLoaded(question: (core: Core) => Promise<boolean>): Promise<boolean> {
  const there = typeof window === "undefined" ? undefined : await started;
  return there !== undefined && question(there);
}

/** The page is hidden: what waits for the core may have no other chance. */
function leave({ type }: Event): void {
  if (page && !core && (type === "pagehide" || document.visibilityState === "hidden")) quietly(() => sendEarly(page as Start));
}

/** Nothing of ours may break the page. */
export function quietly<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    report("sdk_error", String(error));
    return undefined;
  }
}

function lose(reason: string, message: string): void {
  drop(reason, 1);
  report(reason, message);
}

/** Counts calls that are lost. They take numbers, so that the collector misses them. */
function drop(reason: string, count: number): void {
  if (count > 0) lost[reason] = (lost[reason] ?? 0) + count;
  if (page) page.writer.n += count;
}

function report(code: string, message: string): void {
  page?.report(code, message);
}
