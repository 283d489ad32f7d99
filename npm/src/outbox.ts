/**
 * From events to the store: what was recorded and is not stored yet, and the newest of what is.
 *
 * One transaction at a time; what comes meanwhile is taken by the next. The `tail` is kept in memory
 * as well, as much as may be in flight when a page is left: then there is no time to read.
 */

import type { Sender } from "./page.js";
import { type Key, limits, memory, type Parcel, type Store } from "./store.js";

/** Events and bytes of one parcel: with its envelope it stays under the 64 KiB of keepalive. */
export const EVENTS_MAX = 100;
export const BYTES_MAX = 47 * 1024;
/** What browsers let be in flight when a page goes, less room for headers and other scripts; and keep to send by themselves. */
export const LEAVING_BYTES = 60 * 1024;
/** Half of the longest wait for anything the store does. */
const PATIENCE_MS = 3_000;
/** So much that is new, by weight, and the queue is measured again: other tabs fill it too. */
const MEASURE_EVERY = 100;
/** A full queue has a thousand events or two megabytes: so many bytes weigh as much as an event. */
const EVENT_BYTES = 2_048;

/** A parcel that is being filled. */
interface Open {
  context: string;
  rows: string[];
  id: string;
  bytes: number;
}

export class Outbox {
  /** Of this page, not acknowledged; oldest first. */
  tail: Parcel[] = [];
  /** Ids of parcels that are on their way. */
  readonly onTheWay = new Set<string>();
  #fresh: Open[] = [];
  #newest = "";
  #saving: Promise<void> | undefined;
  /** What is added and not stored, by weight. */
  #unsaved = 0;
  /** What is in the store as last measured, and put or removed since. */
  #stored = 0;
  #sinceMeasured = Infinity;

  constructor(
    private readonly page: Sender,
    public store: Store | undefined,
  ) {}

  /** From now on there is this store; what was to be stored, or is in the one before it, is put there first. */
  async open(store: Store): Promise<void> {
    const before = this.store;
    this.store = store;
    if (before) {
      const [parcels] = await before.oldest((keys) => keys[keys.length - 1]);
      await this.use((store) => store.change(parcels, []));
    } else if (this.tail.length > 0) await this.#put(this.tail);
  }

