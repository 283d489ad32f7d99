/**
 * What the loader and the core share: the calls that wait, and how to speak to the page's developer.
 */

import type * as identity from "./identity.js";
import type * as early from "./row.js";
import type { Options, Properties } from "./types.js";

/** What a call is. */
export const TRACK = 0;
export const IDENTIFY = 1;
export const RESET = 2;
export const CONSENT = 3;

/** What a visitor says: yes, yes without an id, no. */
export type Word = "g" | "c" | "d";

/** A call as it was made: its kind, a name, copied properties, and when and where it was made. */
export type Call = readonly [
  kind: number,
  name: string,
  props: Properties,
  wallMs: number,
  monoMs: number,
  address: string,
];

/** What the first script needs to make events, and hands over: it is not shipped twice. */
export type Make = Pick<typeof early, "batch" | "contextOf" | "hex" | "random" | "row" | "uuid7"> &
  Pick<typeof identity, "gripOf" | "holds">;

/** What the loader hands over. */
export interface Start {
  readonly options: Options;
  /** In this order: names are bytes, and the first script has none to spare. `settings` names them again. */
  readonly hands: readonly [
    Make["batch"],
    Make["contextOf"],
    Make["gripOf"],
    Make["hex"],
    Make["holds"],
    Make["random"],
    Make["row"],
    Make["uuid7"],
  ];
  /** What was called and not yet taken, oldest first. */
  readonly calls: Call[];
  readonly writer: early.Writer;
  /** Looks whether another page is shown, with `autoPage`. */
  look?: () => void;
  /** Events of this page that were lost, by reason. */
  readonly lost: Record<string, number>;
  /**
   * Tells the page's developer. The sentences stand in `debug`, which is loaded when there is something
   * to say; `detail` is what they are about, or a sentence for a code that has none.
   */
  report(code: string, detail?: unknown): void;
}

/** Whoever sends what is stored: a page, or a worker that stands in for pages that are gone. */
export interface Sender extends Pick<Start, "writer" | "lost" | "report"> {
  readonly options: Pick<Options, "key">;
  readonly make: Pick<Make, "batch" | "random">;
  /** Where batches go. */
  readonly url: string;
  readonly identity: Pick<identity.Identity, "grip">;
  /** Counts events that are lost and have a number already. */
  lose(reason: string, count?: number): void;
  /** With `debug`: tells what happens to events. */
  tell?: (what: string, detail?: unknown) => void;
}

/** One page load, as the core knows it. */
export interface Page extends Start, Sender {
  readonly options: Options;
  readonly make: Make;
  readonly identity: identity.Identity;
  /** Counts calls that become no event; they take numbers as well, so that the collector misses them. */
  drop(reason: string, count?: number): void;
}

/** What the loader asks of the core. */
export interface Core {
  /** Something was called. */
  wake(): void;
  /** The visitor declined: everything that waits is dropped, at once. */
  optOut(): void;
  flush(): Promise<boolean>;
  ready(): Promise<boolean>;
}
