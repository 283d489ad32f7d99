/**
 * Starts the WebAssembly module with the glue that wasm-bindgen wrote for it. Loaded by itself, so
 * that nothing of it stands in the way of the page's first lines.
 */

import * as glue from "tallymark-glue/tallymark";

export * from "tallymark-glue/tallymark";

/** Compiles and starts the module. */
export async function start(source: Promise<Response> | BufferSource): Promise<void> {
  const imports = { "./tallymark_bg.js": glue as unknown as WebAssembly.ModuleImports };
  const { instance } =
    source instanceof Promise
      ? await WebAssembly.instantiateStreaming(source, imports)
      : await WebAssembly.instantiate(source, imports);
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports["__wbindgen_start"] as (() => void) | undefined)?.();
}
