/**
 * What most specs need together: collector, a proxy in front of it, a site with plain pages, a
 * browser. Everything ends with the tests of the file that opened it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";

import { launch, watchErrors } from "./browser.ts";
import { Collector, type Project } from "./collector.ts";
import { bundlePackage, plainPage, type PageOptions, type Settings } from "./plain.ts";
import { Proxy } from "./proxy.ts";
import { Site } from "./site.ts";

/** The checkout; the runner says where it is. */
export const ROOT = process.env["TALLYMARK_ROOT"] ?? join(process.cwd(), "..", "..");

/** Longer than the package's own timeout of a request. */
const FLUSH_MS = 20_000;

/** A JSON file of `tests/vectors`. */
export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(join(ROOT, "tests", "vectors", `${name}.json`), "utf8")) as T;
}

/** One page of one visitor, with a project and a way to the collector of its own. */
export interface Visit {
  page: Page;
  context: BrowserContext;
  project: Project;
  proxy: Proxy;
  settings: Settings;
  /** Uncaught exceptions and console errors of the page so far. */
  errors: string[];
}

export interface VisitOptions extends PageOptions {
  /** Names project and page: small letters, digits and hyphens. */
  name: string;
  /** Runs in the page right after `init`, in the same task; `tally` is the package. */
  script?: string;
  changes?: Partial<Settings>;
  /** Runs in the page before anything of its own: what another browser, or a hostile host, would be. */
  before?: string;
  /** Of the page's own answer, such as a content security policy. */
  headers?: Record<string, string>;
  /** How the network behaves from the first request on. */
  behave?: Proxy["behave"];
}

export class Bench {
  private readonly opened: (() => Promise<void>)[] = [];

  private constructor(
    readonly collector: Collector,
    readonly site: Site,
    readonly browser: Browser,
  ) {}

  static async start(): Promise<Bench> {
    const [collector, browser, files] = await Promise.all([
      Collector.start(),
      launch(),
      bundlePackage(join(ROOT, "tests", "browser")),
    ]);
    return new Bench(collector, await Site.start({ files }), browser);
  }

  /** A proxy in front of the collector that ends with the bench. */
  async proxy(): Promise<Proxy> {
    const proxy = await Proxy.start(this.collector.origin);
    this.opened.push(() => proxy.stop());
    return proxy;
  }

  /** A new browser profile that ends with the bench. */
  async profile(): Promise<BrowserContext> {
    const context = await this.browser.newContext();
    this.opened.push(() => context.close());
    return context;
  }

  /** A visitor in full mode opens a plain page, in a profile and project of its own. */
  async visit(options: VisitOptions): Promise<Visit> {
    const [project, proxy, context] = await Promise.all([
      this.collector.createProject(options.name),
      this.proxy(),
      this.profile(),
    ]);
    if (options.behave) proxy.behave = options.behave;
    const settings: Settings = {
      key: project.write_key,
      salt: project.salt,
      endpoint: proxy.origin,
      mode: "full",
      autoPage: false,
      ...options.changes,
    };
    const files = plainPage(options.name, settings, options.script ?? "", options);
    Object.assign(this.site.files, files);
    if (options.before) await context.addInitScript(options.before);
    const page = await context.newPage();
    const errors = watchErrors(page);
    await page.goto(this.site.page(`/${options.name}.html`));
    await page.waitForFunction("window.started");
    return { page, context, project, proxy, settings, errors };
  }

  async stop(): Promise<void> {
    await Promise.all(this.opened.map((close) => close()));
    await this.browser.close();
    await this.site.stop();
    await this.collector.stop();
  }
}

/**
 * Flush the page's package. A flush that is never answered fails the test here, where it happened,
 * instead of by the clock of the whole file.
 */
export async function flush(page: Page): Promise<void> {
  const answered = await page.evaluate(
    `Promise.race([tally.flush().then(() => true), new Promise((r) => setTimeout(r, ${FLUSH_MS}, false))])`,
  );
  if (!answered) throw new Error(`flush() was not answered within ${FLUSH_MS} ms`);
}

/** A bench for all tests of a file. */
export function useBench(): { readonly bench: Bench } {
  let started: Bench | undefined;
  before(async () => {
    started = await Bench.start();
  });
  after(async () => {
    await started?.stop();
  });
  return {
    get bench() {
      if (!started) throw new Error("the bench is there while tests run");
      return started;
    },
  };
}
