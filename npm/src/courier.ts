/**
 * From the store to the collector: who may send, what, when, and what a reply means.
 *
 * Tabs share one queue, so only the holder of a lock sends; it takes what every tab has stored. The
 * lock is never held idle, and only `flush()` waits for it: a page that holds one is not kept for the
 * way back. An event leaves the store only when a receipt with its batch's nonce came.
 */

import type { Engine, Functions } from "./engine.js";
import { BYTES_MAX, EVENTS_MAX, LEAVING_BYTES, type Outbox, utf8 } from "./outbox.js";
import type { Sender } from "./page.js";
import type { Peers } from "./peers.js";
import type { Key, Lease, Notes, Parcel } from "./store.js";

/** Batches one turn with the lock may send. */
const BATCHES_MAX = 10;
/** A request without an answer is given up after this time. */
const TIMEOUT_MS = 15_000;
/** Longest pause that is obeyed; a clock that was set back must not make it longer. */
const PAUSE_MAX_MS = 60 * 60_000;
/** What a body has to weigh to be worth packing. */
const PACK_BYTES = 2_048;

interface Reply {
  status: number;
  retryAfterMs: number;
  body: { nonce?: unknown; ok?: unknown; rejected?: { i: number; code: string; detail?: string }[]; code?: unknown };
}

export class Courier {
  #bytesInFlight = 0;
  #failures = 0;
  /** Learned from 400 and 413. */
  #eventsMax = EVENTS_MAX;
  #isStopped = false;
  #stopping = new AbortController();

  constructor(
    private readonly page: Sender,
    private readonly outbox: Outbox,
    private readonly engine: Pick<Engine, "settled" | "ask">,
    private readonly peers: Peers,
    /** Something became free, or is due later. */
    private readonly again: (afterMs: number) => void,
  ) {}

  /** Whether sending works, as far as is known. */
  get isWell(): boolean {
    return this.#failures === 0 && !this.#isStopped && navigator.onLine !== false;
  }

  /** Sends what is stored; gives whether nothing is left. `urgent`: in spite of our own back-off. */
  async deliver(urgent: boolean): Promise<boolean> {
    const { locks } = navigator as { locks?: LockManager };
    if (!this.#mayStart()) return false;
    const work = () => this.#work(urgent);
    // Nobody shares what is in memory; and a frame without an origin may have no lock.
    if (!this.outbox.store?.isDurable) return work();
    if (!locks) return this.#underLease(work);
    return locks.request(`tm:${this.page.options.key}`, urgent ? {} : { ifAvailable: true }, (lock) => {
      // Another tab sends, ours as well; should it have looked before we stored, we come back.
      if (!lock) this.again(2_000);
      return lock ? work() : false;
    });
  }

  #note(notes: Notes): Promise<unknown> {
    return this.outbox.use((store) => store.note(notes));
  }

