/**
 * Marked values, and the search for them in whatever was sent, answered, logged or written.
 *
 * A value is found as it is, and as other programs write it: percent-encoded, with JSON's escapes, in hexadecimal, in
 * base64 at any offset, in UTF-16; inside of gzip and zstd as well. Blocks of LZ4 hold the first occurrence of
 * random letters as they are.
 */

import { randomBytes, randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gunzipSync } from "node:zlib";
import type { Page } from "playwright-core";

import type { Site } from "./site.ts";

/** Random letters that nobody else writes. Whoever marks many values begins all of them with it, and searches once. */
export function mark(): string {
  return Array.from({ length: 12 }, () => "ghjkmnpqrtvwxz"[randomInt(14)]).join("");
}

/** A card's number that passes its check. */
export function card(): string {
  const digits = `411111${String(randomInt(1e9)).padStart(9, "0")}`;
  const doubled = [...digits].map((digit, i) => (i % 2 === 0 ? Number(digit) * 2 : Number(digit)));
  const sum = doubled.reduce((total, digit) => total + (digit > 9 ? digit - 9 : digit), 0);
  return digits + ((10 - (sum % 10)) % 10);
}

/** What all IPv6 addresses below begin with, a group more than may be kept of them. */
export const NETWORK = `2001:db8:${randomBytes(2).toString("hex")}:${randomBytes(2).toString("hex")}:`;
/** Of IPv4, a whole address: the last number may not be kept. */
const ADDRESS = /(?:192\.0\.2|198\.51\.100|203\.0\.113)\.[1-9]/;

/** So many addresses of networks that are kept for examples. */
export function addresses(count: number): string[] {
  const nets = ["192.0.2.", "198.51.100.", "203.0.113."];
  const isFour = (i: number) => i % 2 === 0 && i < 1_500;
  return Array.from({ length: count }, (_, i) =>
    isFour(i) ? `${nets[i % 3]}${1 + Math.floor(i / 6)}` : `${NETWORK}:${randomBytes(2).toString("hex")}:${i + 1}`,
  );
}

/** A value as it may be written. */
function forms(value: string): Buffer[] {
  const bytes = Buffer.from(value);
  const escaped = (by: (byte: string) => string) => [...bytes].map((byte) => by(byte.toString(16).padStart(2, "0"))).join("");
  // In base64 the letters at both ends depend on what stands beside the value.
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64").replace(/=+$/, "");
    return text.slice(offset === 0 ? 0 : offset + 1, -1 - ((offset + bytes.length) % 3));
  });
  const texts = [
    value,
    encodeURIComponent(value),
    escaped((byte) => `%${byte}`),
    escaped((byte) => `%${byte.toUpperCase()}`),
    escaped((byte) => `\\u00${byte}`),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replace(/\+/g, "-").replace(/\//g, "_")),
  ];
  return [...new Set(texts)].map((text) => Buffer.from(text)).concat(Buffer.from(value, "utf16le"));
}

/** One thing that is searched: where it is, and its bytes. */
export type Searched = [where: string, bytes: Buffer];

/** Every file of a folder. */
export function files(folder: string): Searched[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [file, readFileSync(file)]);
}

/** Where these values and whole addresses are found. The page unpacks what Node cannot: a browser knows zstd. */
export async function search(values: Record<string, string>, searched: Searched[], page: Page, site: Site): Promise<string[]> {
  const wanted = Object.entries(values).flatMap(([name, value]) => forms(value).map((form) => [name, form] as const));
  const found: string[] = [];
  for (const [where, bytes] of searched) {
    for (const piece of [bytes, ...unzipped(bytes), ...(await unpacked(bytes, page, site))]) {
      for (const [name, form] of wanted) {
        const at = piece.indexOf(form);
        if (at >= 0) found.push(`${name} in ${where}: ${piece.subarray(Math.max(0, at - 40), at + 80).toString("latin1")}`);
      }
      const address = ADDRESS.exec(piece.toString("latin1"));
      if (address) found.push(`an address in ${where}: ${address[0]}`);
    }
  }
  return found;
}

/** Where these values are found in memory, as they are and as other programs write them. */
export function inMemory(values: Record<string, string>, memory: Searched[]): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    memory.filter(([, bytes]) => forms(value).some((form) => bytes.includes(form))).map(([where]) => `${name} in ${where}`),
  );
}

/** Where this sequence begins. */
function* places(bytes: Buffer, magic: number[]): Generator<number> {
  const wanted = Buffer.from(magic);
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) yield at;
}

function unzipped(bytes: Buffer): Buffer[] {
  return [...places(bytes, [0x1f, 0x8b, 0x08])].flatMap((at) => {
    try {
      return [gunzipSync(bytes.subarray(at), { finishFlush: constants.Z_SYNC_FLUSH })];
    } catch {
      // Three bytes by chance, or something behind the end.
      return [];
    }
  });
}

async function unpacked(bytes: Buffer, page: Page, site: Site): Promise<Buffer[]> {
  const frames: Buffer[] = [];
  for (const at of places(bytes, [0x28, 0xb5, 0x2f, 0xfd])) {
    site.files["/frame"] = { body: bytes.subarray(at), headers: { "content-encoding": "zstd", "cache-control": "no-store" } };
    const text = await page.evaluate(async () => {
      const { body } = await fetch("/frame");
      const reader = body!.getReader();
      let latin = "";
      try {
        for (let next = await reader.read(); !next.done; next = await reader.read()) {
          for (const byte of next.value) latin += String.fromCharCode(byte);
        }
      } catch {
        // The frame is over, and what stands behind it is none.
      }
      return latin;
    });
    frames.push(Buffer.from(text, "latin1"));
  }
  return frames;
}
