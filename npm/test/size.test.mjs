/**
 * What a page pays for what it imports, in bytes after brotli (quality 11). Two things fail here: a part that
 * outgrows its bound, which is what we promise; and a part that grew since `sizes.json` was written, which is what
 * somebody may not have noticed. `TALLYMARK_SIZES=write npm test -- size` writes it anew, for the commit that says why.
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

import { built } from "./built.mjs";

const weight = (bytes) => brotliCompressSync(bytes).length;
const file = (name) => weight(readFileSync(built(name)));

/** The bytes of the first script of a page that imports these, by entry point. */
async function importing(wanted) {
  const lines = Object.entries(wanted).map(([entry, names]) => {
    const from = JSON.stringify(fileURLToPath(built(`${entry}.js`)));
    const place = entry.replaceAll("-", "_");
    const own = (name) => `${place}_${name}`;
    return `import { ${names.map((name) => `${name} as ${own(name)}`)} } from ${from}; globalThis.${place} = [${names.map(own)}];`;
  });
  const { outputFiles } = await build({
    stdin: { contents: lines.join("\n"), resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
    bundle: true,
    minify: true,
    format: "esm",
    external: ["./core.js", "./debug.js", "./evaluator.js"],
    write: false,
  });
  return weight(outputFiles[0].contents);
}

const BOUNDS = { "core.js": 8_000, "guard.js": 1_050, "tallymark_bg.wasm": 2_300, "fallback.js": 4_100, "tallymark.js": 11_230, "debug.js": 1_200 };

/** What everything weighs now, by name. */
const sizes = {};
const SNAPSHOT = new URL("sizes.json", import.meta.url);
/** Compressors of other versions differ by that much. */
const margin = (bytes) => 8 + bytes / 200;

for (const [name, bound] of Object.entries(BOUNDS)) {
  test(`${name} weighs at most ${bound} bytes`, () => {
    sizes[name] = file(name);
    assert.ok(sizes[name] <= bound, `${sizes[name]} bytes`);
  });
}

/** What each export adds to the first script of a page that has the usual ones. */
const USUAL = ["init", "track", "page", "identify", "reset", "optIn", "optOut"];
const EXTRAS = { consent: 60, contentView: 90, funnelStep: 70, conversion: 90, exposure: 70, flush: 90, ready: 90, createClient: 90 };

/** What each entry point adds to such a page when all of it is used. */
const ENTRIES = {
  content: [1_600, ["watchContent", "watchMarkedContent"]],
  pwa: [1_050, ["watchPwa", "installWay", "promptInstall", "installHint"]],
  vitals: [2_150, ["watchVitals"]],
  errors: [1_480, ["captureError", "watchErrors", "setErrorContext"]],
  autocapture: [1_500, ["autocapture"]],
  "consent-mode": [310, ["followConsentMode"]],
  business: [
    2_150,
    ["logEvent", "recordKpi", "recordPerformance", "startSpan", "measured", "trackUserRegistration", "trackPaymentSuccess",
      "trackPaymentFailure", "trackSubscriptionCreated", "trackExpenseLogged", "trackExpenseEdited", "trackReportRequested", "trackContentInteraction", "trackCreatorActivity", "featureUsed",
      "startFeature", "startFunnel", "detectPlatform"],
  ],
  experiments: [2_850, ["start", "value", "variant", "exposure", "conversion", "exposeWhenSeen", "setAttributes", "evaluate", "onChange"]],
};

test("the usual import: its first script, and everything it loads", async () => {
  const first = await importing({ index: USUAL });
  const all = first + file("core.js") + file("tallymark_bg.wasm");
  console.log(`first script ${first}, all ${all} bytes`);
  sizes["first script"] = first;
  assert.ok(first <= 2_048, `the first script weighs ${first} bytes`);
  assert.ok(all <= 12_288, `everything weighs ${all} bytes`);
});

test("an export that is not imported costs nothing", async () => {
  const usual = await importing({ index: USUAL });
  for (const [name, bound] of Object.entries(EXTRAS)) {
    const added = (await importing({ index: [...USUAL, name] })) - usual;
    sizes[`index: ${name}`] = added;
    assert.ok(added <= bound, `${name} adds ${added} bytes`);
  }
});

test("each entry point adds no more than its bound, and parts of it less", async () => {
  const usual = await importing({ index: USUAL });
  for (const [entry, [bound, names]] of Object.entries(ENTRIES)) {
    const exported = Object.keys(await import(built(`${entry}.js`)));
    assert.deepEqual(names.toSorted?.() ?? [...names].sort(), exported.sort(), `exports of ${entry}`);
    const added = (await importing({ index: USUAL, [entry]: names })) - usual;
    sizes[entry] = added;
    assert.ok(added <= bound, `${entry} adds ${added} bytes`);
    console.log(`${entry} adds ${added} bytes`);
  }
});

test("everything that pages can import, with everything it loads, weighs at most 24 KiB", async () => {
  const entries = Object.fromEntries(Object.entries(ENTRIES).map(([entry, [, names]]) => [entry, names]));
  const first = await importing({ index: [...USUAL, ...Object.keys(EXTRAS)], ...entries });
  const all = first + file("core.js") + file("guard.js") + file("tallymark_bg.wasm");
  console.log(`first script ${first}, all ${all} bytes`);
  sizes["everything"] = all;
  assert.ok(all <= 24 * 1024, `everything weighs ${all} bytes`);
});

test("nothing grew since the snapshot was written, and nothing came or went unseen", () => {
  if (process.env.TALLYMARK_SIZES === "write") writeFileSync(SNAPSHOT, `${JSON.stringify(sizes, null, 2)}\n`);
  const known = JSON.parse(readFileSync(SNAPSHOT, "utf8"));
  assert.deepEqual(Object.keys(sizes).sort(), Object.keys(known).sort());
  const grown = Object.entries(sizes).filter(([name, bytes]) => bytes > known[name] + margin(known[name]));
  assert.deepEqual(grown.map(([name, bytes]) => `${name}: ${known[name]} to ${bytes}`), []);
});
