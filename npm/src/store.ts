/**
 * The queue on the device, shared by all tabs: events wait here until the collector says that they
 * are on its disk.
 *
 * Events are stored in *parcels*: those of one page that were recorded together. A parcel is put,
 * sent and removed as a whole, so an event costs a fraction of a transaction. Its key says how many
 * events and bytes it has, so the queue can be measured without reading it.
 *
 * Where there is no database, or it hangs, a list in memory stands in: then a page keeps its events
 * only as long as it lives.
 */

/** Id of the first event, events, bytes. */
export type Key = [id: string, count: number, bytes: number];

/** Some events of one page. */
export interface Parcel {
  key: Key;
  writer: string;
  /** The page they happened on, as JSON. */
  context: string;
  /** Their JSON, joined by commas. */
  events: string;
  /** Of one in memory: whether it is on the device as well. */
  isStored?: boolean;
}

export interface Store {
  /** Whether it outlives the page. */
  readonly isDurable: boolean;
  /** Puts parcels, and takes others out in the same step. */
  change(put: readonly Parcel[], remove: readonly Key[]): Promise<unknown>;
  /** The oldest parcels, up to the one that is the `last` of these keys; what was noted; whether there are any. */
  oldest(last: (keys: Key[]) => Key | undefined): Promise<[parcels: Parcel[], notes: Notes, isEmpty: boolean]>;
  keys(): Promise<Key[]>;
  note(notes: Notes): Promise<unknown>;
  /** Replaces the lease by what follows from it, as one step: nobody else does meanwhile. */
  lease(change: (lease?: Lease) => Lease): Promise<unknown>;
  clear(): Promise<unknown>;
}

/** What tabs tell each other. */
export interface Notes {
  /** Nothing is sent before this wall-clock time. */
  until?: number;
  /** The collector asked for that. */
  asked?: boolean;
}

/** Who sends, and until when nobody else does: where there are no Web Locks. */
export type Lease = [holder?: string | undefined, until?: number | undefined];

/** Longest wait for the database. */
const PATIENCE_MS = 1_000;
const QUEUE = "q";
const META = "meta";
const LEASE = "lease";
/** Parcels that are looked at when some are chosen. */
const OLDEST = 100;
/** Events a page keeps without a database. */
const VOLATILE_MAX = 200;

/** The database of this name, or a list in memory. A database that opens after that is given to `late`. */
export function openStore(name: string, late?: (store: Store) => void): Promise<Store> {
  return new Promise((resolve) => {
    let give: typeof late = resolve;
    setTimeout(() => {
      resolve(memory());
      give = late;
    }, PATIENCE_MS);
    open(name).then(
      (database) => give?.(durable(database)),
      () => resolve(memory()),
    );
  });
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(QUEUE);
      opening.result.createObjectStore(META);
    };
    opening.onsuccess = () => {
      // Another page wants to delete it: it must not wait for this one.
      opening.result.onversionchange = () => opening.result.close();
      resolve(opening.result);
    };
    opening.onerror = () => reject(opening.error);
  });
}

function durable(database: IDBDatabase): Store {
  /** Makes requests in one transaction; gives the results when it is complete. Without a list, more requests follow. */
  const run = (name: string, work: (store: IDBObjectStore) => IDBRequest[] | void, mode?: IDBTransactionMode): Promise<unknown[]> =>
    new Promise((resolve, reject) => {
      const step = database.transaction(name, mode, { durability: "relaxed" });
      const requests = work(step.objectStore(name));
      step.oncomplete = () => resolve(requests?.map(({ result }) => result) as unknown[]);
      step.onabort = () => reject(step.error);
      // Not left to the browser, which waits for the page: a page that is about to go has no later moment, and
      // what it writes then waits for what it reads.
      if (requests) step.commit?.();
    });
  return {
    isDurable: true,
    change: (put, remove) =>
      run(
        QUEUE,
        (queue) => [...put.map(({ key, ...parcel }) => queue.put(parcel, key)), ...remove.map((key) => queue.delete(key))],
        "readwrite",
      ),
    async oldest(last) {
      const [[keys], [notes]] = (await Promise.all([
        run(QUEUE, (queue) => [queue.getAllKeys(null, OLDEST)]),
        run(META, (meta) => [meta.get(META)]),
      ])) as [[Key[]], [Notes?]];
      // Reading what no batch can take would be most of what sending costs.
      const to = last(keys);
      const range = to && IDBKeyRange.upperBound(to);
      const [taken, parcels] = (range ? await run(QUEUE, (queue) => [queue.getAllKeys(range), queue.getAll(range)]) : [[], []]) as [Key[], Parcel[]];
      return [parcels.map((parcel, i) => ({ ...parcel, key: taken[i] as Key })), notes ?? {}, !keys[0]];
    },
    keys: async () => (await run(QUEUE, (queue) => [queue.getAllKeys()]))[0] as Key[],
    note: (notes) => run(META, (meta) => [meta.put(notes, META)], "readwrite"),
    lease: (change) =>
      run(
        META,
        (meta) => {
          const reading = meta.get(LEASE);
          reading.onsuccess = () => meta.put(change(reading.result), LEASE);
        },
        "readwrite",
      ),
    clear: () => Promise.all([QUEUE, META].map((name) => run(name, (store) => [store.clear()], "readwrite"))),
  };
}

/** The same, for as long as the page lives. */
export function memory(): Store {
  let parcels: Parcel[] = [];
  let notes: Notes = {};
  return {
    isDurable: false,
    async change(put, remove) {
      // What is put replaces what was there: half of a parcel has the key of the whole.
      const gone = new Set(remove.concat(put.map(({ key }) => key)).map(([id]) => id));
      parcels = parcels.filter(({ key: [id] }) => !gone.has(id)).concat(put).sort((a, b) => (a.key[0] < b.key[0] ? -1 : 1));
    },
    async oldest(last) {
      const keys = parcels.map(({ key }) => key);
      return [parcels.slice(0, keys.indexOf(last(keys) as Key) + 1), notes, !keys[0]];
    },
    keys: async () => parcels.map(({ key }) => key),
    async note(given) {
      notes = given;
    },
    // Nobody shares it.
    async lease(change) {
      change();
    },
    async clear() {
      parcels = [];
    },
  };
}

/** How many events and bytes a store may hold, or one that is not open yet. Two megabytes, less what comes between two measurements. */
export function limits(store: Store | undefined): [events: number, bytes: number] {
  return store?.isDurable === false ? [VOLATILE_MAX, 256 * 1024] : [1_000, 7 << 18];
}
