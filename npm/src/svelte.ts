/**
 * Svelte: `@tallymark/web/svelte`, for every version with stores and actions.
 *
 * The client is one per page: call `init` in the root layout, `track` anywhere. Stores follow what
 * changes; actions record what is on screen. On a server there is no variant, and nothing is recorded.
 * Stores and actions are contracts of plain objects and functions, so this imports nothing of Svelte.
 *
 * @packageDocumentation
 */

import { exposeWhenSeen, onChange, value, variant as variantOf } from "./experiments.js";
import { track } from "./index.js";
import type { Properties } from "./types.js";

/** A store that can be read: `$store` in a component. */
export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void;
}

/** What an action gives back. */
export interface ActionReturn<P> {
  update(parameter: P): void;
  destroy(): void;
}

/** The visitor's variant of an experiment; `null` outside of it, on a server, and until it is known. */
export function variant(experiment: string): Readable<string | null> {
  return follow(() => variantOf(experiment));
}

/** What the visitor gets of a flag; `fallback` on a server and until it is known. */
export function flag<T>(key: string, fallback: T): Readable<T> {
  return follow(() => value(key, fallback));
}

function follow<T>(look: () => T): Readable<T> {
  return {
    subscribe(run) {
      let last = look();
      run(last);
      return onChange(() => {
        const now = look();
        if (now === last) return;
        last = now;
        run(now);
      });
    },
  };
}

/** `use:expose={"buy-button"}`: the exposure is recorded once half of the element is on screen. */
export function expose(element: Element, experiment: string): ActionReturn<string> {
  let stop = exposeWhenSeen(element, experiment);
  return {
    update(next) {
      stop();
      stop = exposeWhenSeen(element, next);
    },
    destroy: () => stop(),
  };
}

/** What a click on an element is: a name, with properties if it has any. */
export type Click = string | readonly [name: string, properties?: Properties];

/** `use:tracked={"plan_chosen"}` or `use:tracked={["plan_chosen", { plan }]}`: records a click. */
export function tracked(element: Element, call: Click): ActionReturn<Click> {
  let now = call;
  const click = (): void => track(...(typeof now === "string" ? ([now] as const) : now));
  element.addEventListener("click", click);
  return {
    update: (next) => void (now = next),
    destroy: () => element.removeEventListener("click", click),
  };
}
