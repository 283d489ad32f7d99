/**
 * The visitor's answer from Google Consent Mode v2: `@tallymark/web/consent-mode`, for pages whose consent
 * banner speaks it already. Nothing is loaded from Google and nothing is sent there.
 *
 * @packageDocumentation
 */

import { consent, quietly } from "./index.js";

/** What is done with what a banner says. */
export interface ConsentModeOptions {
  /**
   * What a "denied" of `analytics_storage` means here: counting without ids (`"cookieless"`, the default),
   * or nothing at all (`"denied"`).
   */
  denied?: "cookieless" | "denied";
  /** The banner's queue of commands, if it is not `window.dataLayer`. */
  dataLayer?: unknown[];
}

/** How long a "denied" by default waits for the banner's word, if the page does not say it. */
const WAIT_MS = 500;

type Said = "granted" | "denied";

let isFollowing = false;

/**
 * Follow Consent Mode: what was said before this call, and what is said later. Of its signals only
 * `analytics_storage` counts.
 *
 * An `update` acts at once. A `default` of "denied" is said on every page before a banner remembers that the
 * visitor had agreed: it waits for `wait_for_update` milliseconds, so that an id is not erased and made
 * again with each page. Where only some regions have a `default` of "denied" it counts everywhere, because a page
 * does not know its region.
 *
 * @example
 * followConsentMode();
 * gtag("consent", "update", { analytics_storage: "granted" });
 */
export function followConsentMode(options: ConsentModeOptions = {}): void {
  quietly(() => {
    if (typeof window === "undefined" || isFollowing) return;
    isFollowing = true;
    const { denied = "cookieless" } = options;
    const page = window as { dataLayer?: unknown[] };
    const commands = options.dataLayer ?? (page.dataLayer ??= []);
    let isAnswered = false;
    let byDefault: Said | undefined;
    let waiting: ReturnType<typeof setTimeout> | undefined;

    const act = (said: Said) => {
      clearTimeout(waiting);
      consent(said === "granted" ? said : denied);
    };
    const hear = (command: unknown) => {
      const [kind, when, signals] = Array.from((command ?? []) as ArrayLike<unknown>);
      const { analytics_storage: said, wait_for_update: waitMs } = (signals ?? {}) as Record<string, unknown>;
      if (kind !== "consent" || (said !== "granted" && said !== "denied")) return;
      if (when === "update") {
        isAnswered = true;
        act(said);
      } else if (when === "default" && !isAnswered && byDefault !== "denied") {
        byDefault = said;
        clearTimeout(waiting);
        waiting = setTimeout(act, said === "granted" ? 0 : Number(waitMs) || WAIT_MS, said);
      }
    };

    commands.forEach((command) => quietly(() => hear(command)));
    const push = commands.push;
    commands.push = (...more) => {
      more.forEach((command) => quietly(() => hear(command)));
      return push.apply(commands, more);
    };
  });
}
