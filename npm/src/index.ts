/**
 * Product analytics for the browser: `@tallymark/web`.
 *
 * Every function returns at once and never throws. What is called before the module is loaded is
 * kept in order; what is called before {@link init} is kept as well. Importing this on a server
 * touches nothing: there, calls do nothing.
 *
 * @packageDocumentation
 */

import type { Client, EventMap } from "./client.js";
import { IDENTIFY, RESET, TRACK } from "./page.js";
import { call, load, quietly, say, whenLoaded } from "./loader.js";
import type { ContentView, Conversion, Options, Properties } from "./types.js";

export type { Client, EventArguments, EventMap, EventName } from "./client.js";
export type {
  ContentView,
  Conversion,
  Mode,
  Options,
  Properties,
  PropertyValue,
  TallymarkError,
} from "./types.js";

/** For the other entry points of this package. @internal */
export { quietly, report, settings } from "./loader.js";

/**
 * Start. Call it once per page, as early as you like; a second call is reported and ignored.
 *
 * @example
 * init({ key: "tm_pk_…", salt: "…", endpoint: "https://stats.example.com" });
 */
export function init(options: Options): void {
  quietly(() => load(options, page));
}

/**
 * Record that the visitor did something.
 *
 * Returns at once and never throws: the event waits in memory and leaves in the next batch, or when
 * the page is hidden. After {@link optOut} nothing is kept or sent.
 *
 * @param name - Past tense, snake case: `checkout_started`. 1 to 200 characters.
 * @param properties - At most 64; see {@link Properties}.
 * @example
 * track("checkout_started", { plan: "team", seats: 5 });
 */
export function track(name: string, properties?: Properties): void {
  call(TRACK, name, properties);
}

/**
 * {@link track} and {@link conversion} for events that you declare: names and properties are completed
 * as you type, and what was not declared does not compile. Nothing is checked when it runs.
 *
 * @example
 * interface Events { checkout_started: { plan: "solo" | "team"; seats: number }; signed_out: {} }
 * export const { track, conversion } = createClient<Events>();
 */
export function createClient<Events extends EventMap<Events>>(): Client<Events> {
  return { track, conversion, page };
}

/** Record that a page is shown. With {@link Options.autoPage} this happens by itself. */
export function page(properties?: Properties): void {
  track("$pageview", properties);
}

/**
 * Say who is signed in. The id is hashed in the browser with the project's salt; it is never sent
 * or stored as it is. Needs mode `"full"` or {@link optIn}; until then it is held back.
 *
 * @param userId - Your own stable id: not an e-mail address, if you have something better.
 * @param traits - Properties of the `$identify` event. Nothing personal belongs here.
 */
export function identify(userId: string | number, traits?: Properties): void {
  call(IDENTIFY, userId, traits);
}

/** Forget who was here: call it when someone signs out. Starts a new session and a new device id. */
export function reset(): void {
  call(RESET);
}

/**
 * Record that a piece of content was seen.
 *
 * @example
 * contentView({ id: "a-42", type: "article", owner: "ada", tier: "premium" });
 */
export function contentView(content: ContentView): void {
  quietly(() => {
    const { id, type, ...rest } = content;
    track("$content_view", { content_id: String(id), content_type: type, ...rest });
  });
}

/**
 * Record that the visitor reached a step of a funnel.
 *
 * @example
 * funnelStep("checkout", "address", { step_number: 2 });
 */
export function funnelStep(funnel: string, step: string, properties?: Properties): void {
  quietly(() => track("$funnel_step", { ...properties, funnel, step }));
}

/**
 * Record that the visitor really met a variant of an experiment: call it when it is on screen. Each call
 * records; `@tallymark/web/experiments` knows the variant, and records it once.
 */
export function exposure(experiment: string, variant: string): void {
  track("$exposure", { experiment, variant });
}

/**
 * Record that a goal was reached.
 *
 * @example
 * conversion("purchase", { value: 29.99, currency: "EUR" });
 */
export function conversion(name: string, properties?: Conversion): void {
  quietly(() => track("$conversion", { ...properties, name }));
}

/**
 * What the visitor said: `"granted"` (lasting hashed ids), `"cookieless"` (events without an id) or
 * `"denied"` (nothing; what waits is dropped at once). Remembered on the device; may change any time.
 */
export function consent(answer: "granted" | "cookieless" | "denied"): void {
  say(answer === "granted" ? "g" : answer === "denied" ? "d" : "c");
}

/** The visitor agreed: remember them across visits. Undone by {@link optOut}. */
export function optIn(): void {
  say("g");
}

/**
 * The visitor declined: what waits is dropped, ids are erased, nothing more is recorded or sent,
 * on the next pages neither. Undone by {@link optIn}.
 */
export function optOut(): void {
  say("d");
}

/**
 * Send what waits, now.
 *
 * @returns Whether all of it was acknowledged by the collector. Never rejects.
 */
export function flush(): Promise<boolean> {
  return whenLoaded((there) => there.flush());
}

/**
 * Wait until everything is loaded.
 *
 * @returns Whether it is; `false` on a server and where it cannot be loaded. Never rejects.
 */
export function ready(): Promise<boolean> {
  return whenLoaded((there) => there.ready());
}
