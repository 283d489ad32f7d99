/**
 * Everything this shop counts, in one file: the only one that imports the analytics package.
 *
 * Invariant: nothing is counted before the visitor agreed, and nothing a visitor types is ever
 * part of an event. Every call returns at once and is safe without a collector.
 */

import * as tally from "@tallymark/web";
import { watchContent, type ContentView } from "@tallymark/web/content";
import * as experiments from "@tallymark/web/experiments";

import type { CartLine } from "./cart";
import type { Product } from "./catalogue";
import type { ShopConfig } from "./config";

export type Consent = "asked" | "given" | "refused";

/**
 * The experiment on the buy button: half of the visitors meet a green one. A collector serves such a
 * document of what is running; this shop brings its own, so it needs nobody to define the experiment and
 * works without a network from the first visit on.
 */
const BUY_BUTTON = "buy-button";
const RUNNING = {
  features: {
    [BUY_BUTTON]: {
      defaultValue: "control",
      rules: [
        {
          key: BUY_BUTTON,
          hashVersion: 2,
          hashAttribute: "device",
          variations: ["control", "green"],
          meta: [{ key: "control" }, { key: "green" }],
        },
      ],
    },
  },
};
const CONSENT_STORED_AS = "deckle-row.consent";
const CURRENCY = "EUR";

let config: ShopConfig | null = null;
let counting = false;
let known: Promise<unknown> | undefined;

/** Take the configuration; start counting if this visitor agreed on an earlier visit. */
export function prepareAnalytics(found: ShopConfig | null): void {
  config = found;
  if (consent() === "given") start();
}

/**
 * Wait until variants are known: a page drawn without them shows the control to somebody who is then left
 * out of the experiment. With the document at hand that is no time.
 */
export async function variantsKnown(): Promise<void> {
  await known;
}

/** What the visitor answered; `asked` while there is no answer, or nothing to ask for. */
export function consent(): Consent {
  const answer = localStorage.getItem(CONSENT_STORED_AS);
  return answer === "given" || answer === "refused" ? answer : "asked";
}

/** Whether the question has to be put: there is a collector, and no answer yet. */
export function mustAsk(): boolean {
  return config !== null && consent() === "asked";
}

/** Remember the answer and act on it. */
export function answerConsent(answer: "given" | "refused"): void {
  localStorage.setItem(CONSENT_STORED_AS, answer);
  if (answer === "given") start();
  else if (counting) {
    tally.optOut();
    counting = false;
  }
}

function start(): void {
  if (!config || counting) return;
  tally.init({
    key: config.key,
    salt: config.salt,
    endpoint: config.endpoint,
    mode: "full", // the visitor said yes; see mustAsk
    autoPage: false, // the router knows best when a page is complete
    onError: ({ code, message }) => console.warn(`analytics: ${code}: ${message}`),
  });
  tally.optIn();
  known = experiments.start({ key: config.key, endpoint: config.endpoint, mode: "full", document: RUNNING });
  counting = true;
}

/** A page is on screen. */
export function pageShown(): void {
  if (counting) tally.page();
}

/**
 * A product or an essay is on screen. The package measures how long and how far it is looked at, and records
 * that when it leaves the screen or what this gives is called.
 */
export function contentShown(element: Element, content: ContentView): () => void {
  return counting ? watchContent(element, content) : () => {};
}

/** Funnel, step 1. */
export function productViewed(product: Product): void {
  if (counting) tally.track("view_product", describe(product));
}

/** Funnel, step 2. */
export function addedToCart(product: Product): void {
  if (counting) tally.track("add_to_cart", describe(product));
}

/** Funnel, step 3. */
export function checkoutStarted(cents: number): void {
  if (counting) tally.track("checkout_started", { value: cents / 100, currency: CURRENCY });
}

/** A step inside the checkout, read as a funnel of its own. */
export function checkoutStepShown(step: string, stepNumber: number): void {
  if (counting) tally.funnelStep("checkout", step, { step_number: stepNumber });
}

/** Funnel, step 4, and the outcome of the experiment. */
export function purchased(lines: readonly CartLine[], cents: number): void {
  if (!counting) return;
  const value = cents / 100;
  const quantity = lines.reduce((sum, line) => sum + line.count, 0);
  tally.track("purchase", { value, currency: CURRENCY, quantity });
  experiments.conversion("purchase", { value, currency: CURRENCY, experiment: BUY_BUTTON });
}

/** Which buy button this visitor has; `null` when nobody counts. */
export function buyButtonVariant(): string | null {
  return counting ? experiments.variant(BUY_BUTTON) : null;
}

/** This buy button is on screen: from now on the visitor belongs to the experiment. */
export function buyButtonShown(variant: string): void {
  if (counting) experiments.exposure(BUY_BUTTON, variant);
}

function describe(product: Product) {
  return {
    product: product.id,
    category: product.kind,
    price: product.cents / 100,
  };
}
