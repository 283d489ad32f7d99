/**
 * Thirty people go through the example shop with a known plan, and every answer is exact.
 *
 * The plan says who does what; only the variant is not ours to choose (it follows from the
 * visitor's random id), so visitors note which button they saw and the experiment must agree.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";

import { launch, watchErrors } from "../support/browser.ts";
import { Collector, type Project } from "../support/collector.ts";
import { aroundNow } from "../support/range.ts";
import { openShop, Visitor } from "../support/shop.ts";
import type { Site } from "../support/site.ts";
import { untilEqual } from "../support/until.ts";

const VISITORS = 30;
/** Browsers at a time. */
const CROWD = 5;

const PRODUCTS = [
  { id: "harbour-notebook", name: "Harbour notebook", cents: 1850 },
  { id: "oak-gall-ink", name: "Oak gall ink", cents: 1650 },
  { id: "rocker-blotter", name: "Rocker blotter", cents: 2900 },
] as const;
const ESSAY = { id: "the-edge-of-the-sheet", name: "The edge of the sheet" };
const COURIER_CENTS = 900;

interface Plan {
  product: (typeof PRODUCTS)[number] | null;
  adds: boolean;
  checksOut: boolean;
  buys: boolean;
  delivery: "By post" | "By bicycle";
  reads: boolean;
  prompt: "accepted" | "dismissed" | null;
}

/** 26 look, 18 add, 12 check out, 9 buy; 10 read; 8 are offered to install and 5 do. */
const PLANS: Plan[] = Array.from({ length: VISITORS }, (_, i) => ({
  product: i < 26 ? (PRODUCTS[i % PRODUCTS.length] ?? null) : null,
  adds: i < 18,
  checksOut: i < 12,
  buys: i < 9,
  delivery: i % 4 === 0 ? "By bicycle" : "By post",
  reads: i % 3 === 0,
  prompt: i % 6 === 1 ? "accepted" : i % 10 === 4 ? "dismissed" : null,
}));

const orderCents = (plan: Plan) =>
  (plan.product?.cents ?? 0) + (plan.delivery === "By bicycle" ? COURIER_CENTS : 0);
const count = (wanted: (plan: Plan) => boolean) => PLANS.filter(wanted).length;

let collector: Collector;
let browser: Browser;
let shop: Site;
let project: Project;
/** The variant each visitor saw, by place in the plan; `null` for those who saw no button. */
const met: (string | null)[] = [];
const errors: string[] = [];

async function walk(plan: Plan, index: number): Promise<void> {
  const context = await browser.newContext();
  const visitor = await Visitor.enter(context, shop);
  const seen = watchErrors(visitor.page);
  if (plan.prompt) await visitor.install(plan.prompt);
  met[index] = plan.product ? await visitor.lookAt(plan.product.name) : null;
  if (plan.adds) await visitor.addToCart();
  if (plan.checksOut) await visitor.startCheckout();
  if (plan.buys) await visitor.order(plan.delivery);
  if (plan.reads) await visitor.read(ESSAY.name);
  await visitor.leave();
  errors.push(...seen);
  contexts.push(() => context.close());
}
const contexts: (() => Promise<void>)[] = [];

before(async () => {
  [collector, browser] = await Promise.all([Collector.start(), launch()]);
  project = await collector.createProject("thirty");
  const { write_key: key, salt } = project;
  shop = await openShop({ key, salt, endpoint: collector.origin });
  const waiting = PLANS.map((plan, index) => ({ plan, index }));
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) await walk(one.plan, one.index);
  };
  await Promise.all(Array.from({ length: CROWD }, next));
  // What the last visitors sent while leaving may still be on its way.
  await untilEqual(expectedCounts(), () => collector.counts(project));
  await Promise.all(contexts.map((close) => close()));
});

after(async () => {
  await browser?.close();
  await shop?.stop();
  await collector?.stop();
});

/** Every event of the whole afternoon, by name. */
function expectedCounts(): Record<string, number> {
  const lookers = count(({ product }) => product !== null);
  const pages =
    VISITORS + // home, from the moment the visitor agreed
    2 * lookers + // the list, the product
    2 * count(({ checksOut }) => checksOut) + // cart, first step
    3 * count(({ buys }) => buys) + // two more steps, thanks
    2 * count(({ reads }) => reads); // the journal, the essay
  return {
    $pageview: pages,
    view_product: lookers,
    $exposure: lookers,
    add_to_cart: count(({ adds }) => adds),
    checkout_started: count(({ checksOut }) => checksOut),
    $funnel_step: count(({ checksOut }) => checksOut) + 2 * count(({ buys }) => buys),
    purchase: count(({ buys }) => buys),
    $conversion: count(({ buys }) => buys),
    $content_view: lookers + count(({ reads }) => reads),
    $pwa_prompt: 2 * count(({ prompt }) => prompt !== null), // shown, and the answer
    $pwa_install: count(({ prompt }) => prompt === "accepted"),
  };
}

