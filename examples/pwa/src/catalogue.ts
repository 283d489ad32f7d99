/** What the shop sells. Prices are cents, so that sums are exact. */

import type { Drawing } from "./art";

export interface Product {
  id: string;
  name: string;
  kind: "notebooks" | "sheets" | "tools";
  cents: number;
  line: string;
  story: string;
  facts: readonly string[];
  drawing: Drawing;
}

export const PRODUCTS: readonly Product[] = [
  {
    id: "harbour-notebook",
    name: "Harbour notebook",
    kind: "notebooks",
    cents: 1850,
    line: "Opens flat, stays flat.",
    story:
      "Ninety-six leaves sewn with linen thread, so that the middle of the book is as good a place to write as its beginning. The cover is cut from sailcloth offcuts and darkens where your hand rests.",
    facts: ["192 pages, dot grid", "Sewn, 148 × 210 mm", "Takes ink without bleeding"],
    drawing: "notebook",
  },
  {
    id: "pocket-almanac",
    name: "Pocket almanac",
    kind: "notebooks",
    cents: 1200,
    line: "A week on every spread.",
    story:
      "Starts in whichever week you open it: the days are printed, the dates are yours. Moon phases for three years live inside the back cover.",
    facts: ["52 spreads, undated", "90 × 140 mm", "Ribbon and loop"],
    drawing: "almanac",
  },
  {
    id: "deckle-sheets",
    name: "Deckle-edge sheets",
    kind: "sheets",
    cents: 2400,
    line: "Twenty sheets, none alike.",
    story:
      "Pulled by hand from cotton pulp and dried on wool. The uneven edge is where the pulp met the wooden frame, which printers call the deckle and we call the reason for our name.",
    facts: ["20 sheets, 160 g/m²", "Cotton rag, acid free", "210 × 297 mm"],
    drawing: "sheets",
  },
  {
    id: "night-mail-envelopes",
    name: "Night mail envelopes",
    kind: "sheets",
    cents: 950,
    line: "Lined in midnight blue.",
    story:
      "A long flap, a gum that wants only a little water, and a dark lining that keeps what is inside to itself until it is opened.",
    facts: ["12 envelopes, C6", "Lined, gummed flap", "Folded in the shop"],
    drawing: "envelope",
  },
  {
    id: "oak-gall-ink",
    name: "Oak gall ink",
    kind: "tools",
    cents: 1650,
    line: "Grey today, black tomorrow.",
    story:
      "Brewed from galls, iron and rain water after a recipe that is older than the printing press, tamed for modern pens. It goes on pale and darkens as you read what you wrote.",
    facts: ["50 ml", "Safe for fountain pens", "Lasts longer than we will"],
    drawing: "ink",
  },
  {
    id: "six-soft-pencils",
    name: "Six soft pencils",
    kind: "tools",
    cents: 1100,
    line: "From 2B to 7B.",
    story:
      "Cedar, graphite, nothing else. The ends are dipped in beeswax in six colours so that you find the one you want without reading.",
    facts: ["6 pencils, 2B to 7B", "Unvarnished cedar", "Tin included"],
    drawing: "pencils",
  },
  {
    id: "rocker-blotter",
    name: "Rocker blotter",
    kind: "tools",
    cents: 2900,
    line: "For impatient left hands.",
    story:
      "One roll from heel to knob and the line is dry. Turned from beech, with eight papers under the plate and refills that cost less than a coffee.",
    facts: ["Beech and brass", "8 papers mounted", "Made two streets away"],
    drawing: "blotter",
  },
  {
    id: "letter-box-set",
    name: "Letter box set",
    kind: "sheets",
    cents: 3600,
    line: "A season of letters.",
    story:
      "Thirty sheets, fifteen envelopes and a small square of blotting paper in a box that is worth keeping for what comes back.",
    facts: ["30 sheets, 15 envelopes", "Box with cloth hinge", "Gift note on request"],
    drawing: "box",
  },
];

/** The product with this id, if we sell it. */
export function findProduct(id: string): Product | undefined {
  return PRODUCTS.find((product) => product.id === id);
}
