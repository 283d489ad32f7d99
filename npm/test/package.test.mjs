/** The packed package: what is in it, what it asks of whoever installs it, and servers that import it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { built } from "./built.mjs";

const NPM = new URL("../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", NPM), "utf8"));
const tarball = fileURLToPath(new URL(`tallymark-web-${manifest.version}.tgz`, NPM));
const tar = (...options) => execFileSync("tar", options, { encoding: "utf8" });
const files = tar("-tzf", tarball).trim().split("\n").map((file) => file.replace(/^package\//, ""));
const packed = JSON.parse(tar("-xzOf", tarball, "package/package.json"));

/** Entry points that pages import, and files that these load. */
const PUBLIC = [
  "autocapture", "business", "consent-mode", "content", "errors", "evaluator", "experiments", "index", "openfeature", "pwa", "react", "svelte", "vitals", "vue", "worker",
];
const PRIVATE = [
  "assign-sync", "core", "debug", "evaluator-plain", "fallback", "guard", "scope", "tallymark", "tallymark-debug", "tallymark-fallback", "tallymark-guard",
];

test("the package holds what a page and its author need, and nothing else", () => {
  const scripts = [...PUBLIC, ...PRIVATE].flatMap((name) => [`dist/${name}.js`, `dist/${name}.js.map`]);
  const types = [...PUBLIC, "client", "flag-types", "types"].map((name) => `dist/${name}.d.ts`);
  const modules = ["dist/tallymark_bg.wasm", "dist/experiments_bg.wasm"];
  const texts = ["EXPERIMENTS.md", "FRAMEWORKS.md", "LICENSE-APACHE", "LICENSE-MIT", "MEASURES.md", "README.md", "package.json"];
  assert.deepEqual(files.sort(), [...scripts, ...types, ...modules, ...texts].sort());
});

test("installing it runs nothing and brings nothing else", () => {
  assert.equal(packed.dependencies, undefined);
  // Only who imports the provider needs it, and has it.
  assert.deepEqual(Object.keys(packed.peerDependencies), Object.keys(packed.peerDependenciesMeta));
  assert.ok(Object.values(packed.peerDependenciesMeta).every(({ optional }) => optional));
  const installing = Object.keys(packed.scripts ?? {}).filter((name) => /install|prepare|^pre|^post/.test(name));
  assert.deepEqual(installing, []);
});

test("every file the manifest names is in the package", () => {
  const named = [packed.main, packed.types, ...Object.values(packed.exports).flatMap((entry) =>
    typeof entry === "string" ? [entry] : Object.values(entry),
  )];
  for (const file of named) assert.ok(files.includes(file.replace("./", "")), file);
  assert.equal(Object.keys(packed.exports["."])[0], "types", "TypeScript reads the first that fits");
});

test("its types are found by every way TypeScript has to look for them", () => {
  const page = mkdtempSync(join(tmpdir(), "tallymark-types-"));
  const installed = join(page, "node_modules", "@tallymark", "web");
  mkdirSync(installed, { recursive: true });
  tar("-xzf", tarball, "-C", installed, "--strip-components=1");
  writeFileSync(join(page, "package.json"), `{"type":"module"}`);
  writeFileSync(join(page, "page.ts"), `
    import { contentView, conversion, flush, init, track, type Options } from "@tallymark/web";
    import { autocapture } from "@tallymark/web/autocapture";
    import { measured, startFunnel } from "@tallymark/web/business";
    import { watchContent } from "@tallymark/web/content";
    import { captureError } from "@tallymark/web/errors";
    import { watchPwa } from "@tallymark/web/pwa";
    import { watchVitals } from "@tallymark/web/vitals";
    import { variant } from "@tallymark/web/experiments";
    const options: Options = { key: "k", salt: "s", endpoint: "e", mode: "full" };
    init(options);
    watchContent(document.body, { id: 1, type: "page" });
    captureError(new Error("no"), { business: { funnel: "checkout" } });
    const checkout = startFunnel("checkout", ["address", "payment"]);
    checkout.reach("address");
    // @ts-expect-error: a step that is none
    checkout.reach("adress");
    const doubled: (value: number) => Promise<string> = measured("doubled", async (value: number) => String(value * 2));
    const stops: (() => void)[] = [watchPwa({ deferPrompt: true }), autocapture({ text: true })];
    watchVitals();
    console.log(doubled, stops);
    track("checkout_started", { seats: 5, at: new Date(), items: [{ sku: "a" }] });
    contentView({ id: 1, type: "article", engaged_ms: 5 });
    conversion("purchase", { value: 1, experiment: "a" });
    const met: string | null = variant("a");
    const sent: Promise<boolean> = flush();
    // @ts-expect-error: a mode that does not exist
    init({ ...options, mode: "everything" });
    console.log(met, sent);`);
  const tsc = fileURLToPath(new URL("node_modules/.bin/tsc", NPM));
  for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
    const options = ["--noEmit", "--strict", "--target", "es2022", "--types", "", "--skipLibCheck", "false"];
    execFileSync(tsc, [...options, "--module", module, "--moduleResolution", resolution, "page.ts"], {
      cwd: page,
      stdio: "inherit",
    });
  }
  rmSync(page, { recursive: true });
});

test("no path of the machine that built it is in the package", () => {
  const home = process.env.HOME ?? "/home";
  for (const file of files) {
    const text = tar("-xzOf", tarball, `package/${file}`);
    for (const path of [fileURLToPath(new URL("../", NPM)), `${home}/`]) {
      assert.equal(text.includes(path), false, `${path} is in ${file}`);
    }
  }
});

test("the name of the module stands in the script as bundlers look for it", () => {
  const [index, core] = ["index.js", "core.js"].map((name) => readFileSync(built(name), "utf8"));
  assert.match(core, /new URL\("tallymark_bg\.wasm",\s*import\.meta\.url\)/);
  assert.match(index, /import\("\.\/core\.js"\)/);
  assert.match(core, /import\("\.\/fallback\.js"\)/);
});

test("a server that imports and calls it sees nothing happen", async () => {
  const before = Object.getOwnPropertyNames(globalThis).sort();
  const tally = await import(built("index.js"));
  tally.init({ key: "tm_pk_test_x", salt: "salt", endpoint: "https://stats.example" });
  tally.track("rendered");
  tally.page();
  tally.identify("ada");
  tally.optIn();
  const measures = ["autocapture", "business", "content", "errors", "pwa", "vitals"].map((name) => import(built(`${name}.js`)));
  const [clicks, business, content, errors, pwa, vitals] = await Promise.all(measures);
  for (const stop of [clicks.autocapture(), content.watchContent({}), content.watchMarkedContent(), errors.watchErrors(), pwa.watchPwa()]) stop();
  vitals.watchVitals();
  errors.captureError(new Error("on a server"));
  business.trackPaymentSuccess({ paymentId: "p", amount: 1, currency: "EUR" });
  assert.equal(business.measured("rendered", () => 1)(), 1);
  // What is given nothing throws nothing.
  for (const [name, act] of Object.entries(business)) if (name !== "detectPlatform") assert.doesNotThrow(() => act(), name);
  assert.doesNotThrow(() => business.startFunnel("checkout").reach("address"));
  assert.deepEqual([pwa.installWay(), await pwa.promptInstall()], ["none", "unavailable"]);
  assert.equal(await tally.ready(), false);
  assert.equal(await tally.flush(), false);
  assert.deepEqual(Object.getOwnPropertyNames(globalThis).sort(), before);
});