test("the plan has no easy numbers in it", () => {
  const numbers = [
    VISITORS,
    count(({ product }) => product !== null),
    count(({ adds }) => adds),
    count(({ checksOut }) => checksOut),
    count(({ buys }) => buys),
    count(({ reads }) => reads),
    count(({ prompt }) => prompt !== null),
    count(({ prompt }) => prompt === "accepted"),
  ];
  assert.deepEqual(numbers, [30, 26, 18, 12, 9, 10, 8, 5]);
});

test("every event is stored once and the shop had no errors", async () => {
  assert.deepEqual(await collector.counts(project), expectedCounts());
  assert.deepEqual(errors, []);
});

test("nothing a visitor typed was sent", async () => {
  const everything = JSON.stringify(await collector.events(project));
  for (const typed of ["Ada Canary", "Secret Street", "Nowhere"]) {
    assert.ok(!everything.includes(typed), `${typed} was sent`);
  }
});

interface FunnelStep {
  step: number;
  event: string;
  persons: number;
  conversion_ratio: number;
  from_previous_ratio: number | null;
}

test("the funnel has the persons of the plan at every step", async () => {
  const steps = ["view_product", "add_to_cart", "checkout_started", "purchase"];
  const answer = await collector.query<{ steps: FunnelStep[] }>(project, "funnel", {
    ...aroundNow(),
    steps: steps.map((event) => ({ event })),
    window: "1d",
  });
  assert.deepEqual(
    answer.steps.map(({ step, event, persons }) => [step, event, persons]),
    [
      [1, "view_product", 26],
      [2, "add_to_cart", 18],
      [3, "checkout_started", 12],
      [4, "purchase", 9],
    ],
  );
  closeTo(answer.steps.map((step) => step.conversion_ratio), [1, 18 / 26, 12 / 26, 9 / 26]);
});

test("the funnel by product adds up to the plan", async () => {
  const answer = await collector.query<{ breakdown: { value: string; steps: FunnelStep[] }[] }>(
    project,
    "funnel",
    {
      ...aroundNow(),
      steps: [{ event: "view_product" }, { event: "add_to_cart" }],
      window: "1d",
      breakdown: { prop: "product", limit: 10 },
    },
  );
  const got = answer.breakdown.map(({ value, steps }) => [value, ...steps.map((s) => s.persons)]);
  const want = PRODUCTS.map(({ id }) => [
    id,
    count(({ product }) => product?.id === id),
    count(({ product, adds }) => product?.id === id && adds),
  ]);
  assert.deepEqual(got.sort(), want.sort());
});

test("the checkout funnel has the persons of the plan at every step", async () => {
  const step = (name: string) => ({
    event: "$funnel_step",
    where: [
      { prop: "funnel", op: "eq", value: "checkout" },
      { prop: "step", op: "eq", value: name },
    ],
  });
  const answer = await collector.query<{ steps: FunnelStep[] }>(project, "funnel", {
    ...aroundNow(),
    steps: ["address", "delivery", "payment"].map(step),
    window: "1h",
  });
  assert.deepEqual(answer.steps.map(({ persons }) => persons), [12, 9, 9]);
});

test("the experiment has the arms that visitors saw, with their purchases", async () => {
  const answer = await collector.query<{
    metrics: { arms: { variant: string; persons: number; conversions: number; sum: number }[] }[];
    excluded: Record<string, number>;
  }>(project, "experiment", {
    ...aroundNow(),
    experiment: "buy-button",
    metrics: [
      { name: "bought", event: "purchase" },
      { name: "spent", event: "$conversion", kind: "mean" },
    ],
  });
  const want = ["control", "green"].map((variant) => {
    const buyers = PLANS.filter((plan, i) => plan.buys && met[i] === variant);
    return {
      variant,
      persons: met.filter((seen) => seen === variant).length,
      conversions: buyers.length,
      sum: buyers.reduce((cents, plan) => cents + orderCents(plan), 0) / 100,
    };
  });
  assert.equal(want.reduce((sum, arm) => sum + arm.persons, 0), 26);
  const [bought, spent] = answer.metrics;
  const got = (bought?.arms ?? []).map(({ variant, persons, conversions }) => {
    const sum = spent?.arms.find((arm) => arm.variant === variant)?.sum;
    return { variant, persons, conversions, sum };
  });
  assert.deepEqual(got.sort((a, b) => a.variant.localeCompare(b.variant)), want);
  const nobody = { multi_variant: 0, unknown_variant: 0, variant_mismatch: 0, in_progress: 0 };
  assert.deepEqual(answer.excluded, nobody);
});

