/**
 * Business events with their properties spelled the same way everywhere: `@tallymark/web/business`.
 *
 * Arguments that cannot be right (a negative amount, a currency that is none) are refused: nothing is
 * recorded and `onError` is told `argument_invalid`. Nothing here throws.
 *
 * @packageDocumentation
 */

import { displayMode } from "./display.js";
import { contentView, funnelStep, identify, quietly, report, track } from "./index.js";
import { enter } from "./scope.js";
import { mask, scrub } from "./scrub.js";
import type { Properties } from "./types.js";

/** What an event of a service tells, beside properties of your own. */
export type EventData = Properties & {
  /** A figure of the business, and how much of it. */
  business_metric?: string;
  metric_value?: number;
  /** How long it took, and how it ended. */
  duration_ms?: number;
  status?: "success" | "error";
  /** What went wrong; scrubbed. */
  error_name?: string;
  error_message?: string;
};

/** Record an event: its business, performance and error parts as one. */
export function logEvent(name: string, data: EventData = {}): void {
  quietly(() => {
    if (!isAmount("duration_ms", data.duration_ms) || !isFigure("metric_value", data.metric_value)) return;
    const { error_message } = data;
    record(name, { ...data, ...(error_message && { error_message: scrub(error_message, 500) }) });
  });
}

/** Record a figure of the business: `recordKpi("licenses_created", 2, { tier: "basic" })`. */
export function recordKpi(kpi: string, value: number, tags: Properties = {}): void {
  quietly(() => {
    if (isFigure("value", value)) record("kpi_recorded", { ...tags, kpi, value });
  });
}

/** Record how long something took, in milliseconds: `recordPerformance("search", 120, { status: "success" })`. */
export function recordPerformance(operation: string, duration_ms: number, tags: Properties = {}): void {
  quietly(() => {
    if (isAmount("duration_ms", duration_ms)) record("performance_recorded", { ...tags, operation, duration_ms });
  });
}

/** A stretch of work that is being measured. */
export interface Span {
  /** It is over; only the first call counts. With an error it failed. */
  end(properties?: Properties, error?: unknown): void;
}

/** Begin to measure a stretch of work. Records one event, when it ends. */
export function startSpan(name: string): Span {
  const sinceMs = performance.now();
  let isOver = false;
  quietly(() => enter(name));
  return {
    end(properties = {}, ...failed) {
      quietly(() => {
        if (isOver) return;
        isOver = true;
        const fault = failed.length > 0 && describe(failed[0]);
        const duration_ms = Math.round((performance.now() - sinceMs) * 10) / 10;
        logEvent(name, { ...properties, ...fault, duration_ms, status: fault ? "error" : "success" });
      });
    },
  };
}

/**
 * A function that does the same and records one event per call, whether it returns, throws, or gives a
 * promise. Results with `business_metric` and `metric_value` bring their figure with them.
 *
 * @param properties - Of the event, from what was passed. Arguments are not recorded by themselves.
 * @example
 * const save = measured("draft_saved", saveDraft, (draft) => ({ words: draft.words }));
 */
export function measured<This, Args extends unknown[], Result>(
  name: string,
  work: (this: This, ...args: Args) => Result,
  properties?: (...args: Args) => Properties,
): (this: This, ...args: Args) => Result {
  return function (this: This, ...args: Args): Result {
    const span = startSpan(name);
    const about = quietly(() => properties?.(...args)) ?? {};
    const done = <Value>(value: Value): Value => {
      quietly(() => span.end({ ...about, ...figureOf(value) }));
      return value;
    };
    const failed = (error: unknown): never => {
      span.end(about, error);
      throw error;
    };
    let result: Result;
    try {
      result = work.apply(this, args);
    } catch (error) {
      return failed(error);
    }
    // The promise that is given on rejects as the first does, so one that nobody handles is still told.
    return result instanceof Promise ? (result.then(done, failed) as Result) : done(result);
  };
}

/** Somebody signed up. */
export interface Registration {
  /** Signed in with it: it is hashed, as by `identify`. */
  userId: string | number;
  userType: "creator" | "fan";
  /** `email`, `google`, … */
  registrationMethod: string;
  source?: string;
  marketingChannel?: string;
  hasCompletedProfile?: boolean;
  /** Never sent. With `keepEmailDomain`, what is behind the `@` is. */
  email?: string;
  keepEmailDomain?: boolean;
}

