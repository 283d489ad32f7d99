/**
 * What happens to calls: from the page's list to events in the store, in idle slices; and the page's
 * life. What is stored leaves by way of the `courier`.
 */

import { carry } from "./arrival.js";
import { watchHistory } from "./autopage.js";
import { Courier, newest } from "./courier.js";
import { shownOn } from "./display.js";
import { Engine, hashUser } from "./engine.js";
import { Outbox, utf8 } from "./outbox.js";
import * as call from "./page.js";
import type { Call, Core, Page, Start } from "./page.js";
import { Peers } from "./peers.js";
import { watchInstallation } from "./installation.js";
import { mended } from "./mended.js";
import { setUp } from "./settings.js";
import { memory, openStore, type Store } from "./store.js";
import { isSuspect } from "./suspect.js";
import type { Properties } from "./types.js";

/** Our own work in one task; half of what a frame can spare. */
const SLICE_MS = 4;
/** Longest wait for an idle moment: what is not stored dies with the browser. */
const IDLE_MS = 20;
/** Stored events or bytes that end the wait for a batch, and the wait. */
const FLUSH_EVENTS = 20;
const FLUSH_BYTES = 30 * 1024;
const FLUSH_MS = 2_000;
/** Pages that come back together spread what earlier ones left. */
const SPREAD_MS = 3_000;
/** A page that was hidden so recently may be going away. */
const LEAVING_MS = 200;
/** The shortest time between two requests that the browser keeps for a crash. */
const ARM_MS = 1_000;
/** An address can be megabytes of data; a batch carries half of this. */
const ADDRESS_MAX = 4_096;
/** Longest event the collector takes. */
const EVENT_BYTES_MAX = 32 * 1024;

/** What a page said in a call and where it was said. A user's id is not in it: that is hashed. */
interface Said {
  name: string | false;
  props: Properties;
  address: string;
}

/** Takes over from the loader, if the settings are valid. */
export async function start(given: Start): Promise<Core | undefined> {
  const page = setUp(given);
  if (!page) return undefined;
  if (given.options.debug) (await import("./debug.js")).explain(page);
  return run(page);
}

