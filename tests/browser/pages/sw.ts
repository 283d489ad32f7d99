/** A service worker that delivers; its settings are in its address. */

import { deliverInBackground } from "@tallymark/web/worker";

const settings = new URL(location.href).searchParams;
deliverInBackground({ key: settings.get("key") ?? "", endpoint: settings.get("endpoint") ?? "" });

const worker = globalThis as unknown as { skipWaiting(): void; clients: { claim(): Promise<void> } };
addEventListener("install", () => worker.skipWaiting());
addEventListener("activate", (event) => (event as Event & { waitUntil(done: Promise<void>): void }).waitUntil(worker.clients.claim()));
