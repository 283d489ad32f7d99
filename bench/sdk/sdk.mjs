/**
 * What SDKs cost a page, ours and others, in one run: the same Chromium, the same page, the same server that takes
 * whatever comes. Prints Markdown tables for `cargo xtask bench sdk`.
 *
 * Bytes: the usual import, bundled and minified by esbuild, after brotli 11, with the WebAssembly it loads. Time: a call is timed in
 * runs of 100, between which the page rests; everything the page's thread did, storing and sending
 * included, is the second figure. Delivery: how many of 100 events the server has when the page is closed right after the last
 * call, and how many after the same browser came back once.
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, gunzipSync } from "node:zlib";

import { FLAGGERS, reply, TRACKERS } from "./peers.mjs";

const [RUNS, CALLS, CLOSED] = [20, 100, 100];
/** Longer than the pauses between two batches of any of them. */
const [QUIET_MS, SETTLE_MS] = [11_000, 60_000];

const here = dirname(fileURLToPath(import.meta.url));
const browserTests = join(here, "..", "..", "tests", "browser");
const installed = createRequire(join(browserTests, "package.json"));
const { build } = await import(pathToFileURL(installed.resolve("esbuild")));
const { chromium } = installed("playwright-core");
/** Until nothing more arrives. */
async function settle() {
  const until = Date.now() + SETTLE_MS;
  for (let [before, since] = [arrived.size, Date.now()]; Date.now() < until && Date.now() - since < QUIET_MS; await rest(100)) {
    if (arrived.size !== before) [before, since] = [arrived.size, Date.now()];
  }
}
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Served by name; `<peer>.js` is the first script of a peer. */
const files = new Map();
const shipped = join(browserTests, "node_modules/@tallymark/web/dist");
files.set("tallymark_bg.wasm", readFileSync(join(shipped, "tallymark_bg.wasm")));

/** Bundles a source; gives its bytes after brotli, what it loads later included where it is ours. */
async function bundle(name, contents) {
  const file = name.replace(/\W/g, "");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: name === "tallymark" ? browserTests : here },
    bundle: true, minify: true, splitting: true, format: "esm", target: "es2022", outdir: "out", entryNames: file,
    chunkNames: `${file}-[name]-[hash]`, define: { "process.env.NODE_ENV": '"production"' }, write: false, logLevel: "error",
  });
  let bytes = 0;
  for (const { path, contents } of outputFiles) {
    const chunk = path.split("/").pop();
    files.set(chunk, Buffer.from(contents));
    // Only where it is asked for: a page that runs well loads neither.
    if (!/-(fallback|debug|evaluator)/.test(chunk)) bytes += brotliCompressSync(contents).length;
  }
  return { file: `/${file}.js`, bytes: bytes + (name === "tallymark" ? brotliCompressSync(files.get("tallymark_bg.wasm")).length : 0) };
}

