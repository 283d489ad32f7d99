/**
 * Pages that do nothing but use the package: a bundle of it, and small pages that import the bundle.
 *
 * In: settings and a script. Out: files for a {@link Site}.
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

import type { MadeFile } from "./site.ts";

/** What a page passes to `init`, beside `onError`, which always collects into `reported`. */
export interface Settings {
  key: string;
  salt: string;
  endpoint: string;
  mode?: "full" | "cookieless" | "none";
  autoPage?: boolean;
  queue?: "device" | "memory";
  debug?: boolean;
  guard?: boolean;
  wasm?: string;
}

/** What a page is made of beside its script. */
export interface PageOptions {
  /** Of the page's own answer, such as a content security policy. */
  headers?: Record<string, string>;
  /** HTML of the page, after its heading. */
  body?: string;
  /** The script of `pages/` that it loads. */
  bundle?: "plain" | "usual" | "flags" | "measures";
}

/**
 * The package as a bundle at `/bundle/plain.js`, and with more of it at `/bundle/flags.js`, `/bundle/measures.js` and, with a
 * service worker, `/bundle/sw.js`; at `/bundle/usual.js` as a team ships it: what pages usually import, minified. The files it ships beside its code.
 */
export async function bundlePackage(folder: string): Promise<Record<string, MadeFile>> {
  const bundle = (pages: string[], minify: boolean) =>
    build({
      entryPoints: pages.map((page) => join(folder, "pages", page)),
      bundle: true,
      splitting: true,
      minify,
      format: "esm",
      target: "es2022",
      outdir: "bundle",
      write: false,
      loader: { ".wasm": "file" },
      nodePaths: [join(folder, "node_modules")],
    });
  const made = await Promise.all([bundle(["plain.ts", "flags.ts", "measures.ts", "background.ts", "sw.ts"], false), bundle(["usual.ts"], true)]);
  const files: Record<string, MadeFile> = {};
  for (const { path, contents } of made.flatMap(({ outputFiles }) => outputFiles)) files[`/bundle/${basename(path)}`] = { body: contents };
  const shipped = join(folder, "node_modules", "@tallymark", "web");
  for (const entry of readdirSync(shipped, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith(".wasm")) continue;
    files[`/bundle/${entry.name}`] = { body: readFileSync(join(entry.parentPath, entry.name)) };
  }
  return files;
}

/**
 * A page at `/<name>.html` whose module script initialises the package and then runs `script`,
 * where `tally` is the package and `settings` are the settings.
 */
export function plainPage(
  name: string,
  settings: Settings,
  script: string,
  { headers = {}, body = "", bundle = "plain" }: PageOptions = {},
): Record<string, MadeFile> {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${name}</title>
<link rel="icon" href="data:,">
<h1>${name}</h1>
${body}
<script type="module" src="/${name}.js"></script>
</html>`;
  const code = `import "/bundle/${bundle}.js";
const { tally, measures } = window;
const settings = ${JSON.stringify(settings)};
tally.init({ ...settings, onError: ({ code }) => window.reported.push(code) });
${script}
window.started = true;
`;
  return { [`/${name}.html`]: { body: html, headers }, [`/${name}.js`]: { body: code } };
}
