/**
 * Tallymark on servers and at the edge: `@tallymark/server`.
 *
 * Ids are hashed here, with the same Rust as in browsers and in the collector, so one person's events
 * meet and no raw id leaves the process. Events wait in memory, leave in batches and are sent again
 * under the same id until the collector has them on its disk. Experiments and flags are decided here,
 * with the same answers as in a page.
 *
 * Nothing of Node.js is imported: `fetch`, `crypto` and timers are all it takes.
 *
 * @packageDocumentation
 */

import { copy } from "../../src/copy.js";
import type { FlagDocument, Outcome } from "../../src/flag-types.js";
import { mended } from "../../src/mended.js";
import { row, random, uuid7, type Writer } from "../../src/row.js";
import type { Properties } from "../../src/types.js";
import { flushOnExit } from "./exit.js";
import { Flags } from "./flags.js";
import { hashId } from "./hash.js";
import { Queue } from "./queue.js";

export type { FlagDocument, Json, Met, Outcome, Source } from "../../src/flag-types.js";
export type { Properties, PropertyValue } from "../../src/types.js";
export { hashId } from "./hash.js";

/** Something went wrong, or not as expected. Never thrown, only told. */
export interface ServerError {
  /** Permanent, snake case: `queue_full`, `batch_refused`, … */
  code: string;
  /** What is wrong and what to do. */
  message: string;
}

/** Settings of {@link createClient}. */
export interface ServerOptions {
  /** A secret key with the scope `ingest`: `tm_sk_…`. */
  key: string;
  /** The project's salt, the same as in its pages. */
  salt: string;
  /** The collector's address: `https://stats.example.com`. */
  endpoint: string;
  /** The project's write key, `tm_pk_…`; only experiments and flags need it. */
  writeKey?: string;
  /** The document of experiments and flags, if it is there already. */
  document?: FlagDocument;
  /** So many waiting events leave at once. Default 100. */
  batchEvents?: number;
  /** Longest wait for a batch, in milliseconds. Default 2,000. */
  batchMs?: number;
  /** Events that may wait; more are dropped and counted. Default 10,000, and 16 MiB. */
  queueEvents?: number;
  /** Whether what waits is sent before the process ends, on `SIGTERM` and `SIGINT` as well. Default `true`. */
  flushOnExit?: boolean;
  /** Called with everything that went wrong. The default writes to the console. */
  onError?: (error: ServerError) => void;
  /** Used in place of the global `fetch`. */
  fetch?: typeof fetch;
}

/** Who did it. Ids are raw and are hashed here; a text of 64 hexadecimal digits as `device` is a hash already. */
export interface Who {
  /** The id of who is signed in. */
  user?: string | number;
  /** The id of the device: a page's hash, or an id of your own. */
  device?: string;
  /** The id of the visit, if the page told it. */
  session?: string;
}

/** What is known of an event beside its name and properties. */
export interface When {
  /** When it happened; now when it is left out. */
  at?: Date | number;
  /** What it is called elsewhere: an event that is recorded again with the same `id` and `at` counts once. */
  id?: string;
}

/** What targeting looks at. */
export interface Asking extends Who {
  /** Beside `user` and `device`. */
  attributes?: { readonly [name: string]: unknown };
  /** The address of the page, for variants that are asked for in it. */
  url?: string;
}

/** A client; see {@link createClient}. */
export interface Client {
  /**
   * Record that somebody did something. Returns at once and never throws.
   *
   * @param name - Past tense, snake case: `invoice_paid`.
   * @example
   * tally.track("invoice_paid", { user: invoice.customerId }, { amount: 29.99, currency: "EUR" });
   */
  track(name: string, who: Who, properties?: Properties, when?: When): void;
  /** Say that a device and a user are one person. */
  identify(who: Who & { user: string | number }, traits?: Properties): void;
  /** Send what waits, now. Gives whether all of it was acknowledged; never rejects. */
  flush(): Promise<boolean>;
  /** The same, trying again until this time; then nothing more is taken, and what is left is lost and counted. */
  shutdown(timeoutMs?: number): Promise<boolean>;
  /** Events that were lost, by reason. */
  readonly lost: { readonly [reason: string]: number };
  /** Load experiments and flags, unless they are there. Gives whether they are. */
  ready(): Promise<boolean>;
  /** What somebody gets of a feature, and why; `undefined` until {@link ready}. Records nothing. */
  evaluate(key: string, who: Asking): Outcome | undefined;
  /** The value of a feature; `fallback` while nothing is known, and for one that is not running. */
  value<T>(key: string, fallback: T, who: Asking): T;
  /** The variant of an experiment, or `null`. */
  variant(key: string, who: Asking): string | null;
  /** Record that somebody met a variant: once for each, as long as this process remembers it. */
  exposure(key: string, who: Asking): void;
}

