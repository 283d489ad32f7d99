/**
 * Loads the WebAssembly module once, and keeps the calls made before it is there, in order, with
 * the times and the addresses they were made at.
 */

import type { Client } from "tallymark-glue/tallymark";

import { sendWithoutModule, type Tracked } from "./leaving.js";
import type { Mode, Options } from "./types.js";

/** When and where a call was made. */
export interface Made {
  wallMs: number;
  monoMs: number;
  address: string;
}

/** A call, ready to be passed on. */
type Call = (client: Client, at: Made) => void;

/** What of a call matters should the page be left before the module is there: an event, or the visitor's word. */
type Meaning = [name: string, propsJson: string] | "yes" | "no";

/** A call that waits for the module. */
interface Early {
  call: Call;
  at: Made;
  meaning: Meaning | undefined;
}

/** Name and version in batches; the build puts the version here. */
declare const TALLYMARK_VERSION: string;

const SDK = `web/${TALLYMARK_VERSION}`;
/** Calls kept while the module loads. */
const EARLY_MAX = 1_000;

let options: Options | undefined;
let client: Client | undefined;
let failed = false;
let early: Early[] = [];
let waiting: ((loaded: boolean) => void)[] = [];
/** The address the module knows. */
let told: string | undefined;

/** Takes the settings and begins to load; gives whether this was the first time and they are valid. */
export function load(given: Options): boolean {
  if (options) {
    report("init_twice", "init was called before; this call was ignored");
    return false;
  }
  const fault = check(given);
  if (fault) {
    const message = `${fault}; nothing will be recorded`;
    (given?.onError ?? warn)({ code: "settings_invalid", message });
    return false;
  }
  options = given;
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", leave);
  void start(given);
  return true;
}

/** Whether `init` was called with valid settings. */
export function started(): boolean {
  return options !== undefined;
}

/** Passes a call on, or keeps it until there is somebody to pass it to. */
export function dispatch(what: string, call: Call, meaning?: Meaning): void {
  if (typeof window === "undefined" || failed) return;
  if (options?.debug) console.debug(`tallymark: ${what}`);
  const at = { wallMs: Date.now(), monoMs: performance.now(), address: location.href };
  if (client) {
    call(client, at);
  } else if (early.length < EARLY_MAX) {
    early.push({ call, at, meaning });
  } else {
    report("queue_full", "the module is not loaded and too many calls wait; this one was dropped");
  }
}

/**
 * What the module wants to know about an event: its times, and its address when that is another
 * one than before. Only for calls that pass it on: an address that is asked for counts as told.
 */
export function placed(at: Made): [wallMs: number, monoMs: number, address: string | undefined] {
  const moved = at.address === told ? undefined : at.address;
  told = at.address;
  return [at.wallMs, at.monoMs, moved];
}

/** Looks something up, if there is somebody to ask. */
export function lookUp<T>(question: (client: Client) => T): T | undefined {
  return client && question(client);
}

/** Resolves when the module is loaded (`true`) or cannot be (`false`). */
export function onceReady(): Promise<boolean> {
  if (client) return Promise.resolve(true);
  if (failed || typeof window === "undefined") return Promise.resolve(false);
  return new Promise((resolve) => waiting.push(resolve));
}

/** Resolves when what waits is sent (`true`) or cannot be for now (`false`). */
export async function onceSent(): Promise<boolean> {
  return (await onceReady()) && client !== undefined && client.flush();
}

/** Tells the page's developer. */
export function report(code: string, message: string): void {
  try {
    if (options?.debug) warn({ code, message });
    options?.onError?.({ code, message });
  } catch {
    // A page whose `onError` throws has no way left to be told.
  }
}

async function start(given: Options): Promise<void> {
  try {
    // The name stands here, and the address of this file in it, for bundlers to find and rewrite.
    const wasm = given.wasm ?? new URL("tallymark_bg.wasm", import.meta.url);
    // Both at the same time; a failure shows where the second one is waited for.
    const source = typeof wasm === "string" || wasm instanceof URL ? fetch(wasm) : wasm;
    if (source instanceof Promise) source.catch(() => {});
    const engine = await import("./engine.js");
    await engine.start(source);
    client = new engine.Client(settings(given), batchUrl(given.endpoint), report);
  } catch (error) {
    failed = true;
    report("module_unavailable", `the module cannot be loaded, nothing is recorded: ${String(error)}`);
  }
  const calls = early;
  early = [];
  for (const { call, at } of calls) {
    try {
      if (client) call(client, at);
    } catch (error) {
      report("sdk_error", String(error));
    }
  }
  const resolves = waiting;
  waiting = [];
  for (const resolve of resolves) resolve(client !== undefined);
}

/** The page is hidden: what waits for the module may have no other chance. */
function leave(event: Event): void {
  if (client || failed || !options) return;
  if (event.type === "visibilitychange" && document.visibilityState === "visible") return;
  try {
    sendEarly(options);
  } catch (error) {
    report("sdk_error", String(error));
  }
}

function sendEarly(given: Options): void {
  let word: "yes" | "no" | undefined;
  let events: Early[] = [];
  for (const one of early) {
    if (one.meaning === "yes" || one.meaning === "no") {
      // As the module does: opting out drops what waits, and what comes after it.
      if (one.meaning === "no") events = [];
      word = one.meaning;
    } else if (one.meaning && word !== "no") {
      events.push(one);
    }
  }
  const tracked = events.map(({ meaning, at }) => [...(meaning as [string, string]), at] as Tracked);
  const sent = sendWithoutModule(given, SDK, batchUrl(given.endpoint), word, tracked);
  // Sent for good: should the page come back, the module must not record them again.
  const gone = new Set(events.slice(0, sent));
  early = early.filter((one) => !gone.has(one));
}

/** Only what crosses the boundary, in the types it expects there. */
function settings(given: Options): object {
  const mode: Mode = given.mode ?? "cookieless";
  const experiments = (given.experiments ?? []).map((experiment) => ({
    ...experiment,
    unit: experiment.unit ?? "device",
  }));
  return { key: given.key, salt: given.salt, mode, experiments, sdk: SDK };
}

/** What is wrong with the settings, if anything. */
function check(given: Options): string | undefined {
  if (typeof given !== "object" || given === null) return "init needs an object with key, salt and endpoint";
  for (const name of ["key", "salt", "endpoint"] as const) {
    if (typeof given[name] !== "string" || !given[name]) return `${name} is missing`;
  }
  if (given.key.startsWith("tm_sk_")) {
    return "key is a secret key, which must not be in a page: use the write key (tm_pk_…) and revoke this one";
  }
  if (given.mode !== undefined && !["full", "cookieless", "none"].includes(given.mode)) {
    return 'mode is "full", "cookieless" or "none"';
  }
  try {
    batchUrl(given.endpoint);
  } catch {
    return "endpoint is the address of the collector, like https://stats.example.com";
  }
  return undefined;
}

/** Where batches go: relative endpoints are on the page's own host. */
function batchUrl(endpoint: string): string {
  const url = new URL(endpoint, location.href);
  if (!url.pathname.endsWith("/v1/batch")) {
    url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/batch`;
  }
  return url.href;
}

function warn(error: { code: string; message: string }): void {
  console.warn(`tallymark: ${error.code}: ${error.message}`);
}