  #mayStart(): boolean {
    return this.outbox.store !== undefined && !this.#isStopped && navigator.onLine !== false && this.page.identity.grip() > 0;
  }

  /** Without Web Locks (pages without TLS, older browsers) a note in the store says who sends. */
  async #underLease(work: () => Promise<boolean>): Promise<boolean> {
    const own = this.page.writer.id;
    let wait = 0;
    const hold = (forMs: number) =>
      this.outbox.use((store) =>
        store.lease(([holder, until]: Lease = []) => {
          const now = Date.now();
          const left = until! - now;
          // A clock that was set back must not keep everybody waiting.
          wait = holder !== own && Math.abs(left - TIMEOUT_MS) < TIMEOUT_MS ? left : 0;
          return wait ? [holder, until] : [own, now + forMs];
        }),
      );
    await hold(TIMEOUT_MS);
    if (wait) {
      this.again(wait);
      return false;
    }
    const done = await work();
    await hold(0);
    return done;
  }

  async #work(urgent: boolean): Promise<boolean> {
    for (let sent = 0; sent < BATCHES_MAX; sent++) {
      if (!this.#mayStart()) return false;
      const [stored, notes, isEmpty] = await this.outbox.use((store) => store.oldest((keys) => this.#enough(keys)));
      const wait = Math.min(notes.until! - Date.now(), PAUSE_MAX_MS);
      if (wait > 0 && (notes.asked || !urgent)) {
        this.again(wait);
        return false;
      }
      const parcels = this.#choose(stored);
      if (parcels.length === 0) return isEmpty;
      if (!(await this.#send(parcels, notes))) return false;
    }
    this.again(0);
    return false;
  }

  /** With this one there is enough for a batch. */
  #enough(keys: Key[]): Key | undefined {
    let [events, bytes] = [0, 0];
    const isFull = ([id, count, size]: Key) =>
      !this.outbox.onTheWay.has(id) && ((events += count) >= this.#eventsMax || (bytes += size) > BYTES_MAX);
    return keys.find(isFull) ?? keys[keys.length - 1];
  }

  /** The oldest parcel, and others of the same address that fit into one batch with it. */
  #choose(stored: Parcel[]): Parcel[] {
    const chosen: Parcel[] = [];
    let [events, bytes] = [0, 0];
    const isOwn = ({ writer }: Parcel) => writer === this.page.writer.id;
    for (const parcel of stored) {
      const first = chosen[0] ?? parcel;
      // Ours go with a clock that the events of other pages must not be measured by.
      const goesAlong = parcel.context === first.context && isOwn(parcel) === isOwn(first);
      if (!goesAlong || this.outbox.onTheWay.has(parcel.key[0])) continue;
      if (chosen.length > 0 && (events + parcel.key[1] > this.#eventsMax || bytes + parcel.key[2] > BYTES_MAX)) break;
      events += parcel.key[1];
      bytes += parcel.key[2];
      chosen.push(parcel);
    }
    return chosen;
  }

  /** Sends a batch and acts on its reply; gives whether to go on. */
  async #send(parcels: Parcel[], notes: Notes): Promise<boolean> {
    const { status, retryAfterMs, body } = await this.#post(parcels);
    const hasReceipt = typeof body.ok === "number" && Array.isArray(body.rejected);
    const isOurs = typeof body.code === "string";
    const verdict = await this.#ask(({ judge }) => judge(status, hasReceipt, isOurs, retryAfterMs));
    if (verdict === undefined) return false; // Nothing here can tell: the next page will.
    this.page.tell?.("answered", { status, verdict, body });
    const count = parcels.reduce((sum, { key }) => sum + key[1], 0);
    if (verdict === -1) {
      await this.#settle(parcels, body);
      this.#failures = 0;
      this.#eventsMax = Math.min(this.#eventsMax * 2, EVENTS_MAX);
      if (notes.until) await this.#note({ until: 0 });
      return true;
    }
    if (verdict === -2 || verdict === -3) {
      await this.#halve(parcels, count);
      return true;
    }
    if (verdict === -5) {
      this.#isStopped = true;
      this.page.lose("closed", count);
      this.page.report("closed");
      await this.outbox.clear();
      return false;
    }
    this.#failures++;
    const asked = verdict >= 0;
    const wait = asked ? verdict : ((await this.#ask((f) => f.backoffMs(this.#failures, Math.random()))) ?? TIMEOUT_MS);
    if (asked) this.page.report("paused", isOurs ? String(body.code) : undefined);
    await this.#note({ until: Date.now() + wait, asked });
    this.again(wait);
    return false;
  }

  /** The engine's answer, by whatever stands in should the module break now. */
  async #ask<T>(question: (functions: Functions) => T): Promise<T | undefined> {
    await this.engine.settled;
    const answer = this.engine.ask(question);
    if (answer !== undefined) return answer;
    await this.engine.settled;
    return this.engine.ask(question);
  }

  /** A receipt came: these events are on the collector's disk, or refused one by one. */
  async #settle(parcels: Parcel[], { rejected }: Reply["body"]): Promise<void> {
    for (const { code, detail } of rejected ?? []) {
      this.page.lose("refused");
      this.page.report(code, detail);
    }
    await this.outbox.remove(parcels.map(({ key }) => key));
    this.peers.tell({ done: parcels.map(({ key: [id] }) => id) });
  }

  /** The batch could not be read or was too long: smaller ones from now on, and a look at each event at last. */
  async #halve(parcels: Parcel[], count: number): Promise<void> {
    this.#eventsMax = Math.max(1, count >> 1);
    const keys = parcels.map(({ key }) => key);
    if (count === 1) {
      this.page.lose("unreadable");
      this.page.report("batch_unreadable");
      return this.outbox.remove(keys);
    }
    const [parcel] = parcels;
    if (parcels.length > 1 || !parcel) return;
    const events = JSON.parse(`[${parcel.events}]`) as { id: string }[];
    const half = (some: typeof events): Parcel => {
      const json = some.map((event) => JSON.stringify(event)).join();
      return { ...parcel, key: [some[0]!.id, some.length, json.length], events: json };
    };
    await this.outbox.remove(keys, [half(events.slice(0, count >> 1)), half(events.slice(count >> 1))]);
  }

  /** One request, and what came back: status 0 for anything but an answer. */
  async #post(parcels: Parcel[], isLeaving = false): Promise<Reply> {
    const [first] = parcels as [Parcel];
    const { batch, random } = this.page.make;
    const nonce = random(8);
    const lost = JSON.stringify(this.page.lost);
    const isOwn = first.writer === this.page.writer.id;
    // With every batch: whichever is stored first has it, whatever is sent again.
    const more = isOwn && lost !== "{}" ? `"writer":"${this.page.writer.id}","lost":${lost},` : "";
    const { key } = this.page.options;
    const events = parcels.map((parcel) => parcel.events).join();
    const text = batch(key, nonce, first.context, events, isOwn, more);
    const none: Reply = { status: 0, retryAfterMs: -1, body: {} };
    let weight = 0;
    const ids = parcels.map(({ key: [id] }) => id);
    ids.forEach((id) => this.outbox.onTheWay.add(id));
    const giveUp = new AbortController();
    const stop = () => giveUp.abort();
    const timer = setTimeout(stop, TIMEOUT_MS);
    this.#stopping.signal.addEventListener("abort", stop);
    try {
      if (isLeaving && !("keepalive" in Request.prototype)) {
        navigator.sendBeacon(this.page.url, text);
        return none;
      }
      const bytes = utf8(text);
      const packed = !isLeaving && bytes.length > PACK_BYTES ? await pack(bytes) : undefined;
      weight = (packed ?? bytes).byteLength;
      // Browsers count what may outlive the page, and refuse what is too much: a send that failed goes
      // without. Not when the page is left: then failing is also what a request on its way seems to do.
      const keepalive = (isLeaving || this.#failures === 0) && this.#bytesInFlight + weight <= LEAVING_BYTES;
      this.#bytesInFlight += weight;
      this.page.tell?.("sent", { batch: nonce, events: parcels.reduce((n, parcel) => n + parcel.key[1], 0), bytes: weight });
      const answer = await fetch(this.page.url + (packed ? "?z=gzip" : ""), {
        method: "POST",
        body: packed ?? text,
        credentials: "omit",
        keepalive,
        signal: giveUp.signal,
      });
      const after = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
      const body = ((await answer.json().catch(() => ({}))) ?? {}) as Reply["body"];
      if (body.nonce !== nonce) delete body.ok;
      return { status: answer.status, retryAfterMs: after >= 0 ? after * 1_000 : -1, body };
    } catch {
      return none;
    } finally {
      clearTimeout(timer);
      this.#stopping.signal.removeEventListener("abort", stop);
      this.#bytesInFlight -= weight;
      ids.forEach((id) => this.outbox.onTheWay.delete(id));
    }
  }

  /**
   * The page may be gone in a moment, and browsers throw away with it what its database has not begun to write.
   * So what is not acknowledged and not on its way leaves now, newest first: as much as may be in flight
   * by requests of ours, as much again by one that the browser keeps. Nothing is removed unless an answer still
   * comes. What is stored is left to a tab that is at work, and what was too much to any tab that hears of it.
   */
  leave(signal: AbortSignal): void {
    if (this.#isStopped || this.page.identity.grip() === 0) return;
    let isShared = this.peers.areActive;
    const left = this.outbox.tail.filter(({ key: [id], isStored }) => !this.outbox.onTheWay.has(id) && !(isShared && isStored));
    let room = LEAVING_BYTES - this.#bytesInFlight;
    for (let [parcels, bytes] = newest(left); parcels[0]; [parcels, bytes] = newest(left)) {
      if ((room -= bytes) < 0) {
        this.keep(parcels, signal);
        isShared = true;
        break;
      }
      void this.#post(parcels, true).then(async ({ status, body }) => {
        if (status === 200 && typeof body.ok === "number") await this.#settle(parcels, body);
      });
    }
    if (isShared) this.peers.tell({ left: true });
  }

  /** Gives the browser a batch to send by itself when the page is gone. */
  keep(parcels: Parcel[], signal: AbortSignal): void {
    const { batch, random } = this.page.make;
    const events = parcels.map((parcel) => parcel.events).join();
    const body = batch(this.page.options.key, random(8), parcels[0]!.context, events, false);
    const { fetchLater } = window as unknown as { fetchLater: (url: string, init: RequestInit) => void };
    try {
      fetchLater(this.page.url, { method: "POST", body, signal });
    } catch {
      // Not there, or over the browser's quota: the store has it all the same.
    }
  }

  /** The visitor declined: what is on its way is called back. */
  cancel(): void {
    this.#stopping.abort();
    this.#stopping = new AbortController();
  }
}

/** Takes the newest that go into one request, and says what they weigh. */
export function newest(from: Parcel[]): [parcels: Parcel[], bytes: number] {
  const parcels: Parcel[] = [];
  let bytes = 512;
  for (let next = from.pop(); next; next = from.pop()) {
    const { key, context } = next;
    const more = bytes + key[2] + (parcels[0] ? 0 : context.length);
    if (parcels[0] && (context !== parcels[0].context || more > LEAVING_BYTES)) {
      from.push(next);
      break;
    }
    bytes = more;
    parcels.unshift(next);
  }
  return [parcels, bytes];
}

/** The bytes, compressed, where the browser can. */
async function pack(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer | undefined> {
  if (typeof CompressionStream === "undefined") return undefined;
  // Written at once: piping from another stream costs the page three times as much.
  const { readable, writable } = new CompressionStream("gzip");
  const writer = writable.getWriter();
  const given = [writer.write(bytes), writer.close()];
  const packed = await new Response(readable).arrayBuffer();
  await Promise.all(given);
  return packed;
}