  /** Adds an event. */
  add(id: string, json: string, context: string, bytes: number): void {
    let open = this.#fresh[this.#fresh.length - 1];
    if (!open || open.context !== context || open.rows.length >= EVENTS_MAX || open.bytes + bytes > BYTES_MAX) {
      // Ids of one millisecond have no order of their own, and parcels leave in the order of theirs.
      this.#newest = id > this.#newest ? id : `${this.#newest}0`;
      open = { context, rows: [], id: this.#newest, bytes: 0 };
      this.#fresh.push(open);
    }
    bytes++;
    this.#unsaved += 1 + bytes / EVENT_BYTES;
    open.rows.push(json);
    open.bytes += bytes;
  }

  /** Whether nothing waits to be stored. */
  get isEmpty(): boolean {
    return this.#fresh.length === 0 && !this.#saving;
  }

  /** Whether the store should not get more for now, as long as it can be emptied. */
  get isNearlyFull(): boolean {
    return this.#unsaved + this.#stored > limits(this.store)[0] / 2;
  }

  /** Stores what was added; resolves when all of it is. */
  save(): Promise<void> {
    this.#saving ??= this.#saveAll().finally(() => (this.#saving = undefined));
    return this.#saving;
  }

  /** The page may be gone in a moment: one more transaction, whatever else is going on. */
  saveNow(): void {
    const parcels = this.#close();
    if (parcels.length > 0) this.#put(parcels).catch(() => {});
  }

  async #saveAll(): Promise<void> {
    // One turn, so that what is called together is stored together.
    await undefined;
    while (this.store && this.#fresh.length > 0) await this.#put(this.#close());
  }

  /** What was added, as parcels. They are in the tail from now on. */
  #close(): Parcel[] {
    const parcels = this.#fresh.map(
      ({ context, rows, id, bytes }): Parcel => ({
        key: [id, rows.length, bytes],
        writer: this.page.writer.id,
        context,
        events: rows.join(),
      }),
    );
    this.#fresh = [];
    this.tail.push(...parcels);
    let room = 2 * LEAVING_BYTES;
    for (let i = this.tail.length; i-- > 0; ) {
      room -= this.tail[i]!.key[2] + this.tail[i]!.context.length;
      if (room < 0 && this.store) {
        this.tail.splice(0, i + 1);
        break;
      }
    }
    return parcels;
  }

  /**
   * Does something with the store, which is open by then. One that fails (full, closed, wiped) or hangs is
   * given up: what is not acknowledged goes on in memory.
   */
  async use<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = this.store as Store;
    let timer: ReturnType<typeof setTimeout> | undefined;
    // In two parts: a page that slept finds the first one over, and the answer right after it.
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => (timer = setTimeout(reject, PATIENCE_MS)), PATIENCE_MS);
    });
    try {
      return await Promise.race([work(store), late]);
    } catch {
      if (this.store === store) {
        this.store = memory();
        await this.store.change(this.tail, []);
      }
      return work(this.store as Store);
    } finally {
      clearTimeout(timer);
    }
  }

  async #put(parcels: Parcel[]): Promise<void> {
    if (!this.store) return;
    await this.use((store) => store.change(parcels, []));
    for (const parcel of parcels) parcel.isStored = this.store.isDurable;
    const [events, , weight] = total(parcels.map(({ key }) => key));
    this.page.tell?.("stored", { events, durable: this.store.isDurable });
    this.#unsaved -= weight;
    this.#stored += weight;
    this.#sinceMeasured += weight;
    if (this.#sinceMeasured > MEASURE_EVERY) await this.#measure();
  }

  /** These are gone: acknowledged, refused or dropped. */
  async remove(keys: readonly Key[], put: readonly Parcel[] = []): Promise<void> {
    this.forget(new Set(keys.map(([id]) => id)));
    this.#stored = Math.max(0, this.#stored - total(keys)[2]);
    if (this.store) await this.use((store) => store.change(put, keys));
  }

  /** These are delivered, perhaps by another tab. */
  forget(ids: ReadonlySet<string>): void {
    this.tail = this.tail.filter(({ key: [id] }) => !ids.has(id));
  }

  /** Counts what is stored, and drops the oldest of what is too much. What is on its way may arrive: it stays. */
  async #measure(): Promise<void> {
    if (!this.store) return;
    const keys = await this.use((store) => store.keys());
    let [events, bytes, weight] = total(keys);
    const [eventsMax, bytesMax] = limits(this.store);
    const drop: Key[] = [];
    this.#stored = weight;
    this.#sinceMeasured = 0;
    for (const key of keys) {
      if (events <= eventsMax && bytes <= bytesMax) break;
      if (this.onTheWay.has(key[0])) continue;
      drop.push(key);
      events -= key[1];
      bytes -= key[2];
    }
    if (drop.length > 0) {
      this.page.lose("queue_full", total(drop)[0]);
      this.page.report("queue_full");
      await this.remove(drop);
    }
  }

  /** The visitor declined: nothing is left, and how many that were is not counted. */
  async clear(): Promise<void> {
    this.#fresh = [];
    this.tail = [];
    this.#unsaved = this.#stored = 0;
    if (this.store) await this.use((store) => store.clear());
  }
}

/** Events, bytes and weight. */
function total(keys: readonly Key[]): [events: number, bytes: number, weight: number] {
  return keys.reduce(([events, bytes, weight], key) => [events + key[1], bytes + key[2], weight + key[1] + key[2] / EVENT_BYTES], [0, 0, 0]);
}

/** What goes over the wire. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
