/**
 * What a page pays for what it imports, in bytes after brotli (quality 11). A part that outgrows its
 * bound fails here; a part that shrank by much should get a new bound.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

import { built } from "./built.mjs";

const weight = (bytes) => brotliCompressSync(bytes).length;
const file = (name) => weight(readFileSync(built(name)));

/** The bytes of the first script of a page that imports these. */
async function importing(names) {
  const { outputFiles } = await build({
    stdin: {
      contents: `import { ${names.join(", ")} } from ${JSON.stringify(fileURLToPath(built("index.js")))};
        globalThis.used = [${names.join(", ")}];`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    minify: true,
    format: "esm",
    external: ["./core.js", "./debug.js"],
    write: false,
  });
  return weight(outputFiles[0].contents);
}

const BOUNDS = { "core.js": 7_000, "tallymark_bg.wasm": 2_300, "fallback.js": 4_100, "tallymark.js": 9_900, "debug.js": 1_200 };

for (const [name, bound] of Object.entries(BOUNDS)) {
  test(`${name} weighs at most ${bound} bytes`, () => {
    assert.ok(file(name) <= bound, `${file(name)} bytes`);
  });
}

/** What each export adds to the first script of a page that has the usual ones. */
const USUAL = ["init", "track", "page", "identify", "reset", "optIn", "optOut"];
const EXTRAS = { consent: 60, contentView: 90, funnelStep: 70, conversion: 90, exposure: 70, flush: 90, ready: 90 };

test("the usual import: its first script, and everything it loads", async () => {
  const first = await importing(USUAL);
  const all = first + file("core.js") + file("tallymark_bg.wasm");
  console.log(`first script ${first}, all ${all} bytes`);
  assert.ok(first <= 2_048, `the first script weighs ${first} bytes`);
  assert.ok(all <= 12_288, `everything weighs ${all} bytes`);
});

test("an export that is not imported costs nothing", async () => {
  const usual = await importing(USUAL);
  for (const [name, bound] of Object.entries(EXTRAS)) {
    const added = (await importing([...USUAL, name])) - usual;
    assert.ok(added <= bound, `${name} adds ${added} bytes`);
  }
});
