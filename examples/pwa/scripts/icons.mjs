/**
 * The icons of the shop, drawn by arithmetic: no picture file, no drawing library.
 *
 * In: nothing. Out: PNG bytes per size and one SVG. The mark is a red sheet with a ragged right
 * edge and three lines of writing, on the colour of paper.
 */

import { deflateSync } from "node:zlib";

const PAPER = [245, 239, 228];
const RED = [180, 68, 44];
/** Samples per pixel and direction: edges are averages, so they look smooth. */
const SAMPLES = 4;

/** Whether a point of the unit square is red, white or paper. */
function colourAt(x, y, scale) {
  const u = (x - 0.5) / scale + 0.5;
  const v = (y - 0.5) / scale + 0.5;
  const ragged = 0.8 - 0.035 * Math.abs(((v * 9) % 2) - 1) - 0.012 * Math.sin(v * 37);
  if (v < 0.12 || v > 0.88 || u < 0.22 || u > ragged) return PAPER;
  const line = [0.34, 0.5, 0.66].findIndex((at) => Math.abs(v - at) < 0.024);
  const end = [0.64, 0.64, 0.5][line] ?? 0;
  return line >= 0 && u > 0.33 && u < end ? PAPER : RED;
}

/** A square PNG. `scale` is the part of it the mark fills: masks may cut the outer fifth. */
export function iconPng(size, scale) {
  const rows = Buffer.alloc(size * (1 + size * 3));
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const sum = [0, 0, 0];
      for (let i = 0; i < SAMPLES * SAMPLES; i++) {
        const x = (column + ((i % SAMPLES) + 0.5) / SAMPLES) / size;
        const y = (row + (Math.floor(i / SAMPLES) + 0.5) / SAMPLES) / size;
        colourAt(x, y, scale).forEach((part, channel) => (sum[channel] += part));
      }
      const at = row * (1 + size * 3) + 1 + column * 3;
      sum.forEach((part, channel) => (rows[at + channel] = Math.round(part / SAMPLES ** 2)));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB, the only compression, filter and interlace
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The same mark for browsers that take SVG. */
export function iconSvg() {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#f5efe4"/><path d="M7 4h17l2 2-1.500 2.500L26 11l-1.500 2.500L26 16l-1.500 2.500L26 21l-1.500 2.500L26 26l-2 2H7z" fill="#b4442c"/><path d="M11 11h9M11 16h9M11 21h5" stroke="#fffaf0" stroke-width="2" stroke-linecap="round"/></svg>\n`;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(8 + body.length);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), 4 + body.length);
  return framed;
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
