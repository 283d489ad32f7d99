/**
 * The package as one script for pages without a bundler: `tallymark.js`, which the collector serves.
 *
 * The tag may say everything (`data-key`, `data-salt`, `data-mode`, …), so a page needs no script of its
 * own and its policy no exception. A page that calls before this has loaded puts its calls into an
 * array: `(window.tallymark ||= []).push(["track", "signup_started"])`.
 *
 * What is loaded later is checked against the hashes that the build put in here: whoever trusts the
 * hash in the tag trusts all of it.
 */

import * as api from "./index.js";
import type { Mode, Options } from "./types.js";

/** The hashes of files that are loaded later; the build puts them here. */
declare const TALLYMARK_INTEGRITY: { readonly [file: string]: string };

type Call = [name: string, ...given: unknown[]];
type Parts = { [name: string]: unknown; load?: (name: string) => Promise<unknown> };
type Globals = { tallymark?: unknown; tallymarkParts?: Parts };

const globals = globalThis as Globals;
const tag = document.currentScript as HTMLScriptElement | null;
const address = tag?.src || location.href;
const data: DOMStringMap = tag?.dataset ?? {};
/** Parts are scripts that put themselves here; they call this place by its name. */
const parts: Parts = (globals.tallymarkParts ??= {});

/** Loads another script of this build. The build makes it of every `import()`. */
parts.load = (name) =>
  new Promise((resolve, reject) => {
    const part = document.createElement("script");
    const file = `tallymark-${name}.js`;
    part.src = beside(file);
    part.integrity = TALLYMARK_INTEGRITY[file] as string;
    part.crossOrigin = "anonymous";
    if (tag?.nonce) part.nonce = tag.nonce;
    part.onload = () => resolve(parts[name]);
    part.onerror = () => reject(new Error(`${file} cannot be loaded`));
    document.head.append(part);
  });

/** The address of a file beside this one. */
function beside(file: string): string {
  return new URL(file, address).href;
}

/** The module's bytes, if they are those of this build. */
async function moduleBytes(): Promise<BufferSource> {
  const file = "tallymark_bg.wasm";
  const reply = await fetch(beside(file), { integrity: TALLYMARK_INTEGRITY[file] as string });
  return reply.arrayBuffer();
}

/** As {@link api.init}; the collector is where this script came from. */
function init(options: Partial<Options>): void {
  const wasm = options.wasm ?? moduleBytes();
  // Whoever uses it hears of it; nobody does when the settings are no good.
  if (wasm instanceof Promise) wasm.catch(() => {});
  api.init({ endpoint: address.replace(/\/sdk\/.*$/, ""), ...options, wasm } as Options);
}

/** Makes calls: each is the name of a function and what it is given. */
function push(...calls: Call[]): void {
  for (const [name, ...given] of calls) {
    const called = (tallymark as unknown as { [name: string]: unknown })[name];
    if (typeof called === "function") called(...given);
    else console.warn(`tallymark: there is no ${name}`);
  }
}

const tallymark = { ...api, init, push };
const { key, salt, mode, endpoint, queue, autoPage } = data;
if (key && salt) {
  init({
    key,
    salt,
    ...(endpoint && { endpoint }),
    ...(mode && { mode: mode as Mode }),
    ...(queue === "memory" && { queue }),
    autoPage: autoPage !== "false",
    debug: "debug" in data,
  });
}
const early = globals.tallymark;
globals.tallymark = tallymark;
if (Array.isArray(early)) push(...(early as Call[]));
