/**
 * A stage that looks like a browser window to the package: as much of it as the package touches.
 *
 * In: nothing. Out: the requests the page made, and handles to make things happen. For what only a
 * real browser can show there are the browser tests of the project.
 */

import { gunzipSync } from "node:zlib";

/** Turns this Node process into a page; only once per process. */
export function setStage({ stored = {}, privacy = false, hasNavigation = true } = {}) {
  const listeners = new Map();
  const sent = [];
  const beacons = [];
  const storage = new Map(Object.entries(stored));
  let href = "https://shop.example/p/1?utm_source=news#reviews";

  globalThis.Window = class {
    static [Symbol.hasInstance](value) {
      return value === globalThis;
    }
  };
  define("window", globalThis);
  define("location", { get href() { return href; }, get pathname() { return new URL(href).pathname; },
    origin: "https://shop.example" });
  define("document", { visibilityState: "visible", referrer: "https://t.example/", addEventListener,
    get hidden() { return document.visibilityState === "hidden"; } });
  define("navigator", { language: "de-DE", globalPrivacyControl: privacy,
    sendBeacon: (url, body) => beacons.push({ url, batch: JSON.parse(body) }) > 0 });
  define("screen", { width: 1280, height: 800 });
  const go = (_, __, url) => {
    href = new URL(url, href).href;
    if (hasNavigation) navigation.dispatchEvent(new Event("currententrychange"));
  };
  define("history", { pushState: go, replaceState: go });
  define("navigation", hasNavigation ? new EventTarget() : undefined);
  define("localStorage", {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, text) => void storage.set(key, text),
    removeItem: (key) => void storage.delete(key),
  });
  // A real one would keep this process alive.
  define("BroadcastChannel", undefined);
  define("matchMedia", () => ({ matches: false }));
  define("addEventListener", addEventListener);
  // Tests pass the module's bytes. One that is to be fetched never comes: a network that slow.
  define("fetch", async (url, options) => {
    if (!options) return new Promise(() => {});
    const batch = JSON.parse(typeof options.body === "string" ? options.body : gunzipSync(options.body));
    sent.push({ url: String(url), options, batch });
    return Response.json({ nonce: batch.nonce, ok: batch.events.length, dup: 0, rejected: [] });
  });

  function define(name, value) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  function addEventListener(name, listener) {
    listeners.set(name, [...(listeners.get(name) ?? []), listener]);
  }
  return {
    sent,
    beacons,
    storage,
    events: () => sent.flatMap(({ batch }) => batch.events),
    happen: (name, event = { type: name }) => (listeners.get(name) ?? []).forEach((listener) => listener(event)),
    hide() {
      document.visibilityState = "hidden";
      this.happen("visibilitychange");
    },
  };
}