const HASH = /^[0-9a-f]{64}$/;

/** What is said of properties that cannot be sent as they are. */
const PROPS: { [code: string]: (detail: unknown) => string } = {
  props_invalid: (name) => (name === undefined ? "properties are an object; they were left out" : `property ${String(name)} cannot be written as JSON and was left out`),
  too_many_props: () => "at most 64 properties; the others were left out",
};

/**
 * A client for one project. Make one per process, or one per isolate.
 *
 * @throws When a setting cannot work: that is a mistake to be found before anything runs.
 * @example
 * const tally = createClient({ key: process.env.TALLYMARK_KEY, salt: "…", endpoint: "https://stats.example.com" });
 */
export function createClient(options: ServerOptions): Client {
  check(options);
  const report = (code: string, message: string): void => {
    try {
      if (options.onError) options.onError({ code, message });
      else console.warn(`tallymark: ${code}: ${message}`);
    } catch {
      // Who throws while being told has no way left to be told.
    }
  };
  const lost: { [reason: string]: number } = {};
  const lose = (reason: string, count = 1): void => void (lost[reason] = (lost[reason] ?? 0) + count);
  // Made with the first event: some platforms have no randomness before the first request.
  let writer: Writer | undefined;
  const queue = new Queue(options, { lost, lose, report, writer: () => (writer ??= { id: random(16), n: 0 }) });
  const flags = new Flags(options, report);
  if (options.flushOnExit !== false) flushOnExit(queue);

  /** The hashes of somebody's ids. */
  function hashed({ user, device, session }: Who): { user?: string; device?: string; session?: string } {
    const of = (id: string | number | undefined, isDevice: boolean): string | undefined => {
      if (id === undefined || id === null) return undefined;
      const text = String(id);
      if (isDevice && HASH.test(text)) return text;
      const hash = hashId(options.salt, isDevice, text);
      if (!hash) report("id_invalid", "an id is empty or too long; it was left out");
      return hash || undefined;
    };
    const [u, d] = [of(user, false), of(device, true)];
    return { ...(d && { device: d }), ...(u && { user: u }), ...(session && { session }) };
  }

  function record(name: string, who: Who, properties?: Properties, { at, id: elsewhere }: When = {}): void {
    try {
      if (queue.isClosed) return lose("closed");
      const props = copy(properties, (code, detail) => report(code, PROPS[code]?.(detail) ?? String(detail)));
      if (!props) {
        lose("event_too_large");
        return report("event_too_large", "one event is at most 32 KiB of JSON; send large texts somewhere else");
      }
      const nowMs = Date.now();
      const wallMs = at === undefined ? nowMs : Number(at);
      // The clock that never jumps runs with the one that may: only their difference counts.
      const monoMs = monotonicMs() - (nowMs - wallMs);
      const [fresh, json] = row(String(name), props, wallMs, monoMs, hashed(who), queue.writer);
      const id = elsewhere === undefined ? fresh : uuid7(wallMs, hashId(options.salt, false, `event ${elsewhere}`).slice(0, 20));
      if (elsewhere !== undefined && at === undefined) report("id_without_time", "an id needs the time too, or the event counts again");
      // The id comes first.
      queue.add(id, mended(json.replace(fresh, id)));
    } catch (error) {
      lose("sdk_error");
      report("sdk_error", String(error));
    }
  }

  return {
    lost,
    track: record,
    identify: (who, traits) => record("$identify", who, traits),
    flush: () => queue.flush(),
    shutdown: (timeoutMs) => queue.shutdown(timeoutMs),
    ready: () => flags.ready(),
    evaluate: (key, who) => flags.evaluate(key, who, hashed(who)),
    value(key, fallback, who) {
      const outcome = this.evaluate(key, who);
      return outcome && outcome.source !== "unknownFeature" ? ((outcome.value ?? fallback) as typeof fallback) : fallback;
    },
    variant: (key, who) => flags.variant(key, who, hashed(who)),
    exposure(key, who) {
      for (const [experiment, variant] of flags.met(key, who, hashed(who))) record("$exposure", who, { experiment, variant });
    },
  };
}

function monotonicMs(): number {
  return typeof performance === "undefined" ? Date.now() : performance.now();
}

function check({ key, salt, endpoint, writeKey }: ServerOptions): void {
  const fault = !key?.startsWith("tm_sk_")
    ? "key is a secret key with the scope ingest: tm_sk_…"
    : !salt
      ? "salt is missing: `tallymark project create` printed it"
      : writeKey !== undefined && !writeKey.startsWith("tm_pk_")
        ? "writeKey is the key of pages: tm_pk_…"
        : undefined;
  if (fault) throw new TypeError(`tallymark: ${fault}`);
  new URL(endpoint);
}
