/** The module's Rust as plain JavaScript. Loaded where WebAssembly is refused. */

export * as functions from "tallymark-asm/tallymark";
