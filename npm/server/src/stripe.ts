/**
 * What Stripe tells a server, as events: `@tallymark/server/stripe`.
 *
 * In: the body of a webhook and its signature. Out: `payment.completed`, `payment.failed` and `subscription.created`, as
 * `@tallymark/web/business` spells them. Stripe sends a webhook again until it is answered, and sometimes after that: an event
 * has an id made of Stripe's, so it counts once.
 *
 * Who paid is `metadata.user_id` or `metadata.fan_id` of the payment, and whose content it was `metadata.creator_id`; both are hashed.
 *
 * @packageDocumentation
 */

import { hex } from "../../src/row.js";
import { mask } from "../../src/scrub.js";
import type { Properties } from "../../src/types.js";
import { type Client, hashId } from "./index.js";

/** Settings of {@link stripeWebhook}. */
export interface StripeOptions {
  /** The signing secret of the webhook: `whsec_…`. */
  secret: string;
  /** The project's salt, as for `createClient`. */
  salt: string;
  /** Greatest age of a signature, in seconds. Default 300. */
  toleranceS?: number;
}

/** What became of a webhook: recorded, of a kind that is not recorded, or not from Stripe. */
export type StripeResult = "recorded" | "ignored" | "refused";

interface Price {
  unit_amount?: number | null;
  recurring?: { interval?: string } | null;
  nickname?: string | null;
}

/** What we read of Stripe's objects. */
interface StripeObject {
  id: string;
  amount?: number;
  amount_received?: number;
  currency?: string;
  customer?: string | { id?: string } | null;
  payment_method_types?: string[];
  last_payment_error?: { code?: string; decline_code?: string } | null;
  metadata?: { [name: string]: string | undefined };
  items?: { data?: { price?: Price; quantity?: number }[] };
}

interface StripeEvent {
  id: string;
  type: string;
  /** Seconds. */
  created: number;
  data: { object: StripeObject };
}

/** Currencies whose amounts Stripe does not count in hundredths, by the places behind the point. */
const PLACES: { [currency: string]: number } = {
  ...places(0, "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"),
  ...places(3, "BHD JOD KWD OMR TND"),
};

function places(count: number, currencies: string): { [currency: string]: number } {
  return Object.fromEntries(currencies.split(" ").map((currency) => [currency, count]));
}

/**
 * A function for the body of a webhook, as it came, and its header `Stripe-Signature`. Never rejects; answer 400 to what is refused.
 *
 * @example
 * const stripe = stripeWebhook(tally, { secret: process.env.STRIPE_WEBHOOK_SECRET, salt: "…" });
 * const result = await stripe(await request.text(), request.headers.get("stripe-signature"));
 * return new Response(null, { status: result === "refused" ? 400 : 200 });
 */
export function stripeWebhook(tally: Pick<Client, "track">, options: StripeOptions) {
  if (!options.secret || !options.salt) throw new TypeError("tallymark: the webhook's secret and the project's salt are both needed");
  return async (body: string, signature: string | null | undefined): Promise<StripeResult> => {
    try {
      if (!(await isSigned(body, signature ?? "", options))) return "refused";
      return record(tally, options.salt, JSON.parse(body) as StripeEvent);
    } catch {
      return "refused";
    }
  };
}

/** Whether one of the signatures is the HMAC-SHA256 of time and body, and the time is near. */
async function isSigned(body: string, header: string, { secret, toleranceS = 300 }: StripeOptions): Promise<boolean> {
  const parts = header.split(",").map((part) => part.trim().split("=", 2) as [string, string?]);
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  if (!/^\d{1,12}$/.test(time) || Math.abs(Date.now() / 1_000 - Number(time)) > toleranceS) return false;
  const bytes = (text: string) => new TextEncoder().encode(text);
  const key = await crypto.subtle.importKey("raw", bytes(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const right = hex(new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(`${time}.${body}`))));
  return parts.some(([name, given]) => name === "v1" && isSame(given ?? "", right));
}

/** Takes as long wherever they differ. */
function isSame(given: string, right: string): boolean {
  let differs = given.length ^ right.length;
  for (let at = 0; at < right.length; at++) differs |= right.charCodeAt(at) ^ given.charCodeAt(at);
  return differs === 0;
}

function record(tally: Pick<Client, "track">, salt: string, event: StripeEvent): StripeResult {
  const { object } = event.data;
  const { metadata = {} } = object;
  const [price] = (object.items?.data ?? []).map((item) => ({ ...item.price, quantity: item.quantity ?? 1 }));
  const sums: { [type: string]: [name: string, amount: number | undefined, more: Properties] } = {
    "payment_intent.succeeded": ["payment.completed", object.amount_received ?? object.amount, {}],
    "payment_intent.payment_failed": [
      "payment.failed",
      object.amount,
      { failure_code: object.last_payment_error?.decline_code ?? object.last_payment_error?.code },
    ],
    "customer.subscription.created": [
      "subscription.created",
      price && (price.unit_amount ?? 0) * price.quantity,
      { interval: price?.recurring?.interval ?? "month" },
    ],
  };
  const sum = Object.hasOwn(sums, event.type) ? sums[event.type] : undefined;
  if (!sum) return "ignored";
  const [name, amount, more] = sum;
  const currency = String(object.currency).toUpperCase();
  if (!event.id || !Number.isFinite(amount) || !/^[A-Z]{3}$/.test(currency)) return "refused";
  const customer = typeof object.customer === "string" ? object.customer : object.customer?.id;
  const user = metadata["user_id"] ?? metadata["fan_id"];
  tally.track(
    name,
    { ...(user && { user }) },
    {
      payment_id: object.id,
      amount: (amount as number) / 10 ** (PLACES[currency] ?? 2),
      currency,
      payment_method: object.payment_method_types?.[0],
      gateway: "stripe",
      subscription_tier: metadata["tier_name"] ?? price?.nickname ?? undefined,
      stripe_customer: customer && mask(customer),
      owner: metadata["creator_id"] && owner(salt, metadata["creator_id"]),
      ...more,
    },
    { at: event.created * 1_000, id: `stripe ${event.id}` },
  );
  return "recorded";
}

/** The hash of a creator, in letters: a run of digits would be taken for a telephone number. */
function owner(salt: string, id: string): string {
  return hashId(salt, false, id)
    .slice(0, 16)
    .replace(/\d/g, (digit) => String.fromCharCode(103 + Number(digit)));
}