function run(page: Page): Core {
  const { identity, calls, options, make } = page;
  const engine = new Engine(options.wasm, page.report);
  const outbox = new Outbox(page, undefined);
  const peers = new Peers(`tm:${options.key}`, ({ done, left }) => {
    if (done) outbox.forget(new Set(done));
    if (left) deliverLater(0);
  });
  const courier = new Courier(page, outbox, engine, peers, deliverLater);
  let context = { address: "", session: "", json: "" };
  /** Until the first event: the page's later ones were not led to by anybody. */
  let referrer = document.referrer;
  let isScheduled = false;
  /** Whether it was asked what the page is shown on: the first answer takes longer than a slice may. */
  let isShown = false;
  let hiddenMs = -Infinity;
  let isFirst = true;
  let waiting = { events: 0, bytes: 0 };
  let timer: { id: ReturnType<typeof setTimeout>; at: number } | undefined;
  let running: Promise<boolean> | undefined;
  let later = new AbortController();
  let arming: ReturnType<typeof setTimeout> | undefined;
  let look: ((all: Said, found: (what: string, name: string) => void) => Said) | undefined;
  let looking: Promise<void> | undefined;

  const store = (options.queue === "memory" ? Promise.resolve(memory()) : openWhenAllowed()).then(useStore);
  void engine.settled.then(wake);
  listen();
  if (page.look) watchHistory(page.look);
  watchInstallation((name, props) => page.calls.push([call.TRACK, name, props, Date.now(), performance.now(), location.href]) && wake());
  wake();

  /** Nothing is on the device before something may be. */
  async function openWhenAllowed() {
    while (identity.grip() === 0) await new Promise<void>((resolve) => (allowed = resolve));
    return openStore(`tallymark:${options.key}`, useStore);
  }
  var allowed: (() => void) | undefined;

  async function useStore(found: Store) {
    await outbox.open(found);
    // Declined while it opened: what earlier visits left is not sent either.
    if (identity.grip() === 0) await outbox.clear();
    wake();
    deliverLater(Math.random() * SPREAD_MS);
  }

  function wake(): void {
    allowed?.();
    if (calls.length === 0) return;
    // What the page records while it goes away has no later moment.
    if (performance.now() - hiddenMs < LEAVING_MS) return hide();
    if (isScheduled) return;
    isScheduled = true;
    if (typeof requestIdleCallback === "function") requestIdleCallback(slice, { timeout: IDLE_MS });
    else setTimeout(slice, 1);
  }

  function slice(): void {
    isScheduled = false;
    if (!isShown) {
      isShown = true;
      shownOn();
      return wake();
    }
    const isDone = take(performance.now() + SLICE_MS);
    void save();
    if (!isDone) wake();
  }

  /** Takes calls until then; gives whether there is nothing more to do for now. */
  function take(untilMs: number): boolean {
    let taken = 0;
    let isBlocked = false;
    for (const one of calls) {
      if (taken > 0 && performance.now() > untilMs) break;
      // Sending empties the store: taking more would only drop what is in it.
      isBlocked = courier.isWell && outbox.isNearlyFull && untilMs !== Infinity;
      if (isBlocked) break;
      try {
        isBlocked = !record(one, untilMs === Infinity);
        if (isBlocked) break;
      } catch (error) {
        page.lose("sdk_error");
        page.report("sdk_error", error);
      }
      taken++;
    }
    calls.splice(0, taken);
    return isBlocked || calls.length === 0;
  }

  /** What a call does; gives whether it could be done. With `atOnce` there is nothing to wait for. */
  function record([kind, name, props, wallMs, monoMs, address]: Call, atOnce: boolean): boolean {
    const isOff = identity.grip() === 0;
    if (kind === call.CONSENT) {
      identity.say(name as call.Word);
      allowed?.();
      // A page may have said so before this was loaded, while an earlier one left events.
      if (name === "d") void stop();
    } else if (kind === call.RESET) {
      identity.forget();
    } else if (isOff) {
      page.drop("opted_out");
    } else {
      const clean = hidden({ name: kind === call.TRACK && name, props, address: address.slice(0, ADDRESS_MAX) }, atOnce);
      if (!clean) return false;
      const at = { wallMs, monoMs, address: clean.address };
      if (kind === call.IDENTIFY) return identify(name, clean.props, at, atOnce);
      event(clean.name || name, clean.props, at);
    }
    return true;
  }

  function identify(id: string, traits: Properties, at: { wallMs: number; monoMs: number; address: string }, atOnce: boolean): boolean {
    const hash = engine.ask((functions) => hashUser(functions, make, options.salt, id));
    if (hash === undefined && engine.isPending && !atOnce) return false;
    if (hash === "") {
      page.report("user_id_invalid");
      return true;
    }
    if (hash === undefined) page.report("id_omitted");
    else identity.signIn(hash);
    if (identity.grip() === 2) event("$identify", traits, at);
    else page.report("identify_needs_consent");
    return true;
  }

  /** What may leave of it; nothing while what looks for the rest is being loaded. */
  function hidden(all: Said, atOnce: boolean): Said | undefined {
    if (options.guard === false || !isSuspect(JSON.stringify(all))) return all;
    looking ??= import("./guard.js").then(({ guard }) => void (look = guard), () => void (look = cover)).then(wake);
    return look || atOnce ? (look ?? cover)(all, (what, name) => page.tell?.(`hid ${what} in`, name)) : undefined;
  }

  /** Without a closer look, whatever looks suspicious goes, but for the event's name. */
  function cover(all: Said): Said {
    const json = JSON.stringify(all, (name, value) => (typeof value !== "object" && isSuspect(JSON.stringify([name, value])) ? "[hidden]" : value));
    return { ...JSON.parse(json), name: all.name };
  }

  /** An event that may be recorded. */
  function event(name: string, props: Properties, at: { wallMs: number; monoMs: number; address: string }): void {
    if (!name || name.trim() !== name || (name.length > 200 && [...name].length > 200) || /\p{Cc}/u.test(name)) {
      page.drop("name_invalid");
      page.report("event_name_invalid");
      return;
    }
    const who = identity.stamp(at.wallMs);
    const [id, written] = make.row(name, props, at.wallMs, at.monoMs, who, page.writer);
    const json = mended(written);
    const bytes = utf8(json).length;
    if (bytes > EVENT_BYTES_MAX) {
      page.lose("event_too_large");
      page.report("event_too_large");
      return;
    }
    const { address } = at;
    const { session } = who;
    if (address !== context.address || session !== context.session) {
      const [url, from] = carry(address, identity.arrive(address, referrer));
      context = { address, session, json: make.contextOf(url, { ...shownOn(), referrer: from || undefined }) };
      referrer = "";
    }
    page.tell?.("captured", json);
    outbox.add(id, json, context.json, bytes);
    waiting.events++;
    waiting.bytes += bytes;
  }

  async function save(): Promise<void> {
    if (outbox.isEmpty) return;
    await store;
    await outbox.save();
    if (waiting.events > 0) peers.ask();
    armTail();
    const isDue = isFirst || waiting.events >= FLUSH_EVENTS || waiting.bytes >= FLUSH_BYTES;
    if (waiting.events > 0) deliverLater(isDue ? 0 : FLUSH_MS);
    isFirst = false;
  }

  /** Sends after this time at the latest. */
  function deliverLater(afterMs: number): void {
    const at = performance.now() + afterMs;
    if (timer && timer.at <= at) return;
    clearTimeout(timer?.id);
    timer = { at, id: setTimeout(() => void deliver(false), afterMs) };
  }

  function deliver(urgent: boolean): Promise<boolean> {
    clearTimeout(timer?.id);
    timer = undefined;
    waiting = { events: 0, bytes: 0 };
    const next = () =>
      courier.deliver(urgent).then(
        (done) => {
          armTail();
          wake();
          return done;
        },
        (error: unknown) => {
          page.report("sdk_error", error);
          deliverLater(FLUSH_MS);
          return false;
        },
      );
    return (running = running?.then(next) ?? next());
  }

  /** Everything that was called, stored and sent; gives whether nothing is left. */
  async function flush(): Promise<boolean> {
    await engine.settled;
    for (;;) {
      const isTaken = take(performance.now() + SLICE_MS) && (!looking || look);
      await looking;
      if (identity.grip() === 0) return calls.length === 0;
      await store;
      await outbox.save();
      // Whatever becomes of sending, nothing that was called waits for it.
      if (!isTaken) continue;
      const done = await deliver(true);
      if (done && calls.length === 0 && outbox.isEmpty) return true;
      if (!done && !hasMore()) return false;
    }
  }

  /** Whether the courier only paused to let others have a turn. */
  function hasMore(): boolean {
    return courier.isWell && timer !== undefined && timer.at <= performance.now() + 1;
  }

  /** Once a second at most: the browser keeps a request with the tail, and sends it should the page crash. */
  function armTail(): void {
    if ("fetchLater" in window) arming ??= setTimeout(arm, ARM_MS);
  }

  function arm(): void {
    arming = undefined;
    disarm();
    const [parcels] = newest([...outbox.tail]);
    if (parcels[0] && document.visibilityState !== "hidden" && identity.grip() > 0) courier.keep(parcels, later.signal);
  }

  /** What the browser keeps is not sent; what it is given from now on is. */
  function disarm(): void {
    later.abort();
    later = new AbortController();
  }

  function hide(): void {
    hiddenMs = performance.now();
    take(Infinity);
    identity.write();
    outbox.saveNow();
    disarm();
    courier.leave(later.signal);
  }

  function show(): void {
    hiddenMs = -Infinity;
    peers.open();
    identity.read();
    if (identity.grip() === 0) void stop();
    wake();
    deliverLater(0);
  }

  function listen(): void {
    // No `unload` and no `beforeunload`: listening to them keeps a page from the way back.
    document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? hide() : show()));
    addEventListener("pagehide", () => {
      hide();
      peers.close();
    });
    document.addEventListener("freeze", hide);
    addEventListener("pageshow", show);
    addEventListener("online", () => deliver(true));
    addEventListener("storage", ({ key }) => {
      if (key !== `tallymark:${options.key}`) return;
      identity.read();
      if (identity.grip() === 0) void stop();
    });
  }

  /** Nothing is kept, and nothing is sent any more. */
  async function stop(): Promise<void> {
    page.drop("opted_out", calls.filter(([kind]) => kind === call.TRACK).length);
    calls.length = 0;
    disarm();
    courier.cancel();
    await outbox.clear();
  }

  return {
    wake,
    flush,
    async ready() {
      await engine.settled;
      return engine.isThere;
    },
    optOut() {
      identity.say("d");
      void stop();
    },
  };
}
