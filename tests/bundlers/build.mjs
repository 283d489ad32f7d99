/** Builds every page into `dist/<tool>`; Next.js keeps its own in `next/.next`. */

import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";
import { compile } from "svelte/compiler";
import webpack from "webpack";

const here = dirname(fileURLToPath(import.meta.url));
const at = (...parts) => join(here, ...parts);
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ASTRO_TELEMETRY_DISABLED: "1" };
rmSync(at("dist"), { recursive: true, force: true });

/** A tool's own command. */
function run(tool, ...args) {
  const { status } = spawnSync(at("node_modules", ".bin", tool), args, { cwd: at(tool), env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${tool} ${args.join(" ")} failed`);
}

const tools = {
  vite: () => run("vite", "build", "--outDir", at("dist", "vite"), "--logLevel", "error"),
  astro: () => run("astro", "build", "--outDir", at("dist", "astro"), "--silent"),
  next: () => run("next", "build"),
  async webpack() {
    const compiler = webpack({ mode: "production", entry: at("webpack", "main.js"), output: { path: at("dist", "webpack") } });
    const stats = await new Promise((resolve, reject) => compiler.run((error, stats) => (error ? reject(error) : resolve(stats))));
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString());
    cpSync(at("webpack", "index.html"), at("dist", "webpack", "index.html"));
  },
  async esbuild() {
    const svelte = {
      name: "svelte",
      setup(build) {
        build.onLoad({ filter: /\.svelte$/ }, ({ path }) => ({ contents: compile(readFileSync(path, "utf8"), { filename: path }).js.code }));
      },
    };
    const options = { bundle: true, minify: true, splitting: true, format: "esm", conditions: ["svelte", "browser"], plugins: [svelte] };
    await esbuild.build({ ...options, entryPoints: [at("esbuild", "main.js")], outdir: at("dist", "esbuild"), logLevel: "warning" });
    cpSync(at("esbuild", "index.html"), at("dist", "esbuild", "index.html"));
  },
};

for (const [tool, build] of Object.entries(tools)) {
  const from = Date.now();
  await build();
  console.log(`${tool}: ${Date.now() - from} ms`);
}
