/**
 * Golden pictures: what a page looked like when somebody looked at it and found it good.
 *
 * In: the screenshot of a page. Out: nothing when it looks as it did, else a sentence; the new picture and one of the
 * differences lie in `target/pictures` then. `TALLYMARK_ACCEPT=pictures` keeps the new pictures instead.
 *
 * A picture is kept at half its size and in few colours, so that all of them weigh as much as a song. What is compared is
 * made smaller in the same way, so nothing is lost that was not lost on both sides. Fonts come with the tests, the clock
 * of the collector stands, and what is random is written over ({@link still}): nothing else may differ.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import pixelmatch from "pixelmatch";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";

import { ROOT } from "./bench.ts";

const KEPT = join(ROOT, "tests", "browser", "pictures");
const SEEN = join(ROOT, "target", "pictures");
const ACCEPT = process.env["TALLYMARK_ACCEPT"] === "pictures";
/** How different the colour of a point may be, of 1. */
const THRESHOLD = 0.12;
/** As many points may differ: the edge of a letter, not a letter. */
const POINTS_MAX = 24;
/** Higher pages are cut: what is below repeats what is above. */
const HEIGHT_MAX = 2400;
const COLOURS = 96;

/** Pixels in rows, three bytes each. */
interface Picture {
  width: number;
  height: number;
  /** With an alpha byte that is always 255, as `pixelmatch` takes it. */
  rgba: Uint8Array;
}

/** Compare a page with its picture, or keep it as the new one. Gives what is wrong. */
export async function compare(page: Page, name: string): Promise<string | null> {
  await still(page);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const { width } = page.viewportSize() ?? { width: 0 };
  const clip = { x: 0, y: 0, width, height: Math.min(height, HEIGHT_MAX) };
  const shot = PNG.sync.read(await page.screenshot({ fullPage: true, clip, animations: "disabled", caret: "hide" }));
  const now = fewer(halved({ width: shot.width, height: shot.height, rgba: shot.data }));
  const file = join(KEPT, `${name}.png`);
  if (ACCEPT) {
    // One that looks the same stays as it is, so that the repository does not grow.
    if (existsSync(file) && differing(read(file), now)?.points === 0) return null;
    mkdirSync(KEPT, { recursive: true });
    writeFileSync(file, encode(now));
    return null;
  }
  if (!existsSync(file)) return failed(now, name, "has no picture yet");
  const kept = read(file);
  const found = differing(kept, now);
  if (found === null) {
    return failed(now, name, `was ${kept.width} × ${kept.height} points and is ${now.width} × ${now.height}`);
  }
  if (found.points <= POINTS_MAX) return null;
  writeFileSync(join(seen(), `${name}.diff.png`), PNG.sync.write(found.picture));
  return failed(now, name, `differs in ${found.points} points, ${join(SEEN, `${name}.diff.png`)} shows where`);
}

/** Names of all kept pictures. */
export function kept(): string[] {
  if (!existsSync(KEPT)) return [];
  return readdirSync(KEPT).filter((file) => file.endsWith(".png")).map((file) => file.slice(0, -4));
}

/** Take away pictures of pages that are gone; only when new ones are accepted. Gives those that stay and should not. */
export function forget(known: Set<string>): string[] {
  const gone = kept().filter((name) => !known.has(name));
  if (!ACCEPT) return gone;
  for (const name of gone) rmSync(join(KEPT, `${name}.png`));
  return [];
}

function seen(): string {
  mkdirSync(SEEN, { recursive: true });
  return SEEN;
}

function failed(now: Picture, name: string, why: string): string {
  const file = join(seen(), `${name}.new.png`);
  writeFileSync(file, encode(now));
  return `${name} ${why}; it looks like ${file} now`;
}

function read(file: string): Picture {
  const { width, height, data } = PNG.sync.read(readFileSync(file));
  return { width, height, rgba: data };
}

/** The points in which two pictures differ, and where; `null` where their sizes do. */
function differing(kept: Picture, now: Picture): { points: number; picture: PNG } | null {
  const { width, height } = now;
  if (kept.width !== width || kept.height !== height) return null;
  const picture = new PNG({ width, height });
  const points = pixelmatch(kept.rgba, now.rgba, picture.data, width, height, { threshold: THRESHOLD });
  return { points, picture };
}

/** Each point is the mean of four. */
function halved({ width, height, rgba }: Picture): Picture {
  const small = { width: width >> 1, height: height >> 1 };
  const out = new Uint8Array(small.width * small.height * 4);
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++) {
      const from = (y * 2 * width + x * 2) * 4;
      const to = (y * small.width + x) * 4;
      for (let c = 0; c < 4; c++) {
        const sum = [0, 4, width * 4, width * 4 + 4].reduce((sum, step) => sum + (rgba[from + step + c] ?? 0), 0);
        out[to + c] = sum >> 2;
      }
    }
  return { ...small, rgba: out };
}

