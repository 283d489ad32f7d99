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
export async function sources(name, plugins = []) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))],
    bundle: true,
    format: "esm",
    write: false,
    plugins,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

let observed = 0;

/**
 * The same for an entry point that records by way of `index.ts`: gives the module, and what it calls there as
 * `[function, ...arguments]`. Here errors inside are thrown, not told.
 */
export async function observedSources(name) {
  const calls = [];
  const place = `observed${observed++}`;
  globalThis[place] = calls;
  const functions = ["track", "consent", "contentView", "funnelStep", "identify", "report"];
  const contents = [
    ...functions.map((one) => `export const ${one} = (...given) => void globalThis.${place}.push(["${one}", ...given]);`),
    "export const quietly = (act) => act();",
    `export const settings = () => globalThis.${place}.settings;`,
  ].join("\n");
  const stub = {
    name: "index",
    setup(bundle) {
      bundle.onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: "index", namespace: "observed" }));
      bundle.onLoad({ filter: /.*/, namespace: "observed" }, () => ({ contents }));
    },
  };
  return { calls, module: await sources(name, [stub]) };
}
