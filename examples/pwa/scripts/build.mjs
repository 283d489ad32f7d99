/**
 * Build the shop into `dist/`: bundle, icons, and a service worker that knows every file.
 *
 * The bundle is what any other page would do with the package: import it, let esbuild bundle it.
 * esbuild leaves `new URL("….wasm", import.meta.url)` as it is, so the package's wasm is copied to
 * where that address points.
 */

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

import { iconPng, iconSvg } from "./icons.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const src = join(root, "src");
const dist = join(root, "dist");

/** Files below a folder, as paths with a leading slash, sorted. */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => "/" + relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

// The configuration belongs to whoever runs the shop: a build does not take it away.
const configFile = join(dist, "config.json");
const config = existsSync(configFile) ? readFileSync(configFile) : null;
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

for (const file of ["index.html", "manifest.webmanifest"]) cpSync(join(src, file), join(dist, file));
writeFileSync(join(dist, "icon.svg"), iconSvg());
writeFileSync(join(dist, "icon-192.png"), iconPng(192, 1));
writeFileSync(join(dist, "icon-512.png"), iconPng(512, 1));
writeFileSync(join(dist, "icon-maskable-512.png"), iconPng(512, 0.72));

const shared = { bundle: true, minify: true, target: "es2022", logLevel: "warning" };
await build({
  ...shared,
  format: "esm",
  splitting: true,
  outdir: dist,
  entryPoints: { app: join(src, "main.ts"), "app-style": join(src, "app.css") },
});
const wasm = fileURLToPath(import.meta.resolve("@tallymark/web/tallymark_bg.wasm"));
cpSync(wasm, join(dist, basename(wasm)));
cpSync(join(dist, "app-style.css"), join(dist, "app.css"));
rmSync(join(dist, "app-style.css"));

const shell = ["/", ...filesIn(dist).filter((path) => path !== "/index.html")];
const digest = createHash("sha256");
for (const path of filesIn(dist)) digest.update(path).update(readFileSync(join(dist, path)));

await build({
  ...shared,
  format: "iife",
  outfile: join(dist, "sw.js"),
  entryPoints: [join(src, "sw.ts")],
  define: {
    BUILD: JSON.stringify(digest.digest("hex").slice(0, 12)),
    SHELL: JSON.stringify(shell),
  },
});

if (config) writeFileSync(configFile, config);
console.log(`dist/: ${filesIn(dist).length} files`);
