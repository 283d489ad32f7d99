/**
 * What SDKs cost a page, ours and others, in one run: the same Chromium, the same page, the same server that takes
 * whatever comes. Prints Markdown tables for `cargo xtask bench sdk`.
 *
 * Bytes: the usual import, bundled and minified by esbuild, after brotli 11, with the WebAssembly it loads. Start: until the first call
 * can be made (of flags: until a variant is known), by the clock, and what the page's thread did for it in the first second, everything that is loaded then included. A call is
 * timed in runs of 100, between which the page rests; what the thread did for all of them, storing and sending included, is divided by
 * their number. Delivery: how many of 100 events the server has when the page is closed right after the last call, how
 * many after the same browser came back once, and how many of 100 that were called while the server could not be reached, after a reload and
 * with the server back. Who evaluates flags is timed in runs of 1,000.
 *
 * The page's thread is measured by its processor time: other work on the machine is not in it.
 */

import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, gunzipSync } from "node:zlib";

import { FLAGGERS, reply, TRACKERS } from "./peers.mjs";

const [RUNS, CALLS, CLOSED, LOOKS] = [20, 100, 100, 1_000];
/** Longer than the pauses between two batches of any of them. */
const [QUIET_MS, SETTLE_MS] = [11_000, 60_000];

const here = dirname(fileURLToPath(import.meta.url));
const browserTests = join(here, "..", "..", "tests", "browser");
const installed = createRequire(join(browserTests, "package.json"));
const { build, transform } = await import(pathToFileURL(installed.resolve("esbuild")));
const { chromium } = installed("playwright-core");
/** Until nothing more arrives; gives how many did. */
async function settle({ arrived }) {
  const until = Date.now() + SETTLE_MS;
  for (let [before, since] = [arrived.size, Date.now()]; Date.now() < until && Date.now() - since < QUIET_MS; await rest(100)) {
    if (arrived.size !== before) [before, since] = [arrived.size, Date.now()];
  }
  return arrived.size;
}
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Served by name; `<peer>.js` is the first script of a peer. */
const files = new Map();
const shipped = join(browserTests, "node_modules/@tallymark/web/dist");
files.set("tallymark_bg.wasm", readFileSync(join(shipped, "tallymark_bg.wasm")));

/** The newest version of Umami that npm has: its server with everything it needs, of which this is one file. */
const UMAMI = "umami@2.10.0";
const umami = {
  name: "umami",
  setup(build) {
    build.onResolve({ filter: /^umami:/ }, ({ path }) => ({ path, namespace: "umami" }));
    build.onLoad({ filter: /.*/, namespace: "umami" }, async () => {
      const folder = mkdtempSync(join(tmpdir(), "umami-"));
      try {
        const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder, UMAMI]).toString().trim();
        const source = execFileSync("tar", ["-xzOf", join(folder, packed), "package/src/tracker/index.js"]).toString();
        return { contents: (await transform(source, { minify: true })).code, loader: "text" };
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  },
};

/** Bundles a source; gives its bytes after brotli, what it loads later included where it is ours. */
async function bundle(name, contents) {
  const file = name.replace(/\W/g, "");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: name === "tallymark" ? browserTests : here },
    bundle: true, minify: true, splitting: true, format: "esm", target: "es2022", outdir: "out", entryNames: file,
    chunkNames: `${file}-[name]-[hash]`, define: { "process.env.NODE_ENV": '"production"' }, write: false, logLevel: "error", plugins: [umami],
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

/**
 * A server for one measurement. `arrived` are the events it was sent, by the property `seats` that counts them. While it is down pages are
 * served all the same: that is what a reload without network is with a service worker.
 */
async function serve() {
  const place = { arrived: new Set(), isDown: false, origin: "" };
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, "http://bench");
    const found = request.method === "GET" ? files.get(pathname.slice(1)) : undefined;
    const isPage = request.method === "GET" && pathname === "/";
    if (place.isDown && !found && !isPage) return request.socket.destroy();
    response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
    response.setHeader("access-control-allow-credentials", "true");
    response.setHeader("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "*");
    if (request.method === "OPTIONS") return response.end();
    const pieces = [];
    request.on("error", () => undefined);
    for await (const piece of request) pieces.push(piece);
    const text = decoded(Buffer.concat(pieces));
    for (const [, seats] of text.matchAll(/seats\\*"\s*:\s*\\*"?(\d+)/g)) place.arrived.add(seats);
    const type = pathname.endsWith(".wasm") ? "application/wasm" : pathname.endsWith(".js") ? "text/javascript" : "application/json";
    if (found) return response.writeHead(200, { "content-type": type }).end(found);
    if (isPage) return response.writeHead(200, { "content-type": "text/html" }).end('<!doctype html><title>bench</title><link rel="icon" href="data:,">');
    response.writeHead(200, { "content-type": "application/json" }).end(reply(pathname + search, text));
  });
  servers.push(server);
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  place.origin = `http://127.0.0.1:${server.address().port}`;
  return place;
}
const servers = [];

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

