/** Pages without a bundler: the script tag that the collector prints, and its files under `/sdk/`. */

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import type { Page } from "playwright-core";

import { useBench } from "../support/bench.ts";
import { watchErrors } from "../support/browser.ts";
import type { Project } from "../support/collector.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

interface Opened {
  page: Page;
  project: Project;
  errors: string[];
  /** Files of the collector that the page asked for. */
  asked: string[];
}

/** A page with the tag in its head; `policy` is its content security policy, `change` what happens to the tag. */
async function open(name: string, given: { policy?: string; body?: string; change?: (tag: string) => string }): Promise<Opened> {
  const { bench } = fixture;
  const project = await bench.collector.createProject(name);
  const tag = (given.change ?? String)(await bench.collector.snippet(project));
  const body = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${name}</title>
    <link rel="icon" href="data:,">${tag}</head><body><h1>${name}</h1>${given.body ?? ""}</body></html>`;
  const headers: Record<string, string> = given.policy ? { "content-security-policy": given.policy } : {};
  bench.site.files[`/${name}.html`] = { body, headers };
  bench.site.files[`/${name}.js`] = { body: `(window.tallymark ||= []).push(["track", "signed_up", { plan: "team" }]);` };
  const page = await (await bench.profile()).newPage();
  const [errors, asked] = [watchErrors(page), [] as string[]];
  page.on("request", (request) => {
    if (request.url().includes("/sdk/")) asked.push(request.url().replace(/.*\//, ""));
  });
  await page.goto(bench.site.page(`/${name}.html`));
  return { page, project, errors, asked };
}

test("one tag counts page views, and calls that were made before it had loaded", async () => {
  const { collector } = fixture.bench;
  const { page, project, errors, asked } = await open("tag", { body: `<script src="/tag.js"></script>` });
  await untilEqual({ $pageview: 1, signed_up: 1 }, () => collector.counts(project));
  await page.evaluate(`tallymark.track("scrolled", { depth: 50 }); tallymark.push(["funnelStep", "checkout", "address"])`);
  await untilEqual({ $pageview: 1, signed_up: 1, scrolled: 1, $funnel_step: 1 }, () => collector.counts(project));
  const [signedUp] = await collector.events(project, { event: "signed_up" });
  assert.deepEqual(signedUp?.props, { plan: "team" });
  assert.deepEqual(asked.sort(), ["tallymark.js", "tallymark_bg.wasm"], "nothing that is not needed");
  assert.deepEqual(errors, []);
});

for (const [index, [what, words, part]] of (
  [
    ["with WebAssembly", " 'wasm-unsafe-eval'", "tallymark_bg.wasm"],
    ["without it", "", "tallymark-fallback.js"],
  ] as const
).entries()) {
  test(`the strictest policy that names the collector is enough, ${what}`, async () => {
    const { bench } = fixture;
    const { origin } = bench.collector;
    const policy = `default-src 'none'; img-src data:; script-src ${origin} 'self'${words}; connect-src ${origin}`;
    const name = `policy-${index}`;
    const { page, project, asked } = await open(name, {
      policy,
      body: `<script src="/${name}.js"></script>`,
      change: (tag) => tag.replace("<script", '<script data-mode="full"'),
    });
    await untilEqual({ $pageview: 1, signed_up: 1 }, () => bench.collector.counts(project));
    const sent = page.waitForRequest((request) => (request.postData() ?? "").includes("$identify"));
    await page.evaluate(`tallymark.identify("ada")`);
    const body = (await sent).postData() ?? "";
    const want = createHmac("sha256", project.salt).update("v1|user|ada").digest("hex");
    assert.ok(body.includes(`"user":"${want}"`), body);
    assert.ok(asked.includes(part), `${asked}`);
    assert.equal(asked.includes("tallymark-fallback.js"), part === "tallymark-fallback.js");
  });
}

test("a script that is not the one of the tag does not run", async () => {
  const { page } = await open("other-hash", { change: (tag) => tag.replace(/sha384-[^"]+/, `sha384-${"A".repeat(64)}`) });
  await page.waitForLoadState("load");
  assert.equal(await page.evaluate("typeof window.tallymark"), "undefined");
});

test("a part that was changed on its way does not run, and events wait", async () => {
  const { bench } = fixture;
  const project = await bench.collector.createProject("changed-part");
  const tag = await bench.collector.snippet(project);
  bench.site.files["/changed-part.html"] = { body: `<!doctype html><title>x</title><link rel="icon" href="data:,">${tag}` };
  const context = await bench.profile();
  await context.route(/\.wasm$|tallymark-fallback/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: Buffer.concat([await response.body(), Buffer.from("\nwindow.isHostile = true;")]) });
  });
  const page = await context.newPage();
  await page.goto(bench.site.page("/changed-part.html"));
  assert.equal(await page.evaluate("tallymark.ready()"), false);
  assert.equal(await page.evaluate("window.isHostile"), undefined);
  await context.unroute(/\.wasm$|tallymark-fallback/);
  await page.reload();
  await untilEqual({ $pageview: 2 }, () => bench.collector.counts(project));
});

test("modules of a page come from the collector as well, with everything they load", async () => {
  const { bench } = fixture;
  const { origin } = bench.collector;
  const project = await bench.collector.createProject("modules");
  const settings = JSON.stringify({ key: project.write_key, salt: project.salt, endpoint: origin });
  bench.site.files["/modules.html"] = {
    body: `<!doctype html><title>x</title><link rel="icon" href="data:,"><script type="module">
      import { init, ready, track } from "${origin}/sdk/index.js";
      init(${settings}); track("from_a_module"); window.isReady = await ready();</script>`,
  };
  const page = await (await bench.profile()).newPage();
  const [errors, asked] = [watchErrors(page), [] as string[]];
  page.on("response", (response) => asked.push(`${response.status()} ${response.url().replace(/.*\//, "")}`));
  await page.goto(bench.site.page("/modules.html"));
  await untilEqual({ $pageview: 1, from_a_module: 1 }, () => bench.collector.counts(project));
  await until("the module", () => page.evaluate("window.isReady"));
  for (const file of ["307 index.js", "200 index.js", "200 core.js", "200 tallymark_bg.wasm"]) {
    assert.ok(asked.includes(file), `${file} in ${asked}`);
  }
  assert.deepEqual(errors, []);
});

test("files come packed, typed and to stay; the tag's hash is theirs", async () => {
  const { collector } = fixture.bench;
  const project = await collector.createProject("headers");
  const tag = await collector.snippet(project);
  const [, address, hash] = /src="([^"]+)" integrity="([^"]+)"/.exec(tag) ?? [];
  const reply = await fetch(address as string, { headers: { "accept-encoding": "identity" } });
  const script = Buffer.from(await reply.arrayBuffer());
  assert.equal(`sha384-${createHash("sha384").update(script).digest("base64")}`, hash);
  assert.equal(reply.headers.get("content-type"), "text/javascript; charset=utf-8");
  assert.match(reply.headers.get("cache-control") ?? "", /immutable/);
  assert.match(reply.headers.get("vary") ?? "", /accept-encoding/);
  // Node's fetch unpacks by itself; a bare request shows what is on the wire.
  const { request } = await import("node:http");
  const packed = await new Promise<Buffer>((resolve, reject) => {
    request(address as string, { headers: { "accept-encoding": "gzip, br" } }, (answer) => {
      assert.equal(answer.headers["content-encoding"], "br");
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => resolve(Buffer.concat(chunks)));
    })
      .on("error", reject)
      .end();
  });
  assert.ok(brotliDecompressSync(packed).equals(script));
  const again = await fetch(address as string, { headers: { "if-none-match": reply.headers.get("etag") ?? "" } });
  assert.equal(again.status, 304);
  const wasm = await fetch(new URL("tallymark_bg.wasm", address));
  assert.equal(wasm.headers.get("content-type"), "application/wasm");
  assert.equal(wasm.headers.get("access-control-allow-origin"), "*");
});
