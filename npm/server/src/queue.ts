/**
 * Events on their way: what waits, when it leaves, and what a reply means.
 *
 * In: events as JSON. Out: requests, one at a time. An event leaves the queue only when a receipt with
 * its batch's nonce came, or when the collector refused it by name. What replies mean is decided by the
 * Rust that decides it in pages.
 */

import { backoffMs, judge } from "tallymark-asm/tallymark";

import { random, type Writer } from "../../src/row.js";

/** Version of the package; the build puts it here. */
declare const TALLYMARK_VERSION: string;

const BATCH_EVENTS = 100;
const BATCH_MS = 2_000;
/** The collector takes a megabyte, packed and unpacked. */
const BATCH_BYTES = 512 * 1024;
const QUEUE_EVENTS = 10_000;
const QUEUE_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 15_000;
const SHUTDOWN_MS = 5_000;
/** What a body has to weigh to be worth packing. */
const PACK_BYTES = 2_048;

interface Settings {
  key: string;
  endpoint: string;
  batchEvents?: number;
  batchMs?: number;
  queueEvents?: number;
  fetch?: typeof fetch;
}

/** What the client shares. */
interface Around {
  readonly lost: { readonly [reason: string]: number };
  lose(reason: string, count?: number): void;
  report(code: string, message: string): void;
  /** Numbers the events of this client. */
  writer(): Writer;
}

interface Waiting {
  id: string;
  json: string;
}

interface Reply {
  status: number;
  retryAfterMs: number;
  body: { nonce?: unknown; ok?: unknown; rejected?: { i: number; code: string; detail?: string }[]; code?: unknown };
}

export class Queue {
  isClosed = false;
  private waiting: Waiting[] = [];
  private bytes = 0;
  private failures = 0;
  /** Learned from replies that call a batch too long. */
  private eventsMax: number;
  /** No request before this time, by `Date.now`. */
  private pausedUntilMs = 0;
  private timer: { id: ReturnType<typeof setTimeout>; atMs: number } | undefined;
  private running: Promise<boolean> | undefined;
  private readonly url: string;
  private readonly batchEvents: number;

  constructor(
    private readonly settings: Settings,
    private readonly around: Around,
  ) {
    this.batchEvents = Math.min(500, Math.max(1, settings.batchEvents ?? BATCH_EVENTS));
    this.eventsMax = this.batchEvents;
    this.url = `${settings.endpoint.replace(/\/(v1\/batch)?$/, "")}/v1/batch`;
  }

