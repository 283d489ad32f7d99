/**
 * The story of an installable app, told to its end: `@tallymark/web/pwa`.
 *
 * Every page records by itself when the browser offers to install, what the visitor answers, that the
 * app was installed, and that it was launched (`installation`). Here is the rest: an offer of your own
 * and its answer, a hint where the browser has no offer (iOS), an installation that nobody
 * told of, use without a network, and new versions of the service worker.
 *
 * @packageDocumentation
 */

import { displayMode } from "./display.js";
import { quietly, settings, track } from "./index.js";
import { units } from "./unit.js";

/**
 * How the visitor can install:
 *
 * - `"installed"`: this is the installed app.
 * - `"prompt"`: the browser's offer is at hand; see {@link promptInstall}.
 * - `"manual"`: only by the browser's menu, which has to be explained: iOS.
 * - `"none"`: not here, or not yet.
 */
export type InstallWay = "installed" | "prompt" | "manual" | "none";

/** Settings of {@link watchPwa}. */
export interface PwaOptions {
  /** Keep the browser's own offer back, to make it with {@link promptInstall} at a better moment. */
  deferPrompt?: boolean;
  /** The way to install has changed. */
  onChange?: (way: InstallWay) => void;
  /**
   * A new version of the service worker waits. `apply` tells it to take over (it gets the message
   * `{ type: "SKIP_WAITING" }`) and loads the page again when it did.
   */
  onUpdate?: (apply: () => void) => void;
}

/** Not yet in the DOM library of TypeScript. */
interface Offer extends Event {
  prompt(): Promise<unknown>;
  readonly userChoice: Promise<{ outcome: "accepted" | "dismissed" }>;
}

/** Less than that without a network is a hiccup. */
const OFFLINE_MS = 1_000;

let offer: Offer | undefined;
let isInstalled = false;

/** How the visitor can install, as far as is known now. */
export function installWay(): InstallWay {
  if (typeof window === "undefined") return "none";
  if (isInstalled || displayMode() !== "browser") return "installed";
  if (offer) return "prompt";
  return isIos() ? "manual" : "none";
}

/**
 * Make the browser's offer. Call it in a click.
 *
 * @returns What the visitor answered; `"unavailable"` where {@link installWay} is not `"prompt"`. The
 *   offer and the answer are recorded without a call.
 */
export async function promptInstall(): Promise<"accepted" | "dismissed" | "unavailable"> {
  const made = offer;
  if (!made) return "unavailable";
  // A browser makes each offer once.
  offer = undefined;
  try {
    await made.prompt();
    return (await made.userChoice).outcome;
  } catch {
    return "unavailable";
  }
}

/**
 * Record that a hint how to install was shown or closed, where the way is `"manual"`. Whoever follows it
 * is counted as installed at their first launch.
 */
export function installHint(outcome: "shown" | "dismissed" = "shown"): void {
  track("$pwa_prompt", { outcome, way: "manual" });
}

/** Record the rest of the story from now on. Gives the function that ends it. */
export function watchPwa({ deferPrompt = false, onChange, onUpdate }: PwaOptions = {}): () => void {
  if (typeof window === "undefined") return () => {};
  const listening = new AbortController();
  const { signal } = listening;
  const tell = (): void => onChange?.(installWay());
  addEventListener(
    "beforeinstallprompt",
    (event) => {
      if (deferPrompt) event.preventDefault();
      offer = event as Offer;
      tell();
    },
    { signal },
  );
  addEventListener(
    "appinstalled",
    () => {
      isInstalled = true;
      offer = undefined;
      quietly(() => isNews());
      tell();
    },
    { signal },
  );
  // Some browsers tell of no installation: then the first launch does.
  quietly(() => {
    if (displayMode() !== "browser" && isNews()) track("$pwa_install", { inferred: true, display_mode: displayMode() });
  });
  watchNetwork(signal);
  watchWorker(signal, onUpdate);
  return () => listening.abort();
}

/** Records each time that somebody used the app without a network. */
function watchNetwork(signal: AbortSignal): void {
  const isOpenedOffline = !navigator.onLine;
  let sinceMs: number | undefined;
  let offlineMs = 0;
  const look = (): void => {
    const now = performance.now();
    if (sinceMs !== undefined) offlineMs += now - sinceMs;
    sinceMs = !navigator.onLine && document.visibilityState === "visible" ? now : undefined;
    if (sinceMs !== undefined || offlineMs < OFFLINE_MS) return;
    track("pwa_used_offline", { offline_ms: Math.round(offlineMs), opened_offline: isOpenedOffline, display_mode: displayMode() });
    offlineMs = 0;
  };
  addEventListener("offline", look, { signal });
  addEventListener("online", look, { signal });
  // Capturing, so that it is recorded before the core stores what it has.
  document.addEventListener("visibilitychange", look, { signal, capture: true });
  look();
}

/** Records that a new version of the service worker was found, and that it took over. */
function watchWorker(signal: AbortSignal, onUpdate: PwaOptions["onUpdate"]): void {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!workers) return;
  let isAsked = false;
  // The first worker of a page is no update.
  let hadOne = workers.controller !== null;
  workers.addEventListener(
    "controllerchange",
    () => {
      if (hadOne) track("pwa_updated", { display_mode: displayMode() });
      hadOne = true;
      if (isAsked) location.reload();
    },
    { signal },
  );
  const waits = (worker: ServiceWorker): void => {
    track("pwa_update_found", { display_mode: displayMode() });
    onUpdate?.(() => {
      isAsked = true;
      worker.postMessage({ type: "SKIP_WAITING" });
    });
  };
  void workers.ready.then((registration) => {
    if (registration.waiting && workers.controller) waits(registration.waiting);
    registration.addEventListener(
      "updatefound",
      () => {
        const worker = registration.installing;
        worker?.addEventListener("statechange", () => {
          if (worker.state === "installed" && workers.controller && !signal.aborted) waits(worker);
        });
      },
      { signal },
    );
  });
}

/** Whether this browser is not known to have the app. It is from now on, if it may be remembered. */
function isNews(): boolean {
  const { key, mode } = settings() ?? {};
  if (!key || !units(key, mode === "full")) return false;
  const name = `tallymark:${key}:installed`;
  if (localStorage.getItem(name)) return false;
  localStorage.setItem(name, "1");
  return true;
}

/** iPads call themselves Macs; Macs have no touch screens. */
function isIos(): boolean {
  const { userAgent, maxTouchPoints } = navigator;
  return /iPad|iPhone|iPod/.test(userAgent) || (userAgent.includes("Macintosh") && maxTouchPoints > 1);
}
