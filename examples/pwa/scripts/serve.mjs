/**
 * Serve `dist/` for a look: `node scripts/serve.mjs [--port 5173]`. No dependencies.
 *
 * Paths of pages (no dot in them) get `index.html`; everything else is a file of `dist/` or 404.
 * Prints one line with the address as soon as it answers.
 */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const { values } = parseArgs({
  options: { port: { type: "string", default: "5173" }, host: { type: "string", default: "127.0.0.1" } },
});

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
};

const server = createServer(async (request, response) => {
  try {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://shop").pathname);
    const file = normalize(join(dist, path.includes(".") ? path : "/index.html"));
    if (!file.startsWith(dist + sep)) throw new Error("outside of dist");
    const body = await readFile(file);
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "cache-control": "no-cache",
    });
    response.end(body);
  } catch {
    response.writeHead(404, { "content-type": "text/plain" });
    response.end("not found\n");
  }
});

server.listen(Number(values.port), values.host, () => {
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : values.port;
  console.log(`Deckle Row is open at http://${values.host}:${port}/`);
});
