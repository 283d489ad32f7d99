/**
 * The offline copy: the whole shell, fetched once per build, served from the cache first.
 *
 * Invariant: files of one build are never mixed with those of another, because a build has its own
 * cache and old caches go when a new build takes over. The configuration is asked for fresh and
 * remembered for offline. Requests to other origins, the collector among them, are not touched.
 */

declare const self: ServiceWorkerGlobalScope;
/** Both put in by the build: a digest over all files, and their paths. */
declare const BUILD: string;
declare const SHELL: readonly string[];

const CACHE = `deckle-row-${BUILD}`;

/** Static routing, where the browser has it: Chromium from 123 on. */
interface RoutingInstallEvent extends ExtendableEvent {
  addRoutes?(rules: { condition: { requestMethod: string }; source: "network" }[]): Promise<void>;
}

self.addEventListener("install", (event: RoutingInstallEvent) => {
  // What a page sends while it goes away must not wait for a worker: when the page is gone before
  // the worker has declined the request, nobody is left to send it and the last events are lost.
  if (event.addRoutes) {
    const straight = { condition: { requestMethod: "POST" }, source: "network" } as const;
    event.waitUntil(event.addRoutes([straight]));
  }
  const fill = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([...SHELL]);
    await cache.add("/config.json").catch(() => undefined); // a shop may have none
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener("activate", (event) => {
  const takeOver = async () => {
    const old = (await caches.keys()).filter((name) => name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(takeOver());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname === "/config.json") event.respondWith(freshOrKept(request));
  else if (request.mode === "navigate") event.respondWith(kept("/"));
  else if (SHELL.includes(url.pathname)) event.respondWith(kept(url.pathname));
});

async function kept(path: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? fetch(path);
}

async function freshOrKept(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const reply = await fetch(request);
    if (reply.ok) await cache.put(request, reply.clone());
    return reply;
  } catch (error) {
    const copy = await cache.match(request);
    if (copy) return copy;
    throw error;
  }
}

export {};
