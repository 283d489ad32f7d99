/** The module's Rust as plain JavaScript, behind the same glue. Loaded where WebAssembly is refused. */

import * as asm from "tallymark-asm/tallymark";
import * as functions from "tallymark-glue/tallymark";

functions.__wbg_set_wasm(asm as unknown as WebAssembly.Exports);

export { functions };