/** The same in few colours: the most frequent of it, of those that look alike the most frequent one. */
function fewer({ width, height, rgba }: Picture): Picture {
  const out = new Uint8Array(rgba);
  const at = (place: number) => ((out[place] ?? 0) << 16) | ((out[place + 1] ?? 0) << 8) | (out[place + 2] ?? 0);
  const counts = new Map<number, number>();
  for (let place = 0; place < out.length; place += 4) counts.set(at(place), (counts.get(at(place)) ?? 0) + 1);
  const ranked = [...counts].sort(([a, m], [b, n]) => n - m || a - b).map(([colour]) => colour);
  const alike = new Set<number>();
  const palette = ranked.filter((colour) => !alike.has(colour & 0xf8f8f8) && alike.add(colour & 0xf8f8f8)).slice(0, COLOURS);
  const nearest = new Map(palette.map((colour) => [colour, colour]));
  const far = (a: number, b: number) => [16, 8, 0].reduce((sum, by) => sum + (((a >> by) & 255) - ((b >> by) & 255)) ** 2, 0);
  for (const colour of ranked.filter((colour) => !nearest.has(colour))) {
    nearest.set(colour, palette.reduce((best, one) => (far(one, colour) < far(best, colour) ? one : best)));
  }
  for (let place = 0; place < out.length; place += 4) {
    const colour = nearest.get(at(place)) ?? 0;
    [out[place], out[place + 1], out[place + 2]] = [colour >> 16, (colour >> 8) & 255, colour & 255];
  }
  return { width, height, rgba: out };
}

/** A PNG with a palette: a third of what one with three bytes a point weighs. `pngjs` reads it, but writes none. */
function encode({ width, height, rgba }: Picture): Buffer {
  const palette = new Map<number, number>();
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const place = (y * width + x) * 4;
      const colour = ((rgba[place] ?? 0) << 16) | ((rgba[place + 1] ?? 0) << 8) | (rgba[place + 2] ?? 0);
      if (!palette.has(colour)) palette.set(colour, palette.size);
      rows[y * (width + 1) + 1 + x] = palette.get(colour) ?? 0;
    }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // Eight bits, a palette.
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from([...palette.keys()].flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  const chunk = (name: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const packed = deflateSync(rows, { level: 9 });
  return Buffer.concat([signature, chunk("IHDR", head), chunk("PLTE", colours), chunk("IDAT", packed), chunk("IEND", Buffer.alloc(0))]);
}

/** What is another each time, and what stands there instead. */
const RANDOM: [string, string][] = [
  ["\\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\\b", "01a2b3c4-0000-7000-8000-000000000000"],
  ["\\btm_(pk|sk)_[A-Za-z0-9_-]+", "tm_$1_0123456789abcdef"],
  ["\\b[0-9a-f]{32,64}\\b", "0123456789abcdef0123456789abcdef"],
  ["\\b[0-9a-f]{16}\\b", "00f3a1b2c4d5e6f7"],
  ["…[A-Za-z0-9_-]{4}(?![A-Za-z0-9_-])", "…abcd"],
  ["(sha384-)[A-Za-z0-9+/=]+", "$1…"],
  ["/share/[^\\s\"]+", "/share/main/growth/…"],
  ["/sdk/[^\\s\"]+", "/sdk/…"],
  ["127\\.0\\.0\\.1:\\d+", "127.0.0.1:8787"],
  ["\\b[\\d.,]+\\s(µs|ms)(?!\\w)", "12 $1"],
];

/** Fonts that come with the tests, under names that our style asks for first. */
const FONTS = ["Inter:@fontsource-variable/inter/files/inter-latin-wght-normal.woff2", "SF Mono:@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2"];
const require = createRequire(join(ROOT, "tests", "browser", "package.json"));
const faces = FONTS.map((line) => line.split(":") as [string, string]).map(([family, file]) => ({
  family,
  bytes: readFileSync(require.resolve(file)).toString("base64"),
}));

/** Write over what is random, and set everything in the fonts that come with the tests. */
async function still(page: Page): Promise<void> {
  await page.evaluate(
    async ({ faces, random }) => {
      for (const { family, bytes } of faces) {
        const buffer = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0)).buffer;
        document.fonts.add(await new FontFace(family, buffer, { weight: "100 900" }).load());
      }
      const fixed = (text: string) => random.reduce((text, [what, by]) => text.replace(new RegExp(what, "g"), by), text);
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const text = fixed(node.nodeValue ?? "");
        if (text !== node.nodeValue) node.nodeValue = text;
      }
      for (const field of document.querySelectorAll<HTMLInputElement>("input:not([type=file]), textarea")) field.value = fixed(field.value);
      for (const code of document.querySelectorAll(".qr path")) code.setAttribute("d", "M2 2h9v9h-9z");
      for (const secret of document.querySelectorAll("code.long")) secret.textContent = "ABCD EFGH IJKL MNOP";
      await document.fonts.ready;
      // A frame with them.
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
    },
    { faces, random: RANDOM },
  );
}