/** Record that somebody signed up: `user_registered`. */
export function trackUserRegistration(user: Registration): void {
  quietly(() => {
    const { userId, userType, registrationMethod, source, marketingChannel, hasCompletedProfile, email, keepEmailDomain } = user;
    if (userType !== "creator" && userType !== "fan") return refuse('userType is "creator" or "fan"');
    identify(userId);
    record("user_registered", {
      user_type: userType,
      registration_method: registrationMethod,
      source,
      marketing_channel: marketingChannel,
      has_completed_profile: hasCompletedProfile,
      platform: detectPlatform(),
      email_domain: keepEmailDomain ? email?.split("@")[1]?.toLowerCase() : undefined,
    });
  });
}

/** A payment. */
export interface Payment {
  paymentId: string;
  /** In units of `currency`: `29.99`. */
  amount: number;
  /** ISO 4217: `EUR`. */
  currency: string;
  /** `card`, `paypal`, … */
  method?: string;
  gateway?: string;
  subscriptionTier?: string;
  /** Only its end is recorded. */
  stripeCustomerId?: string;
}

/** Record that a payment went through: `payment.completed`. */
export function trackPaymentSuccess(payment: Payment): void {
  quietly(() => pay("payment.completed", payment, {}));
}

/** Record that a payment failed: `payment.failed`. */
export function trackPaymentFailure(payment: Payment & { failureCode?: string }): void {
  quietly(() => pay("payment.failed", payment, { failure_code: payment.failureCode }));
}

/** Record that a subscription began: `subscription.created`. Its price is for one `interval`. */
export function trackSubscriptionCreated(
  subscription: Payment & { interval?: "day" | "week" | "month" | "year"; owner?: string | number },
): void {
  quietly(() => {
    const { interval = "month", owner } = subscription;
    pay("subscription.created", subscription, { interval, owner: owner === undefined ? undefined : String(owner) });
  });
}

function pay(name: string, payment: Payment, more: Properties): void {
  const { paymentId, amount, method, gateway, subscriptionTier, stripeCustomerId } = payment;
  const currency = String(payment.currency).toUpperCase();
  if (!isAmount("amount", amount)) return;
  if (!/^[A-Z]{3}$/.test(currency)) return refuse("currency has three letters: EUR");
  record(name, {
    payment_id: paymentId,
    amount,
    currency,
    payment_method: method,
    gateway,
    subscription_tier: subscriptionTier,
    stripe_customer: stripeCustomerId && mask(stripeCustomerId),
    ...more,
  });
}

/** Money that somebody wrote down. */
export interface Expense {
  amount: number;
  category?: string;
  /** Where: `messenger`, `form`, … */
  source?: string;
}

/** Record that an expense was written down: `expense_logged`, which makes active in the growth report. */
export function trackExpenseLogged(expense: Expense): void {
  quietly(() => {
    const { amount, category, source } = expense;
    if (isAmount("amount", amount ?? NaN)) record("expense_logged", { amount, category, source });
  });
}

/** Record that an expense was changed: `expense_edited`. */
export function trackExpenseEdited(expenseId: string | number): void {
  quietly(() => tell("expense_edited", "expense_id", expenseId));
}

/** Record that somebody asked for a report, such as `summary_week`: `report_requested`. */
export function trackReportRequested(reportType: string): void {
  quietly(() => tell("report_requested", "report_type", reportType));
}

function tell(name: string, property: string, value: unknown): void {
  const text = String(value ?? "");
  if (!text) return refuse(`${property} is missing`);
  record(name, { [property]: text });
}

/** What a visitor did with content. Who did it comes with the event. */
export interface Interaction {
  contentId: string | number;
  contentType: string;
  /** Whose it is, as it is: a public id. */
  creatorId?: string | number;
  /** `view`, `like`, `share`, `comment`, … */
  action: string;
  duration_ms?: number;
  isSubscribed?: boolean;
  tierRequired?: string;
}

/** Record `content_interacted`; an action `view` is a content view as well. */
export function trackContentInteraction(interaction: Interaction): void {
  quietly(() => {
    const { contentId, contentType, creatorId, action, duration_ms, isSubscribed, tierRequired } = interaction;
    if (!isAmount("duration_ms", duration_ms)) return;
    const owner = creatorId === undefined ? undefined : String(creatorId);
    const about = { owner, tier: tierRequired, is_subscribed: isSubscribed } as { owner?: string; tier?: string };
    record("content_interacted", { ...about, content_id: String(contentId), content_type: contentType, action, duration_ms });
    if (action === "view") contentView({ ...about, id: contentId, type: contentType, engaged_ms: duration_ms });
  });
}

/** What a creator did. */
export interface CreatorActivity {
  /** `content_upload`, … */
  activity: string;
  contentType?: string;
  fileBytes?: number;
  duration_ms?: number;
  creatorTier?: string;
}

