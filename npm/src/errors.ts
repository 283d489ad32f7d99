/**
 * Errors, with the business they happened in: `@tallymark/web/errors`.
 *
 * Messages and stacks are scrubbed before they are recorded (`scrub`). The same error is recorded once
 * per page; when the page is hidden, repetitions follow as one event. So the sum of `occurrences`
 * is right, and an error in a loop costs two events.
 *
 * @packageDocumentation
 */

import { quietly, track } from "./index.js";
import { lastBusinessEvent } from "./scope.js";
import { mask, scrub } from "./scrub.js";
import type { Properties } from "./types.js";

/** How bad it is. */
export type Level = "debug" | "info" | "warning" | "error" | "critical";

/** What is known around an error. Who it happened to comes with the event, as a hash. */
export interface ErrorContext {
  user?: { userType?: string; subscriptionTier?: string };
  /** Of `stripeCustomerId` only the end is recorded. */
  payment?: { paymentId?: string; amount?: number; currency?: string; method?: string; stripeCustomerId?: string };
  /** `businessEvent` is the last event of `@tallymark/web/business` when it is left out. */
  business?: { businessEvent?: string; funnel?: string; component?: string; feature?: string };
  technical?: { source?: string; platform?: string; apiVersion?: string };
  /** Anything else. */
  extra?: Properties;
}

/** Settings of {@link watchErrors}. */
export interface ErrorOptions {
  /** Messages that are of no interest: a part of the text, or a pattern. */
  ignore?: readonly (string | RegExp)[];
  /** Context of all errors, see {@link setErrorContext}. */
  context?: ErrorContext;
}

/** Different errors of one page; the rest is only counted. */
const KINDS_MAX = 20;
const MESSAGE_MAX = 500;
const STACK_MAX = 2_000;

/** What was recorded already: the event, and how often it happened since. */
const seen = new Map<string, { props: Properties; more: number }>();
let common: ErrorContext = {};
let isTelling = false;

/** Context of all errors from now on; groups that are not named stay as they are. */
export function setErrorContext(context: ErrorContext): void {
  common = { ...common, ...context };
}

/**
 * Record an error that the page handled.
 *
 * @example
 * try { await pay(order); } catch (error) {
 *   captureError(error, { payment: { paymentId: order.id, amount: 29.99, currency: "EUR" }, business: { funnel: "checkout" } });
 * }
 */
export function captureError(error: unknown, context: ErrorContext = {}, level: Level = "error"): void {
  quietly(() => note(error, context, level, true));
}

/** Record what the page does not handle: uncaught errors and rejected promises. Gives the function that ends it. */
export function watchErrors({ ignore = [], context }: ErrorOptions = {}): () => void {
  if (typeof window === "undefined") return () => {};
  if (context) setErrorContext(context);
  const listening = new AbortController();
  const { signal } = listening;
  const unhandled = (error: unknown): void => {
    quietly(() => {
      const { message } = describe(error);
      const isIgnored = ignore.some((one) => (typeof one === "string" ? message.includes(one) : message.search(one) >= 0));
      if (!isIgnored) note(error, {}, "error", false);
    });
  };
  // Scripts of other origins hide their errors: there is a message without an error.
  addEventListener("error", ({ error, message }) => unhandled(error ?? message), { signal });
  addEventListener("unhandledrejection", ({ reason }) => unhandled(reason), { signal });
  return () => listening.abort();
}

function note(error: unknown, context: ErrorContext, level: Level, handled: boolean): void {
  if (typeof window === "undefined") return;
  tellRepetitionsOnHide();
  const { name, message, stack } = describe(error);
  const error_name = scrub(name, 100);
  const clean = scrub(message, MESSAGE_MAX);
  const trace = scrub(stack, STACK_MAX);
  // Where it happened tells errors of one name apart; numbers in a message do not.
  const fingerprint = hash([error_name, clean.replace(/\d+/g, "0"), trace.split("\n").slice(0, 4).join("\n")].join("\n"));
  const before = seen.get(fingerprint) ?? (seen.size >= KINDS_MAX ? others() : undefined);
  if (before) {
    before.more++;
    return;
  }
  const props = { fingerprint, error_name, message: clean, level, handled };
  seen.set(fingerprint, { props, more: 0 });
  track("$error", { ...flat(context), ...props, occurrences: 1, ...(trace && { stack: trace }) });
}

/** Where errors beyond the bound are counted. */
function others(): { props: Properties; more: number } {
  const found = seen.get("others") ?? { props: { fingerprint: "others", error_name: "others", level: "error" }, more: 0 };
  seen.set("others", found);
  return found;
}

function tellRepetitionsOnHide(): void {
  if (isTelling) return;
  isTelling = true;
  // Capturing, so that they are recorded before the core sends what it has.
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && tell(), true);
  addEventListener("pagehide", tell, true);
}

function tell(): void {
  for (const one of seen.values()) {
    if (one.more === 0) continue;
    track("$error", { ...one.props, occurrences: one.more });
    one.more = 0;
  }
}

/** Whatever was thrown: pages throw texts, objects and nothing at all. */
function describe(error: unknown): { name: string; message: string; stack: string } {
  if (error instanceof Error) {
    const message = String(error.message);
    // V8 begins the stack with name and message, which are there already; others write `call@address:1:2`.
    const lines = String(error.stack ?? "").split("\n").filter((line) => /^\s+at |@.*:\d+:\d+$/.test(line));
    const stack = lines.map((line) => line.trim()).join("\n");
    return { name: error.name || "Error", message, stack };
  }
  // Objects may hold anything: their keys say what they are.
  const isObject = typeof error === "object" && error !== null;
  const { message } = (isObject ? error : {}) as { message?: unknown };
  const keys = isObject ? `an object with ${Object.keys(error).slice(0, 10).join(", ")}` : String(error);
  return { name: isObject ? "Object" : typeof error, message: typeof message === "string" ? message : keys, stack: "" };
}

/** The four groups as properties that questions can filter by. */
function flat(context: ErrorContext): Properties {
  const { user, payment, business, technical, extra } = {
    user: { ...common.user, ...context.user },
    payment: { ...common.payment, ...context.payment },
    business: { ...common.business, ...context.business },
    technical: { ...common.technical, ...context.technical },
    extra: { ...common.extra, ...context.extra },
  };
  return {
    ...extra,
    user_type: user.userType,
    subscription_tier: user.subscriptionTier,
    payment_id: payment.paymentId,
    amount: payment.amount,
    currency: payment.currency,
    payment_method: payment.method,
    stripe_customer: payment.stripeCustomerId && mask(payment.stripeCustomerId),
    business_event: business.businessEvent ?? lastBusinessEvent(),
    funnel: business.funnel,
    component: business.component,
    feature: business.feature,
    source: technical.source,
    platform: technical.platform,
    api_version: technical.apiVersion,
  };
}

/** FNV-1a: tells errors apart, hides nothing. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value.toString(16).padStart(8, "0");
}