/** Ids of events that arrived, by peer: the property \`seats\` counts them. */
let arrived = new Set();
const server = createServer(async (request, response) => {
  const { pathname, search } = new URL(request.url, "http://bench");
  response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
  response.setHeader("access-control-allow-credentials", "true");
  response.setHeader("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "*");
  if (request.method === "OPTIONS") return response.end();
  const pieces = [];
  request.on("error", () => undefined);
  for await (const piece of request) pieces.push(piece);
  const text = decoded(Buffer.concat(pieces));
  for (const [, seats] of text.matchAll(/seats\\*"\s*:\s*\\*"?(\d+)/g)) arrived.add(seats);
  const found = files.get(pathname.slice(1));
  const type = pathname.endsWith(".wasm") ? "application/wasm" : pathname.endsWith(".js") ? "text/javascript" : "application/json";
  if (request.method === "GET" && found) return response.writeHead(200, { "content-type": type }).end(found);
  if (request.method === "GET" && pathname === "/") {
    return response.writeHead(200, { "content-type": "text/html" }).end('<!doctype html><title>bench</title><link rel="icon" href="data:,">');
  }
  response.writeHead(200, { "content-type": "application/json" }).end(reply(pathname + search, text));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;

/** A body as text: packed by gzip, in a form, in base64, or as it is. */
function decoded(body) {
  const text = (body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body).toString();
  const field = /(?:^|&)data=([^&]*)/.exec(text)?.[1];
  if (field) return /^[\w+/%=-]+$/.test(field) && !field.startsWith("%") ? Buffer.from(decodeURIComponent(field), "base64").toString() : decodeURIComponent(field);
  // Snowplow puts self-describing data into a field of base64.
  const packed = [...text.matchAll(/"ue_px":"([^"]*)"/g)].map(([, data]) => Buffer.from(data, "base64url").toString());
  return packed.length > 0 ? packed.join("\n") : text;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});

/** A page that has started the peer; gives how long its import and start took. */
async function open(context, file) {
  const page = await context.newPage();
  await page.goto(origin);
  const startMs = await page.evaluate(async ([file, origin]) => {
    window.longTasks = 0;
    new PerformanceObserver((list) => (window.longTasks += list.getEntries().length)).observe({ type: "longtask" });
    const began = performance.now();
    window.peer = await import(file);
    void window.peer.start(origin);
    return performance.now() - began;
  }, [file, origin]);
  return { page, startMs };
}

async function cost(file) {
  arrived = new Set();
  const context = await browser.newContext();
  const { page, startMs } = await open(context, file);
  await rest(1_000);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const busy = async () => (await session.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value;
  const before = await busy();
  const calls = await page.evaluate(async ([runs, calls]) => {
    const took = [];
    for (let run = 0; run < runs; run++) {
      const began = performance.now();
      for (let call = 0; call < calls; call++) window.peer.call(run * calls + call);
      took.push(((performance.now() - began) * 1_000) / calls);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return took.sort((a, b) => a - b);
  }, [RUNS, CALLS]);
  await settle();
  const eventUs = ((await busy()) - before) * 1e6 / (RUNS * CALLS);
  const longTasks = await page.evaluate("window.longTasks");
  await context.close();
  return { startMs, callUs: calls[Math.floor(calls.length / 2)], eventUs, longTasks, sent: arrived.size };
}

async function delivery(file) {
  arrived = new Set();
  const context = await browser.newContext();
  const { page } = await open(context, file);
  await rest(500);
  await page.evaluate((count) => {
    for (let i = 0; i < count; i++) window.peer.call(i);
  }, CLOSED);
  await page.close();
  await rest(2_000);
  const closed = arrived.size;
  await open(context, file);
  await settle();
  await context.close();
  return { closed, back: arrived.size };
}

const kib = (bytes) => (bytes / 1024).toFixed(1);
console.log("\n| tracking | KiB | import and start, ms | a call, µs | an event in all, µs | long tasks | closed at once | after coming back | sent |");
console.log("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
try {
  for (const [name, source] of Object.entries(TRACKERS)) {
    const { file, bytes } = await bundle(name, source);
    const { startMs, callUs, eventUs, longTasks, sent } = await cost(file);
    const { closed, back } = await delivery(file);
    const row = [kib(bytes), startMs.toFixed(0), callUs.toFixed(1), eventUs.toFixed(0), longTasks, `${closed} of ${CLOSED}`, `${back} of ${CLOSED}`, `${sent} of ${RUNS * CALLS}`];
    console.log(`| ${name} | ${row.join(" | ")} |`);
  }
  console.log("\n| experiments and flags | KiB |\n|---|---:|");
  for (const [name, source] of Object.entries(FLAGGERS)) {
    console.log(`| ${name}${name === "tallymark" ? ", tracking included" : ""} | ${kib((await bundle(name, source)).bytes)} |`);
  }
} finally {
  await browser.close();
  server.close();
}
