/**
 * Run the browser tests: `npm test [-- NAME…]`, where a name is a part of a spec's file name.
 *
 * Builds the examples they visit with the packed package, bundles every spec into a folder of its own and
 * hands them to `node --test`. Needs the collector (`TALLYMARK_BIN`, else the debug build) and
 * Chromium (`CHROMIUM`, else `/usr/bin/chromium`). A missing one is a failure, not a skip. `TALLYMARK_TEST_NAME` is a
 * pattern of the tests to run.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Longer than the slowest spec on a busy machine. */
const TIMEOUT_MS = Number(process.env.TALLYMARK_TEST_MINUTES ?? 8) * 60_000;
/** Specs that measure time. */
const TIMED = ["batching", "cost", "durable", "leaving"];

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");

const env = {
  ...process.env,
  TALLYMARK_ROOT: root,
  TALLYMARK_BIN: process.env.TALLYMARK_BIN ?? join(root, "target", "debug", "tallymark"),
  CHROMIUM: process.env.CHROMIUM ?? "/usr/bin/chromium",
};

function need(file, advice) {
  if (existsSync(file)) return;
  console.error(`${file} is not there: ${advice}`);
  process.exit(1);
}
need(env.TALLYMARK_BIN, "run `cargo build -p tallymark`, or set TALLYMARK_BIN");
need(env.CHROMIUM, "install Chromium, or set CHROMIUM");

function run(command, args, cwd) {
  const started = Date.now();
  const { status } = spawnSync(command, args, { cwd, env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) {
    console.error(`${command} ${args.join(" ")} failed in ${cwd}`);
    process.exit(1);
  }
  console.log(`${command} ${args.join(" ")} (${cwd.slice(root.length + 1)}): ${Date.now() - started} ms`);
}

/** Run specs, so many files at a time; gives the exit code. */
function runSpecs(specs, concurrency) {
  if (specs.length === 0) return 0;
  const args = [
    "--enable-source-maps",
    "--test",
    "--test-reporter=spec",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${TIMEOUT_MS}`,
    ...(process.env.TALLYMARK_TEST_NAME ? [`--test-name-pattern=${process.env.TALLYMARK_TEST_NAME}`] : []),
    ...specs.map((file) => join(out, file.replace(/\.ts$/, ".mjs"))),
  ];
  const { status } = spawnSync(process.execPath, args, { cwd: here, env, stdio: "inherit" });
  return status ?? 1;
}

const wanted = process.argv.slice(2);
const specs = readdirSync(join(here, "specs"))
  .filter((file) => file.endsWith(".spec.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (specs.length === 0) {
  console.error(`no spec is called like ${wanted.join(" or ")}`);
  process.exit(1);
}

/** Projects that specs visit. */
const VISITED = {
  "examples/pwa": ["offline", "visitors"],
  "examples/react": ["react"],
  "tests/bundlers": ["bundlers"],
};

for (const [project, by] of Object.entries(VISITED)) {
  if (!specs.some((file) => by.includes(file.replace(".spec.ts", "")))) continue;
  const folder = join(root, project);
  run("npm", ["ci", "--silent"], folder);
  run("npm", ["run", "--silent", "build"], folder);
}

const out = mkdtempSync(join(tmpdir(), "tallymark-specs-"));
try {
  await build({
    entryPoints: specs.map((file) => join(here, "specs", file)),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outdir: out,
    outExtension: { ".js": ".mjs" },
    sourcemap: "inline",
    logLevel: "warning",
    // These are imported where they are installed: the bundles lie in another folder.
    plugins: [
      {
        name: "installed",
        setup(build) {
          build.onResolve({ filter: /^(playwright-core|esbuild|pixelmatch|pngjs)$/ }, ({ path }) => ({
            path: fileURLToPath(import.meta.resolve(path)),
            external: true,
          }));
        },
      },
    ],
  });
  // Browsers give a page half a second to leave, and timers are late on a busy machine: specs that
  // are about time run by themselves. The others run two at a time, a browser and a collector each.
  const timed = specs.filter((file) => TIMED.some((name) => file.startsWith(name)));
  const others = specs.filter((file) => !timed.includes(file));
  const failed = [runSpecs(timed, 1), runSpecs(others, 2)].some((status) => status !== 0);
  process.exitCode = failed ? 1 : 0;
} finally {
  rmSync(out, { recursive: true, force: true });
}