test("contents have the viewers of the plan", async () => {
  const answer = await collector.query<{
    items: { id: string; views: number; viewers: number; engaged_ms: number; reached: number[] }[];
  }>(project, "content", aroundNow());
  const got = answer.items.map(({ id, views, viewers }) => [id, views, viewers]);
  const want: [string, number, number][] = PRODUCTS.map(({ id }) => {
    const lookers = count(({ product }) => product?.id === id);
    return [id, lookers, lookers];
  });
  want.push([ESSAY.id, count(({ reads }) => reads), count(({ reads }) => reads)]);
  assert.deepEqual(got.sort(), want.sort());

  const essay = answer.items.find(({ id }) => id === ESSAY.id);
  const readers = count(({ reads }) => reads);
  assert.deepEqual(essay?.reached, [readers, readers, readers, readers], "all read to the end");
  for (const { id, engaged_ms } of answer.items) assert.ok(engaged_ms > 0, `${id} took time`);
});

test("installs have the persons of the plan", async () => {
  const answer = await collector.query<{
    stages: { stage: string; count: number; persons: number }[];
  }>(project, "pwa", aroundNow());
  assert.deepEqual(
    answer.stages.map(({ stage, count, persons }) => [stage, count, persons]),
    [
      ["prompt_shown", 8, 8],
      ["prompt_accepted", 5, 5],
      ["installed", 5, 5],
      ["launched_standalone", 0, 0],
    ],
  );
});

test("the trend counts purchases, buyers and money to the cent", async () => {
  const answer = await collector.query<{ series: { total: number; data: number[] }[] }>(
    project,
    "trend",
    {
      ...aroundNow(),
      bucket: "day",
      series: [
        { event: "purchase", measure: "count" },
        { event: "purchase", measure: "persons" },
        { event: "purchase", measure: "sum", prop: "value" },
      ],
    },
  );
  const cents = PLANS.filter(({ buys }) => buys).reduce((sum, plan) => sum + orderCents(plan), 0);
  assert.deepEqual(answer.series.map(({ total }) => total), [9, 9, cents / 100]);
});

test("page views are counted on the page they happened on", async () => {
  const answer = await collector.query<{ series: { value: string; total: number }[] }>(
    project,
    "trend",
    {
      ...aroundNow(),
      bucket: "day",
      series: [{ event: "$pageview", measure: "count" }],
      breakdown: { prop: "path", limit: 50 },
    },
  );
  const lookers = count(({ product }) => product !== null);
  const views: Record<string, number> = {
    "/": VISITORS,
    "/shop": lookers,
    "/cart": 12,
    "/checkout/address": 12,
    "/checkout/delivery": 9,
    "/checkout/payment": 9,
    "/done": 9,
    "/journal": 10,
    [`/journal/${ESSAY.id}`]: 10,
  };
  for (const { id } of PRODUCTS) views[`/p/${id}`] = count(({ product }) => product?.id === id);
  const got = Object.fromEntries(
    answer.series.filter(({ total }) => total > 0).map(({ value, total }) => [value, total]),
  );
  assert.deepEqual(got, views);
});

test("every visitor is one person with one session", async () => {
  const events = await collector.events(project);
  const pairs = new Set(events.map(({ person, session }) => `${person} ${session}`));
  const persons = new Set(events.map(({ person }) => person));
  assert.deepEqual([persons.size, pairs.size], [VISITORS, VISITORS]);
});

test("everybody who agreed was active, and nobody else", async () => {
  const answer = await collector.query<{ persons: number; mau: number[] }>(project, "active", aroundNow());
  assert.equal(answer.persons, VISITORS);
  assert.equal(answer.mau.at(-1), VISITORS);
});

function closeTo(got: readonly number[], want: readonly number[]): void {
  assert.equal(got.length, want.length);
  got.forEach((value, i) => assert.ok(Math.abs(value - (want[i] ?? NaN)) < 1e-9, `${value}, not ${want[i]}`));
}
