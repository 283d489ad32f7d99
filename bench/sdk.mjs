/**
 * What the SDK costs a page: bytes on the wire, and microseconds per `track()` in Chromium.
 *
 * Measures the packed package as `tests/browser` installed it, bundled and minified the way an
 * application does it. Prints lines for `cargo xtask bench`. `track()` is timed in runs of 100 calls
 * on a page whose collector answers at once; between runs the page rests, so that sending and
 * storing do not fall into the timed part. What they cost is the second figure: everything the
 * page's thread did, divided by the events.
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const RUNS = 100;
const CALLS = 100;

const browserTests = join(dirname(fileURLToPath(import.meta.url)), "..", "tests", "browser");
const installed = createRequire(join(browserTests, "package.json"));
const { build } = await import(pathToFileURL(installed.resolve("esbuild")));
const { chromium } = installed("playwright-core");

const bundle = await build({
  stdin: { contents: 'import * as tally from "@tallymark/web"; window.tally = tally;', resolveDir: browserTests },
  bundle: true,
  minify: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  outdir: "out",
  write: false,
});
const files = new Map(bundle.outputFiles.map(({ path, contents }) => [path.split("/").pop(), Buffer.from(contents)]));
const wasm = readFileSync(join(browserTests, "node_modules/@tallymark/web/dist/tallymark_bg.wasm"));

const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(7);
const brotli = (bytes) => brotliCompressSync(bytes).length;
const sizes = (name, parts) => {
  const sum = (size) => parts.reduce((total, part) => total + size(part), 0);
  const [raw, gzip, br] = [sum((p) => p.length), sum((p) => gzipSync(p, { level: 9 }).length), sum(brotli)];
  return `  ${name.padEnd(12)} ${kib(raw)} ${kib(gzip)} ${kib(br)}`;
};
console.log("\nThe SDK, KiB                raw    gzip  brotli".replace("                raw", "     raw"));
console.log(sizes("JavaScript", [...files.values()]));
console.log(sizes("WebAssembly", [wasm]));
console.log(sizes("together", [...files.values(), wasm]));

const page = `<!doctype html><title>bench</title><script type="module" src="/stdin.js"></script>`;
const server = createServer((request, response) => {
  const name = new URL(request.url, "http://bench").pathname.slice(1);
  response.setHeader("access-control-allow-origin", "*");
  if (request.method === "POST") {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const text = Buffer.concat(pieces).toString("latin1");
      const nonce = /"nonce":"([^"]*)"/.exec(text)?.[1] ?? "";
      const ok = text.split('"name":').length - 1;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ nonce, ok, dup: 0, rejected: [] }));
    });
    return;
  }
  const [type, body] = name.endsWith(".wasm")
    ? ["application/wasm", wasm]
    : files.has(name) ? ["text/javascript", files.get(name)] : ["text/html", page];
  response.setHeader("content-type", type);
  response.end(body);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"],
});
try {
  const tab = await browser.newPage();
  await tab.goto(origin);
  await tab.waitForFunction("window.tally");
  const session = await tab.context().newCDPSession(tab);
  await session.send("Performance.enable");
  const busy = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value;
  };
  const ready = await tab.evaluate(async (endpoint) => {
    window.faults = [];
    const began = performance.now();
    tally.init({
      key: "tm_pk_live_bench", salt: "00".repeat(32), endpoint, mode: "full", autoPage: false,
      onError: ({ code }) => window.faults.push(code),
    });
    await tally.ready();
    return performance.now() - began;
  }, origin);
  const before = await busy();
  const micros = await tab.evaluate(async ([runs, calls]) => {
    const took = [];
    for (let run = 0; run < runs; run++) {
      const began = performance.now();
      for (let call = 0; call < calls; call++) {
        tally.track("checkout_started", { plan: "team", seats: call, value: 29.99, annual: true });
      }
      took.push(((performance.now() - began) * 1000) / calls);
      await tally.flush();
    }
    return took.sort((a, b) => a - b);
  }, [RUNS, CALLS]);
  const all = ((await busy()) - before) * 1e6 / (RUNS * CALLS);
  const faults = await tab.evaluate(() => window.faults);
  if (faults.length > 0) throw new Error(`the SDK reported ${[...new Set(faults)]} (${faults.length} times)`);
  const at = (share) => micros[Math.floor((micros.length - 1) * share)].toFixed(1);
  console.log(`  track()      ${at(0.5)} µs median, ${at(0.95)} µs in the slowest of 20 runs; ready ${ready.toFixed(0)} ms after init`);
  console.log(`  all work     ${all.toFixed(1)} µs of the page's thread per event, storing and sending included`);
} finally {
  await browser.close();
  server.close();
}
