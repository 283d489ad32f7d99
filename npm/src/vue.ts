/**
 * Vue: `@tallymark/web/vue`, for Vue 3.3 and newer.
 *
 * The client is one per page, so nothing here is needed to call `track`. The plugin starts it; the
 * composables follow what changes; the directives record what is on screen. On a server there is no
 * variant, and nothing is recorded. What is not imported costs nothing.
 *
 * @packageDocumentation
 */

import { type App, type ObjectDirective, onScopeDispose, type Plugin, readonly, type Ref, shallowRef } from "vue";

import { exposeWhenSeen, onChange, value, variant } from "./experiments.js";
import { init, track } from "./index.js";
import type { Options, Properties } from "./types.js";

/** Settings of {@link createTallymark}. */
export interface PluginOptions extends Options {
  /**
   * Also record what fails inside components, before the app's own `errorHandler` gets it: `true` records the
   * error's name; a function records what it likes.
   */
  errors?: boolean | ((error: unknown, component: string | undefined) => void);
}

/**
 * The plugin: `app.use(createTallymark({ key, salt, endpoint }))`. On a server it does nothing.
 */
export function createTallymark({ errors, ...options }: PluginOptions): Plugin {
  return {
    install(app: App): void {
      if (typeof window === "undefined") return;
      init(options);
      if (!errors) return;
      const before = app.config.errorHandler;
      app.config.errorHandler = (error, instance, info) => {
        (errors === true ? record : errors)(error, instance?.$options.name ?? instance?.$options.__name);
        if (before) before(error, instance, info);
        else console.error(error);
      };
    },
  };
}

/** The visitor's variant of an experiment; `null` outside of it, on a server, and until it is known. */
export function useVariant(experiment: string): Readonly<Ref<string | null>> {
  return follow(() => variant(experiment));
}

/** What the visitor gets of a flag; `fallback` on a server and until it is known. */
export function useFlag<T>(flag: string, fallback: T): Readonly<Ref<T>> {
  return follow(() => value(flag, fallback));
}

function follow<T>(look: () => T): Readonly<Ref<T>> {
  const found = shallowRef(look());
  if (typeof window !== "undefined") onScopeDispose(onChange(() => void (found.value = look())));
  return readonly(found) as Readonly<Ref<T>>;
}

const stops = new WeakMap<Element, () => void>();

/** `v-expose="'buy-button'"`: the exposure is recorded once half of the element is on screen. */
export const vExpose: ObjectDirective<Element, string> = {
  mounted: (element, { value: experiment }) => void stops.set(element, exposeWhenSeen(element, experiment)),
  unmounted: (element) => stops.get(element)?.(),
  getSSRProps: () => ({}),
};

/** `v-track="'plan_chosen'"` or `v-track="['plan_chosen', { plan }]"`: records a click. */
export const vTrack: ObjectDirective<HTMLElement, string | readonly [name: string, properties?: Properties]> = {
  mounted: (element, binding) => {
    calls.set(element, binding.value);
    element.addEventListener("click", click);
  },
  updated: (element, binding) => void calls.set(element, binding.value),
  getSSRProps: () => ({}),
};

const calls = new WeakMap<Element, string | readonly [name: string, properties?: Properties]>();

function click({ currentTarget }: Event): void {
  const call = calls.get(currentTarget as Element);
  if (call !== undefined) track(...(typeof call === "string" ? ([call] as const) : call));
}

function record(error: unknown, component: string | undefined): void {
  track("$error", {
    error_name: error instanceof Error ? error.name : typeof error,
    level: "error",
    handled: true,
    component,
  });
}
