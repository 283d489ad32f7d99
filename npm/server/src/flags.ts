/**
 * Experiments and flags: the collector's document, and what somebody gets by it.
 *
 * The document is used for a minute, then goes on being used while a newer one is fetched; no timer
 * keeps a process or an isolate awake.
 */

import type { Evaluator, FlagDocument, Met, Outcome } from "../../src/flag-types.js";
import { createEvaluator } from "./evaluator.js";

const FRESH_MS = 60_000;
/** Exposures that are remembered. */
const EXPOSED_MAX = 10_000;

interface Settings {
  endpoint: string;
  writeKey?: string;
  document?: FlagDocument;
  fetch?: typeof fetch;
}

interface Asking {
  attributes?: { readonly [name: string]: unknown };
  url?: string;
}

type Hashes = { user?: string; device?: string };

export class Flags {
  private readonly inside: Evaluator = createEvaluator();
  private isThere = false;
  private loadedMs = -Infinity;
  private etag = "";
  private loading: Promise<boolean> | undefined;
  private readonly exposed = new Set<string>();

  constructor(
    private readonly settings: Settings,
    private readonly report: (code: string, message: string) => void,
  ) {
    if (settings.document) this.isThere = this.inside.setDocument(settings.document);
  }

  /** Loads the document if there is none, or looks for a newer one. */
  async ready(): Promise<boolean> {
    const loading = this.refresh();
    return this.isThere || loading;
  }

  evaluate(key: string, { attributes, url }: Asking, who: Hashes): Outcome | undefined {
    void this.refresh();
    if (!this.isThere) return undefined;
    const person = { attributes: { ...attributes, ...who }, ...(url !== undefined && { url }) };
    if (!this.inside.setPerson(person)) {
      this.report("attributes_invalid", "attributes hold something that contains itself");
      return undefined;
    }
    return this.inside.feature(key);
  }

  /** Who is held out of an experiment has the control's value and no variant. */
  variant(key: string, asking: Asking, who: Hashes): string | null {
    const met = this.evaluate(key, asking, who)?.met;
    return met && !isHoldout(met) ? met.variant : null;
  }

  /** The variants that somebody meets with a feature, and has not met before. */
  met(key: string, asking: Asking, who: Hashes): [experiment: string, variant: string][] {
    const found = this.evaluate(key, asking, who)?.decided ?? [];
    return found.flatMap(({ key: experiment, variant }) => {
      const once = `${who.user ?? who.device ?? ""}|${experiment}|${variant}`;
      if (this.exposed.has(once)) return [];
      // The oldest goes: a set keeps the order of its members.
      for (const oldest of this.exposed.size >= EXPOSED_MAX ? this.exposed : []) {
        this.exposed.delete(oldest);
        break;
      }
      this.exposed.add(once);
      return [[experiment, variant]];
    });
  }

  private refresh(): Promise<boolean> {
    if (!this.settings.writeKey || Date.now() - this.loadedMs < FRESH_MS) return Promise.resolve(this.isThere);
    this.loading ??= this.load().finally(() => (this.loading = undefined));
    return this.loading;
  }

  private async load(): Promise<boolean> {
    const { endpoint, writeKey, fetch: given } = this.settings;
    try {
      const url = `${endpoint.replace(/\/(v1\/batch)?$/, "")}/v1/flags/${writeKey}`;
      const reply = await (given ?? fetch)(url, this.etag ? { headers: { "if-none-match": this.etag } } : {});
      if (reply.status !== 304) {
        if (!reply.ok) throw new Error(`the collector answers ${reply.status}`);
        this.isThere = this.inside.setDocument((await reply.json()) as FlagDocument);
        this.etag = reply.headers.get("etag") ?? "";
      }
      this.loadedMs = Date.now();
    } catch (error) {
      this.report("flags_unavailable", `experiments and flags cannot be loaded: ${String(error)}`);
    }
    return this.isThere;
  }
}

function isHoldout({ experiment }: Met): boolean {
  const meta = experiment["meta"] as { passthrough?: boolean }[] | undefined;
  return meta?.some(({ passthrough }) => passthrough) ?? false;
}
