/**
 * A web server for pages under test: files of a folder, pages made on the spot, paths of an app.
 */

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
};

/** A page or file that is not on disk. */
export interface MadeFile {
  body: string | Uint8Array;
  headers?: Record<string, string>;
}

export interface SiteOptions {
  /** Served under `/`. */
  folder?: string;
  /** By path, such as `/config.json`; goes before the folder. */
  files?: Record<string, MadeFile>;
  /** Paths without a dot get this file of the folder, as apps with own routing need it. */
  fallback?: string;
}

export class Site {
  private constructor(
    private readonly server: Server,
    readonly origin: string,
    /** Files can be added while the site runs. */
    readonly files: Record<string, MadeFile>,
  ) {}

  static async start(options: SiteOptions): Promise<Site> {
    const files = { ...options.files };
    const server = createServer((request, response) => {
      const path = decodeURIComponent(new URL(request.url ?? "/", "http://site").pathname);
      respond(path, files, options).then(
        ({ body, headers }) => response.writeHead(200, headers).end(body),
        () => response.writeHead(404).end("not found"),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address !== "object" || !address) throw new Error("the site has no port");
    return new Site(server, `http://127.0.0.1:${address.port}`, files);
  }

  /** The address of a path on this site. */
  page(path: string): string {
    return this.origin + path;
  }

  /** Go offline: open connections are cut, new ones refused. */
  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function respond(
  path: string,
  files: Record<string, MadeFile>,
  options: SiteOptions,
): Promise<MadeFile> {
  const made = files[path];
  const type = TYPES[extname(path)] ?? TYPES[".html"];
  if (made) return { body: made.body, headers: { "content-type": type ?? "", ...made.headers } };
  if (!options.folder) throw new Error("no such page");
  const inFolder = options.fallback && !path.includes(".") ? options.fallback : path;
  const file = normalize(join(options.folder, inFolder));
  if (!file.startsWith(options.folder + sep)) throw new Error("outside of the folder");
  const found = TYPES[extname(file)] ?? "application/octet-stream";
  return { body: await readFile(file), headers: { "content-type": found, "cache-control": "no-cache" } };
}
