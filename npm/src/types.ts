/** The types of the public API. */

/** What a property may hold. Texts, numbers and booleans can be counted and filtered by. */
export type PropertyValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | Date
  | readonly PropertyValue[]
  | { readonly [name: string]: PropertyValue };

/**
 * Properties of an event. At most 64; more are left out and reported. `undefined` is left out, a
 * `Date` becomes its ISO text, a number that is not finite becomes `null`.
 */
export type Properties = { readonly [name: string]: PropertyValue };

/** How much is remembered about a visitor; see {@link Options.mode}. */
export type Mode = "full" | "cookieless" | "none";

/** Something went wrong, or not as the page may expect. Never thrown, only told. */
export interface TallymarkError {
  /** Permanent, snake case: `event_name_invalid`, `queue_full`, … */
  code: string;
  /** What is wrong and what to do. */
  message: string;
}

/** Settings of {@link init}. */
export interface Options {
  /** The project's write key: `tm_pk_…`. Public: it can only send. */
  key: string;
  /** The project's salt, as printed with the key. Public: it keeps projects apart. */
  salt: string;
  /** The collector's address: `https://stats.example.com`. */
  endpoint: string;
  /**
   * What may be kept before the visitor says anything:
   *
   * - `"full"`: a random id on the device and the hashed id of who signed in. Choose it when the
   *   visitor has agreed, or need not be asked.
   * - `"cookieless"` (default): no id; on the device only events that wait; the collector tells visitors of
   *   one day apart. Experiments need an id, so nobody takes part in them.
   * - `"none"`: nothing until {@link optIn}.
   *
   * Global Privacy Control and Do Not Track turn `"full"` into `"cookieless"`, always.
   */
  mode?: Mode;
  /**
   * Where events wait until the collector has them: `"device"` (default) keeps them over reloads,
   * closed tabs and crashes; `"memory"` keeps nothing on the device.
   */
  queue?: "device" | "memory";
  /** Record a page view now and whenever the address changes. Default `true`. */
  autoPage?: boolean;
  /**
   * Hide e-mail addresses, telephone and card numbers, tokens, and properties that are called a secret. The
   * collector hides them as well, unless it was told otherwise. Default `true`.
   */
  guard?: boolean;
  /** Explain in the console what is captured, stored, sent, refused and why. */
  debug?: boolean;
  /** Called with everything that went wrong. It may be called often; keep it quick. */
  onError?: (error: TallymarkError) => void;
  /** Where `tallymark_bg.wasm` is, if a bundler did not put it beside the script; or its bytes. */
  wasm?: string | URL | BufferSource | Promise<BufferSource>;
}

/** What was on screen. */
export type ContentView = Properties & {
  /** Its id. */
  id: string | number;
  /** What it is: `article`, `product`, `video`. */
  type: string;
  /** Whose it is: an author, a seller, a channel. */
  owner?: string | number;
  /** What it belongs to: `free`, `premium`. */
  tier?: string;
};

/** What a conversion was worth, and to which experiment it belongs. */
export type Conversion = Properties & {
  /** In units of `currency`: `29.99`. */
  value?: number;
  /** ISO 4217: `EUR`. */
  currency?: string;
  /** Key of the experiment it belongs to. */
  experiment?: string;
  /** The variant; `@tallymark/web/experiments` adds the visitor's. */
  variant?: string;
  /** `false` records that it did not happen. */
  converted?: boolean;
};
