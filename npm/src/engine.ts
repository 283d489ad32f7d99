/**
 * What is computed in Rust: hashes, variants, what a reply means.
 *
 * The WebAssembly module has no state, so it may be slow, blocked, broken or gone: then the same
 * Rust translated to JavaScript (`fallback`) takes over, loaded only then. Where even that fails,
 * ids are left out, and events are kept for the next page.
 */

import type { Make } from "./page.js";
import type { Options } from "./types.js";

/** What `sdk-wasm/src/boundary.rs` exports. */
export interface Functions {
  readonly memory: { readonly buffer: ArrayBuffer };
  room(): number;
  hashId(saltBytes: number, idBytes: number, isDevice: boolean): number;
  judge(status: number, hasReceipt: boolean, isOurs: boolean, retryAfterMs: number): number;
  backoffMs(failures: number, ratio: number): number;
}

/** As much as there is room for in the module. */
const ROOM_BYTES = 128 * 1024;

/** Longest wait for the module before the translation is loaded. */
const PATIENCE_MS = 3_000;

export class Engine {
  /** Resolves when it is known what there is. */
  settled: Promise<void>;
  /** Whether that is still open. */
  isPending = true;
  #functions: Functions | undefined;

  constructor(
    wasm: Options["wasm"],
    private readonly report: (code: string, detail?: unknown) => void,
  ) {
    this.settled = this.#settle(() => start(wasm));
  }

  /** Whether it can be asked. */
  get isThere(): boolean {
    return this.#functions !== undefined;
  }

  /** The answer of a function; `undefined` while there is none, and when it broke. */
  ask<T>(question: (functions: Functions) => T): T | undefined {
    if (!this.#functions) return undefined;
    try {
      return question(this.#functions);
    } catch (error) {
      // A module that trapped is in no state to be called again.
      this.settled = this.#settle(() => Promise.reject(error));
      return undefined;
    }
  }

  async #settle(first: () => Promise<Functions>): Promise<void> {
    this.isPending = true;
    this.#functions = undefined;
    try {
      this.#functions = await first();
    } catch (error) {
      try {
        this.#functions = (await import("./fallback.js")).functions;
        this.report("module_replaced", error);
      } catch {
        this.report("module_unavailable", error);
      }
    }
    this.isPending = false;
  }
}

async function start(given: Options["wasm"]): Promise<Functions> {
  // The name stands here, and the address of this file in it, for bundlers to find and rewrite.
  const wasm = given ?? new URL("tallymark_bg.wasm", import.meta.url);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject("it takes too long"), PATIENCE_MS);
  });
  const { instance } = await Promise.race([
    typeof wasm === "string" || wasm instanceof URL
      ? WebAssembly.instantiateStreaming(fetch(wasm))
      : (WebAssembly.instantiate(await wasm) as Promise<WebAssembly.WebAssemblyInstantiatedSource>),
    late,
  ]);
  clearTimeout(timer);
  return instance.exports as unknown as Functions;
}

/** The first stage of hashing an id of a user; empty for an id that is empty or does not fit. */
export function hashUser({ memory, room, hashId }: Functions, { hex }: Pick<Make, "hex">, salt: string, id: string): string {
  const bytes = new Uint8Array(memory.buffer, room(), ROOM_BYTES);
  const encoder = new TextEncoder();
  const { written = 0 } = encoder.encodeInto(salt, bytes);
  const { written: length = 0, read } = encoder.encodeInto(id, bytes.subarray(written));
  return read === id.length && hashId(written, length, false) ? hex(bytes.subarray(0, 32)) : "";
}
