/** The module for flags as plain JavaScript, behind the same glue. Loaded where WebAssembly is refused. */

import * as asm from "tallymark-asm/experiments";
import { __wbg_set_wasm, Evaluator } from "tallymark-glue/experiments";

__wbg_set_wasm(asm as unknown as WebAssembly.Exports);

export { Evaluator };
