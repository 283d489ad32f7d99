/**
 * The glue that wasm-bindgen writes for each module, and the modules that are also plain
 * JavaScript: the build finds them under these names (see xtask/src/build_sdk/package.rs).
 */

/** From `sdk-wasm/src/boundary.rs`, as plain JavaScript. */
declare module "tallymark-asm/tallymark" {
  type Functions = import("./engine.js").Functions;
  export const memory: Functions["memory"];
  export const room: Functions["room"];
  export const hashId: Functions["hashId"];
  export const judge: Functions["judge"];
  export const backoffMs: Functions["backoffMs"];
}

/** From `sdk-wasm/src/evaluation.rs`. */
declare module "tallymark-glue/experiments" {
  /** Says which instance the functions call. */
  export function __wbg_set_wasm(exports: WebAssembly.Exports): void;

  export class Evaluator {
    keep(isPerson: boolean, packed: string): boolean;
    feature(key: string): Float64Array;
    experiment(packed: string): Float64Array;
    redirect(packed: string): string;
  }
}

/** The same as plain JavaScript. */
declare module "tallymark-asm/experiments";