/** Record `creator_activity`. The creator is who is signed in. */
export function trackCreatorActivity(done: CreatorActivity): void {
  quietly(() => {
    const { activity, contentType, fileBytes, duration_ms, creatorTier } = done;
    if (!isAmount("fileBytes", fileBytes) || !isAmount("duration_ms", duration_ms)) return;
    record("creator_activity", { activity, content_type: contentType, file_bytes: fileBytes, duration_ms, creator_tier: creatorTier });
  });
}

/** How a feature was used. */
export type Usage = Properties & {
  duration_ms?: number;
  /** What it was worth, in units of `currency` where that is given. */
  value?: number;
  currency?: string;
};

/** Record that a feature was used: `feature_usage`. */
export function featureUsed(feature: string, usage: Usage = {}): void {
  quietly(() => {
    if (isAmount("duration_ms", usage.duration_ms) && isFigure("value", usage.value)) record("feature_usage", { ...usage, feature });
  });
}

/** Begin to use a feature; the function that is given records `feature_usage` with the time in between, once. */
export function startFeature(feature: string): (usage?: Usage) => void {
  const sinceMs = performance.now();
  let isOver = false;
  return (usage = {}) => {
    if (!isOver) featureUsed(feature, { duration_ms: Math.round(performance.now() - sinceMs), ...usage });
    isOver = true;
  };
}

/** A way through steps in a known order. */
export interface Funnel<Step extends string> {
  /** The visitor is at this step. Records `$funnel_step` with its number. */
  reach(step: Step, properties?: Properties): void;
  /** The visitor finished the step they were at last, with the time it took. */
  complete(properties?: Properties): void;
}

/**
 * A funnel of these steps: numbers, times and the names of steps are right by themselves.
 *
 * @example
 * const checkout = startFunnel("checkout", ["address", "delivery", "payment"]);
 * checkout.reach("address");
 */
export function startFunnel<const Step extends string>(funnel: string, steps: readonly Step[]): Funnel<Step> {
  let at: { step: Step; sinceMs: number } | undefined;
  const tell = (step: Step, properties: Properties): void => {
    enter(`${funnel}: ${step}`);
    funnelStep(funnel, step, { ...properties, step_number: steps.indexOf(step) + 1 });
  };
  return {
    reach(step, properties) {
      quietly(() => {
        if (!steps.includes(step)) return refuse(`the funnel ${funnel} has no step ${String(step)}`);
        at = { step, sinceMs: performance.now() };
        tell(step, { ...properties, completed: false });
      });
    },
    complete(properties) {
      quietly(() => {
        if (!at) return refuse(`no step of the funnel ${funnel} was reached`);
        tell(at.step, { ...properties, completed: true, time_spent_ms: Math.round(performance.now() - at.sinceMs) });
        at = undefined;
      });
    },
  };
}

/** What a page is on: an installed app, or a kind of device. */
export function detectPlatform(
  userAgent: string = navigator.userAgent,
  mode: string = displayMode(),
): "pwa" | "mobile" | "tablet" | "desktop" {
  if (mode !== "browser") return "pwa";
  if (/iPad|Tablet|PlayBook|Silk|Kindle|Android(?!.*Mobile)/i.test(userAgent)) return "tablet";
  return /Mobi|iPhone|iPod|Windows Phone|BlackBerry|Opera Mini/i.test(userAgent) ? "mobile" : "desktop";
}

/** Records an event, and remembers it for errors that come after it. */
function record(name: string, properties: Properties): void {
  enter(name);
  track(name, properties);
}

function refuse(message: string): void {
  report("argument_invalid", `${message}; nothing was recorded`);
}

function isFigure(name: string, value: unknown): boolean {
  const isRight = value === undefined || (typeof value === "number" && value - value === 0);
  if (!isRight) refuse(`${name} is a number`);
  return isRight;
}

function isAmount(name: string, value: number | undefined): boolean {
  if (!isFigure(name, value)) return false;
  const isRight = value === undefined || value >= 0;
  if (!isRight) refuse(`${name} is not negative`);
  return isRight;
}

/** The figure that a result brings with it. */
function figureOf(value: unknown): EventData {
  const { business_metric, metric_value } = (typeof value === "object" && value !== null ? value : {}) as EventData;
  return typeof business_metric === "string" && typeof metric_value === "number" ? { business_metric, metric_value } : {};
}

function describe(error: unknown): EventData {
  const isError = error instanceof Error;
  return { error_name: isError ? error.name : typeof error, error_message: isError ? String(error.message) : String(error) };
}
