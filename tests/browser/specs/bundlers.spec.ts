/** The packed packages in bundlers and frameworks that know nothing of us: built, loaded, and an event arrives. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { promisify } from "node:util";

import { ROOT, useBench } from "../support/bench.ts";
import { watchErrors } from "../support/browser.ts";
import type { Project } from "../support/collector.ts";
import { Site } from "../support/site.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();
const FOLDER = join(ROOT, "tests", "bundlers");
const run = promisify(execFile);

interface Opened {
  /** Files it did not find. */
  missing: string[];
  errors: string[];
  /** WebAssembly modules that run. A small one may stand in the script: then no file is fetched. */
  modules: number;
  click(): Promise<void>;
}

/** Opens a built page and waits for what it finds out. */
async function open(address: string, project: Project): Promise<Opened> {
  const { bench } = fixture;
  const page = await (await bench.profile()).newPage();
  const [missing, errors] = [[] as string[], watchErrors(page)];
  page.on("response", (response) => {
    if (response.status() >= 400) missing.push(new URL(response.url()).pathname);
  });
  await page.addInitScript(`
    window.modules = 0;
    const start = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = async (...given) => {
      const started = await start(...given);
      window.modules++;
      return started;
    };`);
  const { write_key: key, salt } = project;
  await page.goto(`${address}?${new URLSearchParams({ key, salt, endpoint: bench.collector.origin })}`);
  const result = await until("the page's result", () => page.evaluate("window.result"));
  assert.deepEqual(result, { isReady: true, isKnown: true, modern: true });
  const modules = await page.evaluate<number>("window.modules");
  return { missing, modules, errors, click: () => page.getByRole("button", { name: "modern" }).click() };
}

/** A site with what a bundler made; it ends with the tests. */
async function serve(tool: string): Promise<Site> {
  const site = await Site.start({ folder: join(FOLDER, "dist", tool), fallback: "/index.html" });
  after(() => site.stop());
  return site;
}

for (const tool of ["vite", "webpack", "astro"]) {
  test(`${tool}: everything is found, the modules and what is loaded later too`, async () => {
    const { collector } = fixture.bench;
    const project = await collector.createProject(tool);
    const site = await serve(tool);
    const { missing, modules, errors, click } = await open(site.page("/"), project);
    assert.deepEqual([missing, errors, modules], [[], [], 2]);
    if (tool === "vite") await click(); // a component of Vue
    await untilEqual({ $pageview: 1, built: 1, ...(tool === "vite" && { clicked: 1 }) }, () => collector.counts(project));
  });
}

test("esbuild, which copies no modules: JavaScript stands in, and a component of Svelte counts", async () => {
  const { collector } = fixture.bench;
  const project = await collector.createProject("esbuild");
  const site = await serve("esbuild");
  const { missing, modules, click } = await open(site.page("/"), project);
  assert.deepEqual([missing.sort(), modules], [["/experiments_bg.wasm", "/tallymark_bg.wasm"], 0]);
  await click();
  await untilEqual({ $pageview: 1, built: 1, clicked: 1 }, () => collector.counts(project));
});

test("Next.js: in a page, while it is rendered on the server, and at the edge", async () => {
  const { collector } = fixture.bench;
  const project = await collector.createProject("next");
  const next = join(FOLDER, "node_modules", "next", "dist", "bin", "next");
  const env = { ...process.env, TALLYMARK_KEY: project.secret_key, TALLYMARK_SALT: project.salt, TALLYMARK_ENDPOINT: collector.origin, NEXT_TELEMETRY_DISABLED: "1" };
  const server = spawn(process.execPath, [next, "start", "--port", "0", "--hostname", "127.0.0.1"], { cwd: join(FOLDER, "next"), env, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const address = await new Promise<string>((resolve, reject) => {
      server.once("exit", (code) => reject(new Error(`Next.js ended with ${code}`)));
      createInterface({ input: server.stdout }).on("line", (line) => {
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
        if (found) resolve(found[0]);
      });
    });
    const { missing, modules, click } = await open(`${address}/`, project);
    assert.deepEqual([missing, modules], [[], 2]);
    await click();
    assert.deepEqual(await (await fetch(`${address}/edge`)).json(), { sent: true });
    await untilEqual({ rendered: 1, served: 1, $pageview: 1, built: 1, clicked: 1 }, () => collector.counts(project));
    const events = await collector.events(project);
    const of = (name: string) => events.find((event) => event.name === name);
    assert.equal(of("rendered")?.person, of("served")?.person, "one user, hashed by the platform and by Rust");
    assert.deepEqual(of("clicked")?.props, { in: "react" });
  } finally {
    server.kill();
  }
});

for (const tarball of ["npm/tallymark-web-0.1.0.tgz", "npm/server/tallymark-server-0.1.0.tgz"]) {
  test(`${tarball} is clean for publint and are-the-types-wrong`, async () => {
    const at = (program: string) => join(FOLDER, "node_modules", ".bin", program);
    await run(at("publint"), ["run", join(ROOT, tarball), "--strict"]);
    await run(at("attw"), [join(ROOT, tarball), "--profile", "esm-only", "--no-emoji", "--exclude-entrypoints", "./assign-sync.js", "./tallymark.js", "./tallymark_bg.wasm", "./experiments_bg.wasm"]).catch((error: { stdout?: string }) => {
      assert.fail(error.stdout ?? String(error));
    });
  });
}
