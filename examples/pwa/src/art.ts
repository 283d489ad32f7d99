/**
 * Drawings: every picture of the shop, as inline SVG in the colours of the page.
 *
 * Colours are CSS variables, so a drawing follows light and dark. Drawings are decoration: they
 * are hidden from assistive technology, the text beside them says what is shown.
 */

import { raw, type Markup } from "./html";

export type Drawing =
  | "notebook" | "almanac" | "sheets" | "envelope" | "ink" | "pencils" | "blotter" | "box";

interface Scene {
  /** Which of the three backdrop tints. */
  tint: 1 | 2 | 3;
  shapes: string;
}

const LINES = (x: number, y: number, width: number, count: number, step = 16) =>
  Array.from({ length: count }, (_, i) => {
    const end = x + width - (i % 3 === 2 ? width * 0.35 : 0);
    return `<path d="M${x} ${y + i * step}H${end}" class="a-line"/>`;
  }).join("");

const SCENES: Record<Drawing, Scene> = {
  notebook: {
    tint: 1,
    shapes: `<g transform="rotate(-7 200 200)"><rect x="118" y="86" width="172" height="232" rx="8" class="a-shade"/>
<rect x="110" y="78" width="172" height="232" rx="8" class="a-blue"/><path d="M134 78v232" class="a-dark-line"/>
<rect x="164" y="118" width="86" height="52" rx="3" class="a-paper"/>${LINES(174, 136, 64, 2, 14)}
<path d="M256 78v232" class="a-red-line"/></g>`,
  },
  almanac: {
    tint: 2,
    shapes: `<g transform="rotate(6 200 200)"><rect x="134" y="98" width="146" height="214" rx="12" class="a-shade"/>
<rect x="126" y="90" width="146" height="214" rx="12" class="a-green"/><circle cx="199" cy="170" r="38" class="a-paper"/>
<circle cx="214" cy="160" r="34" class="a-green"/><path d="M160 246h78M172 264h54" class="a-light-line"/>
<path d="M236 304v38l-9-9-9 9v-38z" class="a-red"/></g>`,
  },
  sheets: {
    tint: 3,
    shapes: `<g transform="rotate(9 200 200)"><path d="M112 92l10-3 12 4 14-4 16 3 18-4 14 4 18-3 15 3 17-3 14 4 15-2 7 2 3 20-3 22 3 20-4 22 4 24-3 22 3 22-4 24 3 22-2 24-14 3-18-3-16 3-20-4-18 4-17-4-19 4-16-3-18 3-15-4-2-22 3-22-4-22 4-24-3-24 3-22-4-22 4-24-3-22z" class="a-shade"/></g>
<g transform="rotate(-4 200 200)"><path d="M106 88l12-3 12 4 14-4 16 3 18-4 14 4 18-3 15 3 17-3 14 4 15-2 7 2 3 20-3 22 3 20-4 22 4 24-3 22 3 22-4 24 3 22-2 24-14 3-18-3-16 3-20-4-18 4-17-4-19 4-16-3-18 3-15-4-2-22 3-22-4-22 4-24-3-24 3-22-4-22 4-24-3-22z" class="a-paper"/>
${LINES(140, 132, 116, 9, 18)}</g>`,
  },
  envelope: {
    tint: 2,
    shapes: `<g transform="rotate(-5 200 200)"><rect x="88" y="130" width="240" height="160" rx="8" class="a-shade"/>
<rect x="80" y="122" width="240" height="160" rx="8" class="a-paper"/><path d="M84 126l116 92 116-92z" class="a-blue"/>
<path d="M80 128l120 94 120-94" class="a-dark-line"/><path d="M82 280l88-82M318 280l-88-82" class="a-line"/>
<circle cx="200" cy="220" r="20" class="a-red"/><path d="M192 220l6 7 11-13" class="a-light-line"/></g>`,
  },
  ink: {
    tint: 1,
    shapes: `<ellipse cx="204" cy="318" rx="96" ry="12" class="a-shade"/><rect x="168" y="82" width="64" height="44" rx="6" class="a-dark"/>
<path d="M160 124h80v22c34 12 52 36 52 70v78a20 20 0 0 1-20 20H128a20 20 0 0 1-20-20v-78c0-34 18-58 52-70z" class="a-glass"/>
<path d="M120 222h160v70a12 12 0 0 1-12 12H132a12 12 0 0 1-12-12z" class="a-dark"/>
<rect x="146" y="208" width="108" height="66" rx="4" class="a-paper"/><path d="M200 222c14 18 18 26 18 32a18 18 0 0 1-36 0c0-6 4-14 18-32z" class="a-red"/>`,
  },
  pencils: {
    tint: 3,
    shapes: ["a-red", "a-blue", "a-green", "a-gold", "a-dark", "a-glass"]
      .map((colour, i) => {
        const x = 104 + i * 34;
        const y = 96 + (i % 3) * 14;
        return `<path d="M${x} ${y + 40}l11-40 11 40z" class="a-paper"/><path d="M${x + 7.5} ${y + 13}l3.5-13 3.5 13z" class="a-dark"/>
<rect x="${x}" y="${y + 40}" width="22" height="150" class="a-wood"/><path d="M${x + 7.3} ${y + 40}v150M${x + 14.6} ${y + 40}v150" class="a-wood-line"/>
<rect x="${x}" y="${y + 182}" width="22" height="26" rx="4" class="${colour}"/>`;
      })
      .join(""),
  },
  blotter: {
    tint: 1,
    shapes: `<ellipse cx="200" cy="304" rx="130" ry="11" class="a-shade"/><path d="M78 214h244c0 54-54 86-122 86S78 268 78 214z" class="a-paper"/>
<path d="M78 214h244c0 9-1 16-4 24H82c-3-8-4-15-4-24z" class="a-wood"/><rect x="186" y="166" width="28" height="50" class="a-gold"/>
<circle cx="200" cy="140" r="36" class="a-wood"/><path d="M176 130a28 28 0 0 1 20-18" class="a-light-line"/>
<path d="M150 282c24 8 76 8 100 0" class="a-blue-line"/>`,
  },
  box: {
    tint: 2,
    shapes: `<path d="M84 196l116-46 116 46-116 50z" class="a-dark"/><g transform="rotate(-3 200 170)"><rect x="128" y="92" width="144" height="116" rx="3" class="a-paper"/>${LINES(146, 116, 108, 4, 18)}</g>
<path d="M84 196l116 50v96L84 290z" class="a-red"/><path d="M316 196l-116 50v96l116-52z" class="a-wood"/>
<path d="M84 196l116 50 116-50" class="a-dark-line"/><path d="M258 221v94" class="a-light-line"/>`,
  },
};

/** A drawing on its tinted backdrop, filling the box it is put in. */
export function picture(name: Drawing): Markup {
  const { tint, shapes } = SCENES[name];
  return raw(
    `<svg class="art" viewBox="0 0 400 400" aria-hidden="true" focusable="false">` +
      `<rect width="400" height="400" class="a-tint-${tint}"/>` +
      `<circle cx="${tint * 60 + 80}" cy="${340 - tint * 50}" r="150" class="a-halo"/>${shapes}</svg>`,
  );
}

/** The mark: a sheet with one ragged edge. The icons are drawn from the same outline. */
export const MARK = raw(
  `<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false"><path class="a-red" d="M6 4h17l3 2-2 3 2 3-2 3 2 3-2 3 2 3-3 2H6z"/><path class="a-light-line" d="M10 11h9M10 16h9M10 21h5"/></svg>`,
);
