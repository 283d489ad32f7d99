/**
 * A browser of its own, with a profile that outlives it: for tests that kill it and come back.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

import { FLAGS } from "./browser.ts";

const START_MS = 30_000;

export class Profile {
  readonly folder = mkdtempSync(join(tmpdir(), "tallymark-profile-"));
  private running: { child: ChildProcess; browser: Browser } | undefined;

  /** Starts the browser with what an earlier one left. */
  async open(): Promise<BrowserContext> {
    const child = spawn(
      process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      ["--headless=new", "--remote-debugging-port=0", `--user-data-dir=${this.folder}`, ...FLAGS, "about:blank"],
      { stdio: ["ignore", "ignore", "pipe"], detached: true },
    );
    const address = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("Chromium does not start")), START_MS);
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        const [found] = /ws:\/\/\S+/.exec((said += chunk.toString())) ?? [];
        if (!found) return;
        clearTimeout(timer);
        resolve(found);
      });
    });
    const browser = await chromium.connectOverCDP(address);
    this.running = { child, browser };
    return browser.contexts()[0] as BrowserContext;
  }

  /** Ends it without a warning, all its processes at once. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** Ends it as a person does. */
  async close(): Promise<void> {
    const { browser } = this.running ?? {};
    const session = await browser?.newBrowserCDPSession();
    await session?.send("Browser.close").catch(() => undefined);
    await this.ended();
  }

  async remove(): Promise<void> {
    if (this.running) await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this.running ?? {};
    if (child?.pid) process.kill(-child.pid, signal);
    await this.ended();
  }

  private async ended(): Promise<void> {
    const { child } = this.running ?? {};
    this.running = undefined;
    if (child && child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child.once("exit", resolve));
    }
  }
}

/** Events that wait on the device, and what they weigh, as the keys of the queue say. */
export async function stored(page: Page): Promise<{ events: number; bytes: number }> {
  return page.evaluate(async () => {
    const sum = { events: 0, bytes: 0 };
    for (const { name } of await indexedDB.databases()) {
      if (!name?.startsWith("tallymark:")) continue;
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const opening = indexedDB.open(name);
        opening.onsuccess = () => resolve(opening.result);
        opening.onerror = () => reject(opening.error);
      });
      const keys = await new Promise<IDBValidKey[]>((resolve, reject) => {
        const asking = database.transaction("q").objectStore("q").getAllKeys();
        asking.onsuccess = () => resolve(asking.result);
        asking.onerror = () => reject(asking.error);
      });
      database.close();
      for (const key of keys as [string, number, number][]) {
        sum.events += key[1];
        sum.bytes += key[2];
      }
    }
    return sum;
  });
}

/** Events that wait on the device. */
export async function waiting(page: Page): Promise<number> {
  return (await stored(page)).events;
}