  get writer(): Writer {
    return this.around.writer();
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  add(id: string, json: string): void {
    const isFull = this.waiting.length >= (this.settings.queueEvents ?? QUEUE_EVENTS);
    if (isFull || this.bytes + json.length > QUEUE_BYTES) {
      this.around.lose("queue_full");
      this.around.report("queue_full", "too many events wait for the collector; this one was dropped");
      return;
    }
    this.waiting.push({ id, json });
    this.bytes += json.length;
    this.sendLater(this.waiting.length >= this.batchEvents ? 0 : (this.settings.batchMs ?? BATCH_MS));
  }

  /** Tries to send all of it, once; in spite of our own back-off, but not of what the collector asked for. */
  flush(): Promise<boolean> {
    clearTimeout(this.timer?.id);
    this.timer = undefined;
    const turn: Promise<boolean> = (this.running ?? Promise.resolve(true))
      .then(() => this.work())
      .finally(() => {
        if (this.running === turn) this.running = undefined;
      });
    this.running = turn;
    return turn;
  }

  async shutdown(timeoutMs = SHUTDOWN_MS): Promise<boolean> {
    const untilMs = Date.now() + timeoutMs;
    this.isClosed = true;
    for (;;) {
      if (await this.flush()) return true;
      const waitMs = Math.max(0, this.pausedUntilMs - Date.now());
      if (Date.now() + waitMs >= untilMs) break;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    this.around.lose("shutdown", this.waiting.length);
    this.around.report("shutdown", `${this.waiting.length} events were not acknowledged in time and are lost`);
    this.waiting = [];
    this.bytes = 0;
    return false;
  }

  private sendLater(afterMs: number): void {
    const atMs = Math.max(Date.now() + afterMs, this.pausedUntilMs);
    if (this.timer && this.timer.atMs <= atMs) return;
    clearTimeout(this.timer?.id);
    const id = setTimeout(() => void this.flush(), atMs - Date.now());
    // Whoever has nothing else to do may end: what waits is sent then.
    (id as { unref?: () => void }).unref?.();
    this.timer = { id, atMs };
  }

  private async work(): Promise<boolean> {
    while (this.waiting.length > 0) {
      const batch = this.choose();
      const { status, retryAfterMs, body } = await this.post(batch);
      const hasReceipt = typeof body.ok === "number" && Array.isArray(body.rejected);
      const isOurs = typeof body.code === "string";
      const verdict = judge(status, hasReceipt, isOurs, retryAfterMs);
      if (verdict === -1) {
        this.settle(batch, body.rejected ?? []);
      } else if (verdict === -2 || verdict === -3) {
        this.halve(batch);
      } else if (verdict === -5) {
        this.isClosed = true;
        this.drop("closed", this.waiting.length);
        this.around.report("closed", "this project takes no more events");
      } else {
        this.failures++;
        const waitMs = verdict >= 0 ? verdict : backoffMs(this.failures, Math.random());
        if (isOurs) this.around.report(String(body.code), "the collector takes no events now; they are kept and sent again");
        this.pausedUntilMs = Date.now() + waitMs;
        this.sendLater(waitMs);
        return false;
      }
    }
    return true;
  }

  private choose(): Waiting[] {
    let bytes = 0;
    const end = this.waiting.findIndex(({ json }, at) => at >= this.eventsMax || (at > 0 && (bytes += json.length) > BATCH_BYTES));
    return end < 0 ? [...this.waiting] : this.waiting.slice(0, end);
  }

  private settle(batch: Waiting[], rejected: NonNullable<Reply["body"]["rejected"]>): void {
    for (const { code, detail } of rejected) {
      this.around.lose("refused");
      this.around.report(code, detail ?? "the collector refused an event");
    }
    this.remove(batch.length);
    this.failures = 0;
    this.pausedUntilMs = 0;
    this.eventsMax = Math.min(this.eventsMax * 2, this.batchEvents);
  }

  /** The batch could not be read or was too long: smaller ones from now on, and a look at each event at last. */
  private halve(batch: Waiting[]): void {
    this.eventsMax = Math.max(1, batch.length >> 1);
    if (batch.length > 1) return;
    this.drop("unreadable", 1);
    this.around.report("batch_unreadable", "the collector cannot read a batch of one event; it was dropped");
  }

  private drop(reason: string, count: number): void {
    this.around.lose(reason, count);
    this.remove(count);
  }

  private remove(count: number): void {
    for (const { json } of this.waiting.splice(0, count)) this.bytes -= json.length;
  }

  /** One request, and what came back: status 0 for anything but an answer. */
  private async post(batch: Waiting[]): Promise<Reply> {
    const nonce = random(8);
    const mono = typeof performance === "undefined" ? Date.now() : performance.now();
    const envelope = JSON.stringify({
      nonce,
      sdk: `server/${TALLYMARK_VERSION}`,
      sent_at: Date.now(),
      sent_mono: Math.floor(mono * 10) / 10,
      writer: this.writer.id,
      lost: this.around.lost,
    });
    const text = `${envelope.slice(0, -1)},"events":[${batch.map(({ json }) => json).join()}]}`;
    const send = this.settings.fetch ?? fetch;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
    try {
      const packed = text.length > PACK_BYTES ? await pack(text) : undefined;
      const answer = await send(this.url + (packed ? "?z=gzip" : ""), {
        method: "POST",
        headers: { authorization: `Bearer ${this.settings.key}`, "content-type": "application/json" },
        body: packed ?? text,
        signal: stop.signal,
      });
      const after = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
      const body = ((await answer.json().catch(() => ({}))) ?? {}) as Reply["body"];
      if (body.nonce !== nonce) delete body.ok;
      return { status: answer.status, retryAfterMs: after >= 0 ? after * 1_000 : -1, body };
    } catch {
      return { status: 0, retryAfterMs: -1, body: {} };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The text, compressed, where the platform can. */
async function pack(text: string): Promise<ArrayBuffer | undefined> {
  if (typeof CompressionStream === "undefined") return undefined;
  return new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
}
