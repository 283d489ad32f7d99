/** Where the built package is, and the tables all implementations share. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const DIST = new URL("../dist/", import.meta.url);

/** A file of the built package; says what to do when there is none. */
export function built(name) {
  const url = new URL(name, DIST);
  if (!existsSync(url)) throw new Error(`${fileURLToPath(url)} is missing: run \`cargo xtask build\``);
  return url;
}

/** The module's bytes: Node's `fetch` reads no files. */
export function moduleBytes() {
  return readFileSync(built("tallymark_bg.wasm"));
}

/** A table of `tests/vectors`. */
export function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
}

/** One source file as a module, for rules that no call shows by itself. */
export async function sources(name) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))],
    bundle: true,
    format: "esm",
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}