/** A page that has started the peer; what that took, and the milliseconds its thread has worked so far. */
async function open(context, file, { origin }) {
  const page = await context.newPage();
  await page.goto(origin);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await session.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value * 1_000;
  await rest(500);
  const before = await busy();
  const startMs = await page.evaluate(async ([file, origin]) => {
    window.longTasks = 0;
    new PerformanceObserver((list) => (window.longTasks += list.getEntries().length)).observe({ type: "longtask" });
    const began = performance.now();
    window.peer = await import(file);
    const starting = window.peer.start(origin);
    if (window.peer.waits) await starting;
    return performance.now() - began;
  }, [file, origin]);
  await rest(1_000);
  return { page, startMs, busy, threadMs: (await busy()) - before };
}

/** Times so many calls in so many runs, between which the page rests; gives the microseconds of one in the median run. */
function timed(page, runs, calls) {
  return page.evaluate(async ([runs, calls]) => {
    const took = [];
    for (let run = 0; run < runs; run++) {
      const began = performance.now();
      for (let call = 0; call < calls; call++) window.last = window.peer.call(run * calls + call);
      took.push(((performance.now() - began) * 1_000) / calls);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return took.sort((a, b) => a - b)[runs >> 1];
  }, [runs, calls]);
}

/** The middle of three starts, each in a browser profile of its own. */
async function starts(file) {
  const all = [];
  while (all.length < 3) {
    const context = await browser.newContext();
    all.push(await open(context, file, await serve()));
    await context.close();
  }
  const middle = (of) => all.map(of).sort((a, b) => a - b)[1];
  return [middle(({ startMs }) => startMs).toFixed(0), middle(({ threadMs }) => threadMs).toFixed(0)];
}

async function cost(file) {
  const place = await serve();
  const context = await browser.newContext();
  const { page, busy } = await open(context, file, place);
  const before = await busy();
  const callUs = await timed(page, RUNS, CALLS);
  const sent = await settle(place);
  const eventUs = (((await busy()) - before) * 1_000) / (RUNS * CALLS);
  const longTasks = await page.evaluate("window.longTasks");
  await context.close();
  return [callUs.toFixed(1), eventUs.toFixed(0), longTasks, of(sent, RUNS * CALLS)];
}

/** So many calls in one go. */
const callAll = (page) =>
  page.evaluate((count) => {
    for (let i = 0; i < count; i++) window.peer.call(i);
  }, CLOSED);

/** Closed at once, and back again. What comes late is waited for while the next ones begin. */
async function delivery(file) {
  const place = await serve();
  const context = await browser.newContext();
  const { page } = await open(context, file, place);
  await callAll(page);
  await page.close();
  await rest(2_000);
  const closed = place.arrived.size;
  await open(context, file, place);
  return [of(closed), settle(place).then((count) => context.close().then(() => of(count)))];
}

/** Calls without a server, a second's wait, a reload, and the server is back. */
async function offline(file) {
  const place = await serve();
  const context = await browser.newContext();
  const { page } = await open(context, file, place);
  place.isDown = true;
  await callAll(page);
  await rest(1_000);
  await page.reload();
  await page.evaluate(async ([file, origin]) => void (await import(file)).start(origin), [file, place.origin]);
  await rest(500);
  place.isDown = false;
  return [settle(place).then((count) => context.close().then(() => of(count)))];
}

/** What starting, and looking at a variant, costs. */
async function looking(file) {
  const context = await browser.newContext();
  const { page } = await open(context, file, await serve());
  const lookUs = await timed(page, RUNS, LOOKS);
  if (!["a", "b"].includes(await page.evaluate("window.last"))) throw new Error(`${file} gives no variant`);
  await context.close();
  return lookUs;
}

const kib = (bytes) => (bytes / 1024).toFixed(1);
const of = (count, all = CLOSED) => `${count} of ${all}`;
const table = (head, rows) => [head, head.map((_, at) => (at ? "---:" : "---")), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

try {
  const rows = [];
  for (const [name, source] of Object.entries(TRACKERS)) {
    const { file, bytes } = await bundle(name, source);
    rows.push({ file, cells: [name, kib(bytes), ...(await starts(file)), ...(await cost(file))] });
  }
  for (const { file, cells } of rows) cells.push(...(await delivery(file)), ...(await offline(file)));
  const head = ["tracking", "KiB", "import and start, ms", "its work, ms", "a call, µs", "an event in all, µs", "long tasks", "sent",
    "closed at once", "after coming back", "no network, reload"];
  console.log(`\n${table(head, await Promise.all(rows.map(({ cells }) => Promise.all(cells))))}`);
  const looks = [];
  for (const [name, source] of Object.entries(FLAGGERS)) {
    const { file, bytes } = await bundle(name, `${source}\nexport const waits = true;`);
    const called = name === "tallymark" ? `${name}, tracking included` : name;
    looks.push([called, kib(bytes), ...(await starts(file)), (await looking(file)).toFixed(1)]);
  }
  console.log(`\n${table(["experiments and flags", "KiB", "import and start, ms", "its work, ms", "a variant, µs"], looks)}`);
} finally {
  await browser.close();
  servers.forEach((server) => server.close());
}
