/**
 * Delivery without a page, by Background Sync: the service worker of a site sends what its pages stored
 * and could not send, also when all of them are closed.
 *
 * The same queue, the same lock, the same ids: whoever has the lock sends, and what both sent is counted
 * once. In the worker, {@link deliverInBackground}; in pages, {@link askForDelivery}. Browsers without
 * Background Sync (all but Chromium's) ignore both: there the next page sends, as without a worker.
 *
 * A worker may not load anything later, so the functions in Rust come as JavaScript with it.
 */

import { Courier } from "./courier.js";
import { functions } from "./fallback.js";
import { Outbox } from "./outbox.js";
import type { Sender } from "./page.js";
import { Peers } from "./peers.js";
import { batch, random } from "./row.js";
import { batchUrl } from "./settings.js";
import { openStore } from "./store.js";

/** As in the settings of `init`. */
export interface BackgroundOptions {
  /** The project's write key. */
  key: string;
  /** The collector's address. */
  endpoint: string;
  /** Told what cannot be delivered, and why. */
  onError?: (problem: { code: string; message: string }) => void;
}

/** What stays unsent for so long is left to the worker. */
const PATIENCE_MS = 10_000;
const tagOf = (key: string) => `tallymark:${key}`;

interface SyncEvent extends Event {
  readonly tag: string;
  waitUntil(done: Promise<unknown>): void;
}

/** In a service worker: delivers when the browser says that there is a network again. */
export function deliverInBackground(options: BackgroundOptions): void {
  addEventListener("sync", (event) => {
    const { tag, waitUntil } = event as SyncEvent;
    // Rejected, it is tried again by the browser, with longer and longer pauses.
    if (tag === tagOf(options.key)) waitUntil.call(event, deliver(options));
  });
}

async function deliver({ key, endpoint, onError }: BackgroundOptions): Promise<void> {
  const store = await openStore(tagOf(key));
  if (!store.isDurable) throw new Error("the queue cannot be opened");
  const lost: Record<string, number> = {};
  const sender: Sender = {
    options: { key },
    make: { batch, random },
    url: batchUrl(endpoint),
    // Of no page: so nothing is taken for its own, by whose clock the events would be measured.
    writer: { id: random(16), n: 0 },
    lost,
    // Who declined has an empty queue.
    identity: { grip: () => 1 },
    report: (code: string, message?: unknown) => onError?.({ code, message: String(message ?? code) }),
    lose: (reason, count = 1) => void (lost[reason] = (lost[reason] ?? 0) + count),
  };
  const peers = new Peers(`tm:${key}`, () => {});
  let isDueAgain = false;
  const engine = { settled: Promise.resolve(), ask: <T>(question: (of: typeof functions) => T): T | undefined => question(functions) };
  const outbox = new Outbox(sender, store);
  const courier = new Courier(sender, outbox, engine, peers, (afterMs) => (isDueAgain = afterMs === 0));
  try {
    do {
      isDueAgain = false;
      // A database that failed was given up for a list, which is empty.
      if ((await courier.deliver(true)) && outbox.store === store) return;
    } while (isDueAgain);
  } finally {
    peers.close();
  }
  throw new Error("some events still wait");
}

/**
 * In a page: asks the browser to wake the worker when something waits, is not sent within ten seconds, or
 * the page is hidden.
 */
export function askForDelivery({ key }: Pick<BackgroundOptions, "key">): void {
  if (typeof window === "undefined" || typeof BroadcastChannel === "undefined" || !navigator.serviceWorker) return;
  let channel: BroadcastChannel | undefined;
  let isWaiting = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  // Known before it is needed: when a page goes there is no time to wait for it.
  let sync: { register(tag: string): Promise<void> } | undefined;
  void navigator.serviceWorker.ready.then((registration) => (sync = (registration as { sync?: typeof sync }).sync));
  const ask = (): void => {
    if (isWaiting || !navigator.onLine) void sync?.register(tagOf(key)).catch(() => undefined);
  };
  const listen = (): void => {
    channel ??= new BroadcastChannel(`tm:${key}`);
    channel.onmessage = ({ data }: MessageEvent<{ ask?: true; done?: string[] }>) => {
      if (!data.ask && !data.done) return;
      isWaiting = Boolean(data.ask);
      clearTimeout(timer);
      if (isWaiting) timer = setTimeout(ask, navigator.onLine ? PATIENCE_MS : 0);
    };
  };
  listen();
  addEventListener("pageshow", listen);
  // An open channel can keep a page from the way back.
  addEventListener("pagehide", () => {
    channel?.close();
    channel = undefined;
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && ask());
}
