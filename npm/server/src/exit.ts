/**
 * The process ends: what waits leaves before. Only where there is a process; at the edge a handler
 * passes `client.flush()` to `waitUntil`.
 */

import type { Queue } from "./queue.js";

interface Process {
  pid: number;
  once(event: string, listener: (signal: string) => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
}

/** Sends what waits when nothing else is left to do, or when the process is told to stop. */
export function flushOnExit(queue: Queue): void {
  try {
    listen(queue);
  } catch {
    // Some platforms have a process in name only, and refuse to be asked.
  }
}

function listen(queue: Queue): void {
  const { process } = globalThis as unknown as { process?: Process };
  if (typeof process?.once !== "function" || typeof process.kill !== "function") return;
  process.once("beforeExit", () => {
    if (!queue.isEmpty) void queue.shutdown();
  });
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => {
      // With a listener a signal ends nothing any more. If nobody else listens, ending is up to us.
      const isOurs = process.listenerCount(signal) === 0;
      void queue.shutdown().then(() => isOurs && process.kill(process.pid, signal));
    });
  }
}
